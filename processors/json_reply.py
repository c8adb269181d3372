"""JSON out of a model's reply: what is wrapped in prose, a code fence or a thought is found; the rest is an error."""

import re
from typing import Any

import orjson

from tagsmith.processors.endpoint.request import UnparsedReplyError

_FENCE = re.compile(r"```[\w-]*\s*\n(.*?)```", re.DOTALL)
_TEXT_OR_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[\]}])')


def read_json(text: str) -> Any:
    """The JSON value in `text`.

    Taken in this order: the whole text; the last code fence; from the first bracket to its last partner. In each, a
    trailing comma before a closing bracket is forgiven. Nothing else is guessed at: a cut-off list is not closed, since
    its last entry may be half of what was meant.

    Raises:
        UnparsedReplyError: there is none; says what was found, in words that can go back to the model.
    """
    try:
        return orjson.loads(text)  # the usual case costs one parse
    except orjson.JSONDecodeError:
        pass
    thought, ended, rest = text.partition("</think>")  # some servers leave out the opening mark
    bare = (rest if ended else thought).strip()
    if bare.startswith("<think>"):  # what it holds is a draft
        raise UnparsedReplyError("the answer ends within its thoughts")
    if not bare:
        raise UnparsedReplyError("the answer is empty")
    fences = _FENCE.findall(bare)
    candidates = [bare, *fences[-1:]]
    starts = [found for found in (bare.find("["), bare.find("{")) if found >= 0]
    if starts:
        first = min(starts)
        end = bare.rfind("]" if bare[first] == "[" else "}")
        candidates.append(bare[first : end + 1])
    for candidate in candidates:
        for attempt in (candidate, _TEXT_OR_TRAILING_COMMA.sub(r"\1", candidate)):
            try:
                value = orjson.loads(attempt)
            except orjson.JSONDecodeError:
                continue
            if isinstance(value, list | dict):
                return value
    if not starts:
        raise UnparsedReplyError("there is no JSON in the answer")
    raise UnparsedReplyError("the JSON in the answer is broken or cut off")
