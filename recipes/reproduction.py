"""What `tagsmith reproduce` found: config by config whether the rows are the same, and what is different here."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError

from tagsmith.cards.content_hash import content_hash
from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.hub_target import HubTarget
from tagsmith.cards.manifest import package_versions
from tagsmith.cards.opened_release import OpenedRelease
from tagsmith.recipes.made import Made


@dataclass(frozen=True)
class Compared:
    """One config: `difference` is empty when it was made again bit for bit."""

    config: str
    rows: int
    content_hash: str
    difference: str


@dataclass(frozen=True)
class Reproduction:
    """The outcome for a whole release.

    Args:
        name: the release.
        configs: what came out, by config.
        surroundings: (what, then, here) for each package version and each other fact of the surroundings that differs.
        rows: source rows that went through the recipe.
        seconds: how long the recipe took, from reading the source to the last row.
    """

    name: str
    configs: Sequence[Compared]
    surroundings: Sequence[tuple[str, str, str]]
    rows: int
    seconds: float

    @property
    def identical(self) -> bool:
        """Whether every config has the content hash of the release."""
        return not any(compared.difference for compared in self.configs)

    def lines(self) -> list[tuple[str, str]]:
        """The report, a line a config, then what is different here."""
        lines = [
            (one.config, f"{one.rows:,} rows, identical ({one.content_hash[:16]})" if not one.difference else
             f"DIFFERS: {one.difference}")
            for one in self.configs
        ]  # fmt: skip
        lines.append(("verdict", "identical" if self.identical else "not identical"))
        if self.surroundings:
            others = "; ".join(f"{what} {then} then, {here} here" for what, then, here in self.surroundings)
            lines.append(("may be why" if not self.identical else "although here", others))
        elif not self.identical:
            lines.append(("may be why", "packages, Python and platform are the same: the recipe's code has changed"))
        lines.append(
            ("replayed", f"{self.rows:,} rows in {self.seconds:.1f} s ({self.rows / self.seconds:,.0f} rows/s)")
        )
        return lines

    def markdown(self) -> str:
        """The report as a file for the repository."""
        body = "\n".join(f"| {name} | {value.replace('|', '/')} |" for name, value in self.lines())
        here = f"Python {platform.python_version()}, {platform.platform()}, tagsmith {package_versions()['tagsmith']}"
        return f"# {self.name}, made again\n\n{here}\n\n| | |\n|---|---|\n{body}\n"

    def push(self, target: HubTarget) -> str:
        """Add the report to the repository's main branch, or propose it where that is not allowed; returns the URL.

        Raises:
            ReleaseError: the Hub refused both.
        """
        path = f"reproductions/{target.release}-{platform.system().lower()}-python{platform.python_version()}.md"
        operations = [CommitOperationAdd(path, self.markdown().encode())]
        verdict = "identical" if self.identical else "not identical"
        message = f"Reproduction of {target.release}: {verdict}"
        api = HfApi()
        try:
            return str(_commit(api, target, operations, message, propose=False))
        except HfHubHTTPError as error:
            if error.response is None or error.response.status_code != 403:
                raise ReleaseError(f"the report could not be pushed to {target.repo_id}: {_line(error)}") from error
        try:
            return str(_commit(api, target, operations, message, propose=True))
        except HfHubHTTPError as error:
            raise ReleaseError(f"the report could not be proposed to {target.repo_id}: {_line(error)}") from error


def compare(opened: OpenedRelease, made: Made, *, seconds: float) -> Reproduction:
    """Content hashes of what was made now, beside those of the release's manifest."""
    recorded = opened.manifest["configs"]
    configs = []
    for config in dict.fromkeys([*recorded, *made.configs]):
        rows = made.configs.get(config)
        if rows is None:
            configs.append(Compared(config, 0, "", "the recipe did not make it this time"))
        elif config not in recorded:
            configs.append(Compared(config, len(rows), content_hash(rows), "the release does not have it"))
        else:
            (facts,) = recorded[config].values()  # recipes write one split a config
            found = content_hash(rows)
            same = found == facts["content_hash"]
            difference = "" if same else difference_between(_only_split(opened, config), rows)
            configs.append(Compared(config, len(rows), found, difference))
    return Reproduction(opened.name, configs, _surroundings(opened), int(made.counts["rows_in"]), seconds)


def difference_between(before: Dataset, now: Dataset) -> str:
    """In words what makes two datasets of one config differ, most basic first."""
    if lost := sorted(set(before.column_names) - set(now.column_names)):
        return f"columns {', '.join(lost)} are missing"
    if new := sorted(set(now.column_names) - set(before.column_names)):
        return f"columns {', '.join(new)} are new"
    if len(before) != len(now):
        return f"{len(now):,} rows instead of {len(before):,}"
    a, b = before.with_format("arrow")[:], now.with_format("arrow")[:]
    found = []
    for name in before.column_names:
        x, y = a[name].combine_chunks(), b[name].combine_chunks()
        if x.type != y.type:
            y = y.cast(x.type) if _castable(x.type, y.type) else y
        if x.type != y.type:
            found.append(f"{name} is {y.type} instead of {x.type}")
        elif not x.equals(y):
            rows = [n for n in range(len(x)) if x[n] != y[n]]
            found.append(f"{name} in {len(rows):,} rows, first in row {rows[0]:,}" if rows else name)
    return "; ".join(found) or "types of columns"


def _castable(wanted: pa.DataType, given: pa.DataType) -> bool:
    try:
        pc.cast(pa.nulls(0, given), wanted)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return False
    return True


def _only_split(opened: OpenedRelease, config: str) -> Dataset:
    (rows,) = opened.load(config).values()
    return rows


def _surroundings(opened: OpenedRelease) -> list[tuple[str, str, str]]:
    then, here = opened.manifest["packages"], package_versions()
    found = [
        (name, then.get(name, "none"), here.get(name, "none"))
        for name in dict.fromkeys([*then, *here])
        if then.get(name) != here.get(name)
    ]
    for what, now in (("Python", platform.python_version()), ("platform", platform.platform())):
        if opened.manifest[what.lower()] != now:
            found.append((what, opened.manifest[what.lower()], now))
    return found


def _commit(api: HfApi, target: HubTarget, operations: list[CommitOperationAdd], message: str, *, propose: bool) -> str:
    done = api.create_commit(
        target.repo_id, operations, commit_message=message, repo_type=target.repo_type, create_pr=propose
    )
    return done.pr_url or done.commit_url


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
