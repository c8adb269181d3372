"""The offline endpoint's rules for Tag-Instruct: readable, repeatable, harder every round without padding."""

import json
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.endpoint.offline.answers import ANSWERS
from tagsmith.processors.endpoint.offline.answers.instag import tags_of
from tagsmith.processors.endpoint.offline.answers.tag_instruct_requests import (
    expansions,
    harder,
    misfits,
    read_request,
    sentences_of,
)
from tagsmith.processors.endpoint.offline.draw import Draw
from tagsmith.processors.endpoint.offline.faults import Faults
from tagsmith.processors.endpoint.offline.settings import OfflineSettings
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.rewrite_checks import carries
from tagsmith.processors.seeds import load_seeds
from tagsmith.processors.tag_instruct.decode_checks import DecodeLimits, problem_of
from tagsmith.processors.tag_instruct.derived_meanings import DerivedMeanings
from tagsmith.processors.tag_instruct.encoder import TagEncoder
from tagsmith.processors.tag_instruct.expansion_prompt import parse_completion
from tagsmith.processors.tag_text import normalise_tag, tag_key

TEXTS = st.text(max_size=200) | st.lists(
    st.sampled_from(["Write", "a_b", "poem", "code:", "\n", "12", "List's", "the", "data.", "?"]), max_size=12
).map(" ".join)


def answer(name: str, draw: Draw | None = None, **values: str) -> str:
    made = ANSWERS[f"tag_instruct/{name}"](values, draw or Draw(0))
    return made if isinstance(made, str) else json.dumps(made)


@given(TEXTS)
@settings(max_examples=150, deadline=None)
def test_every_text_gets_answers_that_can_be_read(text):
    for variant in ("basic", "enhanced", "evolved"):
        tags = TagEncoder().read(answer(f"encode_{variant}", instruction=text))
    for seed in range(3):
        for form in ("expand", "policy", "policy_explained"):
            reply = answer(form, Draw(seed), instruction=text, tags=", ".join(tags))
            assert parse_completion(reply.partition("[New Question]")[0]).tag
    assert answer("respond", instruction=text).strip()
    assert 1 <= json.loads(answer("complexity", instruction=text))["score"] <= 10
    assert DerivedMeanings().read(answer("derive_meanings", tag=text or "x"))


@given(TEXTS, st.sampled_from([*list(expansions())[::7], *misfits()[:3], "user authentication", "c++"]))
@settings(max_examples=150, deadline=None)
def test_a_harder_request_keeps_the_text_and_takes_up_the_tag(text, tag):
    new = harder(text, tag, Draw(0))
    assert len(new) > len(text.strip())
    assert carries(tag, new, 1.0, None)
    for word in text.split():
        assert word.rstrip(",;:") in new


@pytest.mark.parametrize(
    ("text", "kind", "start"),
    [
        ("Name a fruit", "topic", "Name a fruit. "),
        ("Sort the numbers.\n3, 1, 2", "topic", "Sort the numbers. "),
        ("Classify these words:\nfrog, oak", "topic", "Classify these words:\nfrog, oak\n\n"),
        ("Write a Python function that sorts a list!", "code", "Write a Python function that sorts a list! "),
        ("Write a poem about rain", "writing", "Write a poem about rain. "),
    ],
)
def test_where_a_demand_goes(text, kind, start):
    assert read_request(text).kind == kind
    new = harder(text, "expert audience", Draw(0))
    assert new.startswith(start)
    assert "expert audience" in new


def test_the_table_of_expansions_is_whole():
    kinds = {"topic", "writing", "language", "code", "mathematics"}
    for tag, each in expansions().items():
        assert tag == normalise_tag(tag)
        assert 1 <= len(tag.split()) <= 3
        assert each.kinds <= kinds
        assert each.against <= set(expansions())
        assert len(set(each.asks)) == len(each.asks) >= 2
        assert all(carries(tag, ask, 1.0, None) and ask.endswith(".") for ask in each.asks)
        assert all(len(sentences_of(ask)) == 1 for ask in each.asks)
    assert all(sum(each.fits(kind) for each in expansions().values()) >= 12 for kind in kinds)
    assert len({tag_key(tag) for tag in [*expansions(), *misfits()]}) == len(expansions()) + len(misfits())


def test_candidates_follow_the_seed_and_vary():
    values = {"instruction": "Explain why leaves fall.", "tags": "explanation, nature, biology"}
    drawn = [answer("policy", Draw(seed), **values) for seed in range(300)]
    assert drawn == [answer("policy", Draw(seed), **values) for seed in range(300)]
    assert len(set(drawn)) > 30
    assert 0 < sum(tag in values["tags"].split(", ") for tag in drawn) < 30  # what the known check is for
    assert 0 < sum(tag in misfits() for tag in drawn) < 40  # what the alignment check is for


def test_five_rounds_rise_in_tags_length_and_response_and_are_no_padding():
    rows = [row["instruction"] for row in load_seeds() if row["language"] == "en" and row["category"] != "awkward"]
    current = [text for text in rows if text and len(text) < 400][:120]
    injected: list[list[str]] = [[] for _ in current]
    curves, problems = [measures(current)], 0
    for round_number in range(5):
        for n, text in enumerate(current):
            base = TagEncoder().read(answer("encode_evolved", instruction=text))
            known = {tag_key(tag) for tag in (*base, *injected[n])}
            for seed in range(20):
                draw = Draw(n, round_number, seed)
                tag = parse_completion(answer("policy", draw, instruction=text, tags=", ".join(base))).tag
                if tag_key(tag) not in known:
                    break
            new = answer("decode", instruction=text, tags=", ".join([*base, tag]), new_tag=tag)
            new = new.removeprefix("[New Question]\n")
            if problem_of(text, new, base, tag, DecodeLimits(), None):
                problems += 1
                continue
            assert json.loads(answer("answerable", instruction=new)) == {"answerable": True, "problem": ""}
            current[n] = new
            injected[n].append(tag)
        curves.append(measures(current))
    assert problems <= 6  # of 600
    for name in ("tags", "words", "response_words", "complexity"):
        curve = [each[name] for each in curves]
        assert curve == sorted(curve)
        assert len(set(curve)) == 6
    assert curves[-1]["words"] < curves[0]["words"] + 5 * 14
    assert curves[-1]["tags"] > curves[0]["tags"] + 2


def measures(texts: list[str]) -> dict[str, float]:
    return {
        "tags": mean(len(tags_of(text, Draw(0))) for text in texts),
        "words": mean(len(text.split()) for text in texts),
        "response_words": mean(len(answer("respond", instruction=text).split()) for text in texts),
        "complexity": mean(json.loads(answer("complexity", instruction=text))["score"] for text in texts),
    }


def test_spoiled_forms_never_pass_for_whole_ones():
    prompt = PromptTemplate.load("tag_instruct/expand")
    spoiled = []
    for number in range(100):
        text = prompt.render(tags="a, b, c", instruction=f"Name {number} fruits.")
        spoiled.append(Faults(OfflineSettings(malformed=1)).spoil(answer("expand", instruction=text, tags="a"), text))
    assert len({text.partition(" ")[0] for text in spoiled}) > 3
    assert "" in spoiled
    assert any(text.startswith("I am sorry") for text in spoiled)
    assert not any(text.endswith("anything else!") for text in spoiled)
