"""A request that a release did not record: the nearest one that it did, and what differs. Only ever used in errors."""

from typing import Any

import orjson
import pyarrow.compute as pc

from tagsmith.processors.endpoint.recorded import Recording
from tagsmith.processors.endpoint.request import Request

_SHOWN = 60


def start_of(request: Request) -> str:
    """The first words of what a request says."""
    return _shortened(_said(request.content.decode()))


def goes_on(recording: Recording, model: str, request: Request) -> bool:
    """Whether any recorded request carries on the conversation of this one."""
    content = request.content.decode()
    mine = recording.table["content"].filter(pc.equal(recording.table["model"], model))
    longer = pc.and_(pc.starts_with(mine, content[:-1]), pc.not_equal(mine, content))
    return bool(pc.any(longer).as_py())


def what_differs(recording: Recording, model: str, request: Request, key: str) -> str:
    """The recorded request that is nearest, in words: every setting that differs with both values, or where the text
    does. Nearest is the same text with the fewest other settings, else the text that shares most at both its ends."""
    table = recording.table
    if not table.num_rows:
        return "it recorded none"
    content = request.content.decode()
    same = pc.indices_nonzero(pc.equal(table["content"], content)).to_pylist()
    if same:
        differences = min((_settings(recording, number, model, request) for number in same), key=len)
        if not differences:
            return (
                f"one says the same, but under another key than {key}: the file was edited, or written by a version of"
                " tagsmith that made other keys"
            )
        return f"the nearest recorded one has the same text; {'; '.join(differences)}"
    of_model = pc.indices_nonzero(pc.equal(table["model"], model)).to_pylist() or range(table.num_rows)
    contents = table["content"].to_pylist()
    nearest = max(of_model, key=lambda number: _likeness(content, contents[number]))
    differences = [_where(content, contents[nearest]), *_settings(recording, nearest, model, request)]
    return f"in the nearest recorded one {'; '.join(differences)}"


def _settings(recording: Recording, number: int, model: str, request: Request) -> list[str]:
    """What else than the text differs from recorded request `number`."""
    (row,) = recording.table.select(["model", "parameters", "sample"]).slice(number, 1).to_pylist()
    here, there = orjson.loads(request.parameters.as_json), orjson.loads(row["parameters"])
    pairs: list[tuple[str, Any, Any]] = [("model", model, row["model"])]
    pairs += [(name, here.get(name), there.get(name)) for name in sorted(here.keys() | there.keys())]
    pairs += [("sample number", request.sample, row["sample"])]
    return [f"{name} is {_value(mine)} here, {_value(theirs)} there" for name, mine, theirs in pairs if mine != theirs]


def _value(value: Any) -> str:
    return "not set" if value is None else _shortened(value if isinstance(value, str) else orjson.dumps(value).decode())


def _where(content: str, recorded: str) -> str:
    """Where two texts part, with a little of both."""
    kinds = ["a conversation" if text.startswith("[") else "raw text" for text in (content, recorded)]
    if kinds[0] != kinds[1]:
        return f"the prompt is {kinds[0]} here, {kinds[1]} there"
    mine, theirs = _said(content), _said(recorded)
    start = _shared(mine, theirs)
    from_here = max(0, start - 15)
    return (
        f"the text differs from character {start + 1:,} on: {_shortened(mine[from_here:])!r} here,"
        f" {_shortened(theirs[from_here:])!r} there"
    )


def _said(content: str) -> str:
    """What a recorded content says, as text: a lone message bare, of several each after its role."""
    said = orjson.loads(content)
    if isinstance(said, str):
        return said
    if len(said) == 1:
        return str(said[0]["content"])
    return "\n".join(f"{message['role']}: {message['content']}" for message in said)


def _likeness(one: str, other: str) -> float:
    """Share of two texts that is equal at the start and at the end."""
    shortest = min(len(one), len(other))
    return min(_shared(one, other) + _shared(one[::-1], other[::-1]), shortest) / max(len(one), len(other))


def _shared(one: str, other: str) -> int:
    """Characters that two texts begin with in common."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
