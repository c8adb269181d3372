"""From YAML and command line to checked dataclasses; every mistake is one line that names it and the remedy."""

import difflib
import types
import typing
from collections.abc import Sequence
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn

import yaml

from tagsmith.processors.errors import InputError
from tagsmith.recipes.help_formatter import HelpFormatter


def parse(recipe: str, about: str, blocks: Sequence[type], argv: Sequence[str]) -> tuple[Any, ...]:
    """Fill the dataclasses from `--config FILE` and from flags; flags win. TRL's parser does the work.

    Args:
        recipe: its module's name: a bare `--config demo` means `configs/<recipe>/demo.yaml` of the package.
        about: what `--help` says first.
        blocks: the dataclasses, each with the help of its flags.
        argv: the command line without the program's name.

    Raises:
        InputError: unknown flag or key (with the nearest known one), missing file, or a value of another type.
    """
    from trl import TrlParser

    class OneLineParser(TrlParser):  # type: ignore[misc]
        def error(self, message: str) -> NoReturn:  # argparse would print the whole usage first
            raise InputError(f"{message}; `--help` lists all flags")

    known = [f.name for block in blocks for f in fields(block)]
    program = f"tagsmith run {recipe.replace('_', '-')}"
    parser = OneLineParser(
        blocks,
        prog=program,
        usage=f"{program} [--config FILE] [flags]",
        description=about,
        epilog=f"--config reads flags from a YAML file{_or_shipped(recipe)}. Flags given here win.",
        formatter_class=HelpFormatter,
    )
    given = _with_config(recipe, argv, known)
    for argument in given:
        name = argument.removeprefix("--").partition("=")[0].replace("-", "_")
        if argument.startswith("--") and name.removeprefix("no_") not in (*known, "config", "help"):
            raise InputError(f"unknown flag --{name}{_nearest(name, known, '--')}; `--help` lists all flags")
    *parsed, unused = parser.parse_args_and_config(given, return_remaining_strings=True)
    if unused:
        raise InputError(f"{unused[0]!r} belongs to no flag; write --name value; `--help` lists all flags")
    for block in parsed:
        check_types(block)
    return tuple(parsed)


def check_types(block: Any) -> None:
    """Raise InputError where a field's value is not of the field's type: YAML's 2.5 would pass for an int."""
    hints = typing.get_type_hints(type(block))
    for f in fields(block):
        value, hint = getattr(block, f.name), hints[f.name]
        options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        allowed = tuple(typing.get_origin(option) or option for option in options)
        if float in allowed and isinstance(value, int) and not isinstance(value, bool):
            setattr(block, f.name, float(value))
        elif not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            expected = " or ".join("null" if kind is types.NoneType else kind.__name__ for kind in allowed)
            raise InputError(f"{f.name} is {value!r} ({type(value).__name__}); give a value of type {expected}")


def _with_config(recipe: str, argv: Sequence[str], known: list[str]) -> list[str]:
    """The command line with `--config` (also `--config=FILE`) naming a file that was looked at."""
    given: list[str] = []
    for argument in argv:
        given += argument.split("=", 1) if argument.startswith("--config=") else [argument]
    if "--config" in given:
        place = given.index("--config") + 1
        if place == len(given):
            raise InputError(f"--config needs a YAML file{_or_shipped(recipe)}")
        if "--config" in given[place:]:
            raise InputError("--config is given twice; give one file, and further values as flags")
        path = _config_path(recipe, given[place])
        given[place] = str(path)
        _check_config(path, known)
    return given


def _shipped(recipe: str) -> dict[str, Path]:
    """The recipe's own config files, by name."""
    folder = Path(str(files("tagsmith.recipes") / "configs" / recipe))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _or_shipped(recipe: str) -> str:
    return f", or one of the shipped: {', '.join(names)}" if (names := _shipped(recipe)) else ""


def _config_path(recipe: str, given: str) -> Path:
    path, shipped = Path(given), _shipped(recipe)
    if path.is_file():
        return path
    if given in shipped:
        return shipped[given]
    raise InputError(f"config file {given!r} does not exist; give a YAML file{_or_shipped(recipe)}")


def _check_config(path: Path, known: list[str]) -> None:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"config file {path} cannot be read: {error}; give a YAML file in UTF-8") from error
    except yaml.YAMLError as error:
        raise InputError(f"config file {path} is not valid YAML: {' '.join(str(error).split())}; mend it") from error
    if not isinstance(config, dict):
        raise InputError(f"config file {path} holds {type(config).__name__}; expected a mapping of names to values")
    for name, value in config.items():
        if name == "env":  # TRL's parser sets these in the environment
            if not isinstance(value, dict):
                raise InputError(f"config file {path}: env is {value!r}; expected a mapping of variables to values")
        elif name not in known:
            raise InputError(
                f"config file {path} has an unknown key {name!r}{_nearest(str(name), known, '')}; `--help` lists all"
            )


def _nearest(name: str, known: list[str], prefix: str) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f", did you mean {prefix}{near[0]}?" if near else ""
