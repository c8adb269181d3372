"""Compare two releases: rows, columns, tags, and what they were made from.

tagsmith diff runs/instag-demo runs/instag-alpha4
tagsmith diff org/name@v1.0.0 org/name@v2.0.0 --config default --picture diff.png
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import orjson

from tagsmith.cards.diff import as_json, compare_releases
from tagsmith.cards.diff_picture import draw_diff
from tagsmith.cards.diff_report import report
from tagsmith.cards.opened_release import open_release
from tagsmith.processors.errors import InputError
from tagsmith.recipes.command import run

_EPILOG = """
A row is known by its id, which is a hash of its text:
  changed   same id, another value in some column (tags, selected, score);
            or a made row of the same parent and iteration with another text
  removed   its id is in A alone: an edited source text counts as one row removed and one added
  added     its id is in B alone
Recorded generations are known by their key, a vocabulary's rows by the raw tag, all else by the whole row.

Exit status: 0 when every config has the same columns and rows in the same order, 1 when one differs, 2 for an error.
That the same rows were made with other settings or package versions is reported, and is no difference.
"""


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; `tagsmith diff --help` lists all flags")


def main(argv: Sequence[str]) -> int:
    """Compare, print; returns the exit status."""
    options = _parser().parse_args(list(argv))
    if options.limit < 0:
        raise InputError(f"limit is a number of rows from 0, got {options.limit}")
    picture = Path(options.picture) if options.picture else None
    if picture and (picture.suffix.lower() != ".png" or not picture.absolute().parent.is_dir()):
        raise InputError(f"picture {options.picture!r} must be a .png file in a folder that exists")
    a, b = open_release(options.a), open_release(options.b)
    diff = compare_releases(a, b, config=options.config, limit=options.limit)
    if picture:
        draw_diff(diff, picture, options.theme)
    if options.json:
        said = orjson.dumps(as_json(diff, options.limit), default=str, option=orjson.OPT_INDENT_2).decode() + "\n"
    else:
        said = report(diff, options.limit) + (f"\nPicture  {options.picture}\n" if picture else "")
    try:
        print(said, end="", flush=True)
    except BrokenPipeError:  # `| head` has read enough; what is left in the buffer must not fail again at the exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0 if diff.equal else 1


def _parser() -> argparse.ArgumentParser:
    about, _, examples = (__doc__ or "").partition("\n\n")
    parser = _OneLineParser(
        prog="tagsmith diff",
        description=f"{about}\n\n{examples.strip()}",
        epilog=_EPILOG,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=20, width=100),
        allow_abbrev=False,
    )
    parser.add_argument("a", metavar="A", help="a release folder, or org/name@tag on the Hub: what was")
    parser.add_argument("b", metavar="B", help="another, or another tag of the same repository: what is")
    parser.add_argument("--config", metavar="NAME", help="compare the rows of this config only, such as default")
    parser.add_argument(
        "--limit", type=int, default=5, metavar="N", help="examples, tags and moves to show of each kind [5]"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, for machines (docs/diff.md)")
    parser.add_argument("--picture", metavar="FILE", help="draw tag shifts and rows a config into this .png, too")
    parser.add_argument("--theme", choices=("light", "dark"), default="light", help="the picture's ground [light]")
    return parser


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
