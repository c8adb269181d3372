"""Sections out of a model's reply: the text behind a mark such as [New Question], without the model's thoughts."""

import re
from functools import cache

from tagsmith.processors.endpoint.request import UnparsedReplyError


def without_thoughts(text: str) -> str:
    """The reply behind a reasoning model's thoughts.

    Raises:
        UnparsedReplyError: there is nothing behind them, or nothing at all.
    """
    thought, ended, rest = text.partition("</think>")  # some servers leave out the opening mark
    bare = (rest if ended else thought).strip()
    if bare.startswith("<think>"):
        raise UnparsedReplyError("the answer ends within its thoughts")
    if not bare:
        raise UnparsedReplyError("the answer is empty")
    return bare


def section(text: str, name: str, end: str | None = None) -> str | None:
    """What follows the last mark `[name]` that starts a line, up to the mark `[end]`; None without a mark.

    Case does not matter, nor do bold type (`**[Name]**`), a heading's `#` and a colon. The last mark counts, since a
    model that repeats the question's form does so before it answers.
    """
    marks = list(_mark(name).finditer(text))
    if not marks:
        return None
    rest = text[marks[-1].end() :]
    stop = _mark(end).search(rest) if end else None
    return rest[: stop.start() if stop else None].strip()


@cache
def _mark(name: str) -> re.Pattern[str]:
    return re.compile(rf"^[ \t>#*_]*\[{re.escape(name)}\][ \t]*[*_]*[ \t]*:?[ \t]*[*_]*", re.IGNORECASE | re.MULTILINE)
