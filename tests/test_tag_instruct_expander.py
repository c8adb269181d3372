"""Tag-Instruct's expander: candidates in their places, seeds of their own, the policy's prompt and completion."""

from collections import Counter
from typing import Any

import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from tagsmith.processors.endpoint.connect import close_clients
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import KeyMaker, Parameters, Request, UnparsedReplyError
from tagsmith.processors.errors import InputError
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.reply_sections import section
from tagsmith.processors.tag_instruct.expander import TagExpander
from tagsmith.processors.tag_instruct.expansion_prompt import (
    Completion,
    expansion_messages,
    format_completion,
    parse_completion,
)
from tagsmith.processors.tag_text import normalise_tag

PROSE = "I would add something about safety, because safety always matters."


def rows_of(*instructions: str, **columns: Any) -> Dataset:
    n = len(instructions)
    base = {"base_tags": [["planning", "user interfaces", "food"]] * n}
    return Dataset.from_dict({"id": [f"r{k}" for k in range(n)], "instruction": list(instructions), **base, **columns})


def expand(server: Any, store: str, rows: Dataset, **options: Any) -> list[dict[str, Any]]:
    close_clients()
    expander = TagExpander(endpoint=Endpoint(server.url, store=store, max_repairs=0), **options)
    return list(map_rows(rows, expander, description="expanding", progress=False))


# --- completions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tag", "explanation"),
    [
        ("Budget_Limit", "budget limit", ""),
        ("**budget limit**.\n", "budget limit", ""),
        ("New tag: budget limit", "budget limit", ""),
        ("The new tag would be: budget limit", "budget limit", ""),
        ("<think>what fits?</think>\nbudget limit", "budget limit", ""),
        ("[New Tag]: budget limit", "budget limit", ""),
        ("[New Tag]: budget limit\n[New Question]: Plan a trip.", "budget limit", ""),
        ("**[New Tag]:** budget limit\n\n**[New Question]:** x", "budget limit", ""),
        ("[New Tag]:\nbudget limit\n[New Question]:", "budget limit", ""),
        ("[Tags]: a\n[New Tag]: first\nno, rather\n[New Tag]: budget limit", "budget limit", ""),
        ("[Explanation]: It costs\nmoney.\n[New Tag]: budget limit", "budget limit", "It costs money."),
        ("[Explanation]: It costs money.\n\n**[New Tag]**: budget limit", "budget limit", "It costs money."),
    ],
)
def test_completions_that_name_a_tag(text, tag, explanation):
    assert parse_completion(text) == Completion(tag, explanation)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PROSE, f"expected one tag alone, got '{PROSE[:59]}…'"),
        ("It would be good to add safety", "a tag has at most 4 words, got 'It would be good to add safety'"),
        ("First line.\nSecond line.", "there is no line [New Tag], and more than one line: 'First line. Second line.'"),
        ("budget limit, safety", "expected one tag alone, got 'budget limit, safety'"),
        ("[New Tag]:\n[New Question]: x", "there is no tag in the answer"),
        ("[New Tag]: ***", "there is no tag in the answer"),
        ("", "the answer is empty"),
        ("<think>hm", "the answer ends within its thoughts"),
    ],
)
def test_completions_that_do_not(text, reason):
    with pytest.raises(UnparsedReplyError) as caught:
        parse_completion(text)
    assert str(caught.value) == reason


WORD = st.text("abcdefgh-", min_size=1, max_size=8)


@given(st.lists(WORD, min_size=1, max_size=4).map(" ".join).map(normalise_tag), st.text("abc .\n", max_size=40))
def test_what_is_trained_on_is_read_back(tag, explanation):
    if not tag or tag.startswith("tag"):
        return
    explained = " ".join(explanation.split())
    assert parse_completion(format_completion(tag)) == Completion(tag)
    assert parse_completion(format_completion(tag, explained or None)) == Completion(tag, explained)


def test_sections():
    text = "[A]: one\n## **[B]** two\nthree\n[a] four\n[C]\n"
    assert (section(text, "A"), section(text, "B", end="C")) == ("four\n[C]", "two\nthree\n[a] four")
    assert (section(text, "c"), section(text, "D"), section("see [A] there", "A")) == ("", None, None)


def test_the_policys_prompt_is_the_one_that_pairs_train_on(scripted_server, store_path):
    for form, explain in (("policy", False), ("policy_explained", True)):
        (message,) = expansion_messages("Plan a {trip}.", ["planning", "food"], explain=explain)
        assert message["role"] == "user"
        assert message["content"] == PromptTemplate.load(f"tag_instruct/{form}").render(
            tags="planning, food", instruction="Plan a {trip}."
        )
        server = scripted_server(["budget limit"])
        rows = rows_of("Plan a {trip}.", base_tags=[["planning", "food"]])
        (row,) = expand(server, store_path, rows, n=1, format=form)
        assert row["candidates"][0]["tag"] == "budget limit"
        assert server.posts[0].body["messages"] == [message]
        assert "stop" not in server.posts[0].body


# --- candidates -----------------------------------------------------------------------------------------------------


def test_each_candidate_keeps_its_place_with_its_reason(scripted_server, store_path):
    texts = ["[New Tag]: Budget_Limit", PROSE, "user interface", "budget limits", "Vegan Menu", "safety", "vegan menu"]
    rows = rows_of("Plan a dinner.", injected_tags=[["Safety"]])
    order = list(seeds(rows, n=7))
    server = scripted_server(lambda seen: texts[order.index(seen.body["seed"])])
    (row,) = expand(server, store_path, rows, n=7)
    assert (row["status"], row["reason"], row["raw_reply"], row["attempts"]) == ("ok", "", "", 7)
    shown = [(c["tag"], c["status"], c["reason"], c["raw_reply"]) for c in row["candidates"]]
    assert shown == [
        ("budget limit", "ok", "", ""),
        (None, "rejected", f"unparsed: expected one tag alone, got '{PROSE[:59]}…'", PROSE),
        ("user interface", "rejected", "known: the row has the tag 'user interfaces' already", ""),
        ("budget limits", "rejected", "duplicate: the same tag as candidate 0", ""),
        ("vegan menu", "ok", "", ""),
        ("safety", "rejected", "known: the row has the tag 'Safety' already", ""),
        ("vegan menu", "rejected", "duplicate: the same tag as candidate 4", ""),
    ]


def seeds(rows: Dataset, **options: Any) -> list[int]:
    """The seeds of the first row's candidates."""
    requests = TagExpander(**options).render(rows[0])
    assert [request.sample for request in requests] == list(range(len(requests)))
    return [request.parameters.seed for request in requests]


def test_a_row_is_rejected_only_when_no_candidate_is_left(scripted_server, store_path):
    replies = {"bad": PROSE, "known": "Food", "good": "budget limit"}
    rows = rows_of("bad", "known", "good")
    server = scripted_server(lambda seen: next(r for name, r in replies.items() if f"Question]: {name}" in seen.text))
    bad, known, good = expand(server, store_path, rows, n=3)
    assert good["status"] == "ok"
    assert (bad["status"], bad["raw_reply"]) == ("rejected", PROSE)
    assert bad["reason"].startswith("no_candidate: none of 3 can be used (3 unparsed); first: unparsed: expected one")
    assert known["reason"] == (
        "no_candidate: none of 3 can be used (3 known); first: known: the row has the tag 'food' already"
    )
    assert [candidate["tag"] for candidate in known["candidates"]] == ["food"] * 3


def test_a_policy_that_answers_with_prose_is_a_counted_rejection_with_its_text(scripted_server, store_path):
    rows = rows_of("one", "two", "three")
    server = scripted_server(lambda seen: PROSE if "[Instruction]: two" in seen.text else "budget limit")
    expanded = expand(server, store_path, rows, n=1, format="policy")
    assert [row["status"] for row in expanded] == ["ok", "rejected", "ok"]
    assert expanded[1]["reason"] == f"unparsed: expected one tag alone, got '{PROSE[:59]}…'"
    assert expanded[1]["raw_reply"] == expanded[1]["candidates"][0]["raw_reply"] == PROSE


def test_a_refused_candidate_leaves_the_others(scripted_server, store_path, fast_retries):
    rows = rows_of("one")
    second = seeds(rows, n=3)[1]
    server = scripted_server(lambda seen: 422 if seen.body["seed"] == second else f"tag {seen.body['seed']}")
    close_clients()
    endpoint = Endpoint(server.url, store=store_path, reject_refused=True)
    (row,) = map_rows(rows, TagExpander(endpoint=endpoint, n=3), description="expanding", progress=False)
    assert [candidate["status"] for candidate in row["candidates"]] == ["ok", "rejected", "ok"]
    assert row["candidates"][1]["reason"].startswith("refused: ")
    assert (row["status"], row["attempts"], len(row["generation_keys"])) == ("ok", 2, 3)


def test_rows_that_come_in_rejected_or_blank_ask_nothing(scripted_server, store_path):
    rows = rows_of("one", " ", status=["rejected", "ok"], reason=["unparsed: before", ""])
    server = scripted_server(["budget limit"])
    before, blank = expand(server, store_path, rows, n=2)
    assert (before["status"], before["reason"], before["candidates"]) == ("rejected", "unparsed: before", None)
    assert (blank["status"], blank["reason"]) == ("rejected", "empty_instruction: the instruction has no text")
    assert server.posts == []


# --- sampling -------------------------------------------------------------------------------------------------------


def test_seeds_depend_on_row_and_number_alone():
    rows = rows_of("one", "two", "three")
    expander = TagExpander(n=5)
    asked = {row["id"]: [request.parameters.seed for request in expander.render(row)] for row in rows}
    assert len({seed for seeds in asked.values() for seed in seeds}) == 15
    assert all(0 <= seed < 2**31 for seeds in asked.values() for seed in seeds)
    fewer = TagExpander(n=2)
    assert [[r.parameters.seed for r in fewer.render(row)] for row in rows] == [seeds[:2] for seeds in asked.values()]
    other = TagExpander(n=5, seed=1)
    assert not set(asked["r0"]) & {request.parameters.seed for request in other.render(rows[0])}


def test_order_sharding_and_n_change_no_candidate(scripted_server, store_path):
    rows = rows_of(*(f"task {n}" for n in range(12)))
    server = scripted_server(lambda seen: f"tag {seen.body['seed']}")
    whole = {row["id"]: row["candidates"] for row in expand(server, store_path, rows, n=4)}
    asked = len(server.posts)
    assert asked == 48
    parts = [rows.select(range(11, 5, -1)), rows.select(range(6))]
    again = [row for part in parts for row in expand(server, store_path, part, n=4)]
    assert {row["id"]: row["candidates"] for row in again} == whole
    # The teacher's first answer, asked for alone, is candidate 0: the store has it.
    alone = expand(server, store_path, rows, n=1)
    assert {row["id"]: row["candidates"] for row in alone} == {name: whole[name][:1] for name in whole}
    assert len(server.posts) == asked


def test_the_reply_is_stopped_before_the_question(scripted_server, store_path):
    server = scripted_server(["[New Tag]: budget limit\n"])
    (row,) = expand(server, store_path, rows_of("one"), n=1)
    assert row["candidates"][0]["tag"] == "budget limit"
    body = server.posts[0].body
    assert (body["stop"], body["temperature"], body["max_tokens"]) == (["[New Question]"], 1.0, 128)


def test_settings_that_cannot_work():
    for n in (0, -1, True, 2.5):
        with pytest.raises(InputError, match=rf"^n={n}: expected a whole number of candidates, at least 1 \(the paper"):
            TagExpander(n=n)
    with pytest.raises(InputError, match=r"^n=2 with temperature 0 gives 2 equal candidates; set a temperature, 1 say"):
        TagExpander(n=2, parameters=Parameters(temperature=0))
    with pytest.raises(
        InputError, match=r"^expander format 'rl' is unknown; expected one of question, policy, policy_"
    ):
        TagExpander(format="rl")
    with pytest.raises(InputError, match=r"column 'base_tags' is missing \(there are: id, instruction\); run the step"):
        TagExpander().render({"id": "1", "instruction": "x"})
    greedy = TagExpander(n=1, format="policy", parameters=Parameters(temperature=0))
    (request,) = greedy.render(rows_of("one")[0])
    assert request.parameters.seed is None


@pytest.mark.parametrize("form", ["question", "policy", "policy_explained"])
def test_offline_candidates_vary_and_are_the_same_in_every_run(form, store_path, tmp_path):
    rows = rows_of(
        "Describe the life cycle of a frog.", "Write a function that sorts a list.", "Write a poem about rain."
    )
    runs = []
    for store in (store_path, str(tmp_path / "other.sqlite")):
        close_clients()
        expander = TagExpander(format=form, endpoint=Endpoint("offline:", store=store))
        runs.append(map_rows(rows, expander, description="expanding", progress=False)["candidates"][:])
    assert runs[0] == runs[1]
    for candidates in runs[0]:
        assert len(candidates) == 20
        assert len({candidate["tag"] for candidate in candidates if candidate["status"] == "ok"}) >= 10
        codes = Counter(candidate["reason"].partition(":")[0] for candidate in candidates)
        assert set(codes) <= {"", "known", "duplicate"}
        assert all(bool(candidate["explanation"]) == (form == "policy_explained") for candidate in candidates)


# --- many requests a row --------------------------------------------------------------------------------------------


class _Counting(TagExpander):
    """Counts the requests that it made."""

    made = 0

    def render(self, row: Any) -> Any:
        requests = super().render(row)
        type(self).made += len(requests)
        return requests


def test_requests_sent_ahead_are_bounded_not_rows(scripted_server, store_path, monkeypatch):
    monkeypatch.setattr("tagsmith.processors.map_rows.LOOK_AHEAD_WINDOWS", 4)
    monkeypatch.setattr(_Counting, "made", 0)
    ahead: list[int] = []

    def script(seen: Any) -> str:
        ahead.append(_Counting.made - seen.number)
        return f"tag {seen.body['seed']}"

    server = scripted_server(script)
    expander = _Counting(endpoint=Endpoint(server.url, store=store_path, concurrency=5), n=20, format="policy")
    # check_lengths looks at no row: this server tells no limits.
    rows = rows_of(*(f"task {n}" for n in range(40)))
    map_rows(rows, expander, description="expanding", batch_size=2, progress=False)
    assert len(server.posts) == 800
    # 4 windows of 5, or 4 batches of rows at least; one batch of 2 x 20 may go over it, and one is waited for.
    assert max(ahead) <= 20 + 2 * 40


def test_a_seed_for_each_request_does_not_fill_the_memory():
    keys = KeyMaker("model")
    messages = ({"role": "user", "content": "x"},)
    requests = [Request(Parameters(temperature=1, seed=seed), messages=messages) for seed in range(3_000)]
    made = [keys(request, request.content) for request in requests]
    assert len(set(made)) == 3_000
    assert len(keys._bases) <= 1024
    assert [keys(request, request.content) for request in requests] == made
