"""The offline endpoint's rules for TAGS: every path of the tagger, scores with their probabilities, and the judges."""

from typing import Any

from datasets import Dataset

from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.offline.answers import ANSWERS
from tagsmith.processors.endpoint.offline.draw import Draw
from tagsmith.processors.endpoint.offline.generation import recognise
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.rows import to_rows
from tagsmith.processors.scoring.deita import ComplexityScorer, QualityScorer
from tagsmith.processors.scoring.score_tokens import expected_score
from tagsmith.processors.tags.knowledge_tagger import KnowledgeTagger
from tagsmith.processors.tags.tag_checker import TagChecker
from tagsmith.processors.tags.tag_proposer import TagProposer
from tagsmith.processors.tags.tagger_judges import CoverageJudge, GranularityJudge, PrecisionJudge
from tagsmith.processors.tags.tree_judges import TreeClusterJudge, TreeInstanceJudge

THINGS = ("apple", "rail ticket", "garden chair", "violin lesson", "paint bucket")
WHAT = "How many {thing}s does Lucy have after day {n}, if she buys {n} of them at a market and gives half away?"


def problem(n: int) -> str:
    return WHAT.format(thing=THINGS[n % len(THINGS)], n=n)


def mapped(rows: Dataset, processor: Any) -> Dataset:
    return map_rows(rows, processor, description="asking", progress=False)


def test_every_path_over_the_wire(store_path):
    endpoint = Endpoint("offline:", store=store_path)
    rows = to_rows(Dataset.from_list([{"question": problem(n), "answer": f"She has {n / 2}."} for n in range(120)]))
    out = KnowledgeTagger(proposer=TagProposer(endpoint=endpoint), checker=TagChecker(endpoint=endpoint)).tag(rows)
    assert {len(rounds) for rounds in out["tag_rounds"]} >= {1, 2, 3}
    assert {True, False} <= set(out["check_passed"])
    assert all(tags is None or 1 <= len(tags) <= 5 for tags in out["raw_tags"])
    assert sum(status == "ok" for status in out["status"]) > 110
    scores = mapped(mapped(rows, ComplexityScorer(endpoint=endpoint)), QualityScorer(endpoint=endpoint))
    for name in ("complexity_score", "quality_score"):
        known = [score for score in scores[name] if score is not None]
        assert len(known) >= 118
        assert len(set(known)) > 100
        assert all(1 <= score <= 6 for score in known)
    distilled = TagProposer(endpoint=endpoint, format="distilled")
    assert all(KnowledgeTagger(proposer=distilled, checker=None).tag(rows.select(range(20)))["raw_tags"])
    case = Dataset.from_list(
        [{"reference_tags": ["Binary Search", "Recursion"], "raw_tags": ["Iterative Binary Search", "Cooking"]}]
    )
    for kind, verdict in ((CoverageJudge, [0]), (PrecisionJudge, [0]), (GranularityJudge, [0])):
        assert mapped(case, kind(endpoint=endpoint))[kind.verdict] == [verdict]
    edge = Dataset.from_list([{"parent": "Graph Search", "child": "Depth-First Search"}])
    assert mapped(edge, TreeInstanceJudge(endpoint=endpoint))["belongs"] == [True]
    cluster = Dataset.from_list([{"name": "Graph Search", "members": ["Depth-First Search", "A* Search"]}])
    assert mapped(cluster, TreeClusterJudge(endpoint=endpoint))["fits"] == [True]


def test_now_and_then_a_score_token_is_missing_and_a_reply_cannot_be_read():
    scored: list[float | str] = []
    for n in range(2000):
        answer = ANSWERS["deita/complexity"]({"instruction": problem(n)}, Draw(0))
        scored.append(expected_score([{"text": text, "logprob": logprob} for text, logprob in answer.likely]))
    missing = [score for score in scored if isinstance(score, str)]
    assert 1 <= len(missing) <= 12
    assert all(1 <= score <= 6 for score in scored if isinstance(score, float))
    checks = [ANSWERS["tags/check"](_check(n), Draw(0)) for n in range(2000)]
    assert 1 <= sum(check["check"] == "No" and not check["reason"] for check in checks) <= 20


def test_a_prompt_that_ends_in_a_space_is_recognised():
    (request,) = ComplexityScorer().render({"instruction": "Why?"})
    assert request.prompt is not None
    for prompt in (request.prompt, request.prompt.strip(), f"\n{request.prompt}\n"):
        assert recognise(prompt) == ("deita/complexity", {"instruction": "Why?"})


def _check(n: int) -> dict[str, str]:
    tags = '[{"tag": "Halving", "explanation": "x"}, {"tag": "Multi-Step Word Problems", "explanation": "y"}]'
    return {"history": "none", "problem": problem(n), "answer": "none", "tags": tags}
