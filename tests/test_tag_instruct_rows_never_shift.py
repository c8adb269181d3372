"""A round of Tag-Instruct under random failures: every row keeps its own tags, candidates, instruction and response.

The authors' code drops tags that fail to parse before it pairs lists by position, which gives every later row the tags
of another. Here each reply names the row that it belongs to, so that a shift of any kind would show.
"""

import asyncio
import json
import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.endpoint.connect import close_clients
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.responder import Responder
from tagsmith.processors.tag_instruct.alignment import AlignmentJudge
from tagsmith.processors.tag_instruct.candidate_choice import CandidateChoice
from tagsmith.processors.tag_instruct.decoder import InstructionDecoder
from tagsmith.processors.tag_instruct.encoder import TagEncoder
from tagsmith.processors.tag_instruct.expander import TagExpander

ROWS = 30
N = 3
DOWN = (503, {"error": "down"}, {"Retry-After": "9999"})
MENDED = {"500 once": 500, "dropped once": None}
LASTING = {"malformed": "Well, that depends.\nOn many things.", "empty": "", "refused": 422, "down": DOWN}


def number_of(text: str, upto: int) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big") % upto


class World:
    """A server's answers, each about the row that it was asked about, and what befalls them."""

    def __init__(self) -> None:
        self.seed, self.share = 0, 0.0
        self.tries: dict[str, int] = {}
        self.harmed: set[str] = set()  # rows that got a reply they could not use

    async def __call__(self, seen: Any) -> Any:
        text = seen.body["messages"][0]["content"]
        (row,) = set(re.findall(r"row\d+", text))
        asked = f"{text}/{seen.body.get('seed')}"
        times = self.tries[asked] = self.tries.get(asked, 0) + 1
        await asyncio.sleep(number_of(f"delay {asked}", 10) / 2000)
        if number_of(f"{self.seed} {asked}", 1000) < 1000 * self.share:
            fates = [*MENDED, *LASTING]
            fate = fates[number_of(f"which {self.seed} {asked}", len(fates))]
            if fate == "malformed" and "### Response:" in text:
                fate = "empty"  # any words are a response
            if fate in LASTING:
                self.harmed.add(row)
                return LASTING[fate]
            if times == 1:
                return MENDED[fate]
        return answer(row, text, seen.body.get("seed"))


def answer(row: str, text: str, seed: int | None) -> str:
    """Row 12 has the tags "row12 a" to "row12 c", candidates "row12 d…", and texts that name it."""
    if "exactly three tags" in text:
        return json.dumps({"tags": [f"{row} {letter}" for letter in "abc"]})
    if "[New Question]: the more demanding task" in text:
        return f"[New Tag]: {row} d{seed}\n"
    if "The proposals, numbered" in text:
        return '{"failing": []}'
    if "[New Tag]\n" in text:
        tag = text.partition("[New Tag]\n")[2].partition("\n")[0]
        return f"[New Question]\nWeigh costs of {row} against its {tag}, and decide between two remedies."
    return f"An answer to {row}."


def one_round(url: str, store: str, rows: Dataset, batch_size: int) -> list[dict[str, Any]]:
    close_clients()
    endpoint = Endpoint(url, store=store, concurrency=16, max_repairs=0, reject_refused=True)
    steps: list[Callable[..., Any]] = [
        TagEncoder(endpoint=endpoint),
        TagExpander(endpoint=endpoint, n=N),
        AlignmentJudge(endpoint=endpoint),
        CandidateChoice(way="prompt"),
        InstructionDecoder(endpoint=endpoint, embedder=None),
        Responder(endpoint=endpoint, column="new_instruction"),
    ]
    for step in steps:
        if isinstance(step, CandidateChoice):
            rows = rows.map(step, batched=True, batch_size=batch_size)
        else:
            rows = map_rows(rows, step, description="a step", batch_size=batch_size, progress=False)
    return list(rows)


@pytest.mark.usefixtures("fast_retries")
def test_rows_never_shift(scripted_server, tmp_path_factory, monkeypatch):
    monkeypatch.setattr("tagsmith.processors.endpoint.client._DEAD_AFTER", 10_000)
    world = World()
    server = scripted_server(world)
    names = [f"row{n}" for n in range(ROWS)]
    rows = Dataset.from_dict({"id": names, "instruction": [f"Describe {name}." for name in names], "kept": names})
    clean = one_round(server.url, str(tmp_path_factory.mktemp("clean") / "s.sqlite"), rows, 16)
    assert {row["status"] for row in clean} == {"ok"}

    @given(st.integers(0, 2**20), st.sampled_from([0.02, 0.1, 0.4]), st.sampled_from([1, 7, 64]))
    @settings(max_examples=5, deadline=None)
    def check(seed: int, share: float, batch_size: int) -> None:
        world.seed, world.share, world.tries, world.harmed = seed, share, {}, set()
        store = str(tmp_path_factory.mktemp("harmed") / "s.sqlite")
        made = one_round(server.url, store, rows, batch_size)
        assert [row["id"] for row in made] == [row["kept"] for row in made] == names
        for row, undisturbed in zip(made, clean, strict=True):
            name = row["id"]
            if name not in world.harmed:
                assert row == undisturbed
                continue
            if row["base_tags"] is not None:
                assert row["base_tags"] == undisturbed["base_tags"]
            if row["candidates"] is not None:
                for mine, theirs in zip(row["candidates"], undisturbed["candidates"], strict=True):
                    assert mine["tag"] in (None, theirs["tag"])
                    assert (mine["status"] == "ok") is (mine["reason"] == "") is (mine["tag"] is not None)
            if row["status"] == "ok":
                assert row["new_tag"] in {candidate["tag"] for candidate in undisturbed["candidates"]}
                assert f"of {name} against its {row['new_tag']}," in row["new_instruction"]
                assert row["response"] == f"An answer to {name}."
            else:
                assert row["reason"].partition(":")[0] in {"unparsed", "refused", "endpoint", "no_candidate"}
                assert row["response"] is None

    check()
