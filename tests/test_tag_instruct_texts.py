"""Tag-Instruct's other prompted steps: answerability, responses, reconstruction, meanings, combination, complexity."""

import json
from typing import Any

import pytest
from datasets import Dataset

from tagsmith.processors.answerability import AnswerabilityJudge
from tagsmith.processors.complexity_judge import ComplexityJudge
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import UnparsedReplyError
from tagsmith.processors.errors import InputError
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.responder import Responder
from tagsmith.processors.rows import to_rows
from tagsmith.processors.seeds import load_seeds
from tagsmith.processors.tag_instruct.derived_meanings import DerivedMeanings
from tagsmith.processors.tag_instruct.reconstruction import InstructionReconstructor
from tagsmith.processors.tag_instruct.tag_combiner import TagCombiner


def run(kind: Any, uri: str, store: str, columns: dict[str, list[Any]], **options: Any) -> list[dict[str, Any]]:
    n = len(next(iter(columns.values())))
    rows = Dataset.from_dict({"id": [str(k) for k in range(n)]} | columns)
    processor = kind(endpoint=Endpoint(uri, store=store, max_repairs=0), **options)
    return list(map_rows(rows, processor, description="asking", progress=False))


def cut(text: str) -> dict[str, Any]:
    """A reply that ended at its limit of tokens."""
    choice = {"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": text}}
    return {"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 16, "total_tokens": 17}}


CUT_OFF = "cut_off: the reply ended at its limit of tokens (16); raise max_new_tokens"


def assert_unread(processor: Any, text: str, reason: str) -> None:
    with pytest.raises(UnparsedReplyError) as caught:
        processor.read(text)
    assert str(caught.value) == reason


# --- answerability --------------------------------------------------------------------------------------------------


def test_an_unanswerable_instruction_is_rejected_with_the_judges_words(scripted_server, store_path):
    verdicts = [(True, ""), (False, "It needs a picture."), (False, " "), (True, "It is hard.")]
    replies = [json.dumps({"answerable": answerable, "problem": problem}) for answerable, problem in verdicts]
    server = scripted_server(lambda seen: next(r for n, r in enumerate(replies) if f"Task {n}" in seen.text))
    columns = {"new_instruction": ["Task 0", "Task 1", "Task 2", "Task 3", " "]}
    judged = run(AnswerabilityJudge, server.url, store_path, columns)
    assert [(row["status"], row["reason"], row["answerable"]) for row in judged] == [
        ("ok", "", True),
        ("rejected", "unanswerable: It needs a picture.", False),
        ("rejected", "unanswerable: the judge gives no reason", False),
        ("ok", "", True),
        ("rejected", "empty_instruction: the instruction has no text", None),
    ]


def test_verdicts_on_answerability_that_cannot_be_read():
    wanted = 'expected {"answerable": true or false, "problem": "…"}'
    for text in ('{"answerable": "yes"}', "[true]", '{"problem": ""}'):
        assert_unread(AnswerabilityJudge(), text, wanted)
    assert_unread(AnswerabilityJudge(), "Yes.", "there is no JSON in the answer")


def test_offline_finds_what_cannot_be_answered(store_path):
    texts = [
        "Explain why leaves fall.",
        "Describe what happens in the picture below.",
        "Write at least 500 words on leaves, in at most 100 words.",
        "Explain why leaves fall in the",
    ]
    judged = run(AnswerabilityJudge, "offline:", store_path, {"instruction": texts}, column="instruction")
    assert [row["reason"] for row in judged] == [
        "",
        'unanswerable: It refers to "in the picture below", which is not given.',
        "unanswerable: It allows at most 100 words and demands at least 500.",
        "unanswerable: It stops in the middle of a sentence.",
    ]


# --- responses ------------------------------------------------------------------------------------------------------


def test_responses_in_both_forms(scripted_server, store_path):
    server = scripted_server(["<think>hm</think>\n### Response:\nLeaves fall.\n"])
    columns = {"instruction": ["Why do leaves fall?"], "response": ["old"]}
    (alpaca,) = run(Responder, server.url, store_path, columns)
    (chat,) = run(Responder, server.url, store_path, columns, format="chat")
    assert alpaca["response"] == chat["response"] == "Leaves fall."
    asked = [post.body["messages"] for post in server.posts]
    assert asked[1] == [{"role": "user", "content": "Why do leaves fall?"}]
    assert asked[0][0]["content"].endswith("### Instruction:\nWhy do leaves fall?\n\n### Response:")
    assert chat["prompt_hash"] != alpaca["prompt_hash"]


def test_half_a_response_and_none_are_rejected(scripted_server, store_path):
    replies = {"one": cut("Leaves fall because"), "two": "", "three": "Fine."}
    server = scripted_server(lambda seen: next(r for name, r in replies.items() if name in seen.text))
    rows = run(Responder, server.url, store_path, {"text": list(replies)}, column="text", format="chat")
    assert [row["response"] for row in rows] == [None, None, "Fine."]
    assert [row["reason"] for row in rows] == [CUT_OFF, "unparsed: the answer is empty", ""]
    assert rows[0]["raw_reply"] == "Leaves fall because"
    assert_unread(Responder(), "### Response:\n", "the response is empty")
    with pytest.raises(InputError, match=r"^response format 'vicuna' is unknown; expected one of alpaca, chat"):
        Responder(format="vicuna")


def test_offline_responses_are_longer_for_more_demands(store_path):
    texts = ["Explain why leaves fall."]
    for demand in ("Name the open questions that scholars still dispute.", "Tie it to a case study among fishermen."):
        texts.append(f"{texts[-1]} {demand}")
    rows = run(Responder, "offline:", store_path, {"instruction": texts})
    lengths = [len(row["response"].split()) for row in rows]
    assert lengths[0] < lengths[1] < lengths[2]
    assert "leaves fall" in rows[0]["response"]
    assert "case study" in rows[2]["response"]


# --- reconstruction -------------------------------------------------------------------------------------------------


def test_reconstruction_sees_the_tags_alone(scripted_server, store_path):
    columns = {"base_tags": [["a b", "c"], ["d"], ["e"]], "instruction": ["secret"] * 3}
    replies = {"a b, c": "Do it.", "d\n": "[Instruction]\nDo that.", "e\n": cut("Do")}
    server = scripted_server(lambda seen: next(r for tags, r in replies.items() if f"\n{tags}" in seen.text[-40:]))
    rows = run(InstructionReconstructor, server.url, store_path, columns)
    assert [row["reconstruction"] for row in rows] == ["Do it.", "Do that.", None]
    assert rows[2]["reason"] == CUT_OFF
    assert not any("secret" in post.text for post in server.posts)
    assert_unread(InstructionReconstructor(), "[Instruction]\n", "nothing follows [Instruction]")


# --- derived meanings -----------------------------------------------------------------------------------------------

LIST = (
    "[Think Different]\n1. x\n[Merge]\n- y\n[Final List]\n1. A book\n2. **A folder**\n- a book\n3) A cloud\nEnd of list"
)


@pytest.mark.parametrize(
    ("text", "meanings"),
    [
        (LIST, ["A book", "A folder", "A cloud"]),
        (LIST + "\n\nIs there anything else?\n4. No", ["A book", "A folder", "A cloud"]),
        ("**[Final List]**\n 1. only one\n\n**End of list**", ["only one"]),
    ],
)
def test_the_final_list(text, meanings):
    assert DerivedMeanings().read(text) == meanings


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1. A book\nEnd of list", "the mark [Final List] is missing"),
        (LIST.removesuffix("End of list"), 'the line "End of list" is missing behind the final list'),
        ("[Final List]\nEnd of list", "the final list is empty; number each meaning on its own line"),
        ("[Final List]\nA book\nEnd of list", "the final list is empty; number each meaning on its own line"),
    ],
)
def test_lists_that_cannot_be_read(text, reason):
    assert_unread(DerivedMeanings(), text, reason)


def test_meanings_are_counted(scripted_server, store_path):
    server = scripted_server(lambda seen: LIST if 'tag "album"' in seen.text else "Well.")
    rows = run(DerivedMeanings, server.url, store_path, {"tag": ["album", "box", " "]})
    assert [(row["n_meanings"], row["reason"].partition(":")[0]) for row in rows] == [
        (3, ""),
        (None, "unparsed"),
        (None, "empty_tag"),
    ]


def test_offline_gives_general_tags_more_meanings(store_path):
    tags = ["security", "work", "music", "database backup script", "math word problems", "for loop syntax"]
    rows = run(DerivedMeanings, "offline:", store_path, {"tag": tags})
    counts = [row["n_meanings"] for row in rows]
    assert min(counts[:3]) > max(counts[3:])
    assert [len(row["derived_meanings"]) for row in rows] == counts


# --- combination ----------------------------------------------------------------------------------------------------


def test_a_combined_task_takes_up_all_its_tags(scripted_server, store_path):
    pairs = [["data accuracy", "satire"], ["data accuracy", "satire"], ["one"], ["cut", "off"], ["too", "long"]]
    both = "Write a satirical sketch on a clerk who worships accurate data."
    replies = {"data accuracy": both, "cut": cut("Do"), "too": "too long " * 700}
    server = scripted_server(lambda seen: next(r for tag, r in replies.items() if f": {tag}" in seen.text))
    rows = run(TagCombiner, server.url, store_path, {"tags": pairs}, embedder=None)
    assert [row["instruction"] for row in rows] == [both, both, None, None, None]
    assert [row["reason"] for row in rows] == [
        "",
        "",
        "too_few_tags: 1; a combination needs at least 2",
        CUT_OFF,
        "too_long: 6299 characters; at most 6000",
    ]
    (row,) = run(TagCombiner, server.url, store_path, {"tags": [["data accuracy", "beekeeping", "tax"]]}, embedder=None)
    assert row["reason"] == "tag_missing: the task does not take up beekeeping, tax"
    assert row["raw_reply"] == both


def test_offline_combines_any_tags(store_path):
    tags = [["graph database", "food inquiry"], ["satire", "payment processing", "event attendance"], ["c++", "c#"]]
    rows = run(TagCombiner, "offline:", store_path, {"tags": tags}, embedder=None)
    assert {row["status"] for row in rows} == {"ok"}
    assert all(tag in row["instruction"] for row, mine in zip(rows, tags, strict=True) for tag in mine)


# --- complexity -----------------------------------------------------------------------------------------------------


def test_scores_are_whole_numbers_from_1_to_10(scripted_server, store_path):
    judge = ComplexityJudge()
    assert judge.read('{"reason": "x", "score": 10}') == 10
    assert judge.read('```json\n{"score": 3.0}\n```') == 3
    for text in ('{"score": "5"}', '{"score": true}', '{"score": 5.5}', "[5]", "{}"):
        assert_unread(judge, text, 'expected a whole number from 1 to 10 under "score"')
    for number in (0, 11, -3):
        assert_unread(judge, f'{{"score": {number}}}', f"the score {number} is not between 1 and 10")
    server = scripted_server(lambda seen: '{"score": 7}' if "<one>" in seen.text else "seven")
    rows = run(ComplexityJudge, server.url, store_path, {"instruction": ["<one>", "<two>", ""]})
    assert [row["complexity_score"] for row in rows] == [7, None, None]
    assert [row["reason"].partition(":")[0] for row in rows] == ["", "unparsed", "empty_instruction"]


def test_offline_scores_rise_with_demands(store_path):
    texts = ["Name a fruit.", "Name a fruit. Discuss the ethical implications, and whose interests they harm."]
    texts.append(f"{texts[-1]} Name the open questions that scholars still dispute.")
    scores = [row["complexity_score"] for row in run(ComplexityJudge, "offline:", store_path, {"instruction": texts})]
    assert scores[0] < scores[1] < scores[2]


def test_offline_takes_all_seeds(store_path):
    rows = to_rows(load_seeds(), reject_bad=True)
    for kind, column, share in ((Responder, "response", 0.95), (ComplexityJudge, "complexity_score", 0.95)):
        processor = kind(endpoint=Endpoint("offline:", store=store_path))
        made = map_rows(rows, processor, description="asking", progress=False)
        assert {row["reason"].partition(":")[0] for row in made} <= {"", "empty_instruction"}
        assert len([1 for value in made[column] if value]) > share * len(rows)
