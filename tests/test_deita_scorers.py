"""DEITA's scores: the expectation by hand, the published prompts to the letter, and no number for a missing token."""

import math
from typing import Any

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import Parameters
from tagsmith.processors.errors import EndpointError, InputError
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.rows import to_rows
from tagsmith.processors.scoring.deita import ComplexityScorer, QualityScorer
from tagsmith.processors.scoring.score_tokens import expected_score
from tagsmith.processors.scoring.turns import Turn, turns_of

# As DEITA's scorers have them, and as they are published with the models.
COMPLEXITY = (
    "You are a helpful assistant. Please identify the complexity score of the following user query. \n"
    "##Query: {instruction}  \n##Complexity: "
)
QUALITY = (
    "You are a helpful assistant. Please identify the quality score of the Response corresponding to the Question. \n"
    " #Question#:\n{instruction}\n#Response#:\n{output} \n##Quality: "
)
LEVEL = {str(score): math.log(1 / 6) for score in range(1, 7)}


def top(probabilities: dict[str, float]) -> list[dict[str, Any]]:
    return [{"text": text, "logprob": logprob} for text, logprob in probabilities.items()]


def generated(logprobs: dict[str, float], text: str = "4") -> dict[str, Any]:
    tokens = [{"id": 1, "text": text, "logprob": logprob, "special": False} for text, logprob in logprobs.items()]
    return {
        "generated_text": text,
        "details": {"finish_reason": "length", "generated_tokens": 1, "top_tokens": [tokens]},
    }


def scored(
    server: Any, store: str, rows: list[dict[str, Any]], kind: Any = ComplexityScorer, **options: Any
) -> Dataset:
    scorer = kind(endpoint=Endpoint(server.url, store=store, max_repairs=0), **options)
    return map_rows(to_rows(Dataset.from_list(rows)), scorer, description="scoring", progress=False)


@pytest.mark.parametrize(
    ("logprobs", "score"),
    [
        (LEVEL, 3.5),
        ({str(k): math.log(p) for k, p in enumerate((0.1, 0.1, 0.2, 0.4, 0.1, 0.1), 1)}, 3.6),
        ({str(k): math.log(p / 10) for k, p in enumerate((0.1, 0.1, 0.2, 0.4, 0.1, 0.1), 1)} | {"The": -0.1}, 3.6),
        ({**dict.fromkeys("12345", -math.inf), "6": -3.0}, 6.0),
        ({**dict.fromkeys("12345", -9999.0), "6": -9990.0}, 6 - 15 * math.exp(-9) / (1 + 5 * math.exp(-9))),
        ({" 1": 0.0, "▁2": 0.0, "Ġ3": 0.0, "4": 0.0, "5": 0.0, "6": 0.0}, 3.5),
        ({"1": -5.0, " 1": 0.0} | dict.fromkeys("23456", -5.0), 3.5),  # the exact text counts
    ],
)
def test_the_expectation_over_the_six_tokens(logprobs, score):
    assert expected_score(top(logprobs)) == pytest.approx(score, abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.floats(-50, 0), min_size=6, max_size=6), st.floats(-20, 20))
def test_the_expectation_is_that_of_a_softmax(logits, shift):
    from scipy.special import softmax

    expected = float(softmax(logits) @ range(1, 7))
    assert expected_score(top({str(k): x + shift for k, x in enumerate(logits, 1)})) == pytest.approx(expected)
    assert 1 <= expected <= 6


@pytest.mark.parametrize(
    ("logprobs", "problem"),
    [
        ({}, "no probability for 1, 2, 3, 4, 5, 6 among the 0 tokens returned: none"),
        ({"4": -0.1, "5": -2.5}, "no probability for 1, 2, 3, 6 among the 2 tokens returned: '4' -0.10, '5' -2.50"),
        (LEVEL | {"3": float("nan")}, "no probability for 3 among the 6 tokens"),
        (LEVEL | {"3": None}, "no probability for 3 among the 6 tokens"),
        (dict.fromkeys("123456", -math.inf), "the score tokens have no probability at all"),
    ],
)
def test_a_missing_score_token_gives_no_score(logprobs, problem):
    said = expected_score(top(logprobs))
    assert isinstance(said, str)
    assert said.startswith(problem)


def test_the_published_prompts_go_out_to_the_letter_as_raw_text(scripted_server, store_path):
    server = scripted_server([generated(LEVEL)])
    row = {"instruction": "Why {is} it?\n", "output": "Because."}
    scored(server, store_path, [row])
    scored(server, store_path, [row], QualityScorer)
    sent = [(seen.path, seen.body["inputs"]) for seen in server.posts]
    assert sent == [
        ("/generate", COMPLEXITY.format(instruction="Why {is} it?\n")),
        ("/generate", QUALITY.format(instruction="Why {is} it?\n", output="Because.")),
    ]
    assert server.posts[0].body["parameters"] == {"max_new_tokens": 1, "details": True, "top_n_tokens": 20}


def test_scores_of_turns_and_their_aggregates(scripted_server, store_path):
    def script(seen: Any) -> Any:
        low = "first" in seen.text.split("##Query:")[-1]
        return generated({**dict.fromkeys("123456", -9999.0), "2" if low else "5": 0.0})

    messages = [("system", "s"), ("user", "first"), ("assistant", "a"), ("user", "second"), ("assistant", "b")]
    row = {"messages": [{"role": role, "content": content} for role, content in messages]}
    server = scripted_server(script)
    (mean,) = scored(server, store_path, [row])
    (total,) = scored(server, store_path, [row], aggregate="sum")
    assert (mean["complexity_scores"], mean["complexity_score"], total["complexity_score"]) == ([2.0, 5.0], 3.5, 7.0)
    assert len(server.posts) == 2  # the second time they are in the store, probabilities included
    assert turns_of(row) == [Turn("first", "a"), Turn("second", "b")]


def test_a_row_without_a_score_is_rejected_with_what_was_returned(scripted_server, store_path):
    def script(seen: Any) -> Any:
        if "plain" in seen.text:
            return {"generated_text": "4", "details": {"finish_reason": "length", "generated_tokens": 1}}
        return generated({"4": -0.2, "The": -1.9} if "words" in seen.text else LEVEL)

    rows = [{"instruction": text, "output": "x"} for text in ("words", "plain", "good", " ")]
    out = scored(scripted_server(script), store_path, rows)
    assert out["complexity_score"] == [None, None, pytest.approx(3.5), None]
    assert out["complexity_scores"] == [None, None, [pytest.approx(3.5)], None]
    assert out["reason"] == [
        "missing_score_token: turn 0: no probability for 1, 2, 3, 5, 6 among the 2 tokens returned: '4' -0.20,"
        " 'The' -1.90",
        "missing_score_token: turn 0: the server returned no probabilities of tokens",
        "",
        "no_text: turn 0 has no text to score its complexity by",
    ]


def test_a_turn_without_an_answer_has_no_quality(scripted_server, store_path):
    rows = [
        {
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b"},
                {"role": "user", "content": "c"},
            ]
        }
    ]
    server = scripted_server([generated(LEVEL)])
    (row,) = scored(server, store_path, rows, QualityScorer)
    assert (row["quality_score"], row["reason"]) == (None, "no_text: turn 1 has no text to score its quality by")
    assert server.posts == []


def test_an_openai_compatible_server_gives_scores_too(scripted_server, store_path):
    logprobs = {"tokens": ["4"], "token_logprobs": [-1.0], "top_logprobs": [LEVEL | {"x": -0.2}]}
    answer = {"choices": [{"text": "4", "finish_reason": "length", "logprobs": logprobs}]}
    server = scripted_server([answer], info=None, models=["scorer"])
    (row,) = scored(server, store_path, [{"instruction": "a", "output": "b"}])
    assert row["complexity_score"] == pytest.approx(3.5)
    assert (server.posts[0].path, server.posts[0].body["logprobs"]) == ("/v1/completions", 20)
    assert server.posts[0].body["prompt"] == COMPLEXITY.format(instruction="a")


def test_a_server_with_a_low_limit_says_how_to_raise_it(scripted_server, store_path):
    words = "Input validation error: `top_n_tokens` must be >= 0 and <= 5. Given: 20"
    server = scripted_server([(422, {"error": words, "error_type": "validation"}, {})])
    with pytest.raises(EndpointError, match="--max-top-n-tokens"):
        scored(server, store_path, [{"instruction": "a", "output": "b"}])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"aggregate": "max"}, "expected one of mean, sum"),
        ({"parameters": Parameters(1)}, "top_n_tokens is None; the six score tokens need at least 6"),
        ({"parameters": Parameters(1, top_n_tokens=5)}, "top_n_tokens is 5"),
        ({"prompt": "deita/quality"}, "but it is given"),
    ],
)
def test_bad_settings(options, words):
    with pytest.raises(InputError, match=words):
        ComplexityScorer(**options)
