"""#InsTag's judges: their prompts to the letter, and verdicts that are unscored rather than guessed."""

from typing import Any

import pytest
from datasets import Dataset, List, Value

from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import UnparsedReplyError
from tagsmith.processors.instag.quality_judges import TagConsistencyJudge, TagPrecisionJudge
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.prompt_template import PromptTemplate

PRECISION = {"query": "5 km in {miles}?\n", "tags": ["unit conversion", "poetry", "[tag 9] x"]}
CONSISTENCY = {"tag": "unit conversion", "instructions": ["5 km?", "A poem.\n\nOn rain."]}


def judged(server: Any, store: str, kind: type, *cases: dict[str, Any], **options: Any) -> Dataset:
    judge = kind(endpoint=Endpoint(server.url, store=store, max_repairs=0), **options)
    return map_rows(Dataset.from_list(list(cases)), judge, description="judging", progress=False)


def test_the_precision_prompt(scripted_server, store_path):
    server = scripted_server(['{"incorrect": []}'])
    judged(server, store_path, TagPrecisionJudge, PRECISION)
    tags = "[tag 0] unit conversion\n[tag 1] poetry\n[tag 2] [tag 9] x"
    expected = PromptTemplate.load("instag/precision").render(query=PRECISION["query"], tags=tags)
    (seen,) = server.posts
    assert (seen.path, seen.body["messages"]) == ("/v1/chat/completions", [{"role": "user", "content": expected}])
    assert seen.body["response_format"]["value"]["required"] == ["incorrect"]


def test_the_consistency_prompt(scripted_server, store_path):
    server = scripted_server(['{"inconsistent": []}'])
    judged(server, store_path, TagConsistencyJudge, CONSISTENCY)
    blocks = "[instruction 0] 5 km?\n\n[instruction 1] A poem.\n\nOn rain."
    expected = PromptTemplate.load("instag/consistency").render(tag="unit conversion", instructions=blocks)
    (seen,) = server.posts
    assert seen.body["messages"] == [{"role": "user", "content": expected}]
    assert seen.body["response_format"]["value"]["required"] == ["inconsistent"]


@pytest.mark.parametrize(
    ("reply", "verdict", "beyond"),
    [
        ('{"incorrect": []}', [], []),
        ('{"incorrect": [{"idx": 1}]}', [1], []),
        ('{"incorrect": [{"idx": 2}, {"idx": 0}, {"idx": 2}]}', [0, 2], []),
        ('[{"idx": 1}]', [1], []),
        ('Tag 1 is wrong.\n```json\n{"incorrect": [{"idx": 1, "why": "no poem"}]}\n```', [1], []),
        ('{"incorrect": [{"idx": 1}, {"idx": 3}]}', None, [3]),
        ('{"incorrect": [{"idx": 99}]}', None, [99]),
    ],
)
def test_verdicts(scripted_server, store_path, reply, verdict, beyond):
    (row,) = judged(scripted_server([reply]), store_path, TagPrecisionJudge, PRECISION)
    assert (row["incorrect"], row["incorrect_out_of_range"], row["status"]) == (verdict, beyond, "ok")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("Tag 1 is wrong.", "there is no JSON in the answer"),
        ('{"wrong": [{"idx": 1}]}', 'expected a list under "incorrect"'),
        ('{"incorrect": 1}', 'expected a list under "incorrect"'),
        ('{"incorrect": [1]}', 'each entry needs an "idx" that is a whole number from 0'),
        ('{"incorrect": [{"idx": "1"}]}', 'each entry needs an "idx" that is a whole number from 0'),
        ('{"incorrect": [{"idx": 1.0}]}', 'each entry needs an "idx" that is a whole number from 0'),
        ('{"incorrect": [{"idx": true}]}', 'each entry needs an "idx" that is a whole number from 0'),
        ('{"incorrect": [{"idx": -1}]}', 'each entry needs an "idx" that is a whole number from 0'),
    ],
)
def test_what_is_no_verdict_is_none(scripted_server, store_path, reply, reason):
    with pytest.raises(UnparsedReplyError) as caught:
        TagPrecisionJudge().read(reply)
    assert str(caught.value) == reason
    (row,) = judged(scripted_server([reply]), store_path, TagPrecisionJudge, PRECISION)
    assert (row["incorrect"], row["incorrect_out_of_range"]) == (None, [])
    assert (row["status"], row["reason"], row["raw_reply"]) == ("rejected", f"unparsed: {reason}", reply)


def test_cases_keep_to_their_rows(scripted_server, store_path):
    def script(seen: Any) -> str:
        about = seen.text.split("[tag starts]\n")[1].split("\n")[0]
        return {"bad": "no", "none": '{"inconsistent": []}'}.get(about, f'{{"inconsistent": [{{"idx": {about}}}]}}')

    tags = ["1", "bad", "none", "0", "5", "1"]
    cases = [{"tag": tag, "instructions": ["a", "b"], "case": n} for n, tag in enumerate(tags)]
    rows = judged(scripted_server(script), store_path, TagConsistencyJudge, *cases)
    assert rows["inconsistent"][:] == [[1], None, [], [0], None, [1]]
    assert rows["inconsistent_out_of_range"][:] == [[], [], [], [], [5], []]
    assert rows["status"][:] == ["ok", "rejected", "ok", "ok", "ok", "ok"]
    assert rows["case"][:] == list(range(6))
    assert rows.features["inconsistent"] == List(Value("int64"))


def test_cases_that_came_in_rejected_are_not_asked(scripted_server, store_path):
    server = scripted_server(['{"incorrect": []}'])
    case = PRECISION | {"status": "rejected", "reason": "earlier"}
    (row,) = judged(server, store_path, TagPrecisionJudge, case)
    assert (row["incorrect"], row["reason"], server.posts) == (None, "earlier", [])


def test_a_prompt_of_ones_own(scripted_server, store_path):
    server = scripted_server(['{"incorrect": []}'])
    own = PromptTemplate("own", "{{ tags }} of {{ query }}?")
    judged(server, store_path, TagPrecisionJudge, {"query": "q", "tags": ["a"]}, prompt=own)
    assert server.posts[0].text == "[tag 0] a of q?"
