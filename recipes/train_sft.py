"""Fine-tune a model on answers and release it with a card: a student, an InsTagger, or the tagger of TAGS.

tagsmith run train-sft --dataset runs/evolved --base_model org/base-model --chat_template alpaca
tagsmith run train-sft --task instagger --dataset runs/instag --dataset_config tagged --base_model org/base-model
accelerate launch --config_file recipes/accelerate/fsdp.yaml recipes/train_sft.py --config paper_student
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from datasets import Dataset

from tagsmith.processors.errors import InputError
from tagsmith.processors.rows import to_rows
from tagsmith.recipes.arguments import DataArguments
from tagsmith.recipes.command import run
from tagsmith.recipes.parsing import parse
from tagsmith.recipes.summary import counted
from tagsmith.recipes.train_release import ModelDestination, release_model
from tagsmith.recipes.train_sft_card import CARDS, NOUN, card_text, pictures
from tagsmith.recipes.training_arguments import BaseModelArguments, ModelReleaseArguments
from tagsmith.recipes.training_source import TrainingSource, load_training_source
from tagsmith.trainers.sft import train_sft
from tagsmith.trainers.sft_examples import instagger_examples, knowledge_tagger_examples, student_examples
from tagsmith.trainers.sft_settings import SFTSettings
from tagsmith.trainers.training import Trained
from tagsmith.trainers.training_settings import check_choice

RECIPE = "train_sft"
TASKS = ("student", "instagger", "instagger_paper", "knowledge_tagger")
SPELLINGS = ("canonical", "raw")


@dataclass
class TaskArguments:
    """What the model is to learn."""

    _argument_group_name = "task"

    task: str = field(
        default="student",
        metadata={
            "help": "student: to answer as the rows do. instagger: to tag queries as the rows are tagged, in the"
            " released InsTagger's input format; instagger_paper: in the one that its paper prints."
            " knowledge_tagger: to tag problem and answer, the tagger of TAGS."
        },
    )
    tags: str = field(
        default="canonical",
        metadata={"help": "Tags that an instagger learns: canonical (by the release's vocabulary), or raw."},
    )
    tags_column: str = field(default="raw_tags", metadata={"help": "Column of a row's tags, for a tagger."})
    explanations_column: str = field(
        default="tag_explanations", metadata={"help": "Column of their explanations, one for each."}
    )


ARGUMENTS = (TaskArguments, DataArguments, BaseModelArguments, SFTSettings, ModelReleaseArguments)


def main(argv: Sequence[str]) -> None:
    """Run the recipe."""
    task, data, base, training, release = parse(RECIPE, __doc__ or "", ARGUMENTS, argv)
    train(task, data, base, training, release, command=["tagsmith", "run", "train-sft", *argv])


def train(
    task: TaskArguments,
    data: DataArguments,
    base: BaseModelArguments,
    training: SFTSettings,
    release: ModelReleaseArguments,
    *,
    command: Sequence[str],
    progress: bool = True,
) -> Path | None:
    """Train, write the release, publish it if wanted. Called again after an interruption, it goes on where it was.

    Checkpoints lie in a hidden folder beside the output until all is done.

    Args:
        task, data, base, training, release: as their flags.
        command: what was typed, for manifest and card.
        progress: show a bar.

    Returns:
        The model's folder, which `local:` serves; None on other ranks than the first.

    Raises:
        InputError: a setting, the rows or the base model will not do; before the first step.
        ReleaseError: the output or the repository will not do, before the first step; or it could not be published.
    """
    started = datetime.now(UTC)
    check_choice("task", task.task, TASKS)
    check_choice("tags", task.tags, SPELLINGS)
    training.check()
    destination, source = ModelDestination.check(RECIPE, release, lambda: load_training_source(data))
    examples = make_examples(task, data, source)
    trained = train_sft(training, examples, destination.work, base.start(), progress=progress)
    if not trained.first:
        return None
    return release_model(
        trained,
        destination,
        source,
        recipe=RECIPE,
        command=command,
        settings=(task, data, base, training, release),
        method=CARDS[task.task].method,
        variant=CARDS[task.task].variant,
        card=lambda entry, name: card_text(task.task, training, trained, entry, name, made_by=source.method),
        pictures=pictures(trained),
        summary=[*_summary(trained), ("serve it", f"--endpoint local:{destination.output}")],
        noun="sequences" if training.packing else NOUN,
        started=started,
    )


def make_examples(task: TaskArguments, data: DataArguments, source: TrainingSource) -> Dataset:
    """The source's rows as examples of the task.

    Raises:
        InputError: the rows are in none of our shapes, or a tagger's columns or vocabulary are missing.
    """
    rows = to_rows(
        source.rows,
        instruction_column=data.instruction_column,
        response_column=data.response_column,
        reject_bad=data.reject_bad_rows,
        reserved=(),
    )
    if data.reject_bad_rows:
        good = [number for number, status in enumerate(rows["status"]) if status == "ok"]
        rows = rows.select(good)
    if task.task == "student":
        return student_examples(rows)
    columns = {"tags_column": task.tags_column, "explanations_column": task.explanations_column}
    if task.task == "knowledge_tagger":
        return knowledge_tagger_examples(rows, **columns)
    canonical = _vocabulary(source) if task.tags == "canonical" else None
    return instagger_examples(rows, format=task.task, canonical=canonical, **columns)


def _vocabulary(source: TrainingSource) -> Mapping[str, str | None]:
    """Raw tag to canonical tag, by the release that the rows are from."""
    if source.release is None or "vocabulary" not in source.release.manifest["configs"]:
        raise InputError(
            f"{source.facts['name']} has no vocabulary that says which tags are canonical; give a release of"
            " select-instag, or --tags raw"
        )
    table = source.release.load("vocabulary")["train"]
    return dict(zip(table["raw"][:], table["canonical"][:], strict=True))


def _summary(trained: Trained) -> list[tuple[str, str]]:
    named = {"held-out loss": "loss", "token accuracy": "mean_token_accuracy"}
    return [
        (NOUN, f"{len(trained.data.train):,} to train on, {len(trained.data.evaluation):,} held out"),
        ("left out", counted(trained.data.left_out.items())),
        *((shown, f"{trained.metrics[name]:.4f}") for shown, name in named.items() if name in trained.metrics),
    ]


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
