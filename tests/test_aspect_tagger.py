"""Tag-Evol's taggers: which replies are aspects with tags, what is repaired, what is rejected and why; the merger."""

import json
import pickle
from typing import Any

import pytest
from datasets import Dataset, Features, List, Value
from datasets.fingerprint import Hasher
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.offline.answers import tag_evol_tags
from tagsmith.processors.endpoint.offline.draw import Draw
from tagsmith.processors.endpoint.request import UnparsedReplyError
from tagsmith.processors.errors import InputError
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.rows import to_rows
from tagsmith.processors.seeds import load_seeds
from tagsmith.processors.tag_evol.aspect_finder import AspectFinder
from tagsmith.processors.tag_evol.aspect_merger import AspectMerger, problem_of
from tagsmith.processors.tag_evol.aspect_reply import ASPECTS, as_column, flat_tags, read_aspects, read_names
from tagsmith.processors.tag_evol.aspect_tagger import DOMAINS, AspectTagger

GOOD = {"required skill": ["unit price", "ratio"], "setting": ["market"]}
AS_COLUMN = [{"aspect": "required skill", "tags": ["unit price", "ratio"]}, {"aspect": "setting", "tags": ["market"]}]


def reply(aspects: dict[str, list[str]]) -> str:
    return json.dumps({"aspects": as_column(aspects)})


# --- one reply ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"aspects": [{"aspect": "Required_Skill", "tags": ["Unit Price", "ratio"]}, {"aspect": "setting", "tags":'
        ' ["market"]}]}',
        '```json\n{"aspects": [{"aspect": "required skill", "tags": ["unit_price", "Ratio",]}, {"aspect": "Setting",'
        ' "tags": ["market"]}]}\n```',
        '<think>{"a": 1}</think>[{"aspect": "required  skill", "tags": ["unit price", "ratio"]},'
        ' {"aspect": "setting", "tags": ["market"]}]',
        'Here it is: {"required skill": ["unit price", "ratio"], "setting": ["market"]}',
        '{"aspects": {"Required Skill": ["unit price", "ratio"], "setting": ["market\\n"]}}',
    ],
)
def test_aspects_with_their_tags_in_any_shape(text):
    assert read_aspects(text) == GOOD
    assert list(read_aspects(text)) == list(GOOD)


def test_a_single_aspect_without_a_list_round_it():
    assert read_aspects('{"aspect": "setting", "tags": ["market"]}') == {"setting": ["market"]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the answer is empty"),
        ("It is about prices.", "there is no JSON in the answer"),
        ('{"aspects": [{"aspect": "setting", "tags": ["mar', "the JSON in the answer is broken or cut off"),
        ('{"aspects": []}', "there are no aspects; name at least one, with its tags"),
        ("{}", "there are no aspects"),
        ('{"tags": ["a"]}', 'expected a list under "aspects"'),
        ('{"aspects": ["setting"]}', 'expected a list under "aspects" with an "aspect" and its "tags"'),
        ('{"aspects": [{"aspect": "setting", "tags": []}]}', "the aspect 'setting' has no tags; give it one at least"),
        ('{"aspects": [{"aspect": "setting"}]}', "the aspect 'setting' needs a list of tags"),
        ('{"aspects": [{"tags": ["a"]}]}', "expected text for each aspect, with a letter or digit in it; got None"),
        ('{"aspects": [{"aspect": "?", "tags": ["a"]}]}', "got '?'"),
        ('{"aspects": [{"aspect": "setting", "tags": ["a", 3]}]}', "for each tag under 'setting'"),
        ('{"aspects": [{"aspect": "setting", "tags": ["a", "--"]}]}', "got '--'"),
        ('{"skill": ["Ratio", "ratio"]}', "the tag 'ratio' stands twice under 'skill'; name each once"),
        ('[{"aspect": "a", "tags": ["x"]}, {"aspect": "A", "tags": ["y"]}]', "the aspect 'a' stands twice"),
        ('{"skill": ["one two three four five six seven eight nine"]}', "is too long for a tag: at most 8 words"),
    ],
)
def test_replies_that_are_no_good_say_why(text, reason):
    with pytest.raises(UnparsedReplyError) as error:
        read_aspects(text)
    assert reason in str(error.value)


def test_names_alone():
    assert read_names('{"aspects": ["Required_Skill", "setting"]}') == ["required skill", "setting"]
    assert read_names('["setting"]') == ["setting"]
    for text, reason in (
        ('{"aspects": []}', "at least one name"),
        ('{"aspects": "setting"}', "at least one name"),
        ('{"aspects": ["a", "A"]}', "the aspect 'a' stands twice"),
        ('{"aspects": ["a", 1]}', "expected text for each aspect"),
    ):
        with pytest.raises(UnparsedReplyError) as error:
            read_names(text)
        assert reason in str(error.value)


def test_flat_tags_have_each_tag_once_whatever_its_spelling():
    assert flat_tags({"a": ["unit price", "ratio"], "b": ["ratios", "c++", "c"]}) == ["unit price", "ratio", "c++", "c"]


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
values = st.recursive(texts | st.none() | st.integers(), lambda v: st.lists(v, max_size=3) | st.dictionaries(texts, v))


@settings(max_examples=80, deadline=None)
@given(st.one_of(values, st.lists(st.fixed_dictionaries({"aspect": texts, "tags": st.lists(texts, max_size=4)}))))
def test_whatever_is_read_is_whole(value):
    """For random replies: no empty aspect, no tag without a letter or twice under its aspect; else a reason."""
    try:
        read = read_aspects(json.dumps({"aspects": value}))
    except UnparsedReplyError as error:
        assert str(error)  # noqa: PT017  # either is right
        return
    assert read
    assert all(name and tags and len(set(tags)) == len(tags) for name, tags in read.items())
    assert all(any(map(str.isalnum, tag)) for tags in read.values() for tag in tags)


# --- rows -----------------------------------------------------------------------------------------------------------


ROWS = Dataset.from_dict(
    {
        "id": list("abcdef"),
        "instruction": ["good", "blank", " \n ", "mended", "prose", "before"],
        "status": ["ok"] * 5 + ["rejected"],
        "reason": [""] * 5 + ["unread: earlier"],
    }
)


def answer(seen: Any) -> str:
    """By the row that is asked about; "mended" is good at the second try."""
    asked = seen.body["messages"][0]["content"]
    repair = len(seen.body["messages"]) > 1
    if "\ngood\n" in asked or ("\nmended\n" in asked and repair):
        return reply(GOOD)
    return "prose" if "\nprose\n" in asked else '{"aspects": [{"aspect": "setting", "tags": []}]}'


def test_the_columns_of_good_mended_and_rejected_rows(scripted_server, store_path):
    server = scripted_server(answer)
    made = map_rows(ROWS, AspectTagger(endpoint=Endpoint(server.url, store=store_path)), description="", progress=False)
    assert made.features["aspects"] == ASPECTS
    assert made.features["tags"] == List(Value("string"))
    rows = {row["id"]: row for row in made}
    for good in "ad":
        assert (rows[good]["status"], rows[good]["aspects"]) == ("ok", AS_COLUMN)
        assert rows[good]["tags"] == ["unit price", "ratio", "market"]
        assert rows[good]["raw_reply"] == ""
    assert (rows["a"]["attempts"], rows["d"]["attempts"], rows["b"]["attempts"]) == (1, 2, 3)
    assert rows["b"]["reason"].startswith("unparsed: the aspect 'setting' has no tags")
    assert rows["b"]["raw_reply"] == '{"aspects": [{"aspect": "setting", "tags": []}]}'
    assert rows["c"]["reason"].startswith("empty_instruction")
    assert (rows["e"]["reason"], rows["e"]["raw_reply"]) == ("unparsed: there is no JSON in the answer", "prose")
    assert rows["f"]["reason"] == "unread: earlier"
    assert all(rows[bad]["aspects"] is None and rows[bad]["tags"] is None for bad in "bcef")
    asked = [seen.body["messages"][0]["content"] for seen in server.posts]
    assert not any("\nbefore\n" in text for text in asked)


@pytest.mark.parametrize("domain", DOMAINS)
def test_each_domain_has_its_own_prompts(domain):
    assert AspectTagger(domain=domain).templates[0].name == f"tag_evol/tag_{domain}"
    assert AspectFinder(domain=domain).templates[0].name == f"tag_evol/aspects_{domain}"
    assert AspectTagger(domain=domain, given="x").templates[0].name == "tag_evol/tags_of_aspects"


def test_two_steps_name_the_aspects_first(scripted_server, store_path):
    def two(seen: Any) -> str:
        asked = seen.body["messages"][0]["content"]
        if "- required skill\n- setting\n" not in asked:
            return '{"aspects": ["Required Skill", "setting"]}'
        aspects = dict(GOOD)
        if "\nless\n" in asked:
            del aspects["setting"]
        if "\nmore\n" in asked:
            aspects["audience"] = ["pupils"]
        if "\nplural\n" in asked:
            aspects["settings"] = aspects.pop("setting")
        return reply(aspects)

    endpoint = Endpoint(scripted_server(two).url, store=store_path)
    rows = Dataset.from_dict({"id": list("abcd"), "instruction": ["good", "less", "more", "plural"]})
    named = map_rows(rows, AspectFinder(endpoint=endpoint), description="", progress=False)
    assert named["aspect_names"][:] == [["required skill", "setting"]] * 4
    tagger = AspectTagger(endpoint=endpoint, given="aspect_names")
    made = map_rows(named, tagger, description="", progress=False)
    assert made["status"][:] == ["ok", "rejected", "rejected", "ok"]
    assert made[0]["aspects"] == AS_COLUMN
    assert made["reason"][1:3] == [
        "other_aspects: left out setting; added none",
        "other_aspects: left out none; added audience",
    ]
    assert json.loads(made[1]["raw_reply"])["aspects"] == AS_COLUMN[:1]
    assert made[1]["aspects"] is None


def test_a_row_without_aspects_is_rejected_unasked(scripted_server, store_path):
    server = scripted_server([reply(GOOD)])
    rows = Dataset.from_dict({"id": ["a"], "instruction": ["x"], "names": [[]]}, features=None)
    tagger = AspectTagger(endpoint=Endpoint(server.url, store=store_path), given="names")
    made = map_rows(rows, tagger, description="", progress=False)
    assert made[0]["reason"] == "no_aspects: column 'names' names none"
    assert server.posts == []


def test_settings_and_rows_that_do_not_fit():
    with pytest.raises(InputError, match="domain 'law' is unknown; expected one of general, math, code"):
        AspectTagger(domain="law")
    with pytest.raises(InputError, match="domain 'law' is unknown"):
        AspectFinder(domain="law")
    with pytest.raises(InputError, match="uses"):
        AspectTagger(prompt="tag_evol/tags_of_aspects")
    with pytest.raises(InputError, match="column 'names' is missing"):
        AspectTagger(given="names").render({"id": "a", "instruction": "x"})


def test_it_pickles_and_its_prompt_counts_in_its_hash():
    tagger = AspectTagger(domain="math", given="aspect_names")
    again = pickle.loads(pickle.dumps(tagger))
    assert again.templates == tagger.templates
    assert again.render({"instruction": "x", "aspect_names": ["a"]})
    assert Hasher.hash(AspectTagger(domain="math")) != Hasher.hash(AspectTagger(domain="code"))


# --- the merging pass -----------------------------------------------------------------------------------------------

MERGED = {"required skill": ["unit price", "ratio", "rounding"], "setting": ["market", "stall rent"]}


@pytest.mark.parametrize(
    ("after", "problem"),
    [
        (MERGED, None),
        ({"skill": ["Unit-Prices", "ratio", "market", "rounding"]}, None),
        ({"skill": ["unit price", "market"]}, "lost_tags: ratio"),
        (MERGED | {"audience": ["pupils"]}, "more_aspects: 3, where there were 2"),
        ({"skill": ["unit price", "ratio", "market", "a", "b", "c"]}, "too_many_added: 3 new tags under 'skill'"),
    ],
)
def test_what_a_revision_may_do(after, problem):
    found = problem_of(GOOD, after)
    assert found == problem if problem is None else found.startswith(problem)


def test_a_row_whose_revision_is_no_good_keeps_its_aspects(scripted_server, store_path):
    def revise(seen: Any) -> str:
        asked = seen.body["messages"][0]["content"]
        assert "required skill: unit price; ratio\nsetting: market\n" in asked
        return reply(MERGED) if "\ngood\n" in asked else reply({"skill": ["ratio"]}) if "\nlost\n" in asked else "no"

    kinds = Features({"id": Value("string"), "instruction": Value("string"), "aspects": ASPECTS})
    rows = Dataset.from_dict(
        {"id": list("abc"), "instruction": ["good", "lost", "prose"], "aspects": [AS_COLUMN] * 3}, features=kinds
    )
    endpoint = Endpoint(scripted_server(revise).url, store=store_path)
    made = map_rows(rows, AspectMerger(endpoint=endpoint), description="", progress=False)
    assert made["status"][:] == ["ok"] * 3
    assert made["aspects"][:] == [as_column(MERGED), AS_COLUMN, AS_COLUMN]
    assert made["tags"][0] == ["unit price", "ratio", "rounding", "market", "stall rent"]
    assert made["tags"][1] == ["unit price", "ratio", "market"]
    assert made["merge_problem"][:] == [
        "",
        "lost_tags: unit price, market",
        "unparsed: there is no JSON in the answer",
    ]


# --- the offline endpoint -------------------------------------------------------------------------------------------


def test_offline_every_path_of_the_method_is_walked(store_path):
    """Rules answer: most rows are tagged, a few replies are no good, now and then a revision loses a tag."""
    rows = to_rows(load_seeds(), reject_bad=True)
    endpoint = Endpoint("offline:", store=store_path)
    tagged = map_rows(rows, AspectTagger(endpoint=endpoint), description="", progress=False)
    ok = [row for row in tagged if row["status"] == "ok"]
    codes = {row["reason"].partition(":")[0] for row in tagged if row["status"] != "ok"}
    assert len(ok) > 0.97 * len(rows)
    assert codes == {"unparsed"}
    assert all(row["aspects"] and row["tags"] for row in ok)
    merged = map_rows(tagged, AspectMerger(endpoint=endpoint), description="", progress=False)
    problems = {said.partition(":")[0] for said in merged["merge_problem"]}
    assert problems == {"", "lost_tags"}
    grown = [len(after["tags"]) - len(before["tags"]) for before, after in zip(tagged, merged, strict=True)
             if before["status"] == "ok" and not after["merge_problem"]]  # fmt: skip
    assert min(grown) >= 1


def test_offline_answers_know_the_domain():
    problem = "Tom buys 3 boxes at $4 each and pays 10% tax. How much does he spend in total?"
    task = "Write a Python function that sorts a list of strings by length."
    of_math = tag_evol_tags.aspects_of(problem, "math", Draw("x"))
    of_code = tag_evol_tags.aspects_of(task, "code", Draw("x"))
    assert any("operation" in name.lower() for name in of_math)
    assert any("quantity" in name for name in of_math)
    assert {"data structure"} <= set(of_code)
    assert "tom" not in str(of_math).lower()  # a name belongs to one problem
    assert of_math == tag_evol_tags.aspects_of(problem, "math", Draw("x"))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.sampled_from(["general", "math", "code"]))
def test_offline_answers_can_be_read_for_any_text(text, domain):
    answer_ = getattr(tag_evol_tags, f"tag_{domain}")({"instruction": text}, Draw("x"))
    try:
        assert read_aspects(json.dumps(answer_))
    except UnparsedReplyError as error:
        assert "stands twice" in str(error) or "too long" in str(error)  # noqa: PT017  # its faults on purpose
