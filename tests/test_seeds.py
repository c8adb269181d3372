"""The shipped seed dataset keeps what it promises: counts, languages, conversations, awkward rows, and its loader."""

import json
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable
from importlib.resources import files
from itertools import combinations
from typing import Any

import pytest
from datasets import Dataset, Features, List, Value

from tagsmith.processors.seeds import load_seeds

KEYS = ["instruction", "response", "messages", "category", "language"]
MINIMUM_ROWS = {
    "everyday": 60,
    "reasoning": 35,
    "mathematics": 40,
    "code": 45,
    "writing": 40,
    "extraction": 30,
    "safety": 20,
    "conversation": 14,
    "multilingual": 30,
    "awkward": 20,
}


def seed_lines() -> list[str]:
    path = files("tagsmith.processors") / "seeds" / "seeds.jsonl"
    # Not splitlines(): it would also split at characters inside a row that only some programs take for a line end.
    return path.read_bytes().decode("utf-8").removesuffix("\n").split("\n")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in seed_lines()]


@pytest.fixture(scope="module")
def seeds() -> Dataset:
    return load_seeds()


@pytest.fixture(scope="module")
def awkward(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["category"] == "awkward"]


def test_every_line_has_the_same_keys_in_the_same_order(rows: list[dict[str, Any]]) -> None:
    assert [list(row) for row in rows] == [KEYS] * len(rows)


def test_the_file_is_small_and_splits_into_the_same_lines_by_any_rule() -> None:
    lines = seed_lines()
    size = sum(len(line.encode()) + 1 for line in lines)
    assert size < 400_000
    # U+2028 in a value is written as an escape, so that tools which take it for a line end read the file as well.
    assert "\n".join(lines).splitlines() == lines


def test_counts_by_category(rows: list[dict[str, Any]]) -> None:
    counts = Counter(row["category"] for row in rows)
    assert len(rows) >= 300
    assert set(counts) == set(MINIMUM_ROWS)
    assert {name: counts[name] for name, least in MINIMUM_ROWS.items() if counts[name] < least} == {}


def test_languages(rows: list[dict[str, Any]]) -> None:
    languages = Counter(row["language"] for row in rows)
    assert all(re.fullmatch("[a-z]{2}", code) for code in languages)
    assert len(languages) >= 6
    multilingual = {row["language"] for row in rows if row["category"] == "multilingual"}
    assert "en" not in multilingual
    assert multilingual >= {"de", "fr", "es", "it", "pt", "zh", "ja", "ar", "he", "hi", "ru", "tr"}


@pytest.mark.parametrize(
    ("language", "script"),
    [
        ("ar", "ARABIC"),
        ("he", "HEBREW"),
        ("hi", "DEVANAGARI"),
        ("ja", "HIRAGANA"),
        ("ko", "HANGUL"),
        ("ru", "CYRILLIC"),
        ("zh", "CJK"),
    ],
)
def test_answers_keep_the_script_of_the_question(rows: list[dict[str, Any]], language: str, script: str) -> None:
    chosen = [row for row in rows if row["category"] == "multilingual" and row["language"] == language]
    assert chosen
    for row in chosen:
        for column in ("instruction", "response"):
            assert any(unicodedata.name(char, "").startswith(script) for char in row[column]), row[column]


def test_a_row_is_either_a_request_or_a_conversation(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        is_request = isinstance(row["instruction"], str) and isinstance(row["response"], str)
        is_conversation = isinstance(row["messages"], list)
        assert is_request != is_conversation, row
        assert is_conversation == (row["category"] == "conversation"), row
        assert (row["instruction"] is None) == (row["response"] is None) == is_conversation, row


def test_instructions_are_unique_and_not_blank(rows: list[dict[str, Any]]) -> None:
    # Case, spacing and punctuation aside, so that a retyped instruction is found too ("?" is nothing but punctuation).
    bare = Counter(
        " ".join(re.findall(r"\w+", row["instruction"].casefold())) or row["instruction"]
        for row in rows
        if row["messages"] is None
    )
    assert [text for text, count in bare.items() if count > 1] == []
    assert all(text.strip() for text in bare)


def test_no_two_instructions_are_nearly_the_same(rows: list[dict[str, Any]]) -> None:
    # Shared words over all words of a pair; "What's the difference between a … and a …?" twice reaches one half.
    words = [set(re.findall(r"\w+", row["instruction"].casefold())) for row in rows if row["messages"] is None]
    pairs = [(a, b) for a, b in combinations(words, 2) if a & b and len(a & b) / len(a | b) > 0.6]
    assert pairs == []


def test_conversations_alternate_and_end_with_the_assistant(rows: list[dict[str, Any]]) -> None:
    conversations = [row["messages"] for row in rows if row["messages"] is not None]
    with_system = 0
    for messages in conversations:
        assert all(list(message) == ["role", "content"] and message["content"].strip() for message in messages)
        roles = [message["role"] for message in messages]
        if roles[0] == "system":
            with_system += 1
            roles = roles[1:]
        turns = roles.count("user")
        assert roles == ["user", "assistant"] * turns
        assert 2 <= turns <= 5
    assert len(conversations) >= 12
    assert with_system >= 2


AWKWARD: dict[str, tuple[int, Callable[[str], bool]]] = {
    "3,000 characters": (1, lambda text: 2_500 <= len(text) < 3_500),
    "6,000 characters": (1, lambda text: 5_500 <= len(text) < 6_500),
    "question mark only": (1, lambda text: text == "?"),
    "one word": (1, lambda text: re.fullmatch(r"[A-Za-z]+", text) is not None),
    "emoji only": (1, lambda text: not re.search(r"\w|[!-~]", text)),
    "no text after the colon": (1, lambda text: text.endswith("Text:\n")),
    "Jinja expression": (1, lambda text: "{{ x }}" in text),
    "Jinja statement": (1, lambda text: "{% if y %}" in text),
    "Windows path": (1, lambda text: r"C:\new\table.txt" in text),
    "regular expression": (1, lambda text: r"\d+" in text),
    "LaTeX command": (1, lambda text: r"\sqrt{}" in text),
    "code fence": (1, lambda text: "```" in text),
    "f-string braces": (1, lambda text: "{{{x}}}" in text),
    "HTML script": (1, lambda text: "<script>" in text),
    "JSON as the whole instruction": (1, lambda text: text.startswith("{") and text.endswith("}")),
    "YAML front matter": (1, lambda text: "\n---\n" in text),
    "tab": (1, lambda text: "\t" in text),
    "CRLF": (1, lambda text: "\r\n" in text),
    "zero-width joiner": (1, lambda text: "\u200d" in text),
    "right-to-left mark": (1, lambda text: "\u200f" in text),
    "line separator": (1, lambda text: "\u2028" in text),
    "combining accent": (1, lambda text: "\u0301" in text),
    "surrounding whitespace": (1, lambda text: text != text.lstrip()),
    "opening marker of our prompts": (1, lambda text: "[request starts]" in text),
    "closing marker of our prompts": (2, lambda text: "[request ends]" in text),
    "order to the model": (2, lambda text: "Answer with JSON alone" in text),
    "chat control token": (1, lambda text: "<|im_start|>" in text),
}


@pytest.mark.parametrize("kind", AWKWARD)
def test_awkward_instructions_are_there(awkward: list[dict[str, Any]], kind: str) -> None:
    expected, is_kind = AWKWARD[kind]
    found = [row["instruction"] for row in awkward if is_kind(row["instruction"])]
    assert len(found) == expected, found


def test_one_response_is_empty_and_none_is_missing(rows: list[dict[str, Any]]) -> None:
    empty = [row for row in rows if row["messages"] is None and not row["response"].strip()]
    assert [row["response"] for row in empty] == [""]
    assert empty[0]["category"] == "awkward"


def test_awkward_responses(awkward: list[dict[str, Any]]) -> None:
    raw = [row["response"] for row in awkward if "{% raw %}{{ x }}" in row["response"]]
    formula = [row["response"] for row in awkward if r"\frac{-b \pm \sqrt{b^2 - 4ac}}{2a}" in row["response"]]
    assert (len(raw), len(formula)) == (1, 1)


def test_two_awkward_instructions_are_written_from_right_to_left(awkward: list[dict[str, Any]]) -> None:
    from_right = [
        row["language"]
        for row in awkward
        if any(unicodedata.bidirectional(c) in ("R", "AL") for c in row["instruction"])
    ]
    # The mark U+200F alone is of class R; both rows hold letters.
    assert sorted(from_right) == ["ar", "he"]


def test_load_seeds_gives_the_rows_of_the_file(seeds: Dataset, rows: list[dict[str, Any]]) -> None:
    assert seeds.to_list() == rows


def test_load_seeds_types_its_nulls(seeds: Dataset) -> None:
    text = Value("string")
    assert seeds.features == Features(
        {
            "instruction": text,
            "response": text,
            "messages": List({"role": text, "content": text}),
            "category": text,
            "language": text,
        }
    )
    # A slice without any conversation keeps the type, so that it can be joined with another dataset.
    requests_only = seeds.filter(lambda category: category != "conversation", input_columns="category")
    assert requests_only.features == seeds.features
    assert set(requests_only["messages"]) == {None}


def test_importing_the_seeds_does_not_import_datasets() -> None:
    code = "import sys, tagsmith.processors.seeds; print('datasets' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
