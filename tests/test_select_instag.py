"""The recipe from a user's point of view: rows in by a command, a folder out that `load_dataset` opens."""

import io
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, load_dataset
from tagsmith.cards.content_hash import content_hash
from tagsmith.cards.release import load_config
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


def recipe(output: str, *more: str, **where: str) -> Outcome:
    """The recipe in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main([*flags_of(output, **where), *more])
    return Outcome(status, out.getvalue(), err.getvalue(), Path(output))


def stored(store: str) -> int:
    """Replies in a store."""
    with sqlite3.connect(store) as connection:
        return int(connection.execute("SELECT COUNT(*) FROM generations").fetchone()[0])


def write_rows(path: str, rows: list[dict[str, Any]]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


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
    outcome = recipe("out")
    assert outcome.status == 0, outcome.err
    return outcome


def test_each_config_with_rows_opens_with_load_dataset(clean: Outcome) -> None:
    rows_of = {name: splits["train"]["rows"] for name, splits in clean.manifest["configs"].items()}
    assert set(rows_of) == {"default", "tagged", "rejected", "vocabulary", "rules", "generations"}
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
    assert dict(zip(vocabulary["raw"], vocabulary["raw_count"], strict=True)) == rows_with
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
        assert len(row["turn_tags"]) == len(row["generation_keys"]) == len(asked_by(ROWS[number]))
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
    bars = [line for line in clean.err.replace("\r", "\n").splitlines() if line.strip()]
    assert bars
    assert all(line.startswith("tagging:") for line in bars), "only our own progress bar"


def test_a_second_run_asks_nothing_and_gives_the_same(clean: Outcome) -> None:
    before = stored("store.sqlite")
    again = recipe("again")
    assert again.status == 0
    assert again.counts["requests"] == 0
    assert again.counts["store_hits"] == len(ASKED)
    assert again.table["requests answered"].startswith("0 ")
    assert stored("store.sqlite") == before
    assert again.hashes == clean.hashes


def test_a_subprocess_gives_the_same(clean: Outcome) -> None:
    script = Path(__file__).parents[1] / "recipes" / "select_instag.py"
    command = [sys.executable, str(script), *flags_of("process")[2:]]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr
    outcome = Outcome(done.returncode, done.stdout, done.stderr, Path("process"))
    assert outcome.counts["requests"] == 0
    assert outcome.hashes == clean.hashes


def test_another_store_asks_anew_and_holds_all_generations(clean: Outcome) -> None:
    other = recipe("other", store="other.sqlite")
    assert other.counts["requests"] == DISTINCT == stored("other.sqlite")
    assert other.hashes == clean.hashes


def test_an_edited_row_asks_only_for_itself(clean: Outcome) -> None:
    edited = [dict(row) for row in ROWS]
    edited[7]["instruction"] = "What is 18 times 23? Show each step."
    write_rows("edited.jsonl", edited)
    outcome = recipe("edited", dataset="edited.jsonl")
    assert outcome.counts["requests"] == 1
    assert outcome.counts["store_hits"] == len(ASKED) - 1
    before = {row["number"]: row["raw_tags"] for row in clean.config("tagged")}
    after = {row["number"]: row["raw_tags"] for row in outcome.config("tagged")}
    assert {number for number in before if number != 7 and before[number] != after[number]} == set()


def test_another_prompt_asks_for_everything_again(clean: Outcome) -> None:
    Path("mine.jinja").write_text("List the intentions of this request as JSON, please.\n\n{{ instruction }}\n")
    outcome = recipe("prompted", "--prompt", "mine.jinja")
    assert outcome.status == 0, outcome.err
    assert outcome.counts["requests"] == DISTINCT
    assert outcome.manifest["prompts"].keys() == {"mine.jinja"}
    assert outcome.manifest["prompts"].values() != clean.manifest["prompts"].values()
    assert set(outcome.config("tagged")["prompt_hash"]) == set(outcome.manifest["prompts"].values())


def test_an_older_release_is_replaced_and_may_be_the_input(clean: Outcome) -> None:
    first = recipe("replaced")
    smaller = recipe("replaced", "--n", "3")
    assert (first.status, smaller.status) == (0, 0)
    assert smaller.counts["rows_out"] == 3 == len(load_dataset("replaced", split="train"))
    # A release is a dataset like any other; its own columns are set aside.
    onwards = recipe("onwards", "--n", "2", dataset="replaced")
    assert onwards.status == 0, onwards.err
    assert onwards.counts["requests"] == 0
    assert list(onwards.config("tagged")["source_tags"]) == list(smaller.config("default")["tags"])


@pytest.fixture(scope="module")
def spoilt(folder: Path) -> Outcome:
    """A run against an endpoint that answers badly and fails now and then; one repair is allowed."""
    return recipe("spoilt", "--endpoint", "offline:?malformed=0.3&fail=0.05&seed=3", "--max_repairs", "1")


def test_no_row_is_lost_when_replies_are_malformed(spoilt: Outcome) -> None:
    assert spoilt.status == 0, spoilt.err
    tagged, rejected = spoilt.config("tagged"), spoilt.config("rejected")
    assert sorted([*tagged["number"], *rejected["number"]]) == list(range(len(ROWS)))
    assert spoilt.counts["retries"] > 0
    assert spoilt.counts["repairs"] > 0
    assert spoilt.counts["rejected"] == {"unparsed": len(rejected) - 1, "empty_instruction": 1}
    assert len(rejected) > 1, "the test needs a row that stayed unreadable"
    replies = {row["key"]: row["text"] for row in spoilt.config("generations")}
    for row in rejected.filter(lambda row: row["number"] != BLANK):
        assert row["reason"].startswith("unparsed: ")
        assert len(row["reason"]) > len("unparsed: ")
        assert row["raw_reply"] in [replies[key] for key in row["generation_keys"]]
        assert row["attempts"] == len(row["generation_keys"]) > len(asked_by(ROWS[row["number"]]))
    assert any(rejected["raw_reply"])
    assert spoilt.counts["requests"] == len(replies)


def test_rows_that_were_answered_well_are_those_of_a_clean_run(spoilt: Outcome) -> None:
    clean = recipe("seeded", "--endpoint", "offline:?seed=3")
    expected = {row["number"]: row for row in clean.config("tagged")}
    at_once = [row for row in spoilt.config("tagged") if row["attempts"] == len(asked_by(ROWS[row["number"]]))]
    assert len(at_once) >= len(ROWS) / 3
    for row in at_once:
        assert row["raw_tags"] == expected[row["number"]]["raw_tags"]
        assert row["tag_explanations"] == expected[row["number"]]["tag_explanations"]


def test_rejected_rows_are_asked_again_when_more_repairs_are_allowed(spoilt: Outcome) -> None:
    endpoint = "offline:?malformed=0.3&fail=0.05&seed=3"
    patient = recipe("patient", "--endpoint", endpoint, "--max_repairs", "6")
    assert set(patient.counts["rejected"]) == {"empty_instruction"}
    # Only the rejected ones cost anything, and of those only the further repairs.
    assert 0 < patient.counts["requests"] == patient.counts["repairs"]
    kept = {row["number"]: row["raw_tags"] for row in spoilt.config("tagged")}
    now = {row["number"]: row["raw_tags"] for row in patient.config("tagged")}
    assert {number: now[number] for number in kept} == kept


def test_rows_that_got_no_answer_in_time_are_asked_again(folder: Path) -> None:
    slow = "offline:?seed=9&latency_ms=1&slow=0.15&slow_factor=5000"
    impatient = ("--timeout_sec", "0.6", "--deadline_sec", "0.7")
    first = recipe("slow", "--endpoint", slow, *impatient, store="slow.sqlite")
    assert first.status == 0, first.err
    lost = first.counts["rejected"]["endpoint"]
    assert lost > 0
    assert first.counts["requests"] == stored("slow.sqlite") < DISTINCT
    second = recipe("slow", "--endpoint", "offline:?seed=9", store="slow.sqlite")
    assert second.counts["rejected"] == {"empty_instruction": 1}
    assert second.counts["requests"] == DISTINCT - first.counts["requests"]


class _Silent(ThreadingHTTPServer):
    """A TGI server that says who it is and counts whoever asks it for more."""

    posts = 0


class _SilentHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"model_id": "m", "model_sha": "1", "max_input_tokens": 9000, "max_total_tokens": 9999})
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_POST(self) -> None:
        self.server.posts += 1  # type: ignore[attr-defined]
        self.send_error(500)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def silent() -> Iterator[_Silent]:
    with _Silent(("127.0.0.1", 0), _SilentHandler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_dry_run_sends_nothing(silent: _Silent) -> None:
    outcome = recipe("dry", "--dry_run", "--endpoint", f"http://127.0.0.1:{silent.server_port}", store="dry.sqlite")
    assert outcome.status == 0, outcome.err
    assert silent.posts == 0
    assert not outcome.folder.exists()
    assert stored("dry.sqlite") == 0
    table = outcome.table
    assert table["model"] == "m@1"
    assert table["rows"] == str(len(ROWS))
    assert table["rows rejected unasked"] == "1"
    assert table["distinct requests"] == table["requests to send"] == str(DISTINCT)
    assert table["in the store already"] == "0"
    # Nothing is known of the model's replies: the bound is the longest that is allowed.
    assert table["reply tokens (upper bound: max_new_tokens)"] == f"{1024 * DISTINCT:,}"
    assert "--prompt_price" in table["cost"]


def test_a_dry_run_foresees_what_a_run_costs(clean: Outcome) -> None:
    edited = [dict(row) for row in ROWS]
    for number in range(5):
        edited[number]["instruction"] = "Please: " + edited[number]["instruction"]
    write_rows("five.jsonl", edited)
    prices = ("--prompt_price", "2", "--reply_price", "10")
    foreseen = recipe("five", "--dry_run", *prices, dataset="five.jsonl")
    assert foreseen.status == 0, foreseen.err
    run = recipe("five", *prices, dataset="five.jsonl")
    assert foreseen.table["requests to send"] == str(run.counts["requests"]) == "5"
    # One of the edited rows stands there twice, so its request is in the store and asked by nobody else.
    in_store = len({text for row in edited for text in asked_by(row)}) - 5
    assert foreseen.table["in the store already"] == str(in_store)
    prompt_tokens = float(foreseen.table["prompt tokens (about)"].replace(",", ""))
    name = next(name for name in foreseen.table if name.startswith("reply tokens"))
    reply_tokens = float(foreseen.table[name].replace(",", ""))
    assert name == f"reply tokens (mean of {stored_of_model(clean)} stored replies)"
    assert prompt_tokens == pytest.approx(run.counts["prompt_tokens"], rel=1 / 3)
    assert reply_tokens == pytest.approx(run.counts["reply_tokens"], rel=1 / 2)
    assert float(foreseen.table["cost (about)"]) == pytest.approx(
        (2 * prompt_tokens + 10 * reply_tokens) / 1e6, abs=1e-4
    )


def stored_of_model(outcome: Outcome) -> int:
    """Replies of the outcome's model that were in the store before the five of the dry run's test came in."""
    model = outcome.config("tagged")["model"][0]
    with sqlite3.connect("store.sqlite") as connection:
        query = "SELECT COUNT(*) FROM generations WHERE model = ?"
        return int(connection.execute(query, (model,)).fetchone()[0]) - 5


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


def test_a_cost_budget_stops_the_run(clean: Outcome) -> None:
    prices = ("--prompt_price", "1", "--reply_price", "1", "--concurrency", "2")
    stopped = recipe("cheap", *prices, "--max_cost", "0.002", store="cheap.sqlite")
    assert stopped.status == 3
    assert "max_cost is 0.002" in stopped.err
    assert not stopped.folder.exists()


def test_the_shipped_demo(clean: Outcome) -> None:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(["run", "select-instag", "--config", "demo", "--store", "demo.sqlite", "--output", "demo"])
    assert status == 0, err.getvalue()
    demo = Outcome(status, out.getvalue(), err.getvalue(), Path("demo"))
    assert demo.counts["rows_in"] >= 300
    assert demo.counts["rows_out"] == 60 == len(load_dataset("demo", split="train"))
    assert demo.counts["rows_tagged"] + sum(demo.counts["rejected"].values()) == demo.counts["rows_in"]
    assert demo.counts["requests"] == stored("demo.sqlite") == len(demo.config("generations"))
    assert (demo.folder / "pictures" / "diversity_complexity.png").stat().st_size > 5000
    card = (demo.folder / "README.md").read_text()
    assert "license: apache-2.0" in card
    assert "offline" in card
