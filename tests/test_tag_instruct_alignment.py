"""Which candidates fit: the judge's verdict put back in the candidates' places, and the band of embeddings."""

from typing import Any

import numpy as np
import pytest
from datasets import Dataset, Features, List, Value

from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import UnparsedReplyError
from tagsmith.processors.errors import InputError
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.tag_instruct.alignment import FAILINGS, AlignmentJudge
from tagsmith.processors.tag_instruct.alignment_band import AlignmentBand
from tagsmith.processors.tag_instruct.expander import CANDIDATE


def candidate(tag: str | None, status: str = "ok", reason: str = "", **more: Any) -> dict[str, Any]:
    return {"tag": tag, "explanation": "", "status": status, "reason": reason, "raw_reply": "", **more}


def rows_of(*candidates: list[dict[str, Any]] | None, **columns: Any) -> Dataset:
    n = len(candidates)
    made = {"id": [f"r{k}" for k in range(n)], "instruction": [f"Task {k}." for k in range(n)]}
    made |= {"base_tags": [["planning", "food"]] * n, "candidates": list(candidates)} | columns
    features = Features(
        {"id": Value("string"), "instruction": Value("string"), "base_tags": List(Value("string"))}
        | {"candidates": List(CANDIDATE)}
        | dict.fromkeys(columns, Value("string"))
    )
    return Dataset.from_dict(made, features=features)


BAD = candidate(None, "rejected", "unparsed: no tag")
FOUR = [candidate("budget limit"), BAD, candidate("opera staging"), candidate("vegan menu")]


def judge(server: Any, store: str, rows: Dataset) -> list[dict[str, Any]]:
    processor = AlignmentJudge(endpoint=Endpoint(server.url, store=store, max_repairs=0))
    return list(map_rows(rows, processor, description="judging", progress=False))


def test_failing_candidates_are_marked_in_their_places(scripted_server, store_path):
    server = scripted_server(['{"failing": [{"idx": 1, "why": "alignment"}, {"idx": 2, "why": "coherence"}]}'])
    (row,) = judge(server, store_path, rows_of(FOUR))
    assert row["status"] == "ok"
    assert row["candidates"] == [
        candidate("budget limit"),
        BAD,
        candidate("opera staging", "rejected", FAILINGS["alignment"]),
        candidate("vegan menu", "rejected", FAILINGS["coherence"]),
    ]
    (post,) = server.posts
    assert "Its present tags: planning, food\n" in post.text
    assert "[tag 0] budget limit\n[tag 1] opera staging\n[tag 2] vegan menu\n" in post.text


def test_a_row_needs_a_candidate_and_a_verdict(scripted_server, store_path):
    replies = {
        "Task 0": '{"failing": []}',
        "Task 1": '{"failing": [{"idx": 0, "why": "alignment"}]}',
        "Task 2": "I think they are fine.",
        "Task 3": '[{"idx": 1, "why": "alignment"}]',
    }
    one = [candidate("budget limit")]
    rows = rows_of(one, one, one, one, [BAD], status=["ok"] * 5, reason=[""] * 5)
    server = scripted_server(lambda seen: next(reply for name, reply in replies.items() if name in seen.text))
    judged = judge(server, store_path, rows)
    assert [row["reason"] for row in judged] == [
        "",
        FAILINGS["alignment"],
        "unparsed: there is no JSON in the answer",
        "out_of_range: the judge names candidate 1, but was shown 1, numbered from 0",
        "no_candidate: there is none to judge",
    ]
    assert judged[2]["candidates"] == judged[0]["candidates"] == one
    assert len(server.posts) == 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"failing": {"idx": 1}}', 'expected a list under "failing"'),
        ('{"failing": [1]}', 'each entry needs an "idx" that is a whole number from 0'),
        ('{"failing": [{"idx": -1, "why": "alignment"}]}', 'each entry needs an "idx" that is a whole number from 0'),
        ('{"failing": [{"idx": 1, "why": "dull"}]}', 'each entry needs a "why" that is "alignment" or "coherence"'),
    ],
)
def test_verdicts_that_cannot_be_read(text, reason):
    with pytest.raises(UnparsedReplyError) as caught:
        AlignmentJudge().read(text)
    assert str(caught.value) == reason


@pytest.mark.parametrize("plain", [False, True])
def test_what_candidates_have_besides_is_kept(scripted_server, store_path, plain):
    entry = Features({"candidates": List({**CANDIDATE, "score": Value("float64")})})
    rows = rows_of(FOUR).remove_columns("candidates")
    scored = [[{**each, "score": 0.5} for each in FOUR]]
    rows = rows.add_column("candidates", scored, feature=entry["candidates"])
    server = scripted_server(['{"failing": [{"idx": 0, "why": "alignment"}]}'])
    processor = AlignmentJudge(endpoint=Endpoint(server.url, store=store_path))
    if plain:
        judged = rows.map(processor, batched=True)
    else:
        judged = map_rows(rows, processor, description="judging", progress=False)
    (row,) = judged
    assert [each["score"] for each in row["candidates"]] == [0.5] * 4
    assert [each["status"] for each in row["candidates"]] == ["rejected", "rejected", "ok", "ok"]


# --- the band -------------------------------------------------------------------------------------------------------


class _Angles:
    """Texts on a circle, by the degrees given."""

    model = "angles"

    def __init__(self, **degrees: float) -> None:
        self.degrees = degrees

    def encode(self, texts: Any) -> Any:
        angles = np.radians([self.degrees[text.split()[0].lower()] for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_the_band_takes_what_is_neither_far_nor_the_same():
    embedder = _Angles(planning=0, food=10, task=-40, budget=60, opera=120, vegan=-100, schedule=12)
    four = [candidate("budget limit"), candidate("opera staging"), candidate("vegan menu"), candidate("schedule")]
    rows = rows_of([*four, BAD], [candidate("opera staging")], [BAD], None, status=["ok"] * 3 + ["rejected"])
    band = AlignmentBand(embedder=embedder, low=0.45, high=0.95)
    judged = rows.add_column("reason", ["", "", "", "known: x"]).map(band, batched=True)
    assert [(each["tag"], each["reason"]) for each in judged[0]["candidates"]] == [
        ("budget limit", ""),
        ("opera staging", "alignment: the nearest of tags and instruction has cosine -0.34, below 0.45"),
        ("vegan menu", ""),  # near to the instruction, not to its tags
        ("schedule", "coherence: cosine 1.00 to the row's tag 'food', at least 0.95"),
        (None, "unparsed: no tag"),
    ]
    assert judged["status"][:] == ["ok", "rejected", "rejected", "rejected"]
    assert judged["reason"][0] == ""
    assert judged["reason"][1].startswith("alignment: the nearest")
    assert judged["reason"][3] == "known: x"
    assert judged["candidates"][3] is None


def test_a_band_upside_down():
    with pytest.raises(InputError, match=r"^band low=0\.5, high=0\.4: expected cosines with -1 ≤ low < high"):
        AlignmentBand(low=0.5, high=0.4)


def test_the_bundled_model_tells_strangers_from_neighbours():
    names = ("web security", "gardening tips", "cake recipes")
    rows = rows_of([candidate(name) for name in names])
    rows = rows.remove_columns(["base_tags", "instruction"])
    rows = rows.add_column("base_tags", [["web development", "user interface"]])
    rows = rows.add_column("instruction", ["Create an HTML page with a list of books."])
    (row,) = rows.map(AlignmentBand(), batched=True)
    kept = [each["tag"] for each in row["candidates"] if each["status"] == "ok"]
    assert kept == ["web security"]
    reasons = [each["reason"].partition(":")[0] for each in row["candidates"]]
    assert reasons == ["", "alignment", "alignment"]


def test_offline_judge_finds_strangers_and_contradictions(store_path):
    rows = rows_of(
        [candidate("counterargument"), candidate("case study"), candidate("opera staging"), candidate("x y")]
    )
    text = "Explain why leaves fall. Enforce strict brevity; 150 words must suffice."
    rows = rows.map(lambda _: {"instruction": text})
    processor = AlignmentJudge(endpoint=Endpoint("offline:", store=store_path))
    (row,) = map_rows(rows, processor, description="judging", progress=False)
    reasons = [each["reason"].partition(":")[0] for each in row["candidates"]]
    assert reasons == ["coherence", "coherence", "alignment", ""]
