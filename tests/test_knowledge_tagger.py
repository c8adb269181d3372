"""TAGS' tagger: proposals, verdicts and refinements by hand, every round on record, no bad reply taken for a good."""

import json
import re
from typing import Any

import pytest
from datasets import Dataset

from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import Parameters, UnparsedReplyError
from tagsmith.processors.errors import EndpointError, InputError
from tagsmith.processors.rows import to_rows
from tagsmith.processors.tags.current_query import CurrentQuery
from tagsmith.processors.tags.distilled_tagger import distilled_messages
from tagsmith.processors.tags.knowledge_tagger import KnowledgeTagger
from tagsmith.processors.tags.tag_checker import TagChecker, Verdict
from tagsmith.processors.tags.tag_proposer import TagProposer, refine
from tagsmith.processors.tags.tagger_examples import tagger_examples

PASS = '{"check": "Yes", "reason": "", "faulty_tags": []}'


def tags(*names: str) -> str:
    return json.dumps({"tags": [{"tag": name, "explanation": f"about {name}"} for name in names]})


def no(reason: str, *faulty: str) -> str:
    return json.dumps({"check": "No", "reason": reason, "faulty_tags": faulty})


def block(prompt: str, name: str) -> str:
    found = re.search(rf"\[{name} starts?\]\n(.*?)\n\[{name} ends?\]", prompt, re.DOTALL)
    assert found
    return found[1]


class Model:
    """Answers by problem: a list of proposals and one of verdicts, taken in turn; the last one goes on."""

    def __init__(self, **problems: tuple[list[str], list[str]]) -> None:
        self.problems = problems
        self.asked: dict[tuple[str, str], list[str]] = {}

    def __call__(self, seen: Any) -> str:
        first = seen.body["messages"][0]["content"]
        kind = "check" if "[tags start]" in first else "propose"
        problem = block(first, "problem")
        asked = self.asked.setdefault((problem, kind), [])
        if len(seen.body["messages"]) == 1:  # a repair gets the same once more
            asked.append(first)
        answers = self.problems[problem][kind == "check"]
        return answers[min(len(asked), len(answers)) - 1]


def tagger(server: Any, store: str, **options: Any) -> KnowledgeTagger:
    endpoint = Endpoint(server.url, store=store, max_repairs=1)
    return KnowledgeTagger(proposer=TagProposer(endpoint=endpoint), checker=TagChecker(endpoint=endpoint), **options)


def rows_of(*problems: str) -> Dataset:
    return to_rows(Dataset.from_dict({"instruction": list(problems), "output": [f"answer {p}" for p in problems]}))


def the_round(names: list[str], passed: bool | None, reason: str | None = "", faulty: list[str] | None = None) -> Any:
    return {
        "tags": names,
        "explanations": [f"about {name}" for name in names],
        "passed": passed,
        "reason": reason,
        "faulty_tags": faulty if faulty is not None or passed is None else [],
    }


def test_rounds_go_on_until_the_tags_pass(scripted_server, store_path):
    model = Model(
        once=([tags("Prime Factorization")], [PASS]),
        twice=([tags("Math", "Prime Factorization"), tags("Euclidean Algorithm")], [no("too broad", "math"), PASS]),
        never=(
            [tags("Math"), tags("Numbers"), tags("Sums")],
            [no("a", "Math"), no("b", "Numbers"), no("c", "Sums")],
        ),
    )
    server = scripted_server(model)
    out = tagger(server, store_path).tag(rows_of("once", "never", "twice"))
    assert out["raw_tags"] == [["Prime Factorization"], ["Sums"], ["Prime Factorization", "Euclidean Algorithm"]]
    assert out["tag_explanations"][2] == ["about Prime Factorization", "about Euclidean Algorithm"]
    assert out["check_passed"] == [True, False, True]
    assert out["tag_rounds"] == [
        [the_round(["Prime Factorization"], True)],
        [
            the_round(["Math"], False, "a", ["Math"]),
            the_round(["Numbers"], False, "b", ["Numbers"]),
            the_round(["Sums"], False, "c", ["Sums"]),
        ],
        [
            the_round(["Math", "Prime Factorization"], False, "too broad", ["math"]),
            the_round(["Prime Factorization", "Euclidean Algorithm"], True),
        ],
    ]
    assert out["status"] == ["ok"] * 3
    assert out["attempts"] == [2, 6, 4]
    assert [len(keys) for keys in out["generation_keys"]] == [2, 6, 4]
    assert len(server.posts) == 12
    assert out["instruction"] == ["once", "never", "twice"]


def test_a_refinement_is_told_what_was_wrong(scripted_server, store_path):
    model = Model(p=([tags("Math", "GCD"), tags("Number Theory")], [no("Math is broad.", "Math"), PASS]))
    tagger(scripted_server(model), store_path).tag(rows_of("p"))
    first, second = model.asked["p", "propose"]
    assert (block(first, "previous tags"), block(first, "remarks")) == ("none", "none")
    assert json.loads(block(second, "previous tags")) == json.loads(tags("Math", "GCD"))["tags"]
    assert block(second, "remarks") == "Math is broad.\nTags to change: Math"
    assert block(second, "answer") == "answer p"
    checked = json.loads(block(model.asked["p", "check"][1], "tags"))
    assert [tag["tag"] for tag in checked] == ["GCD", "Number Theory"]


@pytest.mark.parametrize(
    ("previous", "faulty", "proposed", "expected"),
    [
        (["A", "B"], ["B"], ["C"], ["A", "C"]),
        (["A", "B"], ["b"], ["A", "C", "D"], ["A", "C", "D"]),
        (["Graph Search", "B"], ["B"], ["graph_searches", "C"], ["Graph Search", "C"]),  # kept in its old spelling
        (["A", "B", "C", "D", "E"], ["A"], ["V", "W"], ["B", "C", "D", "E", "V"]),
        (["A", "B"], [], ["C", "D", "E", "F"], ["A", "B", "C", "D", "E"]),  # one was missing
        (["A", "B", "C", "D", "E"], [], ["V", "W"], ["V", "W"]),  # nothing at fault and no room
        (["A"], ["A"], ["A", "B"], ["A", "B"]),  # the model insists
        (["A"], ["no such tag"], ["B"], ["A", "B"]),
        (["∑", "∏"], ["∑"], ["∫"], ["∏", "∫"]),
    ],
)
def test_tags_without_an_issue_are_kept(previous, faulty, proposed, expected):
    pairs = refine([(tag, "old") for tag in previous], faulty, [(tag, "new") for tag in proposed])
    assert [tag for tag, _ in pairs] == expected
    assert all(why == ("old" if tag in previous and tag not in faulty else "new") for tag, why in pairs)


def test_the_last_turn_of_a_conversation_is_tagged_with_the_turns_before_as_context(scripted_server, store_path):
    model = Model(**{"And of 9?": ([tags("Square Root")], [PASS])})
    said = [
        ("system", "Be brief."),
        ("user", "Root of 4?"),
        ("assistant", "2"),
        ("user", "And of 9?"),
        ("assistant", "3"),
    ]
    messages = [{"role": role, "content": content} for role, content in said]
    rows = to_rows(Dataset.from_list([{"messages": messages}]))
    (row,) = tagger(scripted_server(model), store_path).tag(rows)
    for kind in ("propose", "check"):
        (prompt,) = model.asked["And of 9?", kind]
        assert block(prompt, "history") == "system: Be brief.\n\nuser: Root of 4?\n\nassistant: 2"
        assert block(prompt, "answer") == "3"
    assert row["raw_tags"] == ["Square Root"]
    assert CurrentQuery.of({"messages": messages[:4]}).answer is None
    (example,) = tagger_examples(Dataset.from_list([row]))
    assert example["messages"] == [
        *distilled_messages("And of 9?", "3", history=messages[:3]),
        {"role": "assistant", "content": '[{"tag": "Square Root", "explanation": "about Square Root"}]'},
    ]


def test_a_bad_reply_is_repaired_or_rejects_its_row_in_whichever_round(scripted_server, store_path):
    six = tags(*"ABCDEF")
    model = Model(
        prose=(["I would rather not."], [PASS]),
        six=([six], [PASS]),
        verdict=([tags("A")], ["Looks good!"]),
        later=([tags("Math"), "nothing"], [no("broad", "Math")]),
        good=([tags("A")], [PASS]),
    )
    server = scripted_server(model)
    out = tagger(server, store_path).tag(rows_of("prose", "six", "verdict", "later", "good", " "))
    by_problem = {row["instruction"]: row for row in out}
    assert {problem: row["reason"] for problem, row in by_problem.items()} == {
        "prose": "unparsed: there is no JSON in the answer",
        "six": "unparsed: there are 6 tags; give the 5 most essential ones at most",
        "verdict": "unparsed: there is no JSON in the answer",
        "later": "unparsed: there is no JSON in the answer",
        "good": "",
        " ": "empty_instruction: the current query has no text",
    }
    assert [by_problem[problem]["raw_reply"] for problem in ("prose", "six", "verdict", "later")] == [
        "I would rather not.",
        six,
        "Looks good!",
        "nothing",
    ]
    assert by_problem["verdict"]["tag_rounds"] == [the_round(["A"], None, None)]
    assert by_problem["later"]["tag_rounds"] == [the_round(["Math"], False, "broad", ["Math"])]
    assert (by_problem["later"]["raw_tags"], by_problem["verdict"]["raw_tags"]) == (None, ["A"])
    assert {problem: row["attempts"] for problem, row in by_problem.items()} == {
        "prose": 2,
        "six": 2,
        "verdict": 3,
        "later": 4,
        "good": 2,
        " ": 0,
    }
    assert tagger_examples(out)["id"] == [by_problem["good"]["id"]]


def test_a_repaired_reply_is_taken(scripted_server, store_path):
    def script(seen: Any) -> str:
        repair = len(seen.body["messages"]) == 3
        if "[tags start]" in seen.body["messages"][0]["content"]:
            return PASS if repair else '{"check": "No", "reason": "", "faulty_tags": []}'
        return tags("A") if repair else '{"tags": [{"tag": "A"}]}'

    server = scripted_server(script)
    (row,) = tagger(server, store_path).tag(rows_of("p"))
    assert (row["raw_tags"], row["check_passed"], row["attempts"]) == (["A"], True, 4)
    assert 'the tag "A" has no explanation' in server.posts[1].text
    assert '"check" is "No", but "reason" does not say why' in server.posts[3].text


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (PASS, Verdict(True, "", [])),
        ('{"check": "yes"}', Verdict(True, "", [])),
        ('{"check": true, "Reason": "fine"}', Verdict(True, "", [])),
        ('```json\n{"check":"No", "Reason": " broad "}\n```', Verdict(False, "broad", [])),
        (no("broad", "A"), Verdict(False, "broad", ["A"])),
        ("[]", "expected an object"),
        ("{}", '"check" must be'),
        ('{"check": "Maybe"}', '"check" must be'),
        ('{"check": "Yes", "faulty_tags": ["A"]}', "only one of them can hold"),
        ('{"check": "No", "reason": " "}', "does not say why"),
        ('{"check": "No", "reason": ["x"]}', '"reason" must be text'),
        ('{"check": "No", "reason": "x", "faulty_tags": [1]}', "must be a list of tags"),
    ],
)
def test_verdicts(reply, verdict):
    if isinstance(verdict, Verdict):
        assert TagChecker().read(reply) == verdict
    else:
        with pytest.raises(UnparsedReplyError, match=verdict):
            TagChecker().read(reply)


def test_the_same_rows_come_out_of_dataset_map_and_nothing_is_asked_twice(scripted_server, store_path):
    model = Model(
        a=([tags("Math"), tags("B")], [no("broad", "Math"), PASS]), b=([tags("C")], [PASS]), c=(["?"], [PASS])
    )
    server = scripted_server(model)
    tag, rows = tagger(server, store_path), rows_of("a", "b", "c", "b")
    out = tag.tag(rows)
    sent = len(server.posts)
    mapped = rows.map(tag, batched=True, batch_size=2)
    assert mapped.to_list() == out.to_list()
    assert mapped.features == out.features
    again = tag.tag(out)  # what an earlier run left is replaced
    assert (again["raw_tags"], again["tag_rounds"]) == (out["raw_tags"], out["tag_rounds"])
    assert len(server.posts) == sent


def test_order_and_other_rows_change_nothing(scripted_server, store_path):
    model = Model(
        a=([tags("Math"), tags("B")], [no("broad", "Math"), PASS]), b=([tags("C")], [PASS]), c=(["?"], [PASS])
    )
    tag = tagger(scripted_server(model), store_path)
    forward, backward = tag.tag(rows_of("a", "b", "c")).to_list(), tag.tag(rows_of("c", "b", "a")).to_list()
    assert forward == backward[::-1]


def test_without_an_answer_rows_are_rejected_by_tag_and_end_a_plain_map(scripted_server, store_path, fast_retries):
    server = scripted_server([500])
    endpoint = Endpoint(server.url, store=store_path, deadline_sec=0.05)
    tag = KnowledgeTagger(proposer=TagProposer(endpoint=endpoint), checker=TagChecker(endpoint=endpoint))
    (row,) = tag.tag(rows_of("p"))
    assert (row["status"], row["reason"].partition(":")[0], row["tag_rounds"]) == ("rejected", "endpoint", [])
    with pytest.raises(EndpointError, match="got no answer"):
        rows_of("p").map(tag, batched=True)


def test_a_sampling_model_gets_another_draw_in_each_round(scripted_server, store_path):
    model = Model(p=([tags("Math"), tags("Math"), tags("Sums")], [no("broad", "Math"), PASS]))
    server = scripted_server(model)
    tag = tagger(server, store_path)
    greedy = tag.proposer.render({"instruction": "p", "check_reason": None, "tag_rounds": [{}]})
    tag.proposer.parameters = Parameters(temperature=0.7)
    sampled = tag.proposer.render({"instruction": "p", "check_reason": None, "tag_rounds": [{}, {}]})
    assert (greedy[0].sample, sampled[0].sample) == (0, 2)


def test_a_distilled_tagger_is_asked_once_in_the_form_it_learned(scripted_server, store_path):
    server = scripted_server(['[{"tag": "A", "explanation": ""}, {"tag": "B", "explanation": "b"}]'])
    proposer = TagProposer(endpoint=Endpoint(server.url, store=store_path), format="distilled")
    (row,) = KnowledgeTagger(proposer=proposer, checker=None).tag(rows_of("p"))
    assert (row["raw_tags"], row["check_passed"], row["status"]) == (["A", "B"], None, "ok")
    assert row["tag_rounds"][0]["passed"] is None
    (seen,) = server.posts
    assert seen.body["messages"] == distilled_messages("p", "answer p")
    assert "response_format" not in seen.body
    assert len(tagger_examples(Dataset.from_list([row]))) == 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: KnowledgeTagger(max_rounds=0), "max_rounds must be at least 1, got 0"),
        (lambda: KnowledgeTagger(proposer=TagProposer(format="distilled")), "leave the checker out"),
        (lambda: TagProposer(format="xml"), "expected one of chat, distilled"),
        (lambda: TagProposer(format="distilled", prompt="tags/propose"), "leave the prompt out"),
        (lambda: TagProposer(prompt="instag/tag"), "uses \\['instruction'\\]"),
        (lambda: TagChecker(prompt="tags/propose"), "but it is given"),
        (lambda: tagger_examples(Dataset.from_dict({"id": ["a"]})), "no column 'raw_tags'"),
    ],
)
def test_bad_settings(make, words):
    with pytest.raises(InputError, match=words):
        make()
