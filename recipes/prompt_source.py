"""Open what `train-grpo` learns from: encoded rows, and the utilities by which their new tags are rewarded."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tagsmith.cards.manifest import read_manifest
from tagsmith.cards.opened_release import open_release
from tagsmith.processors.embedding import BUNDLED_MODEL, TextEmbedder
from tagsmith.processors.errors import InputError
from tagsmith.processors.remembered_embedding import RememberedEmbedder
from tagsmith.processors.tag_instruct.alignment_band import AlignmentBand
from tagsmith.recipes.arguments import DataArguments
from tagsmith.recipes.tag_utilities import CONFIG, open_pools, open_utility
from tagsmith.recipes.training_source import TrainingSource, load_training_source
from tagsmith.trainers.tag_reward import TagReward

ALIGNMENTS = ("band", "none")
_ENCODED = {"build_tag_preferences": "candidates", "build_tag_utility": "tagged"}  # configs with the rows' tags
_SHARE = 0.25


@dataclass
class RewardArguments:
    """What to learn from, and what is rewarded."""

    _argument_group_name = "rows and reward"

    rows: str = field(
        default="runs/build_tag_preferences",
        metadata={
            "help": "A release of build-tag-preferences or build-tag-utility (folder, or org/name@tag), or a dataset"
            " with instruction and base_tags."
        },
    )
    rows_config: str | None = field(default=None, metadata={"help": "Config of the rows, if not the encoded ones."})
    license: str | None = field(default=None, metadata={"help": "Licence of the rows, where nothing says it."})
    utility: str | None = field(
        default=None,
        metadata={"help": "Tag utilities: a release of build-tag-utility, a saved table, a file. Default: the rows'."},
    )
    pool_size: int | None = field(
        default=None, metadata={"help": "Tags in each pool (paper, D.1: 10,000). Default: as the rows were scored."}
    )
    pool_share: float | None = field(
        default=None, metadata={"help": "The same as a share of all tags. Default: as the rows were scored, else 0.25."}
    )
    pool_min_count: int | None = field(
        default=None, metadata={"help": "Leave tags of fewer rows out of the pools. Default: as the rows, else 1."}
    )
    alignment: str = field(
        default="band", metadata={"help": "Which tags go with a row (§3.3): band (embeddings), or none (all)."}
    )
    embedding_model: str | None = field(
        default=None,
        metadata={"help": "Of tags (paper, D.4: all-MiniLM-L6-v2). Default: the rows', else the bundled one, which is"},
    )
    explain: bool = field(
        default=False, metadata={"help": "The completion explains the tag before it. Default: as the rows' pairs."}
    )


@dataclass(frozen=True)
class PromptSource:
    """What a policy learns from.

    Args:
        arguments: as given, with what was filled in.
        source: the rows, and where they come from.
        reward: of a completion.
        inputs: of the manifest, beside the rows: the utilities, where they are something of their own.
        models: of the manifest, beside the base model: the embeddings'.
    """

    arguments: RewardArguments
    source: TrainingSource
    reward: TagReward
    inputs: tuple[Mapping[str, Any], ...]
    models: tuple[Mapping[str, Any], ...]


def load_rows(arguments: RewardArguments) -> TrainingSource:
    """The encoded rows.

    Raises:
        InputError, ReleaseError: nothing is there, or it cannot be read.
    """
    if arguments.alignment not in ALIGNMENTS:
        raise InputError(f"alignment {arguments.alignment!r} is unknown; expected {' or '.join(ALIGNMENTS)}")
    config = arguments.rows_config or _ENCODED.get(str((_manifest(arguments.rows) or {}).get("recipe")))
    return load_training_source(DataArguments(dataset=arguments.rows, dataset_config=config, license=arguments.license))


def with_reward(arguments: RewardArguments, source: TrainingSource) -> PromptSource:
    """The reward of the rows' completions. Embeds both pools.

    Settings that are not given are those by which the rows' release scored its candidates, where it is one: policies
    trained by DPO and by RL learn from one reward then.

    Raises:
        InputError: there are no utilities, or the pools would overlap. ReleaseError: a release cannot be read.
    """
    if arguments.utility is None and _manifest(arguments.rows) is None:
        raise InputError(
            f"{arguments.rows} is no release with tag utilities; name them with --utility (`tagsmith run"
            " build-tag-utility` makes them)"
        )
    utility = open_utility(arguments.utility or arguments.rows)
    used = _filled_in(arguments, source.settings)
    embedder = RememberedEmbedder(TextEmbedder(used.embedding_model or BUNDLED_MODEL))
    band = AlignmentBand(embedder=embedder) if used.alignment == "band" else None
    pools = open_pools(utility, used.pool_size, used.pool_share, used.pool_min_count or 1)
    reward = TagReward(pools, embedder, band, explain=used.explain)
    inputs = []
    if arguments.utility is not None:
        facts, offline = _utility_facts(arguments.utility, len(utility.fitted))
        inputs.append(facts)
        source = replace(source, offline=source.offline or offline)
    return PromptSource(used, source, reward, tuple(inputs), ({"model": embedder.model, "role": "tag embeddings"},))


def _filled_in(given: RewardArguments, scored: Mapping[str, Any]) -> RewardArguments:
    """What is not given, as the rows' release has it."""
    size, share, least = given.pool_size, given.pool_share, given.pool_min_count
    if size is None and share is None:
        size, share = scored.get("pool_size"), scored.get("pool_share", _SHARE)
    return replace(
        given,
        pool_size=size,
        pool_share=None if size is not None else share,
        pool_min_count=least if least is not None else scored.get("pool_min_count", 1),
        embedding_model=given.embedding_model or scored.get("embedding_model") or BUNDLED_MODEL,
        explain=given.explain or bool(scored.get("explain")),
    )


def _manifest(name: str) -> dict[str, Any] | None:
    """Of a release; None for any other dataset."""
    folder = Path(name).expanduser()
    if folder.exists():
        return read_manifest(folder) if folder.is_dir() else None
    return open_release(name).manifest if "@" in name else None


def _utility_facts(name: str, tags: int) -> tuple[dict[str, Any], bool]:
    """What the manifest says of the utilities, and whether the offline endpoint's rules made them."""
    if (manifest := _manifest(name)) is None:
        return {"name": name, "rows": tags}, False
    config = manifest["default"] if manifest["recipe"] == "build_tag_utility" else CONFIG
    opened = load_training_source(DataArguments(dataset=name, dataset_config=config))
    return dict(opened.facts), opened.offline
