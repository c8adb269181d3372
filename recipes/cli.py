"""The `tagsmith` command."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

RECIPES = {
    "select-instag": "tag, normalise, analyse and select an instruction dataset (#InsTag)",
    "judge-instag-tags": "judge the tags of a release: precision, consistency, counterfactual cases (#InsTag)",
}


def _help() -> str:
    width = max(map(len, RECIPES))
    lines = [
        "tagsmith: instruction-tuning data in tag space",
        "",
        "  tagsmith run RECIPE [--config FILE] [flags]   run a recipe (the default endpoint needs nothing)",
        "  tagsmith run RECIPE --help                    its flags, with their defaults",
        "  tagsmith --version",
        "",
        "Recipes:",
        *(f"  {name:<{width}}  {what}" for name, what in RECIPES.items()),
        "",
        "Start with:  tagsmith run select-instag --config demo",
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if words[0] == "--version":
        print(version("tagsmith"))
        return 0
    if words[0] != "run" or len(words) < 2 or words[1] not in RECIPES:
        got = " ".join(words[:2])
        known = ", ".join(RECIPES)
        print(f"tagsmith: error: `{got}` is no command; expected: tagsmith run RECIPE, one of {known}", file=sys.stderr)
        return 2
    module = import_module(f"tagsmith.recipes.{words[1].replace('-', '_')}")
    from tagsmith.recipes.command import run

    return run(module.main, words[2:])


if __name__ == "__main__":
    sys.exit(main())
