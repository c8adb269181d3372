"""Write tasks that combine tags of high, low or any utility (Tag-Instruct, §5.3, App. E.3).

tagsmith run combine-tags --utility org/tag-utility@v1.0.0 --pool high --rows 5000 --endpoint http://localhost:8080
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from datasets import Dataset

from tagsmith.processors.endpoint.request import Parameters
from tagsmith.processors.errors import InputError
from tagsmith.processors.responder import Responder
from tagsmith.processors.tag_instruct.tag_combination import TagCombinations
from tagsmith.processors.tag_instruct.tag_combiner import TagCombiner
from tagsmith.recipes.arguments import EndpointArguments, ReleaseArguments
from tagsmith.recipes.command import run
from tagsmith.recipes.dry_run import dry_run
from tagsmith.recipes.made import Made
from tagsmith.recipes.parsing import parse
from tagsmith.recipes.publish import Destination, publish
from tagsmith.recipes.ranks import Ranks
from tagsmith.recipes.row_status import split_by_status
from tagsmith.recipes.stages import Stages
from tagsmith.recipes.summary import counted, print_table, rejected_by_reason
from tagsmith.recipes.tag_combination_card import card_text, pictures
from tagsmith.recipes.tag_utilities import CONFIG, open_utility

RECIPE = "combine_tags"


@dataclass
class CombineArguments:
    """Which tags are combined, and how the tasks are written."""

    _argument_group_name = "recipe"

    utility: str | None = field(
        default=None, metadata={"help": "Tag utilities: a release of build-tag-utility, a saved table, or a file."}
    )
    pool: str = field(default="high", metadata={"help": "high, low or random utility."})
    pool_size: int = field(default=1_000, metadata={"help": "Tags in the pool (paper, 5.3: 1,000)."})
    tags_per_row: int = field(default=2, metadata={"help": "Tags in a combination (paper, 5.3: 2)."})
    rows: int = field(default=5_000, metadata={"help": "Combinations to draw (paper, 5.3: 5,000)."})
    min_count: int = field(default=1, metadata={"help": "Leave tags of fewer rows out of the pool."})
    respond: bool = field(default=True, metadata={"help": "Answer each task."})
    max_new_tokens: int = field(default=2048, metadata={"help": "Longest task and response, in tokens."})
    temperature: float = field(default=0.7, metadata={"help": "Of the tasks."})
    seed: int = field(default=0, metadata={"help": "Of the draw."})


ARGUMENTS = (EndpointArguments, CombineArguments, ReleaseArguments)


def main(argv: Sequence[str]) -> None:
    """Run the recipe."""
    started = datetime.now(UTC)
    settings = parse(RECIPE, __doc__ or "", ARGUMENTS, argv)
    endpoint, own, release = settings
    destination = Destination.check(RECIPE, release, endpoint.endpoint)
    made = make(endpoint, own)
    if made is not None:
        publish(made, destination, recipe=RECIPE, argv=argv, settings=settings, started=started)


def make(endpoint: EndpointArguments, own: CombineArguments) -> Made | None:
    """Draw, write, respond. None where there is nothing to publish."""
    if own.utility is None:
        raise InputError("combining needs --utility: make it with `tagsmith run build-tag-utility`")
    utility = open_utility(own.utility)
    drawn = TagCombinations(
        pool=own.pool,
        pool_size=own.pool_size,
        tags_per_row=own.tags_per_row,
        rows=own.rows,
        min_count=own.min_count,
        seed=own.seed,
    ).draw(utility.fitted)
    teacher = endpoint.to_endpoint()
    combiner = TagCombiner(endpoint=teacher, parameters=Parameters(own.max_new_tokens, own.temperature, seed=own.seed))
    ranks = Ranks.from_environment()
    if endpoint.dry_run:
        if ranks.first:
            print_table("Dry run of the first stage: nothing was sent", dry_run(drawn, combiner))
        return None
    stages = Stages(ranks)
    rows = stages.run(drawn, combiner, "combining")
    if own.respond:
        rows = stages.run(rows, Responder(endpoint=teacher, parameters=Parameters(own.max_new_tokens)), "responding")
    if not ranks.first:
        return None
    made, rejected = split_by_status(rows)
    reasons = rejected_by_reason(rejected)
    if not len(made):
        raise InputError(
            f"all {len(rows):,} combinations were rejected ({counted(reasons.items())}); first reason:"
            f" {rejected[0]['reason']}"
        )
    configs = {
        "default": made,
        "rejected": rejected,
        CONFIG: Dataset(utility.fitted.table),
        "generations": stages.generations(),
    }
    facts = {"name": Path(own.utility).name if Path(own.utility).exists() else own.utility, "rows": len(utility.fitted)}
    offline = stages.offline
    return Made(
        configs=configs,
        method="Tag-Instruct",
        variant=f"tag combination, {own.pool} utility",
        inputs=[facts],
        prompts=stages.prompts,
        models=[{"model": combiner.client.server.model, "role": "teacher", "endpoint": "endpoint"}],
        counts={"rows_in": len(rows), "rows_out": len(made), "rejected": reasons},
        usage=stages.usage,
        offline=offline,
        card=lambda: card_text(configs, own.pool, own.tags_per_row, offline),
        pictures=lambda: pictures(made),
        artefacts={"utility": CONFIG},
        summary=[("tasks", f"{len(made):,}")],
    )


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
