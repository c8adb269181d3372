"""Rounds: whatever fails, every row is accounted for in every round, keeps its last good version, and its own ids."""

import random
from collections import Counter

import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.errors import InputError
from tagsmith.processors.rows import to_rows
from tagsmith.processors.stage_work import add_stage
from tagsmith.processors.tag_instruct.rounds import SCHEMA, Rounds


def seeds(n):
    tasks = [f"task {number}" for number in range(n)]
    return Dataset.from_dict({"id": [f"id of {task}" for task in tasks], "instruction": tasks, "response": ["r"] * n})


def result_of(row, *, fails=None, **changed):
    """What a round made of a row of `current()`: its texts tell which row they are of."""
    number = row["iteration"] + 1
    good = {
        "id": row["id"],
        "base_tags": [f"tag of {row['instruction']}"],
        "new_tag": f"new {len(row['injected_tags'])} of {row['root_id']}",
        "new_tag_score": number / 10,
        "new_instruction": f"{row['instruction']} + {number}",
        "response": f"answer to {row['instruction']} + {number}",
        "status": "ok",
        "reason": "",
    }
    bad = {"new_instruction": None, "response": None, "status": "rejected", "reason": fails or ""}
    return good | (bad if fails else {}) | {"model": "m", "prompt_hash": "h", "attempts": 3} | changed


_SHARED = ("id", "base_tags", "response", "status", "reason", "model", "prompt_hash", "attempts", "raw_reply")
RESULT_SCHEMA = pa.schema(
    {name: SCHEMA.field(name).type for name in _SHARED}
    | {"new_tag": pa.string(), "new_tag_score": pa.float64(), "new_instruction": pa.string()}
)


def results(rows):
    return Dataset(pa.Table.from_pylist(rows, schema=RESULT_SCHEMA))


def by_root(rounds, iteration):
    return {record["root_id"]: record for record in rounds.records if record["iteration"] == iteration}


def test_round_0_is_the_seed_rows():
    rows = seeds(2)
    rounds = Rounds.start(rows)
    assert rounds.iteration == 0
    assert rounds.final()["id"][:] == rounds.final()["root_id"][:] == rows["id"][:]
    record = rounds.records[0]
    assert (record["instruction"], record["response"], record["method"]) == ("task 0", "r", "seed")
    assert (record["parent_id"], record["tags"], record["injected_tags"], record["utility"]) == (None, [], [], None)
    assert rounds.current().to_list()[0] == {
        "id": rows["id"][0],
        "root_id": rows["id"][0],
        "iteration": 0,
        "instruction": "task 0",
        "injected_tags": [],
        "status": "ok",
        "reason": "",
    }


def test_a_good_round_makes_the_next_version():
    rounds = Rounds.start(seeds(1))
    (row,) = rounds.current()
    after = rounds.advance(results([result_of(row)]))
    record = after.records[1]
    assert len(record.pop("id")) == 16  # hexadecimal digits
    assert record == {
        "parent_id": row["id"],
        "root_id": row["id"],
        "method": "tag-instruct",
        "iteration": 1,
        "instruction": "task 0 + 1",
        "response": "answer to task 0 + 1",
        "base_tags": ["tag of task 0"],
        "tags": ["tag of task 0", f"new 0 of {row['id']}"],
        "injected_tags": [f"new 0 of {row['id']}"],
        "utility": 0.1,
        "model": "m",
        "prompt_hash": "h",
        "attempts": 3,
        "generation_keys": [],
        "raw_reply": "",
        "status": "ok",
        "reason": "",
    }
    assert rounds.iteration == 0  # a value: the earlier state is as it was
    assert after.current()["instruction"][:] == ["task 0 + 1"]


def test_a_failed_row_keeps_its_version_and_the_next_round_starts_from_it():
    rounds = Rounds.start(seeds(2))
    for fails in (None, "padded: copied", None):
        first, second = rounds.current()
        failed = result_of(first, fails=fails, raw_reply="what came", attempts=5)
        rounds = rounds.advance(results([failed, result_of(second)]))
    one, two, three = (by_root(rounds, iteration)[rounds.records[0]["id"]] for iteration in (1, 2, 3))
    content = ("instruction", "response", "base_tags", "tags", "injected_tags", "utility")
    assert {name: two[name] for name in content} == {name: one[name] for name in content}
    assert (two["status"], two["reason"]) == ("rejected", "padded: copied")
    assert (two["raw_reply"], two["attempts"]) == ("what came", 5)
    assert two["parent_id"] == one["id"] != two["id"]
    assert three["parent_id"] == one["id"]
    assert three["instruction"] == "task 0 + 1 + 2"  # the second of its own good rounds
    assert three["injected_tags"] == [f"new {i} of {three['root_id']}" for i in (0, 1)]
    assert [version["iteration"] for version in rounds.versions(three["root_id"])] == [0, 1, 3]
    assert rounds.counts()[2] == {"iteration": 2, "rows": 2, "ok": 1, "rejected": {"padded": 1}}
    assert rounds.final()["iteration"][:] == [3, 3]


REASONS = (None, "unparsed: no tag", "padded: copied", "endpoint: no answer", "unanswerable: lacks data")


def patterns(of):
    """Up to four rounds of up to seven rows: how each goes."""
    return st.integers(1, 7).flatmap(lambda n: st.lists(st.lists(of, min_size=n, max_size=n), min_size=1, max_size=4))


@settings(max_examples=25, deadline=None)
@given(patterns(st.sampled_from(REASONS)), st.integers(0, 99))
def test_any_pattern_of_failures_loses_shifts_and_confuses_no_row(pattern, seed):
    n = len(pattern[0])
    rows = seeds(n)
    roots = rows["id"][:]
    rounds = Rounds.start(rows)
    expected = dict(zip(roots, rows["instruction"], strict=True))  # a plain book-keeping of what each row says
    injected = {root: [] for root in roots}
    for fails in pattern:
        current = rounds.current().to_list()
        assert [row["root_id"] for row in current] == roots
        made = [result_of(row, fails=reason) for row, reason in zip(current, fails, strict=True)]
        for row, reason in zip(current, fails, strict=True):
            if reason is None:
                expected[row["root_id"]] = f"{row['instruction']} + {row['iteration'] + 1}"
                injected[row["root_id"]] = [
                    *injected[row["root_id"]],
                    f"new {len(row['injected_tags'])} of {row['root_id']}",
                ]
        random.Random(seed).shuffle(made)  # replies may come in any order
        rounds = rounds.advance(results(made))
        final = rounds.final().to_list()
        assert {record["root_id"]: record["instruction"] for record in final} == expected
        assert {record["root_id"]: record["injected_tags"] for record in final} == injected
        assert all(record["response"] in ("r", f"answer to {record['instruction']}") for record in final)
        assert [record["root_id"] for record in final] == roots

    records = rounds.records.to_list()
    assert len(records) == n * (len(pattern) + 1)
    assert len({record["id"] for record in records}) == len(records)
    known = {record["id"]: record for record in records}
    for record in records:
        if record["iteration"] == 0:
            continue
        parent = known[record["parent_id"]]
        assert parent["status"] == "ok"
        assert parent["root_id"] == record["root_id"]
        assert parent["iteration"] < record["iteration"]
        if record["status"] == "ok":
            assert record["instruction"].startswith(parent["instruction"] + " + ")
            assert record["base_tags"] == [f"tag of {parent['instruction']}"]
        else:
            assert record["instruction"] == parent["instruction"]
    counts = rounds.counts()
    assert [count["iteration"] for count in counts] == list(range(len(pattern) + 1))
    for count, fails in zip(counts[1:], pattern, strict=True):
        assert count["ok"] + sum(count["rejected"].values()) == count["rows"] == n
        assert count["rejected"] == Counter(reason.partition(":")[0] for reason in fails if reason)


@settings(max_examples=10, deadline=None)
@given(patterns(st.booleans()))
def test_what_fails_elsewhere_changes_nothing_for_other_rows(pattern):
    """All rows but the last fail as drawn in one run and never in the other; the last has the same records in both."""
    ids = []
    for clean in (True, False):
        rounds = Rounds.start(seeds(len(pattern[0]) + 1))
        for fails in pattern:
            made = [
                result_of(row, fails="padded: x" if bad and not clean else None)
                for row, bad in zip(rounds.current().to_list(), [*fails, False], strict=True)
            ]
            rounds = rounds.advance(results(made))
        ids.append(rounds.versions(f"id of task {len(pattern[0])}"))
    assert len(ids[0]) == len(pattern) + 1
    assert ids[0] == ids[1]


def test_rows_of_equal_instruction_stay_apart():
    rows = to_rows(Dataset.from_dict({"instruction": ["same", "same"], "response": ["r", "r"]}))
    rounds = Rounds.start(rows)
    first, second = rounds.current()
    same = {"new_instruction": "harder", "response": "a", "new_tag": "t"}
    rounds = rounds.advance(results([result_of(second, **same), result_of(first, **same)]))
    assert len(set(rounds.records["id"])) == 4
    assert rounds.final()["parent_id"][:] == rows["id"][:]


def test_without_responses_the_old_one_is_not_taken_over():
    rounds = Rounds.start(seeds(1))
    assert "response" not in rounds.current().column_names
    made = results([result_of(rounds.current()[0])]).remove_columns("response")
    assert rounds.advance(made).final()["response"][:] == [None]


def test_a_rejected_result_without_reason_still_has_one():
    rounds = Rounds.start(seeds(1))
    rounds = rounds.advance(results([result_of(rounds.current()[0], status="rejected")]))
    assert rounds.counts()[1]["rejected"] == {"rejected": 1}


# Bad input


def test_a_lost_a_repeated_and_an_unknown_row_are_errors():
    rounds = Rounds.start(seeds(3))
    made = [result_of(row) for row in rounds.current()]
    with pytest.raises(InputError, match=f"1 of 3 rows have no result; first: id '{made[1]['id']}'"):
        rounds.advance(results([made[0], made[2]]))
    with pytest.raises(InputError, match=f"'{made[0]['id']}' \\(2 times\\)"):
        rounds.advance(results([*made, made[0]]))
    with pytest.raises(InputError, match="1 rows of no version in this round; first: id 'stranger'"):
        rounds.advance(results([*made, made[0] | {"id": "stranger"}]))


def test_results_of_an_earlier_round_are_refused():
    rounds = Rounds.start(seeds(2))
    made = results([result_of(row) for row in rounds.current()])
    with pytest.raises(InputError, match="no version in this round"):
        rounds.advance(made).advance(made)


@pytest.mark.parametrize("missing", ["new_instruction", "new_tag", "response"])
@pytest.mark.parametrize("value", [None, "  "])
def test_an_ok_row_that_lacks_a_text_is_an_error(missing, value):
    rounds = Rounds.start(seeds(1))
    with pytest.raises(InputError, match=f"is ok but has no {missing}"):
        rounds.advance(results([result_of(rounds.current()[0], **{missing: value})]))


def test_results_without_status_are_refused():
    rounds = Rounds.start(seeds(1))
    with pytest.raises(InputError, match="results have no column 'status'"):
        rounds.advance(results([result_of(rounds.current()[0])]).remove_columns("status"))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": [], "instruction": []}, "0 rows"),
        ({"instruction": ["a"]}, "no column 'id'"),
        ({"id": ["1", "1"], "instruction": ["a", "b"]}, r"the id '1' \(2 times\)"),
        ({"id": ["1", None], "instruction": ["a", "b"]}, "the id None"),
        ({"id": ["1"], "instruction": [" "]}, "row 1 has no instruction"),
        ({"id": ["1"], "instruction": ["a"], "status": ["rejected"]}, "row 1 is rejected"),
    ],
)
def test_seed_rows_that_do_not_fit(columns, message):
    with pytest.raises(InputError, match=message):
        Rounds.start(Dataset.from_dict(columns))


# Costs of stages


def staged(statuses, attempts, keys, model="m", prompt="p"):
    n = len(statuses)
    columns = {"id": [str(i) for i in range(n)], "status": statuses, "attempts": attempts, "generation_keys": keys}
    return Dataset.from_dict(columns | {"model": [model] * n, "prompt_hash": [prompt] * n})


def test_stages_are_summed_up_and_a_row_rejected_before_took_no_part():
    before = staged(["ok", "rejected"], [2, 1], [["a", "b"], ["c"]])
    after = staged(["rejected", "rejected"], [1, 1], [["d"], ["c"]], "other", "q").add_column("new_tag", ["x", None])
    joined = add_stage(before, after)
    assert joined["attempts"][:] == [3, 1]
    assert joined["generation_keys"][:] == [["a", "b", "d"], ["c"]]
    assert joined["model"][:] == ["m+other", "m"]
    assert joined["prompt_hash"][:] == ["p+q", "p"]
    assert joined["new_tag"][:] == ["x", None]
    assert joined["status"][:] == ["rejected", "rejected"]
    again = add_stage(joined, staged(["ok", "ok"], [1, 1], [["e"], []]))
    assert (again["model"][0], again["prompt_hash"][0], again["attempts"][0]) == ("m+other", "p+q", 3)


def test_a_first_stage_is_taken_as_it_is():
    after = staged(["ok"], [1], [[]])
    assert add_stage(after.select_columns(["id"]), after) is after


def test_rows_of_a_stage_must_be_the_same():
    before = staged(["ok", "ok"], [1, 1], [[], []])
    with pytest.raises(InputError, match="their ids differ"):
        add_stage(before, before.select([1, 0]))
