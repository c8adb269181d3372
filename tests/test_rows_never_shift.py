"""Under any mixture of failures each row gets its own replies: none is shifted, lost or doubled."""

import asyncio
import json
from hashlib import blake2b
from typing import Any

from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.endpoint import retry
from tagsmith.processors.endpoint.connect import close_clients
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.instag.tagger import InsTagTagger
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.rows import to_rows

DOWN = (503, {"error": "down"}, {"Retry-After": "9999"})
# What befalls a prompt → what comes of it. "once" is for the first request only.
FATES = {
    "none": "ok",
    "slow": "ok",
    "500 once": "ok",
    "dropped once": "ok",
    "cut off once": "ok",
    "malformed once": "ok",
    "malformed": "unparsed: there is no JSON in the answer",
    "empty list": "unparsed: the list of tags is empty; name at least one intention",
    "refused": "refused: ",
    "down": "endpoint: gave up after 1 try",
}
CUT_OFF = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + b'{"choices": [{"message": {"content": '


def number_of(text: str, upto: int) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big") % upto


def fate_of(prompt: str, seed: int, share: float) -> str:
    harmed = number_of(f"{seed} {prompt}", 1000) < 1000 * share
    return list(FATES)[number_of(f"which {seed} {prompt}", len(FATES))] if harmed else "none"


def tags_of(prompt: str) -> list[dict[str, str]]:
    return [{"tag": f"{prompt} {n}", "explanation": f"{n} of {prompt}"} for n in range(1 + number_of(prompt, 3))]


def rows_of(seed: int) -> Dataset:
    """Rows of one to four turns, some of them equal, some blank."""
    conversations = []
    for n in range(60):
        turns = [f"turn {number_of(f'{seed} {n} {k}', 70)}" for k in range(1 + number_of(f"{seed} {n}", 4))]
        turns = ["  " if number_of(f"blank {seed} {n} {k}", 12) == 0 else turn for k, turn in enumerate(turns)]
        conversations.append([{"role": "user", "content": turn} for turn in turns])
    return to_rows(Dataset.from_dict({"messages": conversations, "number": list(range(60))}))


def tag(server: Any, store: str, rows: Dataset, batch_size: int) -> list[dict[str, Any]]:
    close_clients()
    endpoint = Endpoint(server.url, store=store, concurrency=16, max_repairs=1, reject_refused=True)
    tagger = InsTagTagger(endpoint=endpoint, prompt=PromptTemplate("own", "{{ instruction }}"))
    tagged = map_rows(rows, tagger, description="tagging", batch_size=batch_size, progress=False)
    return list(tagged)


def test_rows_never_shift(scripted_server, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(retry, "FIRST_DELAY_SEC", 0.002)
    monkeypatch.setattr("tagsmith.processors.endpoint.client._DEAD_AFTER", 10_000)
    world = {"seed": 0, "share": 0.0}
    before: dict[str, int] = {}

    async def script(seen: Any) -> Any:
        prompt = seen.body["messages"][0]["content"]
        times = before[prompt] = before.get(prompt, 0) + 1
        fate = fate_of(prompt, int(world["seed"]), world["share"])
        await asyncio.sleep(number_of(f"delay {prompt}", 10) / 2000 + (0.1 if fate == "slow" else 0))
        if fate.endswith("once") and times > 1:
            fate = "none"
        special = {"500 once": 500, "dropped once": None, "cut off once": server.Raw(CUT_OFF), "refused": 422}
        special |= {"malformed once": "Well.", "malformed": "Well.", "empty list": '{"tags": []}', "down": DOWN}
        return special.get(fate, json.dumps({"tags": tags_of(prompt)}))

    server = scripted_server(script)

    @given(st.integers(0, 2**20), st.sampled_from([0.1, 0.5, 1.0]), st.sampled_from([1, 7, 64]))
    @settings(max_examples=8, deadline=None)
    def check(seed: int, share: float, batch_size: int) -> None:
        before.clear()
        world.update(seed=seed, share=0.0)
        folder = tmp_path_factory.mktemp("stores")
        rows = rows_of(seed)
        clean = tag(server, str(folder / "clean.sqlite"), rows, batch_size)
        before.clear()
        world.update(share=share)
        harmed = tag(server, str(folder / "harmed.sqlite"), rows, batch_size)

        assert [row["number"] for row in harmed] == [row["number"] for row in clean] == list(range(60))
        for row, source, undisturbed in zip(harmed, rows, clean, strict=True):
            assert source.items() <= row.items()
            turns = [message["content"] for message in source["messages"]]
            fates = [FATES[fate_of(turn, seed, share)] if turn.strip() else "ok" for turn in turns]
            expected = [[tag["tag"] for tag in tags_of(turn)] if turn.strip() else [] for turn in turns]
            if not any(turn.strip() for turn in turns):
                assert (row["status"], row["turn_tags"]) == ("rejected", [])
                assert row == undisturbed
            elif set(fates) == {"ok"}:
                repaired = sum(fate_of(turn, seed, share) == "malformed once" for turn in turns if turn.strip())
                assert row["turn_tags"] == expected
                assert row["attempts"] == undisturbed["attempts"] + repaired
                costs = ("attempts", "generation_keys") if repaired else ()
                assert all(row[name] == undisturbed[name] for name in undisturbed if name not in costs)
            else:
                told = [tags if fate == "ok" else None for tags, fate in zip(expected, fates, strict=True)]
                assert (row["status"], row["raw_tags"], row["turn_tags"]) == ("rejected", None, told)
                assert row["reason"].startswith(next(fate for fate in fates if fate != "ok"))
        # The next run, on a healthy server, mends what can be mended and pays only for that.
        world.update(share=0.0)
        asked = len(server.posts)
        mended = tag(server, str(folder / "harmed.sqlite"), rows, batch_size)
        texts = {message["content"] for row in rows for message in row["messages"] if message["content"].strip()}
        again = [turn for turn in texts if FATES[fate_of(turn, seed, share)].startswith(("refused", "endpoint"))]
        assert sorted(seen.text for seen in server.posts[asked:]) == sorted(again)
        unread = {turn for turn in texts if FATES[fate_of(turn, seed, share)].startswith("unparsed")}
        for row, undisturbed in zip(mended, clean, strict=True):
            if not unread & {message["content"] for message in row["messages"]}:
                assert row["turn_tags"] == undisturbed["turn_tags"]

    check()
