"""The end of every recipe: the release folder, and with `--push_to_hub` its publication."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tagsmith.cards.hub_checks import check_target
from tagsmith.cards.hub_target import HubTarget
from tagsmith.cards.manifest import build_manifest, read_manifest
from tagsmith.cards.push import Pushed, push_release
from tagsmith.cards.quality_gates import check_gates, check_offline
from tagsmith.cards.release import check_output_folder, prompt_file, write_release
from tagsmith.processors.errors import InputError
from tagsmith.recipes.arguments import ReleaseArguments
from tagsmith.recipes.made import Made
from tagsmith.recipes.summary import counted, print_table, usage_lines


@dataclass(frozen=True)
class Destination:
    """Where a run's release goes, looked at before anything is sent."""

    folder: str
    target: HubTarget | None
    max_failed: float
    allow_offline: bool

    @classmethod
    def check(cls, recipe: str, arguments: ReleaseArguments, *endpoints: str | None) -> "Destination":
        """Whether the folder may be written, and the release published.

        Args:
            recipe: its module's name: the folder is `runs/<recipe>` if none is given.
            arguments: as given.
            endpoints: the URIs in use: rows of the offline endpoint are not published unasked.

        Raises:
            InputError: `push_to_hub` without `release` or the other way round, or a share out of range.
            ReleaseError: the folder is no release's, or the Hub would not take it (name, token, permission, tag).
        """
        if not 0 <= arguments.max_failed <= 1:
            raise InputError(f"max_failed is a share from 0 to 1, got {arguments.max_failed}")
        folder = arguments.output or f"runs/{recipe}"
        check_output_folder(folder)
        target = None
        if arguments.push_to_hub is not None:
            if arguments.release is None:
                raise InputError("--push_to_hub needs a version: --release v1.0.0")
            target = HubTarget(arguments.push_to_hub, arguments.release, arguments.private)
            if not arguments.allow_offline and any(uri and uri.startswith("offline:") for uri in endpoints):
                check_offline(offline=True, allow_offline=False)
            check_target(target)
        elif arguments.release is not None:
            raise InputError("--release is the version of what is pushed; give --push_to_hub org/name, too")
        return cls(folder, target, arguments.max_failed, arguments.allow_offline)


def publish(
    made: Made,
    destination: Destination,
    *,
    recipe: str,
    argv: Sequence[str],
    settings: Sequence[object],
    started: datetime,
) -> Path:
    """Write the release folder, push it if wanted, and print what was made and how to load it.

    Args:
        made: what the recipe made.
        destination: from `Destination.check`.
        recipe: its module's name.
        argv: the command line behind the recipe's name.
        settings: the recipe's dataclasses, as they were in use.
        started: when the run began.

    Raises:
        ReleaseError: the folder cannot be written; or a quality gate or the Hub refuses it (the folder stays).
    """
    manifest = build_manifest(
        recipe=recipe,
        command=["tagsmith", "run", recipe.replace("_", "-"), *argv],
        config=settings_by_name(settings),
        method=made.method,
        variant=made.variant,
        inputs=made.inputs,
        prompts={prompt_file(template.name): template.sha for template in made.prompts},
        models=made.models,
        artefacts=made.artefacts,
        counts={**made.counts, **{n: int(v) for n, v in made.usage.as_dict().items() if n != "latency_sec"}},
        started=started,
        finished=datetime.now(UTC),
        offline=made.offline,
    )
    folder = write_release(
        destination.folder,
        made.configs,
        default=made.default,
        manifest=manifest,
        card=made.card(),
        pictures=made.pictures(),
        prompts={prompt_file(template.name): template.text for template in made.prompts},
        target=destination.target,
        tree=made.tree() if made.tree else None,
    )
    seconds = (datetime.now(UTC) - started).total_seconds()
    rows_in, reasons = int(made.counts["rows_in"]), made.counts["rejected"]
    lines = [
        ("rows in", f"{rows_in:,}"),
        ("rejected", f"{sum(reasons.values()):,} ({counted(reasons.items())})"),
        *made.summary,
        *usage_lines(made.usage),
        ("seconds", f"{seconds:.1f} ({rows_in / seconds:,.0f} rows/s)"),
        ("release", str(folder)),
        ("load it", f'load_dataset("{destination.folder}")'),
        ("look at it", f"{destination.folder}/README.md, {destination.folder}/explorer.html"),
    ]
    print_table("Done", lines)
    if destination.target is not None:
        push(folder, destination.target, max_failed=destination.max_failed, allow_offline=destination.allow_offline)
    return folder


def push(folder: Path, target: HubTarget, *, max_failed: float, allow_offline: bool) -> None:
    """Publish a release folder if its rows are good enough, and print what was pushed and how to load it."""
    manifest = read_manifest(folder)
    assert manifest is not None
    check_gates(manifest, max_failed=max_failed, allow_offline=allow_offline)
    pushed = push_release(folder, target)
    lines = [*pushed_lines(pushed, target), ("check it", f"tagsmith reproduce {target.repo_id}@{target.release}")]
    print_table("Published already" if pushed.already else "Published", lines)


def pushed_lines(pushed: Pushed, target: HubTarget) -> list[tuple[str, str]]:
    """Lines on what was published, and how to load it."""
    return [
        ("repository", pushed.url),
        ("release", f"{target.release}, commit {pushed.commit}"),
        ("files", f"{pushed.files:,}, {pushed.bytes / 1e6:,.1f} MB"),
        ("load it", pushed.load_line),
    ]


def settings_by_name(settings: Sequence[object]) -> dict[str, Any]:
    """All settings of a recipe's dataclasses in one mapping, as the manifest has them."""
    return {name: value for block in settings for name, value in vars(block).items()}
