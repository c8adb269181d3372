"""The reward of the tag policy's RL, on cases whose scores are computed by hand."""

import numpy as np
import pytest

from tagsmith.processors.endpoint.request import UnparsedReplyError
from tagsmith.processors.errors import InputError
from tagsmith.processors.remembered_embedding import RememberedEmbedder
from tagsmith.processors.tag_instruct.alignment_band import AlignmentBand
from tagsmith.processors.tag_instruct.expander import TagExpander
from tagsmith.processors.tag_instruct.tag_pools import TagPools
from tagsmith.trainers.tag_reward import INVALID, REASONS, JudgedCompletion, TagReward

# Unit vectors. The pools' means are (1, 0, 0) and (0, 1, 0), so score(z) = z₀ − z₁, at most √2.
VECTORS = {
    "good one": (1, 0, 0),
    "bad one": (0, 1, 0),
    "sorting": (0, 0, 1),
    "sort a list": (0, 0.6, 0.8),
    "proof": (0.6, 0, 0.8),  # 0.8 from "sorting": score 0.6
    "small talk": (0, 0.8, 0.6),  # score −0.8
    "stranger": (0.96, -0.28, 0),  # orthogonal to "sorting"; −0.168 to the instruction
    "ordering": (0, 0.28, 0.96),  # 0.96 to "sorting": a rewording
    "c++": (0.6, -0.64, 0.48),  # score 1.24; 0.48 to "sorting"
    "testing": (0.28, 0, 0.96),
}
ROW = {"instruction": "sort a list", "base_tags": ["sorting"]}
POOLS = TagPools(["good one"], ["bad one"], 9.0, 1.0, 1, 2)
BOUND = np.sqrt(2)


class HandmadeEmbedder:
    model = "handmade"

    def __init__(self):
        self.asked = []

    def encode(self, texts):
        self.asked += texts
        return np.array([VECTORS[text] for text in texts], np.float32).reshape(len(texts), 3)


@pytest.fixture
def embedder():
    return RememberedEmbedder(HandmadeEmbedder())


def make(embedder, low=0.25, high=0.9, **changes):
    return TagReward(POOLS, embedder, AlignmentBand(low=low, high=high, embedder=embedder), **changes)


def rewards(reward, *texts, row=ROW, **more):
    n = len(texts)
    columns = {name: [value] * n for name, value in row.items()}
    messages = [[{"role": "assistant", "content": text}] for text in texts]
    return reward(prompts=[[]] * n, completions=messages, **columns, **more)


def test_a_valid_tag_earns_its_score_over_the_bound(embedder):
    earned = rewards(make(embedder), "proof", "small talk", "C++")
    assert earned == pytest.approx([0.6 / BOUND, -0.8 / BOUND, 1.24 / BOUND], abs=1e-6)
    assert make(embedder).bound == pytest.approx(BOUND)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "unparsed"),
        ("?!", "unparsed"),
        ("<think>which one", "unparsed"),
        ("proof, small talk", "not_one_tag"),
        ("proof\nsmall talk", "not_one_tag"),
        ("a tag that has far too many words", "not_one_tag"),
        ("Sorting", "known"),
        ("sorted", "known"),  # the same word, inflected
        ("stranger", "alignment"),
        ("ordering", "coherence"),
    ],
)
def test_what_is_not_valid(text, reason, embedder):
    reward = make(embedder)
    assert [one.reason for one in reward.judge([text], [ROW])] == [reason]
    assert reason in REASONS
    assert rewards(reward, text) == [INVALID]


def test_no_invalid_completion_is_worth_more_than_a_valid_one(embedder):
    """Of all unit vectors, (0, 1, 0) − (1, 0, 0) has the lowest score there can be: −√2, a reward of −1."""
    VECTORS["worst"] = (-np.sqrt(0.5), np.sqrt(0.5), 0)
    worst = rewards(make(embedder, low=-1.0), "worst")
    assert worst == pytest.approx([INVALID], abs=1e-6)
    assert rewards(make(embedder, low=-1.0), "small talk")[0] > INVALID


def test_tags_of_earlier_rounds_are_known(embedder):
    reward = make(embedder)
    assert rewards(reward, "proof", injected_tags=[["proofs"]]) == [INVALID]
    assert rewards(reward, "proof", injected_tags=[None])[0] > 0


def test_without_a_band_all_tags_pass(embedder):
    reward = TagReward(POOLS, embedder)
    assert [one.reason for one in reward.judge(["stranger", "ordering"], [ROW, ROW])] == ["", ""]


def test_an_explanation_may_be_asked_for(embedder):
    explained = "[Explanation]: It must be shown.\n[New Tag]: proof"
    assert rewards(make(embedder, explain=True), explained, "proof") == pytest.approx([0.6 / BOUND, INVALID], abs=1e-6)
    assert rewards(make(embedder), explained, "proof") == pytest.approx([0.6 / BOUND] * 2, abs=1e-6)
    reasons = [one.reason for one in make(embedder, explain=True).judge(["proof"], [ROW])]
    assert reasons == ["unexplained"]


def test_every_row_is_judged_by_its_own_tags(embedder):
    other = {"instruction": "good one", "base_tags": ["proof", "good one"]}
    judged = make(embedder).judge(["proof", "proof", "testing", "stranger"], [ROW, other, ROW, other])
    assert [one.reason for one in judged] == ["", "known", "coherence", "coherence"]
    assert judged[0] == JudgedCompletion("proof", "", pytest.approx(0.6))
    texts = make(embedder)(
        prompts=[[], []],
        completions=["proof", "proof"],
        instruction=["sort a list", "good one"],
        base_tags=[["sorting"], ["proof"]],
    )
    assert texts == pytest.approx([0.6 / BOUND, INVALID], abs=1e-6)


def test_what_is_logged(embedder):
    said = []
    texts = ["proof", "proof", "small talk", "sorting", "proof, and", ""]
    rewards(make(embedder), *texts, log_metric=lambda name, value: said.append((name, value)))
    values = {name: [value for named, value in said if named == name] for name, _ in said}
    mean = {name: sum(of) / len(of) for name, of in values.items()}
    assert mean["utility"] == pytest.approx((0.6 + 0.6 - 0.8) / 3)
    assert len(values["utility"]) == 3
    assert mean["valid"] == 0.5
    assert mean["distinct"] == pytest.approx(2 / 3)
    assert {name: share for name, share in mean.items() if name.startswith("invalid/")} == pytest.approx(
        {
            "invalid/unparsed": 1 / 6,
            "invalid/not_one_tag": 1 / 6,
            "invalid/unexplained": 0,
            "invalid/known": 1 / 6,
            "invalid/alignment": 0,
            "invalid/coherence": 0,
        }
    )


def test_each_text_is_embedded_once(embedder):
    reward = make(embedder)
    for _ in range(3):
        rewards(reward, "proof", "proof", "c++", "sorting")
    asked = embedder.embedder.asked
    assert sorted(asked) == sorted(set(asked))
    # The instruction is not: each tag is near enough to the row's.
    assert set(asked) == {"good one", "bad one", "sorting", "proof", "c++"}


@pytest.mark.parametrize("text", ['**"Proof"**.', "tag: proof", "[New Tag]: Proof"])
def test_it_is_read_as_the_expander_reads_it(text, embedder):
    (judged,) = TagReward(POOLS, embedder).judge([text], [ROW])
    assert judged.tag == TagExpander.read(None, text).tag == "proof"


@pytest.mark.parametrize("text", ["proof; testing", "-", "one\ntwo", " ".join(["proof"] * 5)])
def test_what_the_expander_refuses_is_not_valid(text, embedder):
    with pytest.raises(UnparsedReplyError):
        TagExpander.read(None, text)
    (judged,) = TagReward(POOLS, embedder).judge([text], [ROW])
    assert (judged.tag, judged.utility) == (None, None)


def test_pools_that_do_not_differ(embedder):
    with pytest.raises(InputError, match="the good and the bad pool have the same mean, so that every tag scores 0"):
        TagReward(TagPools(["proof"], ["proof"], 9.0, 1.0, 1, 2), embedder)


def test_its_facts_tell_one_reward_from_another(embedder):
    same, other = make(embedder).facts(), TagPools(["good one"], ["small talk"], 9.0, 1.0, 1, 2)
    assert make(embedder).facts() == same
    assert same["embeddings"] == "handmade"
    changed = [make(embedder, low=0.1), make(embedder, explain=True), TagReward(POOLS, embedder)]
    changed.append(TagReward(other, embedder, AlignmentBand(embedder=embedder)))
    for reward in changed:
        assert reward.facts() != same


def test_trl_can_name_it(embedder):
    assert make(embedder).__name__ == "tag"
