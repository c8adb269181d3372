"""Make a release again from its manifest and its recorded generations, without any model, and compare the rows.

tagsmith reproduce runs/instag-demo
tagsmith reproduce org/name@v1.0.0 --push-report
"""

import argparse
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.opened_release import OpenedRelease, open_release
from tagsmith.cards.release import prompt_file
from tagsmith.processors.endpoint.connect import connect
from tagsmith.processors.errors import InputError, TagsmithError
from tagsmith.recipes.arguments import EndpointArguments, ReleaseArguments
from tagsmith.recipes.made import Made
from tagsmith.recipes.reproduction import compare
from tagsmith.recipes.summary import print_table

_EPILOG = """
The release's recipe runs again here. Its requests are answered from the release's `generations`; a request that is not
among them is an error that says what differs. Exit status: 0 when every config has the same content hash, 1 when one
differs (the report says which columns, and what is installed here in another version), 2 for an error.
"""


def main(argv: Sequence[str]) -> int:
    """Rebuild, compare, print; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="tagsmith reproduce",
        description=(__doc__ or "").partition("\n")[0],
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("release", help="a release folder, or org/name@v1.0.0 on the Hub")
    parser.add_argument(
        "--push-report",
        "--push_report",
        action="store_true",
        help="add the report to the repository on the Hub, as reproductions/<release>-<platform>.md",
    )
    options = parser.parse_args(list(argv))
    opened = open_release(options.release)
    if options.push_report and opened.target is None:
        raise InputError(f"--push-report needs a release on the Hub (org/name@v1.0.0), got {options.release!r}")
    _open_record(opened)
    module = _recipe(opened)  # imports what the recipe needs, which is no part of its speed
    started = time.monotonic()
    made = rebuild(opened, module)
    result = compare(opened, made, seconds=time.monotonic() - started)
    print_table(f"Reproduced {opened.name}", result.lines())
    if options.push_report and opened.target is not None:
        print(f"\nreport: {result.push(opened.target)}")
    return 0 if result.identical else 1


def rebuild(opened: OpenedRelease, module: ModuleType) -> Made:
    """Run the release's recipe over its source rows, with the recorded generations in place of every endpoint.

    Raises:
        ReleaseError: this version has no such recipe, or the recipe other settings. InputError: a source or a model of
            embeddings is not to be had here. EndpointError: a request was not recorded.
    """
    settings = recorded_settings(opened, module.ARGUMENTS)
    made: Made | None = module.make(*(block for block in settings if not isinstance(block, ReleaseArguments)))
    if made is None:
        raise ReleaseError(f"{opened.name}: the recipe made nothing; run `tagsmith reproduce` as a single process")
    return made


def _open_record(opened: OpenedRelease) -> None:
    """Read the record in a thread, while the recipe is imported: Arrow reads without holding up Python.

    Whatever is wrong with it, the recipe says when it asks for it.
    """
    config = dict(opened.manifest["config"]) | _replayed(opened)
    known = {f.name: config[f.name] for f in fields(EndpointArguments) if f.name in config}

    def read() -> None:
        with suppress(TagsmithError):
            connect(EndpointArguments(**known).to_endpoint())

    threading.Thread(target=read, daemon=True).start()


def recorded_settings(opened: OpenedRelease, blocks: Sequence[type]) -> list[Any]:
    """The recipe's dataclasses with the manifest's values; files and endpoints are those of the release."""
    artefacts = {setting: str(opened.folder / name) for setting, name in opened.manifest["artefacts"].items()}
    config = dict(opened.manifest["config"]) | _replayed(opened) | _source(opened) | _prompts(opened) | artefacts
    known = {f.name for block in blocks for f in fields(block)}
    if unknown := sorted(config.keys() - known):
        made_with = opened.manifest["packages"].get("tagsmith")
        raise ReleaseError(
            f"{opened.name} has settings that this version of its recipe does not know: {', '.join(unknown)}; install"
            f" the version that made it: pip install tagsmith=={made_with}"
        )
    return [block(**{f.name: config[f.name] for f in fields(block) if f.name in config}) for block in blocks]


def _recipe(opened: OpenedRelease) -> ModuleType:
    from tagsmith.recipes.cli import RECIPES

    name = str(opened.manifest["recipe"])
    if name.replace("_", "-") not in RECIPES:
        raise ReleaseError(
            f"{opened.name} was made by the recipe {name!r}, which is not in this version; it has: {', '.join(RECIPES)}"
        )
    return import_module(f"tagsmith.recipes.{name}")


def _replayed(opened: OpenedRelease) -> dict[str, str]:
    """For each setting that named an endpoint: the record of what its model answered."""
    answered = [record for record in opened.manifest["models"] if "endpoint" in record]
    several = len({record["model"] for record in answered}) > 1
    return {
        record["endpoint"]: f"replay:{opened.folder}" + (f"?model={quote(record['model'], '')}" if several else "")
        for record in answered
    }


def _source(opened: OpenedRelease) -> dict[str, Any]:
    """Where the source rows are read: in the release itself, or on the Hub at the commit that was read then."""
    if "source" in opened.manifest["configs"]:
        # The rows that --max_rows and --split left are what the config holds.
        whole = {"dataset_config": None, "split": "train", "revision": None, "max_rows": None}
        return {"dataset": str(opened.folder / "source"), **whole}
    facts = opened.manifest["inputs"][0]
    return {"revision": facts["commit"]} if "commit" in facts else {}


def _prompts(opened: OpenedRelease) -> dict[str, str]:
    """Prompts that were a user's own files lie in the release."""
    return {
        name: str(path)
        for name, value in opened.manifest["config"].items()
        if isinstance(value, str) and value.endswith(".jinja") and (path := _prompt_in(opened.folder, value)).is_file()
    }


def _prompt_in(folder: Path, name: str) -> Path:
    return folder / "prompts" / prompt_file(name)
