"""Tag-Instruct from end to end: tag utilities, preference pairs, a trained policy if a base model is given, evolution.

tagsmith run tag-instruct --config demo
tagsmith run tag-instruct --dataset org/seeds --utility_dataset org/instructions --endpoint URI --base_model org/model

Each stage is a recipe of its own and leaves its own release below --output; the same command again goes on at the stage
where it stopped.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from tagsmith.processors.errors import InputError
from tagsmith.recipes import build_tag_preferences, build_tag_utility, evolve_tag_instruct
from tagsmith.recipes.arguments import DataArguments, EndpointArguments
from tagsmith.recipes.build_tag_utility import UtilityArguments
from tagsmith.recipes.command import run
from tagsmith.recipes.evolve_tag_instruct import EvolveArguments
from tagsmith.recipes.parsing import parse
from tagsmith.recipes.pipeline import Stage, run_stages
from tagsmith.recipes.tag_instruct_arguments import ExpansionArguments

RECIPE = "tag_instruct"
_UTILITY, _PREFERENCES, _POLICY, _EVOLVED = "utility", "preferences", "policy", "evolved"


@dataclass
class PipelineArguments:
    """What the stages share, and what only one of them needs."""

    _argument_group_name = "recipe"

    output: str = field(default="runs/tag_instruct", metadata={"help": "Folder of the stages' releases."})
    utility_dataset: str | None = field(
        default=None,
        metadata={
            "help": "Instructions and responses to measure utility on (§3.4: another dataset). Default: --dataset."
        },
    )
    utility_variant: str = field(default="paper", metadata={"help": "paper (Eq. 1) or official."})
    utility_min_count: int = field(default=1, metadata={"help": "Leave out tags of fewer rows."})
    base_model: str | None = field(
        default=None, metadata={"help": "Train a tag policy from it by DPO, and expand with it. Default: best-of-n."}
    )
    train_config: str | None = field(
        default=None, metadata={"help": "Config of train-dpo: a YAML file, paper or demo. Default: its own values."}
    )
    rounds: int = field(default=5, metadata={"help": "Rounds of evolution (paper: 5)."})
    measure: bool = field(default=True, metadata={"help": "Count tags and judge every round's instructions."})
    push_to_hub: str | None = field(
        default=None, metadata={"help": "Publish each stage: org/name, org/name-utility, -preferences, -policy."}
    )
    release: str | None = field(default=None, metadata={"help": "Version to publish: v1.0.0."})
    private: bool = field(default=False, metadata={"help": "Make new repositories private."})
    max_failed: float = field(default=0.05, metadata={"help": "Do not publish above this share of rejected rows."})
    allow_offline: bool = field(default=False, metadata={"help": "Publish even rows that rules made."})


ARGUMENTS = (DataArguments, EndpointArguments, ExpansionArguments, PipelineArguments)


def main(argv: Sequence[str]) -> None:
    """Run the stages that are not done yet."""
    data, endpoint, tags, own = parse(RECIPE, __doc__ or "", ARGUMENTS, argv)
    if tags.utility is not None:
        raise InputError("tag-instruct makes its own utilities; to use others run build-tag-preferences and so on")
    if own.rounds < 1:
        raise InputError(f"rounds={own.rounds}: expected at least 1")
    if endpoint.dry_run:
        raise InputError("the stages depend on each other's rows; give --dry_run to one of their recipes instead")
    run_stages(stages(data, endpoint, tags, own))


def stages(
    data: DataArguments, endpoint: EndpointArguments, tags: ExpansionArguments, own: PipelineArguments
) -> list[Stage]:
    """The stages with their command lines."""
    root = Path(own.output)
    to_rows = flags(data, DataArguments())
    asked = flags(endpoint, EndpointArguments())
    expanded = [*flags(tags, ExpansionArguments()), "--utility", str(root / _UTILITY)]
    measured_on = to_rows
    if own.utility_dataset is not None:  # columns, split, revision and licence are those of --dataset
        other = DataArguments(dataset=own.utility_dataset, reject_bad_rows=data.reject_bad_rows)
        measured_on = flags(other, DataArguments())
    settings = UtilityArguments(encoder=tags.encoder, variant=own.utility_variant, min_count=own.utility_min_count)
    evolve = EvolveArguments(rounds=own.rounds, measure=own.measure)
    if own.base_model is not None:
        evolve.expansion, evolve.policy_endpoint = "policy", f"local:{root / _POLICY}"
    planned = [
        Stage(
            build_tag_utility,
            root / _UTILITY,
            [*measured_on, *asked, *flags(settings, UtilityArguments()), *published(own, _UTILITY)],
            (),
        ),
        Stage(
            build_tag_preferences,
            root / _PREFERENCES,
            [*to_rows, *asked, *expanded, *published(own, _PREFERENCES)],
            (root / _UTILITY,),
        ),
    ]
    if own.base_model is not None:
        from tagsmith.recipes import train_dpo  # takes seconds: it loads TRL's trainers

        config = ["--config", own.train_config] if own.train_config else []
        pairs = ["--pairs", str(root / _PREFERENCES), "--base_model", own.base_model]
        planned.append(
            Stage(
                train_dpo,
                root / _POLICY,
                [*config, *pairs, *published(own, _POLICY, gates=False)],
                (root / _PREFERENCES,),
            )
        )
    planned.append(
        Stage(
            evolve_tag_instruct,
            root / _EVOLVED,
            [*to_rows, *asked, *expanded, *flags(evolve, EvolveArguments()), *published(own, "")],
            (root / _UTILITY, root / _POLICY) if own.base_model else (root / _UTILITY,),
        )
    )
    return planned


def flags(block: object, default: object) -> list[str]:
    """The settings that differ from their defaults, as a command line has them."""
    words: list[str] = []
    for f in fields(block):  # type: ignore[arg-type]
        value = getattr(block, f.name)
        if value == getattr(default, f.name):
            continue
        if isinstance(value, bool):
            words += [f"--{f.name}", str(value).lower()]
        elif isinstance(value, list):
            words += [f"--{f.name}", *map(str, value)]
        elif value is not None:
            words += [f"--{f.name}", str(value)]
    return words


def published(own: PipelineArguments, stage: str, *, gates: bool = True) -> list[str]:
    """Where a stage's release is published, if it is."""
    if own.push_to_hub is None:
        return []
    name = f"{own.push_to_hub}-{stage}" if stage else own.push_to_hub
    words = ["--push_to_hub", name, *(["--release", own.release] if own.release else [])]
    words += ["--private", "true"] if own.private else []
    words += ["--allow_offline", "true"] if own.allow_offline else []
    return [*words, *(["--max_failed", str(own.max_failed)] if gates else [])]


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
