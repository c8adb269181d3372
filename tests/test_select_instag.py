"""The recipe from a user's point of view: rows in by a command, a folder out that `load_dataset` opens."""

import asyncio
import io
import json
import re
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from datasets import Dataset, load_dataset

from tagsmith.cards.content_hash import content_hash
from tagsmith.cards.release import load_config
from tagsmith.processors.endpoint.offline.server import OfflineServer
from tagsmith.processors.endpoint.offline.settings import OfflineSettings
from tagsmith.processors.instag.complexity_first import ComplexityFirstSelector
from tagsmith.recipes.cli import main

N = 8


def _chat(*texts: str, system: str | None = None) -> list[dict[str, str]]:
    roles = ["user", "assistant"] * len(texts)
    turns = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
    return [{"role": "system", "content": system}, *turns] if system else turns


SINGLE = [
    ("Write a poem about the sea at night.", "", "The tide is dark."),
    ("Write a short story about a dragon who is afraid of fire.", "", "Once there was Ember."),
    ("Translate the sentence into French.", "The weather is lovely today.", "Il fait beau."),
    ("Summarize the paragraph in one sentence.", "Bees dance to tell others where flowers are.", "Bees dance."),
    ("Explain how photosynthesis works to a ten-year-old, in at most three sentences.", "", "Plants eat light."),
    ("Fix the bug in this Python function.", "def add(a, b):\n    return a - b", "return a + b"),
    ("Write a SQL query that counts the orders of each customer, sorted by number.", "", "SELECT …"),
    ("What is 17 times 23? Show each step.", "", "391"),
    ("Solve the equation 3x + 5 = 20.", "", "x = 5"),
    ("Classify the sentiment of this review as positive or negative.", "The food was cold.", "negative"),
    ("Extract all dates from the text as a JSON list.", "We met on 3 May 2021 and 7 June 2022.", "[…]"),
    ("Give me a recipe for a vegan chocolate cake, with a shopping list in a table.", "", "Flour …"),
    ("Plan a three-day trip to Lisbon for a family with two children.", "", "Day 1 …"),
    ("Compare solar and wind energy in a table, then recommend one for a small island.", "", "| solar |"),
    ("Write a formal email to decline a job offer, politely and briefly.", "", "Dear …"),
    ("Who wrote Pride and Prejudice?", "", "Jane Austen"),
    ("Brainstorm ten names for a bakery.", "", "1. Crumb"),
    ("Rewrite the sentence in the passive voice.", "The cat chased the mouse.", "The mouse was chased."),
    ("Write unit tests in Python with pytest for a function that reverses a list.", "", "def test_…"),
    ("Explain the difference between a list and a tuple in Python, with an example.", "", "A tuple …"),
    ("Act as a pirate and tell me about the weather.", "", "Arr"),
    ("How do I remove a coffee stain from a cotton shirt?", "", "Cold water."),
    ("Escribe un poema corto sobre la lluvia.", "", "Llueve."),
    ("Erkläre mir den Unterschied zwischen Wetter und Klima.", "", "Das Wetter …"),
    ("اكتب قصة قصيرة عن البحر", "", "كان"),
    ("用三句话解释什么是通货膨胀。", "", "通货膨胀"),
    ("What does {{ name }} mean in Jinja, and what is {% if %}?", "", "A placeholder."),
    ("Why does C:\\temp\\new break in \"quotes\"? {'a': [1, 2}]", "", "Escapes."),
    ("Describe this emoji: 🦊🔥", "", "A fox on fire."),
    ("Summarize the following report. " + "The harvest was good in the north and poor in the south. " * 150, "", "So."),
    ("Write a poem about the sea at night.", "", "The tide is dark."),  # the first row again
    ("Who wrote Pride and Prejudice?", "", "Miss Austen"),  # another answer to the same request
    (" \n ", "", "Nothing was asked."),
]
CONVERSATIONS = [
    _chat("Write a haiku about autumn.", "Leaves fall …", "Now translate it into German."),
    _chat("What is a prime number?", "…", "List the first ten.", "…", "Write Python code that checks one."),
    _chat("Hello!", "Hi.", "Plan a birthday party for a child.", "…", system="You are a cheerful helper."),
    _chat("Write a haiku about autumn.", "Rain …"),
    _chat("Summarize the plot of Hamlet.", "…", "", "…", "Make it rhyme."),
    _chat("Debug this code:\n```python\nprint(1/0)\n```", "…", "Thanks! Explain exceptions in detail."),
    _chat("What is the capital of France?", "Paris", "And of Spain?", "Madrid"),
]
# `model` and `tags` are names that the recipe writes: what the source has under them must survive.
ROWS: list[dict[str, Any]] = [
    {"number": number, "instruction": text, "input": extra, "output": answer, "messages": None, "model": "human"}
    for number, (text, extra, answer) in enumerate(SINGLE)
] + [
    {"number": number, "instruction": None, "input": None, "output": None, "messages": chat, "model": "human"}
    for number, chat in enumerate(CONVERSATIONS, len(SINGLE))
]
for _row in ROWS:
    _row |= {"tags": ["mine"], "dropped_tags": "also mine"}
BLANK = 32  # the row that asks nothing


def asked_by(row: dict[str, Any]) -> list[str]:
    """What is asked about a row: each user turn with text in it."""
    if row["messages"]:
        texts = [turn["content"] for turn in row["messages"] if turn["role"] == "user"]
    else:
        texts = [row["instruction"] + ("\n\n" + row["input"] if row["input"] else "")]
    return [text for text in texts if text.strip()]


ASKED = [text for row in ROWS for text in asked_by(row)]
DISTINCT = len(set(ASKED))


@dataclass
class Outcome:
    status: int
    out: str
    err: str
    folder: Path

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.folder / "manifest.json").read_text())

    @property
    def counts(self) -> dict[str, Any]:
        return self.manifest["counts"]

    @property
    def hashes(self) -> dict[str, str]:
        return {name: splits["train"]["content_hash"] for name, splits in self.manifest["configs"].items()}

    @property
    def table(self) -> dict[str, str]:
        """The figures that were printed, by name."""
        lines = [line[2:].split("  ", 1) for line in self.out.splitlines() if line.startswith("  ")]
        return {name.strip(): value.strip() for name, value in lines}

    def config(self, name: str) -> Dataset:
        return load_config(self.folder, name)["train"]


def flags_of(output: str, store: str = "store.sqlite", dataset: str = "rows.jsonl") -> list[str]:
    own = ["--n", str(N), "--alpha", "1", "--min_support", "3"]
    return ["run", "select-instag", "--dataset", dataset, "--store", store, "--output", output, *own]


def recipe(output: str, *more: str, drawn: bool = False, **where: str) -> Outcome:
    """The recipe in this process. Pictures take most of a small run's time, so they are drawn where a test wants."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        if not drawn:
            patch.setattr("tagsmith.recipes.select_instag.pictures", lambda *_: [])
        status = main([*flags_of(output, **where), *more])
    return Outcome(status, out.getvalue(), err.getvalue(), Path(output))


def stored(store: str) -> int:
    """Replies in a store."""
    with sqlite3.connect(store) as connection:
        return int(connection.execute("SELECT COUNT(*) FROM generations").fetchone()[0])


def write_rows(path: str, rows: list[dict[str, Any]]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


class Loopback:
    """The offline answers over HTTP, from a thread. `asked` holds the requests; those with a text in `refused` get 429.

    Told to come back in a day, the client gives up at once, so that no test waits for a deadline.
    """

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.refused: list[bytes] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "Loopback":
        self._thread.start()
        self.uri = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> str:
        app = OfflineServer(OfflineSettings()).app()
        app.middlewares.append(self._watch)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    @web.middleware
    async def _watch(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.method == "POST":
            body = await request.read()
            if any(text in body for text in self.refused):
                return web.Response(status=429, headers={"Retry-After": "86400"})
            self.asked.append(body)
        return await handler(request)


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's working folder with the dataset in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        write_rows("rows.jsonl", ROWS)
        yield Path.cwd()


@pytest.fixture(scope="module")
def clean(folder: Path) -> Outcome:
    """The first run: everything is asked."""
    outcome = recipe("out", drawn=True)
    assert outcome.status == 0, outcome.err
    return outcome


def test_each_config_with_rows_opens_with_load_dataset(clean: Outcome) -> None:
    rows_of = {name: splits["train"]["rows"] for name, splits in clean.manifest["configs"].items()}
    assert set(rows_of) == {"default", "tagged", "rejected", "vocabulary", "rules", "generations", "source"}
    assert rows_of["default"] == N
    assert rows_of["tagged"] == len(ROWS) - 1
    assert rows_of["rejected"] == 1
    for name in (name for name, rows in rows_of.items() if rows):
        opened = load_dataset(str(clean.folder), name, split="train")
        assert len(opened) == rows_of[name]
        assert content_hash(opened) == clean.hashes[name]
    assert len(load_dataset(str(clean.folder))["train"]) == N


def test_each_row_is_tagged_or_rejected_and_its_columns_survive(clean: Outcome) -> None:
    tagged, rejected = clean.config("tagged"), clean.config("rejected")
    assert sorted([*tagged["number"], *rejected["number"]]) == list(range(len(ROWS)))
    assert list(rejected["number"]) == [BLANK]
    assert rejected[0]["reason"].startswith("empty_instruction:")
    ids = [*tagged["id"], *rejected["id"]]
    assert len(set(ids)) == len(ids)
    for row in [*tagged, *rejected]:
        source = ROWS[row["number"]]
        assert (row["input"], row["output"], row["source_tags"]) == (source["input"], source["output"], ["mine"])
        assert (row["source_model"], row["source_dropped_tags"]) == ("human", "also mine")
        if source["messages"]:
            assert row["messages"] == source["messages"]
        else:
            assert [row["instruction"]] == (asked_by(source) or [" \n "])


def test_the_selection_is_the_selectors_in_pick_order(clean: Outcome) -> None:
    tagged, chosen = clean.config("tagged"), clean.config("default")
    rows, passes = ComplexityFirstSelector(N).select(tagged)
    assert list(chosen["id"]) == [tagged[int(row)]["id"] for row in rows]
    assert list(chosen["pick_number"]) == list(range(N))
    assert list(chosen["pass_number"]) == passes.tolist()
    assert [row for row, taken in enumerate(tagged["selected"]) if taken] == sorted(rows.tolist())
    # The first pick has the most tags of all.
    assert len(set(chosen[0]["tags"])) == max(len(set(tags)) for tags in tagged["tags"])


def test_generations_hold_each_reply_once(clean: Outcome) -> None:
    used = [key for name in ("tagged", "rejected") for keys in clean.config(name)["generation_keys"] for key in keys]
    generations = clean.config("generations")
    assert len(used) == len(ASKED)
    assert sorted(set(used)) == sorted(generations["key"])
    assert len(generations) == DISTINCT
    sent = {json.loads(content)[0]["content"] for content in generations["content"]}
    assert all(any(text in prompt for prompt in sent) for text in ASKED)


def test_the_vocabulary_explains_each_tag(clean: Outcome) -> None:
    tagged, vocabulary = clean.config("tagged"), clean.config("vocabulary")
    canonical = dict(zip(vocabulary["raw"], vocabulary["canonical"], strict=True))
    rows_with = Counter(tag for raw in tagged["raw_tags"] for tag in set(raw))
    assert canonical.keys() == rows_with.keys()
    assert dict(zip(vocabulary["raw"], vocabulary["count"], strict=True)) == rows_with
    for row in tagged:
        named = [canonical[raw] for raw in row["raw_tags"] if canonical[raw] is not None]
        assert row["tags"] == list(dict.fromkeys(named))
        assert row["dropped_tags"] == [raw for raw in row["raw_tags"] if canonical[raw] is None]
        assert row["unseen_tags"] == []


def test_conversations_are_tagged_turn_by_turn(clean: Outcome) -> None:
    by_number = {row["number"]: row for row in clean.config("tagged")}
    first = len(SINGLE)
    for number in range(first, len(ROWS)):
        row = by_number[number]
        texts = [turn["content"] for turn in ROWS[number]["messages"] if turn["role"] == "user"]
        assert len(row["turn_tags"]) == len(texts)
        assert [bool(tags) for tags in row["turn_tags"]] == [bool(text.strip()) for text in texts]
        assert len(row["generation_keys"]) == row["attempts"] == len(asked_by(ROWS[number]))
        assert row["raw_tags"] == list(dict.fromkeys(tag for tags in row["turn_tags"] for tag in tags))
        assert len(row["tag_explanations"]) == len(row["raw_tags"])
    # The same first turn in two conversations is asked once and tagged alike.
    assert by_number[first]["generation_keys"][0] == by_number[first + 3]["generation_keys"][0]
    assert by_number[first]["turn_tags"][0] == by_number[first + 3]["turn_tags"][0]


def test_the_manifest_counts_what_is_there(clean: Outcome) -> None:
    counts, generations = clean.counts, clean.config("generations")
    assert counts["rows_in"] == len(ROWS)
    assert counts["rows_out"] == N
    assert counts["rows_tagged"] == len(clean.config("tagged"))
    assert counts["rejected"] == {"empty_instruction": 1}
    assert counts["requests"] == DISTINCT
    assert counts["store_hits"] == len(ASKED) - DISTINCT
    assert counts["prompt_tokens"] == sum(generations["prompt_tokens"])
    assert counts["reply_tokens"] == sum(generations["reply_tokens"])
    assert (counts["retries"], counts["failed"], counts["unparsed"], counts["repairs"]) == (0, 0, 0, 0)
    for name, splits in clean.manifest["configs"].items():
        assert splits["train"]["rows"] == len(clean.config(name))
        assert splits["train"]["content_hash"] == content_hash(clean.config(name))
    assert clean.manifest["inputs"][0]["rows"] == len(ROWS)
    assert clean.manifest["offline"] is True
    assert str(Path.cwd()) not in json.dumps(clean.manifest)


def test_the_end_of_a_run_says_what_happened(clean: Outcome) -> None:
    table = clean.table
    assert table["rows in"] == str(len(ROWS))
    assert table["tagged"] == str(len(ROWS) - 1)
    assert table["rejected"] == "1 (1 empty_instruction)"
    assert table["requests answered"] == f"{DISTINCT} (0 of them repairs)"
    assert table["found in the store"] == str(len(ASKED) - DISTINCT)
    assert table["load it"] == 'load_dataset("out")'
    assert "tagging: 100%" in clean.err
    assert not re.search("reading rows|Generating|Flattening|Creating|Map", clean.err), "only our own progress bars"


def test_a_second_run_asks_nothing_and_gives_the_same(clean: Outcome) -> None:
    before = stored("store.sqlite")
    again = recipe("again")
    assert again.status == 0
    assert again.counts["requests"] == 0
    assert again.counts["store_hits"] == len(ASKED)
    assert again.table["requests answered"].startswith("0 ")
    assert stored("store.sqlite") == before
    assert again.hashes == clean.hashes


def test_an_older_release_is_replaced_and_may_be_the_input(clean: Outcome) -> None:
    smaller = recipe("again", "--n", "3")
    assert smaller.status == 0, smaller.err
    assert len(load_dataset("again", split="train")) == smaller.counts["rows_out"] == 3
    # A release is a dataset like any other. Its columns are set aside where the new ones need the name.
    onwards = recipe("onwards", "--n", "2", dataset="again")
    assert onwards.status == 0, onwards.err
    assert onwards.counts["requests"] == 0
    columns = onwards.config("tagged").column_names
    assert {"source_source_tags", "source_raw_tags", "source_pick_number"} <= set(columns)
    assert list(onwards.config("tagged")["source_source_tags"]) == list(smaller.config("default")["tags"])


def test_a_subprocess_gives_the_same(clean: Outcome) -> None:
    script = Path(__file__).parents[1] / "recipes" / "select_instag.py"
    command = [sys.executable, str(script), *flags_of("process")[2:]]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    outcome = Outcome(done.returncode, done.stdout, done.stderr, Path("process"))
    assert outcome.counts["requests"] == 0
    assert outcome.hashes == clean.hashes


def test_an_edited_row_asks_only_for_itself(clean: Outcome, loopback: Loopback) -> None:
    edited = [dict(row) for row in ROWS]
    edited[7]["instruction"] = "What is 18 times 23? Show each step."
    write_rows("edited.jsonl", edited)
    prices = ("--prompt_price", "200", "--reply_price", "1000")
    # The same model at another address: its replies are known. The dry run foresees the one that is not.
    foreseen = recipe("edited", "--dry_run", *prices, "--endpoint", loopback.uri, dataset="edited.jsonl")
    assert foreseen.status == 0, foreseen.err
    assert loopback.asked == []
    assert foreseen.table["in the store already"] == str(DISTINCT - 1)
    assert foreseen.table["requests to send"] == "1"
    shown = {name: value.replace(",", "") for name, value in foreseen.table.items()}
    reply_tokens = float(shown[f"reply tokens (mean of {DISTINCT} stored replies)"])
    assert reply_tokens == pytest.approx(clean.counts["reply_tokens"] / DISTINCT, abs=0.5)
    money = (200 * float(shown["prompt tokens (about)"]) + 1000 * reply_tokens) / 1e6
    assert float(shown["cost (about)"]) == pytest.approx(money, abs=1e-3)

    outcome = recipe("edited", "--endpoint", loopback.uri, dataset="edited.jsonl")
    assert outcome.status == 0, outcome.err
    assert outcome.counts["requests"] == len(loopback.asked) == 1
    assert outcome.manifest["offline"] is True, "by whatever address: these are rules, not a model"
    assert outcome.counts["store_hits"] == len(ASKED) - 1
    before = {row["number"]: row["raw_tags"] for row in clean.config("tagged")}
    after = {row["number"]: row["raw_tags"] for row in outcome.config("tagged")}
    assert {number for number in before if before[number] != after[number]} <= {7}


def test_a_dry_run_sends_nothing(clean: Outcome, loopback: Loopback) -> None:
    outcome = recipe("dry", "--dry_run", "--endpoint", loopback.uri, store="dry.sqlite")
    assert outcome.status == 0, outcome.err
    assert loopback.asked == []
    assert stored("dry.sqlite") == 0
    assert not outcome.folder.exists()
    table = outcome.table
    assert table["rows"] == str(len(ROWS))
    assert table["rows rejected unasked"] == "1"
    assert table["distinct requests"] == table["requests to send"] == str(DISTINCT)
    assert table["in the store already"] == "0"
    prompt_tokens = float(table["prompt tokens (about)"].replace(",", ""))
    assert prompt_tokens == pytest.approx(clean.counts["prompt_tokens"], rel=1 / 3)
    # Nothing is known of the model's replies: the bound is the longest that is allowed.
    assert table["reply tokens (upper bound: max_new_tokens)"] == f"{1024 * DISTINCT:,}"
    assert "--prompt_price" in table["cost"]


def test_another_prompt_asks_for_everything_again(clean: Outcome, loopback: Loopback) -> None:
    Path("mine.jinja").write_text("List the intentions of this request as JSON, please.\n\n{{ instruction }}\n")
    outcome = recipe("prompted", "--prompt", "mine.jinja", "--endpoint", loopback.uri)
    assert outcome.status == 0, outcome.err
    assert outcome.counts["requests"] == len(loopback.asked) == DISTINCT
    assert outcome.manifest["prompts"].keys() == {"mine.jinja"}
    assert set(outcome.config("tagged")["prompt_hash"]) == set(outcome.manifest["prompts"].values())
    assert outcome.manifest["prompts"]["mine.jinja"] not in clean.manifest["prompts"].values()


MALFORMED = "offline:?malformed=0.3&fail=0.2&seed=3"


@pytest.fixture(scope="module")
def spoilt(folder: Path) -> Outcome:
    """A run against an endpoint that answers badly and fails now and then; one repair is allowed."""
    return recipe("spoilt", "--endpoint", MALFORMED, "--max_repairs", "1")


def test_no_row_is_lost_when_replies_are_malformed(spoilt: Outcome) -> None:
    assert spoilt.status == 0, spoilt.err
    tagged, rejected = spoilt.config("tagged"), spoilt.config("rejected")
    assert sorted([*tagged["number"], *rejected["number"]]) == list(range(len(ROWS)))
    assert spoilt.counts["retries"] > 0
    assert spoilt.counts["repairs"] > 0
    assert spoilt.counts["rejected"] == {"unparsed": len(rejected) - 1, "empty_instruction": 1}
    assert len(rejected) > 1, "the test needs a row that stayed unreadable"
    replies = {row["key"]: row["text"] for row in spoilt.config("generations")}
    for row in rejected:
        if row["number"] == BLANK:
            continue
        assert row["reason"].startswith("unparsed: ")
        assert len(row["reason"]) > len("unparsed: ")
        assert row["raw_reply"] in [replies[key] for key in row["generation_keys"]]
        assert row["attempts"] == len(row["generation_keys"]) > len(asked_by(ROWS[row["number"]]))
    assert any(rejected["raw_reply"])
    assert spoilt.counts["requests"] == len(replies)


def test_rows_that_were_answered_well_at_once_are_those_of_a_clean_run(spoilt: Outcome) -> None:
    expected = {row["number"]: row for row in recipe("seeded", "--endpoint", "offline:?seed=3").config("tagged")}
    at_once = [row for row in spoilt.config("tagged") if row["attempts"] == len(asked_by(ROWS[row["number"]]))]
    assert len(at_once) >= len(ROWS) / 3
    for row in at_once:
        assert row["raw_tags"] == expected[row["number"]]["raw_tags"]
        assert row["tag_explanations"] == expected[row["number"]]["tag_explanations"]


def test_rejected_rows_are_asked_again_when_more_repairs_are_allowed(spoilt: Outcome) -> None:
    patient = recipe("patient", "--endpoint", MALFORMED, "--max_repairs", "8")
    assert set(patient.counts["rejected"]) == {"empty_instruction"}
    # Only those rows cost anything, and of those only the further repairs.
    assert 0 < patient.counts["requests"] == patient.counts["repairs"]
    before = {row["number"]: row["raw_tags"] for row in spoilt.config("tagged")}
    now = {row["number"]: row["raw_tags"] for row in patient.config("tagged")}
    assert {number: now[number] for number in before} == before


def test_rows_that_got_no_answer_are_asked_again_the_next_time(clean: Outcome, loopback: Loopback) -> None:
    loopback.refused = [b"dragon", b"photosynthesis", b"Lisbon"]
    first = recipe("lost", "--endpoint", loopback.uri, store="lost.sqlite")
    assert first.status == 0, first.err
    assert first.counts["rejected"] == {"endpoint": 3, "empty_instruction": 1}
    assert "429" in next(row["reason"] for row in first.config("rejected") if row["number"] == 1)
    assert first.counts["requests"] == stored("lost.sqlite") == DISTINCT - 3
    loopback.refused = []
    second = recipe("lost", "--endpoint", loopback.uri, store="lost.sqlite")
    assert second.counts["rejected"] == {"empty_instruction": 1}
    assert second.counts["requests"] == 3
    assert len(loopback.asked) == DISTINCT
    assert second.hashes == clean.hashes


def test_a_token_budget_stops_the_run_and_a_larger_one_continues(clean: Outcome) -> None:
    budget = ("--concurrency", "2", "--max_tokens_total")
    stopped = recipe("bounded", *budget, "3000", store="bounded.sqlite")
    assert stopped.status == 3
    assert not stopped.folder.exists()
    *_, said = stopped.err.strip().splitlines()
    assert said.startswith("tagsmith: stopped at 3,")
    assert "max_tokens_total is 3,000" in said
    assert "larger max_tokens_total" in said
    paid = stored("bounded.sqlite")
    assert 0 < paid < DISTINCT
    done = recipe("bounded", *budget, "1000000", store="bounded.sqlite")
    assert done.status == 0, done.err
    assert done.counts["requests"] == DISTINCT - paid
    assert done.hashes == clean.hashes


def test_the_shipped_demo(folder: Path) -> None:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(["run", "select-instag", "--config", "demo", "--store", "demo.sqlite", "--output", "demo"])
    assert status == 0, err.getvalue()
    demo = Outcome(status, out.getvalue(), err.getvalue(), Path("demo"))
    assert demo.counts["rows_in"] >= 300
    assert demo.counts["rows_out"] == len(load_dataset("demo", split="train")) == 60
    assert demo.counts["rows_tagged"] + sum(demo.counts["rejected"].values()) == demo.counts["rows_in"]
    assert demo.counts["requests"] == stored("demo.sqlite") == len(demo.config("generations"))
    for name in ("diversity_complexity", "top_tags", "tags_a_row"):
        assert (demo.folder / "pictures" / f"{name}.png").stat().st_size > 5000
    card = (demo.folder / "README.md").read_text()
    assert "license: apache-2.0" in card
    assert "offline" in card
