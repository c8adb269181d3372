"""`tagsmith diff`: what a reader sees, as text and as a picture, and what a shell gets."""

import json
import struct
from pathlib import Path

import pytest
from datasets import Dataset
from huggingface_hub import HfApi
from hypothesis import given
from hypothesis import strategies as st

from tagsmith.cards.diff import compare_releases
from tagsmith.cards.diff_picture import draw_diff
from tagsmith.cards.diff_report import report
from tagsmith.cards.diff_words import change, fit, one_line, pad, width
from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.opened_release import open_release
from tagsmith.recipes.cli import main

ROWS_A = {
    "id": ["r", "s", "t"],
    "instruction": ["Read the text aloud.", "Sing.", "Talk."],
    "tags": [["reading", "voice"], ["music"], ["voice"]],
}
ROWS_B = {
    "id": ["s", "t", "v"],
    "instruction": ["Sing.", "Talk.", "Vote\nnow."],
    "tags": [["music", "voice"], ["voice"], ["politics"]],
    "n": [1, 2, 3],
}
VOCABULARY_A = {"raw": ["Voice", "song"], "canonical": ["voice", None], "count": [2, 1]}
VOCABULARY_B = {"raw": ["Voice", "song"], "canonical": ["voice", "music"], "count": [2, 1]}


def write(folder: Path, configs, **changes) -> Path:
    facts = {}
    for n, (config, columns) in enumerate(configs.items()):
        place = "data" if n == 0 else config
        (folder / place).mkdir(parents=True)
        Dataset.from_dict(columns).to_parquet(folder / place / "train-00000-of-00001.parquet")
        rows = len(next(iter(columns.values())))
        facts[config] = {"train": {"rows": rows, "content_hash": "0", "path": f"{place}/train-*.parquet"}}
    manifest = {"tagsmith_format": 1, "default": next(iter(configs)), "configs": facts, "config": {"alpha": 2}}
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))
    return folder


@pytest.fixture
def two(tmp_path, monkeypatch):
    """Folders `a` and `b` here."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a", {"default": ROWS_A, "vocabulary": VOCABULARY_A})
    write(tmp_path / "b", {"default": ROWS_B, "vocabulary": VOCABULARY_B}, config={"alpha": 4})
    return tmp_path


def tagsmith(capsys, *words):
    status = main(["diff", *words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def compared(limit=5):
    return compare_releases(open_release("a"), open_release("b"), limit=limit)


# --- text -----------------------------------------------------------------------------------------------------------


def test_the_report_says_it_all(two):
    assert (
        report(compared())
        == """\
A  a
B  b
≠  differ in 2 of 2 splits

Rows                                     A         B   removed     added   changed
  default/train                          3         3         1         1         1
  vocabulary/train                       2         2         –         –         1

Columns
  default/train                 + n (int64)
                                differ: tags 1
  vocabulary/train              differ: canonical 1

Tags of default/train                    A         B
  tagged rows                            3         3
  different tags                         3         3   1 came, 1 went
  diversity                          75.0%     75.0%   share of all 4 tags
  complexity                          1.33      1.33   tags a row
  share of rows that carry
  + politics                          0.0%     33.3%   +33.3 points
  − reading                          33.3%      0.0%   −33.3 points

Vocabulary                               A         B
  raw tags                               2         2   0 came, 0 went
  canonical tags                         1         2   raw tags that became another: 1
    song                        dropped → music

Made differently
  settings  alpha                            2 → 4

Examples of default/train
  − r  Read the text aloud.
  + v  Vote now.
  ~ s  Sing.
      tags                + voice
"""
    )


def test_less_is_shown_where_less_is_asked_for(two):
    text = report(compared(0), 0)
    assert "Examples" not in text
    assert "Read the text" not in text
    assert "and 2 more with another share" in text
    assert "and 1 more\n" in text


def test_what_is_equal_takes_a_line(two):
    diff = compare_releases(open_release("a"), open_release("a"))
    assert report(diff).splitlines()[2:] == [
        "=  the same rows",
        "",
        "Rows                                     A         B   removed     added   changed",
        "  default/train                          3         3         –         –         –   equal",
        "  vocabulary/train                       2         2         –         –         –   equal",
    ]


@pytest.mark.parametrize(
    ("configs", "changes", "head", "note"),
    [
        ({"default": ROWS_A}, {"config": {"alpha": 9}}, "=  the same rows, made differently", "equal"),
        (
            {"default": {name: values[::-1] for name, values in ROWS_A.items()}},
            {},
            "≠  the same rows, in another order",
            "other order",
        ),
        ({"default": ROWS_A, "more": {"id": ["x"]}}, {}, "≠  differ in 1 of 2 splits", "equal"),
    ],
)
def test_the_head_says_what_kind_of_difference_there_is(two, configs, changes, head, note):
    write(two / "x", {"default": ROWS_A})
    write(two / "y", configs, **changes)
    lines = report(compare_releases(open_release("x"), open_release("y"))).splitlines()
    assert lines[2] == head
    assert lines[5].endswith(f"   {note}")


def test_repeated_ids_lone_configs_and_types_are_noted(two):
    write(two / "x", {"default": {"id": ["r", "r"], "n": [1, 2], "m": [1, 2]}, "old": {"id": ["o"]}})
    write(two / "y", {"default": {"id": ["r", "s"], "n": ["1", "2"], "m": [1.0, 2.0]}})
    text = report(compare_releases(open_release("x"), open_release("y")))
    assert "  old/train                              1                   1         –         –   only in A" in text
    assert "n was int64, is string (not compared)" in text
    assert "m was int64, is double" in text
    assert "rows that repeat the id of another: A 1, B 0" in text


NASTY = [
    "\x1b[2J\x07 gone",
    "漢字" * 60,
    "a\u202eb" * 40,
    "é́" * 200,
    "👩‍👩‍👧" * 40,
    "x" * 500,
    "",
    "tab\tnew\nline",
    "−→…",
]


def test_no_line_is_wider_than_the_terminal_and_none_orders_it_about(two):
    rows = {"id": NASTY, "instruction": NASTY, "tags": [[text] for text in NASTY], "x" * 150: NASTY}
    write(two / "x", {"default": rows, "v" * 120: {"id": NASTY}, "vocabulary": VOCABULARY_A | {"raw": NASTY[:2]}})
    other = {"id": NASTY, "instruction": NASTY[::-1], "tags": [[text] for text in NASTY[::-1]], "y" * 150: NASTY}
    settings = {name: name for name in NASTY}
    write(two / "y", {"default": other, "vocabulary": VOCABULARY_B | {"raw": NASTY[:2]}}, config=settings)
    text = report(compare_releases(open_release("x"), open_release("y")), 10)
    assert max(map(width, text.splitlines())) == 100
    assert not set(text) & set("\x1b\x07\t\u202e")
    draw_diff(compare_releases(open_release("x"), open_release("y")), two / "nasty.png")
    assert png_size(two / "nasty.png")[0] == 1600


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (2, 4, "2 → 4"),
        (None, "x", "null → x"),
        (0.1 + 0.2, "", '0.3 → ""'),
        (["x", "y", "y"], ["y", "z"], "− x, − y, + z"),
        (["x", "y"], ["y", "x"], "x, y → y, x"),
        ([], None, "[] → null"),
        ([{"role": "user"}], [{"role": "tool"}], "− role: user, + role: tool"),
        ("Why is the sky blue at noon, and not red?", "Why is the sky blue at noon, and why not red?",
         "…at noon, and not red? → …at noon, and why not red?"),
        ("a" * 100, "b", f"{'a' * 55}… → b"),
        ("a" * 100, "b" * 100, f"{'a' * 27}… → {'b' * 28}…"),
    ],
)  # fmt: skip
def test_a_change_in_words(before, after, said):
    assert change(before, after, 60) == said


@given(st.text(max_size=30), st.integers(1, 20), st.booleans())
def test_padded_text_has_its_width(text, columns, right):
    line = one_line(text)
    assert "\n" not in line
    assert width(pad(line, columns, right=right)) == columns
    assert fit(line, 100) == line


# --- picture --------------------------------------------------------------------------------------------------------


def png_size(path):
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


def test_the_picture_is_drawn_in_two_themes_the_same_each_time(two):
    diff = compared()
    for name, theme in (("light.png", "light"), ("again.png", "light"), ("dark.png", "dark")):
        draw_diff(diff, name, theme)
    light, again, dark = (Path(name).read_bytes() for name in ("light.png", "again.png", "dark.png"))
    assert light == again
    assert light != dark
    assert png_size(Path("light.png")) == png_size(Path("dark.png"))
    assert png_size(Path("light.png"))[0] == 1600


def test_without_tags_the_picture_has_the_rows_alone(two):
    write(two / "x", {"default": {"id": ["r"]}})
    draw_diff(compare_releases(open_release("x"), open_release("x")), "rows.png")
    draw_diff(compared(), "both.png")
    assert png_size(Path("rows.png"))[1] < png_size(Path("both.png"))[1]


def test_nothing_to_draw_and_nowhere_to_draw_it(two):
    write(two / "x", {"default": {"id": []}})
    diff = compare_releases(open_release("x"), open_release("x"))
    with pytest.raises(ReleaseError, match="have no rows there, so there is nothing to draw"):
        draw_diff(diff, "x.png")
    with pytest.raises(ReleaseError, match="could not be written"):
        draw_diff(compared(), two / "nowhere" / "x.png")


# --- command line ---------------------------------------------------------------------------------------------------


def test_the_exit_status_is_that_of_diff(two, capsys):
    status, out, err = tagsmith(capsys, "a", "b")
    assert (status, err) == (1, "")
    assert out.startswith("A  a\nB  b\n≠  differ in 2 of 2 splits\n")
    status, out, err = tagsmith(capsys, "a", "a")
    assert (status, err) == (0, "")
    assert "=  the same rows" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a", "nowhere"], "nowhere is no folder here"),
        (["a"], "the following arguments are required: B"),
        (["a", "b", "--config", "tree"], "has a config 'tree'; they have default, vocabulary"),
        (["a", "b", "--limit", "-1"], "limit is a number of rows from 0, got -1"),
        (["a", "b", "--limit", "some"], "invalid int value: 'some'"),
        (["a", "b", "--picture", "diff.jpg"], "must be a .png file in a folder that exists"),
        (["a", "b", "--picture", "nowhere/diff.png"], "must be a .png file in a folder that exists"),
        (["a", "b", "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_an_error_is_one_line_and_status_two(two, capsys, words, said):
    status, out, err = tagsmith(capsys, *words)
    assert (status, out) == (2, "")
    assert err.startswith("tagsmith: error: ")
    assert said in err
    assert err.count("\n") == 1


def test_one_config_is_compared_alone(two, capsys):
    _, out, _ = tagsmith(capsys, "a", "b", "--config", "vocabulary")
    assert "≠  differ in 1 of 1 splits" in out
    assert "default" not in out
    assert "dropped → music" in out


def test_json_and_picture_at_once(two, capsys):
    status, out, _ = tagsmith(capsys, "a", "b", "--json", "--limit", "1", "--picture", "d.png", "--theme", "dark")
    plain = json.loads(out)
    assert (status, plain["equal"]) == (1, False)
    assert [split["config"] for split in plain["splits"]] == ["default", "vocabulary"]
    assert plain["made"] == [{"section": "settings", "name": "alpha", "a": 2, "b": 4}]
    assert png_size(Path("d.png"))[0] == 1600
    _, out, _ = tagsmith(capsys, "a", "b", "--picture", "e.png")
    assert out.endswith("\n\nPicture  e.png\n")


def test_json_holds_what_json_has_no_word_for(two, capsys):
    write(two / "x", {"default": {"id": ["r"], "x": [float("nan")], "bytes": [b"\xff"]}})
    write(two / "y", {"default": {"id": ["r"], "x": [1.0], "bytes": [b"\xfe"]}})
    _, out, _ = tagsmith(capsys, "x", "y", "--json")
    (example,) = json.loads(out)["splits"][0]["examples"]
    assert example["before"] == {"bytes": "b'\\xff'", "x": None}


def test_help_teaches(two, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["diff", "--help"])
    out = capsys.readouterr().out
    assert caught.value.code == 0
    assert "tagsmith diff org/name@v1.0.0 org/name@v2.0.0" in out
    assert "Exit status: 0 when every config" in out


def test_two_tags_of_one_repository(two, capsys, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    files = [{str(p.relative_to(two / n)): p.read_bytes() for p in (two / n).rglob("*.*")} for n in ("a", "b")]
    hub.create("dataset", "lab/x", files=files[0])
    HfApi().create_tag("lab/x", tag="v1", repo_type="dataset")
    hub.repo("dataset", "lab/x").commit(files[1], "second")
    HfApi().create_tag("lab/x", tag="v2", repo_type="dataset")
    status, out, _ = tagsmith(capsys, "lab/x@v1", "lab/x@v2")
    _, here, _ = tagsmith(capsys, "a", "b")
    assert status == 1
    assert out == here.replace("A  a\nB  b", "A  lab/x@v1\nB  lab/x@v2")
    assert tagsmith(capsys, "lab/x@v2", "b")[0] == 0
    status, _, err = tagsmith(capsys, "lab/x@v1", "lab/x@v3")
    assert status == 2
    assert err.splitlines()[-1].startswith("tagsmith: error: lab/x@v3: lab/x has no tag v3; its page lists its tags: ")
