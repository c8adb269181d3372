"""Tag-Evol's evolution as a user sees it: every row accounted for, rules kept, the same again in any order."""

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from datasets import Dataset, load_dataset

from tagsmith.cards.opened_release import open_release
from tagsmith.cards.release import load_config
from tagsmith.processors.seeds import load_seeds
from tagsmith.processors.tag_evol.evolve_checks import EvolveChecker
from tagsmith.processors.tag_evol.tag_pool import TagPool
from tagsmith.processors.tag_text import tag_key
from tagsmith.recipes import evolve_tag_evol, sweep_budget_card, transfer_card, transfer_tag_pools
from tagsmith.recipes.cli import main
from tagsmith.recipes.reproduce import rebuild
from tagsmith.recipes.reproduction import compare

ROWS = 40
BUDGETS = (1, 3)


class Outcome:
    def __init__(self, status: int, out: str, err: str, folder: Path) -> None:
        self.status, self.out, self.err, self.folder = status, out, err, folder

    @property
    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text())
        return found

    @property
    def hashes(self) -> dict[str, str]:
        return {name: splits["train"]["content_hash"] for name, splits in self.manifest["configs"].items()}

    def rows(self, config: str) -> list[dict[str, Any]]:
        return load_config(self.folder, config)["train"].to_list()


def run(recipe: str, output: str, *more: str, drawn: bool = False) -> Outcome:
    """A recipe in this process; pictures and explorer only where a test looks at them."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        if not drawn:
            patch.setattr("tagsmith.cards.release.render_explorer", lambda *_, **__: "")
            for module in ("evolve_tag_evol", "sweep_budget", "transfer_tag_pools"):
                patch.setattr(f"tagsmith.recipes.{module}.pictures", lambda *_: [])
        status = main(["run", recipe, "--output", output, *more])
    return Outcome(status, out.getvalue(), err.getvalue(), Path(output))


def evolve(output: str, *more: str, drawn: bool = False, store: str = "store.sqlite") -> Outcome:
    flags = ["--dataset", "rows.jsonl", "--budgets", "1/3", "--measure_rows", "12", "--store", store]
    return run("evolve-tag-evol", output, *flags, *more, drawn=drawn)


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's working folder with rows in it, and the same rows backwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        rows = load_seeds().select(range(ROWS)).select_columns(["instruction", "response"]).to_list()
        rows.append({"instruction": " \n", "response": "Nothing was asked."})
        for name, order in (("rows", rows), ("backwards", rows[::-1])):
            Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in order), encoding="utf-8")
        yield Path.cwd()


@pytest.fixture(scope="module")
def evolved(folder: Path) -> Outcome:
    made = evolve("evolved", drawn=True)
    assert made.status == 0, made.err
    return made


def test_every_row_is_accounted_for_in_every_round(evolved: Outcome) -> None:
    rounds, counts = evolved.rows("rounds"), evolved.manifest["counts"]
    seeds = counts["seed_rows"]
    assert Counter(row["iteration"] for row in rounds) == {0: seeds, 1: seeds, 2: seeds}
    assert counts["rows_in"] == counts["rows_out"] + sum(counts["rejected"].values())
    assert counts["rows_in"] == seeds * len(BUDGETS) + (ROWS + 1 - seeds)
    assert counts["rejected"]["empty_instruction"] == 1
    failed = [row for row in rounds if row["status"] == "rejected"]
    assert len(failed) + ROWS + 1 - seeds == len(evolved.rows("rejected"))
    assert all(re.match(r"[a-z_]+: .", row["reason"]) for row in evolved.rows("rejected"))
    assert all(row["raw_reply"] for row in failed)


def test_accepted_rows_keep_the_rules(evolved: Outcome) -> None:
    pool = {tag_key(row["tag"]) for row in evolved.rows("pool")}
    seed_of = {row["id"]: row for row in evolved.rows("rounds") if row["iteration"] == 0}
    rows = evolved.rows("default")
    assert len(rows) > ROWS
    for row in rows:
        assert row["parent_id"] == row["root_id"]  # each round from the seed
        seed = seed_of[row["root_id"]]
        injected = {tag_key(tag) for tag in row["injected_tags"]}
        assert len(injected) == row["budget"] == BUDGETS[row["iteration"] - 1]
        assert injected <= {tag_key(tag) for tag in row["candidates"]} <= pool
        assert injected.isdisjoint(map(tag_key, seed["tags"]))
        assert row["tags"] == [*seed["tags"], *row["injected_tags"]]
    checked = EvolveChecker(embedder=None)(
        {
            "instruction": [seed_of[row["root_id"]]["instruction"] for row in rows],
            "new_instruction": [row["instruction"] for row in rows],
            "chosen_tags": [row["injected_tags"] for row in rows],
            **{name: [row[name] for row in rows] for name in ("candidates", "budget", "status")},
        }
    )
    assert {problem.partition(":")[0] for problem in checked["problem"]} <= {"", "ungrounded"}


def test_costs_are_a_recount_of_the_generations(evolved: Outcome) -> None:
    costs, generations = evolved.rows("costs"), evolved.rows("generations")
    assert sum(stage["calls"] for stage in costs) == len(generations)
    for name in ("prompt_tokens", "reply_tokens"):
        assert sum(stage[name] for stage in costs) == sum(row[name] for row in generations)
    by_stage = {stage["stage"]: stage for stage in costs}
    assert next(iter(by_stage)) == "tag"
    seeds = evolved.manifest["counts"]["seed_rows"]
    assert by_stage["round 1: evolve"]["rows"] == by_stage["round 2: evolve"]["rows"] == seeds
    assert 0 < by_stage["round 2: repair"]["calls"] < seeds / 2
    # Each reply belongs to a row: those of the rounds are in the rows' own lists of keys.
    keys = {key for row in evolved.rows("rounds") for key in row["generation_keys"]}
    mine = [stage for stage in costs if stage["stage"].startswith("round")]
    assert sum(stage["calls"] for stage in mine) == len(keys)


def test_more_tags_make_more_words_and_more_difficulty(evolved: Outcome) -> None:
    seeds, one, three = evolved.rows("measures")
    assert (seeds["iteration"], one["iteration"], three["iteration"]) == (0, 1, 2)
    assert seeds["difficulty"] < one["difficulty"] < three["difficulty"]
    assert 0 < one["words_added"] < three["words_added"]
    assert seeds["words_added"] is None


def test_the_release_opens_and_its_card_shows_pictures(evolved: Outcome) -> None:
    opened = load_dataset(str(evolved.folder), "measures", split="train")
    assert len(opened) == 3
    card = (evolved.folder / "README.md").read_text()
    pictures = {path.name for path in (evolved.folder / "pictures").iterdir()}
    assert {"outcomes.png", "measures.png", "lengths.png"} <= pictures
    assert all(f"pictures/{name}" in card for name in pictures)
    assert "calls an accepted row" in card
    assert "Do not train on them" in card


def by_id(outcome: Outcome) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in outcome.rows("rounds")}


def test_the_order_of_the_rows_changes_nothing(evolved: Outcome) -> None:
    flags = ["--dataset", "backwards.jsonl", "--pool", "evolved", "--measure", "false"]
    backwards = evolve("backwards", *flags, store="other.sqlite")
    assert backwards.status == 0, backwards.err
    assert by_id(backwards) == by_id(evolved)


def test_the_same_command_again_asks_nothing_and_makes_the_same(evolved: Outcome) -> None:
    again = evolve("again")
    assert re.search(r"requests answered +0 ", again.out)
    assert again.hashes == evolved.hashes


def test_what_was_stopped_goes_on_to_the_same_end(evolved: Outcome) -> None:
    stopped = evolve("resumed", "--max_tokens_total", "20000", store="resumed.sqlite")
    assert stopped.status == 3
    assert not stopped.folder.exists()
    resumed = evolve("resumed", store="resumed.sqlite")
    found = int(re.search(r"found in the store +([\d,]+)", resumed.out)[1].replace(",", ""))  # type: ignore[index]
    assert found > 20
    assert resumed.hashes == evolved.hashes


def is_made_again(made: Outcome, recipe: ModuleType) -> bool:
    """Whether the record alone brings the same rows back."""
    opened = open_release(str(made.folder))
    return compare(opened, rebuild(opened, recipe), seconds=1.0).identical


def test_a_release_is_made_again_from_its_record(evolved: Outcome) -> None:
    assert is_made_again(evolved, evolve_tag_evol)


def test_step_by_step_with_a_judge_and_chained(evolved: Outcome) -> None:
    flags = ["--method", "steps", "--judge_presence", "true", "--chained", "true"]
    made = evolve("steps", *flags, "--respond", "false", "--measure", "false")
    assert made.status == 0, made.err
    stages = [stage["stage"] for stage in made.rows("costs")]
    first = ["tag", *(f"round 1: {name}" for name in ("choose", "plan", "rewrite", "review", "judge", "repair"))]
    assert stages[: len(first)] == first
    rounds = {row["id"]: row for row in made.rows("rounds")}
    second = [row for row in made.rows("default") if row["iteration"] == 2]
    assert any(rounds[row["parent_id"]]["iteration"] == 1 for row in second)
    for row in second:
        assert len(row["injected_tags"]) == 3 + (rounds[row["parent_id"]]["iteration"] == 1)
        assert row["response"] is None


def test_adaptive_budgets_follow_the_rows_own_tags(folder: Path) -> None:
    made = evolve("adaptive", "--budgets", "adaptive:8", "--respond", "false", "--measure", "false")
    assert made.status == 0, made.err
    tags_of = {row["id"]: row["tags"] for row in made.rows("rounds") if row["iteration"] == 0}
    asked = [row for row in made.rows("rounds") if row["iteration"] == 1]
    assert len({row["budget"] for row in asked}) > 2
    assert all(row["budget"] == min(7, max(1, 8 - len(tags_of[row["root_id"]]))) for row in asked)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--budgets", "0/3"), "expected a number of tags of at least 1 for each round"),
        (("--budgets", "many"), "expected 1/3/5 (tags a round) or adaptive:6/8/10"),
        (("--budgets", "30"), "candidates=21 a row, but a budget of 30 tags"),
        (("--candidates", "5000", "--max_rows", "5"), "fewer than the n=5000 candidates"),
        (("--domain", "law"), "domain 'law' is unknown"),
        (("--method", "all"), "method 'all' is unknown; expected one of single, steps"),
        (("--similarity", "7"), "evolve limit similarity=7.0"),
        (("--pool", "nowhere"), "nowhere"),
    ],
)
def test_bad_settings_are_one_line(folder: Path, flags: tuple[str, ...], expected: str) -> None:
    made = evolve("bad", *flags)
    assert made.status == 2
    assert expected in made.err.splitlines()[-1]
    assert made.err.splitlines()[-1].startswith("tagsmith: error: ")
    assert not made.folder.exists()


def test_a_sweep_shows_each_budget_and_where_it_saturates(folder: Path) -> None:
    flags = ["--dataset", "rows.jsonl", "--max_rows", "15", "--budgets", "1/2/4", "--store", "store.sqlite"]
    made = run("sweep-budget", "sweep", *flags)
    assert made.status == 0, made.err
    sweep, counts = made.rows("default"), made.manifest["counts"]
    assert [row["budget"] for row in sweep] == [1, 2, 4]
    reasons = ("budget_overflow", "ungrounded", "drift", "copy", "other_reasons")
    for row in sweep:
        assert row["rows"] == row["accepted"] + sum(row[name] for name in reasons) == counts["seed_rows"]
        assert row["acceptance"] == row["accepted"] / row["rows"]
        assert row["grounding"] == pytest.approx(1 - (row["ungrounded"] + row["budget_overflow"]) / row["rows"])
    assert sweep[0]["difficulty"] < sweep[1]["difficulty"] < sweep[2]["difficulty"]
    assert counts["saturation"] == 4
    assert "dashed line is at b = 4" in sweep_budget_card.pictures(sweep, 4)[0].caption
    # All budgets choose from the same candidates of a row.
    candidates: dict[str, set[tuple[str, ...]]] = {}
    for row in made.rows("rounds"):
        if row["iteration"]:
            candidates.setdefault(row["root_id"], set()).add(tuple(row["candidates"]))
    assert {len(found) for found in candidates.values()} == {1}
    assert Dataset.from_list(made.rows("pool")).num_rows == counts["pool_tags"]


def test_a_sweep_takes_different_fixed_budgets(folder: Path) -> None:
    for budgets in ("1/1", "adaptive:5"):
        made = run("sweep-budget", "bad-sweep", "--dataset", "rows.jsonl", "--budgets", budgets)
        assert "a sweep takes different fixed budgets" in made.err
        assert made.status == 2


def test_pools_are_carried_to_other_domains(evolved: Outcome) -> None:
    flags = ["--datasets", "here=rows.jsonl,there=backwards.jsonl", "--rows", "8", "--budget", "2"]
    made = run("transfer-tag-pools", "transfer", *flags, "--store", "store.sqlite")
    assert made.status == 0, made.err
    grid = made.rows("default")
    assert [(cell["pool"], cell["domain"]) for cell in grid] == [
        (pool, domain) for pool in ("here", "there") for domain in ("here", "there")
    ]
    pools = {name: {row["tag"] for row in made.rows("pools") if row["pool"] == name} for name in ("here", "there")}
    assert pools["here"] != pools["there"]
    for row in made.rows("rounds"):
        if row["iteration"]:
            assert set(row["candidates"]) <= pools[row["method"].removeprefix("tag-evol, pool ")]
    (picture,) = transfer_card.pictures(grid, ["here", "there"], ["here", "there"])
    picture.draw(Path("grid.png"), "dark")
    assert Path("grid.png").stat().st_size > 10_000
    counts = made.manifest["counts"]
    assert counts["rows_in"] == counts["rows_out"] + sum(counts["rejected"].values())
    assert sum(cell["rows"] for cell in grid) == 2 * counts["seed_rows"]
    assert is_made_again(made, transfer_tag_pools)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--datasets", "a=rows.jsonl,a=backwards.jsonl"), "expected NAME=WHAT,NAME=WHAT, each name once"),
        (("--datasets", "rows.jsonl", "--rows", "0"), "rows=0: expected at least 1"),
        (("--datasets", "rows.jsonl", "--budget", "0"), "expected a number of tags of at least 1"),
        (("--datasets", "rows.jsonl", "--pool", "evolved"), "give --pools NAME=POOL"),
    ],
)
def test_a_bad_grid_is_one_line(folder: Path, flags: tuple[str, ...], expected: str) -> None:
    made = run("transfer-tag-pools", "bad-grid", *flags)
    assert (made.status, made.folder.exists()) == (2, False)
    assert expected in made.err.splitlines()[-1]


def test_a_pool_in_another_language_is_told(evolved: Outcome) -> None:
    german = "Zinsrechnung Wahrscheinlichkeit Geschichte Erdkunde Vertragsrecht Haushaltsplanung Reisekosten Gartenbau"
    kinds = "Aufgabe für Fortgeschrittene,Grundlagen und Begriffe,Fragen aus dem Alltag,Vergleich zweier Verfahren"
    tags = [f"{word.lower()}: {kind.lower()}" for word in german.split() for kind in kinds.split(",")]
    Path("german.jsonl").write_text("".join(json.dumps({"tag": tag}) + "\n" for tag in tags), encoding="utf-8")
    flags = ["--pool", "german.jsonl", "--budgets", "1", "--max_rows", "5", "--respond", "false", "--measure", "false"]
    made = evolve("german", *flags)
    assert made.status == 0
    assert "tagsmith: warning: the pool's tags are mostly in 'de', the rows in 'en'" in made.err


def test_a_pool_of_another_version_is_told(evolved: Outcome) -> None:
    TagPool.from_table(load_config(evolved.folder, "pool")["train"]).save_pretrained("saved", embeddings=False)
    (config,) = Path("saved").glob("*.json")
    settings = json.loads(config.read_text())
    config.write_text(json.dumps(settings | {"format_version": 99}))
    made = evolve("bad", "--pool", "saved")
    assert (made.status, made.folder.exists()) == (2, False)
    assert "is of format version 99" in made.err.splitlines()[-1]
