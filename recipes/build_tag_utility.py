"""Measure what each tag is worth: mean response tokens of the instructions that carry it (Tag-Instruct, §3.4, Eq. 1).

tagsmith run build-tag-utility --dataset org/instructions-and-responses --endpoint http://localhost:8080
accelerate launch recipes/build_tag_utility.py --config recipes/configs/build_tag_utility/demo.yaml
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from datasets import Dataset

from tagsmith.processors.endpoint.request import Parameters
from tagsmith.processors.errors import InputError
from tagsmith.processors.rows import to_rows
from tagsmith.processors.tag_instruct.derived_meanings import DerivedMeanings
from tagsmith.processors.tag_instruct.encoder import BASE_TAGS_SCHEMA, TagEncoder
from tagsmith.processors.tag_instruct.utility import TagUtility
from tagsmith.processors.token_lengths import BUNDLED_TOKENIZER
from tagsmith.recipes.arguments import DataArguments, EndpointArguments, ReleaseArguments
from tagsmith.recipes.command import run
from tagsmith.recipes.dry_run import dry_run
from tagsmith.recipes.made import Made
from tagsmith.recipes.parsing import parse
from tagsmith.recipes.publish import Destination, publish
from tagsmith.recipes.ranks import Ranks
from tagsmith.recipes.responses import with_responses
from tagsmith.recipes.row_status import split_by_status
from tagsmith.recipes.sources import load_source, source_config
from tagsmith.recipes.stages import Stages
from tagsmith.recipes.summary import counted, print_table, rejected_by_reason
from tagsmith.recipes.tag_utility_card import card_text, meanings_by_quartile, pictures

RECIPE = "build_tag_utility"


@dataclass
class UtilityArguments:
    """How to tag, and how to measure."""

    _argument_group_name = "recipe"

    encoder: str = field(default="evolved", metadata={"help": "evolved, enhanced, basic, or model (an InsTagger)."})
    prompt: str | None = field(default=None, metadata={"help": "Your own encoder prompt (Jinja; input: instruction)."})
    max_new_tokens: int = field(default=64, metadata={"help": "Longest reply of the encoder, in tokens."})
    temperature: float = field(default=0.0, metadata={"help": "Of the encoder; 0 is greedy."})
    variant: str = field(
        default="paper", metadata={"help": "paper (Eq. 1), or official: tokens divided by the row's number of tags."}
    )
    min_count: int = field(default=1, metadata={"help": "Leave out tags of fewer rows (the authors' pools need 3)."})
    tokenizer: str = field(
        default=BUNDLED_TOKENIZER, metadata={"help": "Counts response tokens: any transformers tokenizer."}
    )
    meanings: int = field(
        default=0, metadata={"help": "Ask for the derived meanings of so many tags a quartile (§5.2); 0: do not."}
    )


ARGUMENTS = (DataArguments, EndpointArguments, UtilityArguments, ReleaseArguments)


def main(argv: Sequence[str]) -> None:
    """Run the recipe."""
    started = datetime.now(UTC)
    data, endpoint, own, release = parse(RECIPE, __doc__ or "", ARGUMENTS, argv)
    destination = Destination.check(RECIPE, release, endpoint.endpoint)
    made = make(data, endpoint, own)
    if made is not None:
        publish(made, destination, recipe=RECIPE, argv=argv, settings=(data, endpoint, own, release), started=started)


def make(data: DataArguments, endpoint: EndpointArguments, own: UtilityArguments) -> Made | None:
    """Encode every instruction, then measure. None where there is nothing to publish."""
    source, facts = load_source(data)
    schema = None if own.encoder == "model" else BASE_TAGS_SCHEMA
    parameters = Parameters(own.max_new_tokens, own.temperature, json_schema=schema)
    encoder = TagEncoder(endpoint=endpoint.to_endpoint(), variant=own.encoder, prompt=own.prompt, parameters=parameters)
    utility = TagUtility(variant=own.variant, min_count=own.min_count, tokenizer=own.tokenizer)
    rows = to_rows(
        source,
        instruction_column=data.instruction_column,
        response_column=data.response_column,
        reject_bad=data.reject_bad_rows,
        reserved=encoder.features({}).keys(),
    )
    rows = with_responses(rows, reject=data.reject_bad_rows)
    ranks = Ranks.from_environment()
    if endpoint.dry_run:
        if ranks.first:
            print_table("Dry run: nothing was sent", dry_run(rows, encoder))
        return None
    stages = Stages(ranks)
    encoded = stages.run(rows, encoder, "encoding")
    tagged, rejected = split_by_status(encoded)
    reasons = rejected_by_reason(rejected)
    if not len(tagged):
        raise InputError(
            f"all {len(rows):,} rows were rejected ({counted(reasons.items())}); first reason: {rejected[0]['reason']}"
        )
    table = utility.fit(tagged).fitted
    quartiles = table.quartiles()
    meanings = None
    if own.meanings:
        asker = DerivedMeanings(endpoint=endpoint.to_endpoint())
        meanings = meanings_by_quartile(quartiles, own.meanings, lambda rows: stages.run(rows, asker, "meanings"))
    if not ranks.first:
        return None

    configs = {
        "default": Dataset(table.table),
        "tagged": tagged,
        "rejected": rejected,
        **({"meanings": meanings} if meanings is not None else {}),
        "generations": stages.generations(),
        **source_config(source, facts),
    }
    offline = stages.offline
    return Made(
        configs=configs,
        method="Tag-Instruct",
        variant=own.variant,
        inputs=[facts],
        prompts=stages.prompts,
        models=[{"model": encoder.client.server.model, "role": "encoder", "endpoint": "endpoint"}],
        counts={
            "rows_in": len(rows),
            "rows_out": len(table.table),
            "rows_tagged": len(tagged),
            "rejected": reasons,
        },
        usage=stages.usage,
        offline=offline,
        card=lambda: card_text(facts, configs, table, offline),
        pictures=lambda: pictures(table, meanings),
        summary=[
            ("tagged", f"{len(tagged):,}"),
            ("tags", f"{len(table.table):,}"),
            ("utility", f"{table.table['mean'][0].as_py():,.1f} to {table.table['mean'][-1].as_py():,.1f} tokens"),
        ],
    )


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
