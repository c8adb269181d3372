"""Preference pairs before training: what is wrong with them is said in one line, and no prompt is on both sides."""

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.errors import InputError
from tagsmith.trainers.preference_data import prepare_pairs
from tagsmith.trainers.training_data import split_by_prompt


class Words:
    """A tokenizer with a template: a token a word, and one for each message."""

    def apply_chat_template(self, messages, *, tokenize, return_dict):
        return {"input_ids": [word for message in messages for word in f"<m> {message['content']}".split()]}


def user(text):
    return [{"role": "user", "content": text}]


def assistant(text):
    return [{"role": "assistant", "content": text}]


def pair(number, chosen="edge cases", rejected="small talk", prompt=None):
    prompt = user(f"Task {number}.") if prompt is None else prompt
    return {"id": f"p{number}", "prompt": prompt, "chosen": assistant(chosen), "rejected": assistant(rejected)}


def prepare(rows, *, max_length=100, evaluation_share=0.0, seed=0):
    pairs = rows if isinstance(rows, Dataset) else Dataset.from_list(rows)
    return prepare_pairs(pairs, Words(), max_length=max_length, evaluation_share=evaluation_share, seed=seed)


def test_only_trls_columns_stay():
    rows = [pair(n) | {"chosen_score": 0.5, "rejected_score": 0.1, "margin": 0.4, "base_tags": ["a"]} for n in range(3)]
    data = prepare(rows)
    assert data.train.column_names == ["prompt", "chosen", "rejected"]
    assert data.train["prompt"][:] == [user("Task 0."), user("Task 1."), user("Task 2.")]
    assert (len(data.evaluation), data.rows, data.left_out) == (0, 3, {})


def test_pairs_that_teach_nothing_or_would_be_cut_are_counted():
    rows = [
        pair(0),
        pair(1, chosen="same", rejected="same"),
        pair(2, chosen="one two three four five"),
        pair(3, rejected="one two three four five"),
        pair(4, chosen="one two three"),
    ]
    data = prepare(rows, max_length=7)  # <m> Task 4. <m> one two three
    assert data.train["prompt"][:] == [user("Task 0."), user("Task 4.")]
    assert (data.rows, data.left_out) == (5, {"no_preference": 1, "too_long": 2})


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (Dataset.from_dict({"question": ["?"]}), "have no column 'prompt', they have question; give a release of"),
        (Dataset.from_list([pair(0)]).remove_columns("rejected"), "have no column 'rejected'"),
        (Dataset.from_list([pair(0)]).select([]), r"no pairs \(0 rows\)"),
        ([pair(0, "same", "same"), pair(1, "x", "x")], "all 2 pairs have chosen = rejected"),
        ([pair(0) | {"prompt": "Task"}], "pair p0: prompt is 'Task'; expected a list of messages"),
        ([pair(0) | {"chosen": None}], "pair p0: chosen is None"),
        ([pair(0) | {"rejected": []}], r"pair p0: rejected is \[\]"),
        ([pair(0) | {"prompt": [{"role": "user", "content": None}]}], "pair p0: prompt is "),
        ([pair(0) | {"prompt": [{"role": "user", "text": "hi"}]}], "pair p0: prompt is .*expected a list of messages"),
        ([pair(0, prompt=assistant("Hello."))], "pair p0: prompt ends with role 'assistant'; expected 'user'"),
        ([pair(0) | {"chosen": user("tag")}], "pair p0: chosen ends with role 'user'; expected 'assistant'"),
        ([pair(0), pair(1, chosen=" \n")], "pair p1: the last message of chosen is empty"),
    ],
)
def test_bad_pairs(rows, said):
    with pytest.raises(InputError, match=said) as raised:
        prepare(rows)
    assert "\n" not in str(raised.value)


def test_rows_without_ids_are_named_by_number():
    with pytest.raises(InputError, match="pair 1: chosen is None"):
        prepare(Dataset.from_list([pair(0), pair(1) | {"chosen": None}]).remove_columns("id"))


def test_all_too_long_names_the_shortest():
    with pytest.raises(InputError, match=r"all 2 pairs are longer than max_length = 5 tokens \(the shortest has 6\)"):
        prepare([pair(0), pair(1, chosen="a b c")], max_length=5)


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, float("nan")])
def test_shares_out_of_range(share):
    with pytest.raises(InputError, match="expected a share of the prompts from 0 to below 1"):
        prepare([pair(n) for n in range(4)], evaluation_share=share)


def test_one_prompt_cannot_be_split():
    rows = [pair(0), pair(0, chosen="another")]
    with pytest.raises(InputError, match="of 1 distinct prompts leaves none to train on"):
        prepare(rows, evaluation_share=0.5)
    assert len(prepare(rows).train) == 2


def test_a_share_that_rounds_to_nothing_is_one_prompt():
    data = prepare([pair(n) for n in range(10)], evaluation_share=0.01)
    assert (len(data.train), len(data.evaluation)) == (9, 1)


@settings(max_examples=25, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 12), min_size=4, max_size=40).filter(lambda numbers: len(set(numbers)) > 3),
    share=st.sampled_from([0.1, 0.25, 0.5]),
    seed=st.integers(0, 3),
)
def test_the_split_keeps_prompts_whole_and_ignores_order(numbers, share, seed):
    pairs = Dataset.from_list([pair(number) for number in numbers])
    train, evaluation = split_by_prompt(pairs, share, seed)
    sides = [{row[0]["content"] for row in side["prompt"]} for side in (train, evaluation)]
    assert not sides[0] & sides[1]
    assert len(sides[1]) == max(1, round(share * len(set(numbers))))
    assert sorted(train["id"][:] + evaluation["id"][:]) == sorted(f"p{number}" for number in numbers)
    again = split_by_prompt(pairs.select(range(len(pairs))[::-1]), share, seed)
    assert sorted(again[1]["id"][:]) == sorted(evaluation["id"][:])


def test_another_seed_is_another_split():
    pairs = Dataset.from_list([pair(number) for number in range(40)])
    drawn = {tuple(split_by_prompt(pairs, 0.25, seed)[1]["id"]) for seed in range(4)}
    assert len(drawn) == 4
