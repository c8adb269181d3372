"""The explorer page: what is in it, how much of it, and that text from rows stays text."""

import base64
import hashlib
import json
import re
import zlib
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.explorer import render_explorer
from tagsmith.cards.explorer_map import HEIGHT, WIDTH, tag_map
from tagsmith.cards.explorer_rows import ReleaseRows
from tagsmith.cards.explorer_sample import Strata, lineages, sample_order

HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>alert(2)</script>",
    "]]><svg onload=alert(3)>",
    "line\u2028and paragraph\u2029separators",
    "\u202eright to left\u202c שלום עולם",
    "👩‍👩‍👧‍👦 \x00 \x07 {{ title }} {% raw %}",
]


def unpacked(page: str) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
    """The head of a page, and its rows by number, read as the page's own script reads them."""
    packed = re.search(r'<script type="application/octet-stream" id="data">([A-Za-z0-9+/=]*)</script>', page)
    assert packed
    lines = [json.loads(line) for line in zlib.decompress(base64.b64decode(packed[1])).decode().split("\n") if line]
    head, strings, raws = lines[0], list(lines[0]["strings"]), []
    for line in lines[1:]:
        if isinstance(line, dict):
            strings += line["strings"]
        else:
            raws += line
    rows = {}
    for raw in raws:
        values = iter(raw[2:])
        row: dict[str, Any] = {}
        for column in head["columns"]:
            if column["kind"] == "same":
                continue
            value = next(values)
            if column["kind"] == "code" and value is not None:
                value = strings[value]
            if column["kind"] == "codes" and value is not None:
                value = [None if code is None else strings[code] for code in value]
            row[column["name"]] = value
        for column in head["columns"]:
            if column["kind"] == "same":
                row[column["name"]] = row[column["of"]]
        row["places"] = {head["configs"][c][0]: n for c, n in zip(raw[1][::2], raw[1][1::2], strict=True)}
        rows[raw[0]] = row
    assert len(rows) == len(raws), "a row stands twice"
    return head, rows


def render(*args: Any, **more: Any) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
    return unpacked(render_explorer(*args, **{"offline": False, **more}))


def evolved(n_roots: int, rounds: int) -> Dataset:
    """Rows of `rounds` rounds, each the child of the one before; text that hardly compresses."""
    n = n_roots * (rounds + 1)
    number = np.arange(n)
    root, step = number % n_roots, number // n_roots
    texts = [hashlib.sha256(str(k).encode()).hexdigest() for k in range(n)]
    parents = pa.array([f"r{s - 1}-{k}" if s else None for s, k in zip(step, root, strict=True)])
    # Tag 0 has half of the rows, tag 1 a quarter, …, tag 9 about one in a thousand; beyond those, rare ones.
    tags = [
        [f"tag {(number_ & -number_).bit_length() if number_ else 0}", f"rare {number_ % 9000}"] for number_ in range(n)
    ]
    table = {
        "id": [f"r{s}-{k}" for s, k in zip(step, root, strict=True)],
        "parent_id": parents,
        "iteration": step,
        "instruction": [f"{text} {text[:20]}" for text in texts],
        "response": texts,
        "tags": tags,
        "status": ["rejected" if k % 1000 == 7 else "ok" for k in range(n)],
        "reason": [f"code_{k % 3}: because of {k}" if k % 1000 == 7 else "" for k in range(n)],
    }
    return Dataset(pa.table(table))


@pytest.fixture(scope="module")
def large() -> tuple[Dataset, str, dict[str, Any], dict[int, dict[str, Any]]]:
    rows = evolved(10_000, 4)
    page = render_explorer("Large", {"default": rows.select(range(40_000, 50_000)), "rounds": rows}, offline=False)
    return rows, page, *unpacked(page)


def test_large_release_fills_the_page_but_not_more(large):
    _, page, head, rows = large
    assert 2_950_000 < len(page.encode()) <= 3_000_000
    assert head["total"] == 50_000
    assert 10_000 < len(rows) < 50_000
    assert f"{len(rows):,} of 50,000 rows are on this page" in page
    assert "How the rows were chosen" in page


def test_sample_keeps_frequent_tags_reasons_and_configs(large):
    _, _, head, rows = large
    found: dict[str, int] = {}
    for row in rows.values():
        for tag in row["tags"]:
            found[tag] = found.get(tag, 0) + 1
    frequent = {tag: n for tag, n in zip(head["strings"], head["tagCounts"], strict=True) if n >= 50}
    assert len(frequent) >= 9
    assert {tag: found.get(tag, 0) for tag in frequent if found.get(tag, 0) < 20} == {}
    reasons = [row["reason"].split(":")[0] for row in rows.values() if row["reason"]]
    assert {name: reasons.count(name) for name, n in head["reasons"]} == dict(head["reasons"])
    assert sum("default" in row["places"] for row in rows.values()) >= 500


def test_sample_keeps_lineages_whole(large):
    data, _, _, rows = large
    shown = {row["id"] for row in rows.values()}
    by_root: dict[str, set[str]] = {}
    for name in data["id"]:
        by_root.setdefault(name.split("-")[1], set()).add(name)
    assert shown
    assert all(family <= shown or not family & shown for family in by_root.values())


def test_rows_on_the_page_are_the_rows_of_the_release(large):
    data, _, _, rows = large
    for row in list(rows.values())[::500]:
        original = data[row["places"]["rounds"]]
        assert {name: row[name] for name in original} == original


@pytest.mark.parametrize("limit", [200_000, 222_222, 250_001])
def test_any_limit_is_kept_and_leaves_a_readable_page(large, limit):
    data, *_ = large
    page = render_explorer("Limit", {"rounds": data.select(range(0, 50_000, 5))}, offline=True, limit_bytes=limit)
    _, rows = unpacked(page)
    assert limit - 9_000 < len(page.encode()) <= limit
    assert all(data[5 * row["places"]["rounds"]]["tags"] == row["tags"] for row in list(rows.values())[::50])


def test_no_room_at_all_is_an_error():
    rows = Dataset.from_dict({"instruction": ["hi"], "tags": [["a"]]})
    with pytest.raises(ReleaseError, match="at most 1,000 bytes has no room"):
        render_explorer("t", {"default": rows}, offline=False, limit_bytes=1_000)


def test_same_bytes_for_equal_input(large):
    data, page, *_ = large
    # The same rows in other chunks, and behind an index mapping.
    chunked = Dataset(pa.concat_tables([data.data.table.slice(0, 777), data.data.table.slice(777)]))
    mapped = Dataset(pa.concat_tables([data.data.table, data.data.table])).select(range(40_000, 50_000))
    assert render_explorer("Large", {"default": mapped, "rounds": chunked}, offline=False) == page


def test_hostile_text_is_only_ever_data():
    rows = Dataset.from_dict(
        {
            "id": HOSTILE,
            "instruction": HOSTILE,
            "response": HOSTILE[::-1],
            "tags": [[text, "shared"] for text in HOSTILE],
            "reason": HOSTILE,
            HOSTILE[0]: HOSTILE,
        }
    )
    title = HOSTILE[0] + "\ud800\udfff lone \ud800"
    tree = {"name": HOSTILE[0] + "\udc00", "children": [{"name": HOSTILE[1]}]}
    page = render_explorer(title, {HOSTILE[0]: rows}, offline=True, tree=tree)
    assert "<img" not in page
    assert "onerror" not in page.replace("onerror=alert(1)&gt;", "")  # only in the title, escaped
    assert page.encode()  # no lone surrogate is left
    assert page.count("<script") == 2 == page.count("</script>")
    head, found = unpacked(page)
    assert [row["instruction"] for _, row in sorted(found.items())] == HOSTILE
    assert head["tree"][0] == HOSTILE[0] + "\ufffd"


def test_page_can_fetch_nothing():
    rows = Dataset.from_dict({"instruction": ["see https://example.org/a.png"], "tags": [["url"]]})
    page = render_explorer("No network", {"default": rows}, offline=False)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].replace("&#39;", "'").split(";"))
    style = re.search(r"<style>(.*?)</style>", page, re.S)
    script = re.search(r'<script type="module">(.*?)</script>', page, re.S)
    assert script
    assert style
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()}'"
    assert rules["style-src"] == f"'sha256-{base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()}'"
    assert rules["trusted-types"] == "'none'"
    assert set(re.findall(r"https?://[^\"'\s)]+", page)) == {"http://www.w3.org/2000/svg"}  # a name, never fetched
    assert not re.search(r"\bsrc=|<link|@import|url\(|fetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon", page)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", page)


def test_a_row_of_two_configs_stands_once():
    chosen = Dataset.from_dict({"id": ["b", "a"], "instruction": ["B", "A"], "selected": [True, True]})
    tagged = Dataset.from_dict(
        {"id": ["a", "b", "c"], "instruction": ["A", "B", "C"], "selected": [True, True, False], "x": [1, 2, 3]}
    )
    head, rows = render("t", {"default": chosen, "tagged": tagged})
    assert head["configs"] == [["default", 2], ["tagged", 3]]
    assert head["total"] == 3
    assert rows == {
        0: {"id": "b", "instruction": "B", "selected": True, "x": 2, "places": {"default": 0, "tagged": 1}},
        1: {"id": "a", "instruction": "A", "selected": True, "x": 1, "places": {"default": 1, "tagged": 0}},
        2: {"id": "c", "instruction": "C", "selected": False, "x": 3, "places": {"tagged": 2}},
    }


def test_rows_with_another_outcome_or_of_one_config_never_merge():
    good = Dataset.from_dict(
        {"id": ["a", "a", None], "instruction": ["1", "2", "3"], "status": ["ok"] * 3, "reason": [""] * 3}
    )
    bad = Dataset.from_dict(
        {"id": ["a", None], "instruction": ["1", "3"], "status": ["rejected"] * 2, "reason": ["why"] * 2}
    )
    _, rows = render("t", {"default": good, "rejected": bad})
    assert [row["places"] for _, row in sorted(rows.items())] == [
        {"default": 0},
        {"default": 1},
        {"default": 2},
        {"rejected": 0},
        {"rejected": 1},
    ]


def test_first_config_that_has_a_column_counts_even_if_types_differ():
    first = Dataset.from_dict({"id": ["a"], "instruction": ["A"], "n": [1], "tags": [None]})
    second = Dataset.from_dict(
        {"id": ["a", "b"], "instruction": ["A", "B"], "n": ["one", "two"], "tags": [["x"], ["y"]]}
    )
    head, rows = render("t", {"default": first, "tagged": second})
    assert [row["n"] for _, row in sorted(rows.items())] == ["1", "two"]
    assert head["tagColumn"] == "tags"


def test_configs_without_rows_to_read_are_left_out():
    vocabulary = Dataset.from_dict({"raw": ["x"], "canonical": ["y"]})
    head, rows = render("t", {"vocabulary": vocabulary})
    assert (head["configs"], head["total"], rows) == ([], 0, {})
    empty = Dataset.from_dict({"instruction": [], "tags": []})
    head, rows = render("t", {"default": empty, "rejected": empty})
    assert (head["configs"], head["total"], rows) == ([["default", 0], ["rejected", 0]], 0, {})
    assert render("t", {}) == ({**head, "configs": [], "columns": [], "tagColumn": None}, {})


def test_without_tags_there_is_nothing_to_filter_by():
    head, rows = render("t", {"default": Dataset.from_dict({"instruction": ["a", "b"]})})
    assert (head["tagColumn"], head["strings"], head["map"], head["distinctTags"]) == (None, [], None, 0)
    assert len(rows) == 2


def test_raw_tags_stand_in_for_missing_tags():
    rows = Dataset.from_dict({"instruction": ["a", "b"], "raw_tags": [["x", "y", "x"], ["x"]]})
    head, found = render("t", {"default": rows})
    assert (head["tagColumn"], head["strings"], head["tagCounts"]) == ("raw_tags", ["x", "y"], [2, 1])
    assert found[0]["raw_tags"] == ["x", "y", "x"]


def test_conversations_are_kept_as_turns():
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    _, rows = render("t", {"default": Dataset.from_dict({"messages": [turns, None], "tags": [["greeting"], None]})})
    assert [rows[0]["messages"], rows[1]["messages"]] == [turns, None]


def test_columns_of_every_type():
    table = pa.table(
        {
            "instruction": pa.array(["a", "b"], pa.large_string()),
            "when": pa.array([datetime(2024, 5, 6, 7, 8, 9), None], pa.timestamp("us")),
            "day": pa.array([date(2024, 5, 6), None]),
            "price": pa.array([Decimal("1.50"), None]),
            "bytes": pa.array([b"\xff\x00", None]),
            "big": pa.array([2**60, 1]),
            "score": pa.array([0.25, float("nan")]),
            "yes": pa.array([True, None]),
            "nothing": pa.nulls(2),
            "category": pa.array(["p", "q"]).dictionary_encode(),
            "nested": pa.array([{"a": [1, 2], "b": {"c": "d"}}, None]),
            "lists": pa.array([[["x"], []], None]),
            "texts": pa.array([["one", None], None]),
            "generation_keys": pa.array([["abc"], None]),
        }
    )
    head, rows = render("t", {"default": Dataset(table)})
    assert rows[0] == {
        "instruction": "a",
        "when": "2024-05-06T07:08:09",
        "day": "2024-05-06",
        "price": "1.50",
        "bytes": "2 bytes",
        "big": str(2**60),
        "score": 0.25,
        "yes": True,
        "nothing": None,
        "category": "p",
        "nested": {"a": [1, 2], "b": {"c": "d"}},
        "lists": [["x"], []],
        "texts": ["one", None],
        "places": {"default": 0},
    }
    assert rows[1] == {
        **dict.fromkeys(rows[0]),
        "instruction": "b",
        "big": 1,
        "category": "q",
        "places": {"default": 1},
    }
    assert [c["name"] for c in head["columns"] if c.get("numeric")] == ["big", "score"]


def test_a_column_that_repeats_another_is_not_sent_twice():
    texts = ["one", "two", "three"]
    rows = Dataset.from_dict({"output": texts, "instruction": ["a", "b", "c"], "response": texts})
    head, found = render("t", {"default": rows})
    assert {"name": "output", "kind": "same", "of": "response"} in head["columns"]
    assert [found[n]["output"] for n in range(3)] == texts


def test_very_long_rows_are_cut_and_counted():
    text = "".join(hashlib.sha256(str(k).encode()).hexdigest() for k in range(2_000))
    page = render_explorer("t", {"default": Dataset.from_dict({"instruction": [text, "short"]})}, offline=False)
    _, rows = unpacked(page)
    assert rows[0]["instruction"] == f"{text[:8_000]}… [120,000 more characters]"
    assert rows[1]["instruction"] == "short"
    assert "1 very long row was shortened" in page


def test_tags_as_long_as_books_leave_room_for_the_rows():
    tags = [[f"{n} {'x' * 200_000}", "short"] for n in range(40)]
    rows = Dataset.from_dict({"instruction": [f"row {n}" for n in range(40)], "tags": tags})
    head, found = render("t", {"default": rows}, limit_bytes=200_000)
    assert len(found) == 40
    assert (head["strings"], head["tagCounts"]) == (["short"], [40])
    assert found[7]["tags"] == [f"7 {'x' * 7_998}… [192,002 more characters]", "short"]


def test_offline_rows_are_announced_and_others_are_not():
    rows = {"default": Dataset.from_dict({"instruction": ["a"]})}
    assert "Made offline." in render_explorer("t", rows, offline=True)
    assert "Made offline." not in render_explorer("t", rows, offline=False)


def test_tree_is_carried_and_checked():
    rows = {"default": Dataset.from_dict({"instruction": ["a"], "tags": [["x"]]})}
    tree = {"name": "all", "children": [{"name": "x", "rows": 1}, {"name": "y", "children": []}]}
    assert render("t", rows, tree=tree)[0]["tree"] == ["all", None, [["x", 1, []], ["y", None, []]]]
    assert render("t", rows)[0]["tree"] is None
    with pytest.raises(ReleaseError, match="must be a mapping with a text `name`"):
        render("t", rows, tree={"name": "all", "children": [{"label": "x"}]})
    with pytest.raises(ReleaseError, match="node 'all' of the tag tree"):
        render("t", rows, tree={"name": "all", "rows": [1, 2]})


def test_reasons_and_rounds_are_counted_over_the_whole_release():
    rows = Dataset.from_dict(
        {"instruction": list("abcd"), "reason": ["", "late: 3 s", "late: 4 s", "empty"], "iteration": [0, 1, 1, None]}
    )
    head, _ = render("t", {"default": rows})
    assert head["reasons"] == [["late", 2], ["empty", 1]]
    assert head["rounds"] == [[0, 1], [1, 2]]


def test_a_circle_of_parents_does_no_harm():
    rows = Dataset.from_dict({"id": ["a", "b", "c"], "parent_id": ["b", "a", "c"], "instruction": ["1", "2", "3"]})
    _, found = render("t", {"default": rows})
    assert len(found) == 3


@given(st.lists(st.tuples(st.text(), st.none() | st.lists(st.none() | st.text(max_size=5), max_size=4)), max_size=30))
@settings(deadline=None, max_examples=20)
def test_texts_and_tags_arrive_as_they_are(rows):
    table = pa.table(
        {
            "instruction": pa.array([r[0] for r in rows], pa.string()),
            "tags": pa.array([r[1] for r in rows], pa.list_(pa.string())),
        }
    )
    _, found = render("t", {"default": Dataset(table)})
    assert [(found[n]["instruction"], found[n]["tags"]) for n in range(len(rows))] == rows


@given(st.data())
@settings(deadline=None, max_examples=20)
def test_sample_order_takes_every_row_once_in_whole_groups(data):
    n = data.draw(st.integers(0, 40))
    parents = np.array([data.draw(st.integers(-1, n - 1)) for _ in range(n)], dtype=np.int64)
    pairs = data.draw(st.lists(st.tuples(st.integers(0, max(0, n - 1)), st.integers(0, 5)), max_size=60 if n else 0))
    strata = Strata(*(np.array([p[k] for p in pairs], dtype=np.int64) for k in (0, 1)), keeps=2)
    order = sample_order(n, parents, [strata])
    assert sorted(order.rows.tolist()) == list(range(n))
    group = np.repeat(np.arange(len(order.ends)), np.diff(order.ends, prepend=0))
    of_row = np.empty(n, dtype=np.int64)
    of_row[order.rows] = group
    for row, parent in enumerate(parents):
        assert parent < 0 or of_row[row] == of_row[parent]
    if len(order.ends):
        assert len(set(of_row.tolist())) == len(set(lineages(n, parents).tolist()))


def test_each_stratum_comes_first_by_turns():
    # Stratum 1 has three rows of a thousand; two are kept, and stand among the first rows.
    rows, numbers = np.arange(1_000), np.isin(np.arange(1_000), [200, 500, 800]).astype(np.int64)
    order = sample_order(1_000, np.full(1_000, -1), [Strata(rows, numbers, keeps=2)])
    assert len(set(order.rows[:4].tolist()) & {200, 500, 800}) == 2


def test_a_huge_family_is_cut_into_parts():
    parents = np.arange(-1, 1_199)  # one chain of 1,200 rows
    order = sample_order(1_200, parents, [])
    assert sorted(np.diff(order.ends, prepend=0).tolist()) == [200, 500, 500]


def test_map_keeps_labels_apart_and_in_the_picture():
    generator = np.random.default_rng(5)
    n_rows, n_tags = 4_000, 60
    counts = np.sort(generator.integers(40, 900, n_tags))[::-1]
    rows = np.concatenate([np.sort(generator.choice(n_rows, count, replace=False)) for count in counts])
    tags = np.repeat(np.arange(n_tags), counts)
    names = [f"tag number {k}" for k in range(n_tags)]
    drawn = tag_map(rows, tags, counts, names, n_rows)
    assert drawn is not None
    boxes = [(x - w / 2, x + w / 2, y - h / 2, y + h / 2) for _, x, y, w, h, *_ in drawn["tags"]]
    assert all(a >= 0 and b <= WIDTH and c >= 0 and d <= HEIGHT for a, b, c, d in boxes)
    covered = [
        (p, q)
        for p, a in enumerate(boxes)
        for q, b in enumerate(boxes[:p])
        if a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]
    ]
    assert covered == []


def test_map_links_tags_that_go_together():
    # a and b always occur together, c and d too; e with either at random.
    sets = [["a", "b", "e"], ["c", "d"], ["a", "b"], ["c", "d", "e"]] * 25
    head, _ = render("t", {"default": Dataset.from_dict({"instruction": [str(n) for n in range(100)], "tags": sets})})
    names = head["strings"]
    links = {
        (names[head["map"]["tags"][a][0]], names[head["map"]["tags"][b][0]]): (n, lift)
        for a, b, n, lift in head["map"]["links"]
    }
    assert links == {("a", "b"): (50, 2.0), ("c", "d"): (50, 2.0)}


def test_map_needs_three_tags():
    rows = Dataset.from_dict({"instruction": ["a", "b"], "tags": [["x"], ["y"]]})
    assert render("t", {"default": rows})[0]["map"] is None


def test_taking_rows_reads_any_chunk_layout():
    table = pa.table({"instruction": [str(n) for n in range(10)]})
    chunked = pa.concat_tables([table.slice(0, 3), table.slice(3, 0), table.slice(3, 6), table.slice(9)])
    rows = ReleaseRows.of({"default": Dataset(chunked)})
    assert rows.block(np.array([9, 0, 3, 3]))["instruction"].to_pylist() == ["9", "0", "3", "3"]
