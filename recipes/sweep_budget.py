"""Evolve the same rows by budgets from 1 to 15: difficulty, acceptance, grounding, and where they saturate (Tag-Evol).

tagsmith run sweep-budget --dataset org/seeds --pool org/tag-pool@v1.0.0 --max_rows 500 --endpoint URI
accelerate launch recipes/sweep_budget.py --config recipes/configs/sweep_budget/demo.yaml
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from datasets import Dataset

from tagsmith.processors.errors import InputError
from tagsmith.processors.rows import to_rows
from tagsmith.processors.tag_evol.budget import Budgets
from tagsmith.processors.tag_evol.rounds import TagEvolRounds
from tagsmith.recipes.arguments import DataArguments, EndpointArguments, ReleaseArguments
from tagsmith.recipes.budget_sweep import SCHEMA, figures, saturation
from tagsmith.recipes.command import run
from tagsmith.recipes.dry_run import dry_run
from tagsmith.recipes.evolve_tag_evol import PASSING, check_candidates, evolve_once, pool_for
from tagsmith.recipes.evolved_rows import all_rejected, blank_rejected
from tagsmith.recipes.made import Made
from tagsmith.recipes.parsing import parse
from tagsmith.recipes.publish import Destination, publish
from tagsmith.recipes.ranks import Ranks
from tagsmith.recipes.row_status import split_by_status
from tagsmith.recipes.sources import load_source, source_config
from tagsmith.recipes.stages import Stages
from tagsmith.recipes.summary import print_table, rejected_by_reason
from tagsmith.recipes.sweep_budget_card import card_text, pictures
from tagsmith.recipes.tag_evol_arguments import PoolArguments, RewriteArguments
from tagsmith.recipes.tag_pool_source import CONFIG, open_pool

RECIPE = "sweep_budget"


@dataclass
class SweepArguments:
    """Which budgets."""

    _argument_group_name = "recipe"

    budgets: str = field(
        default="1/2/3/4/5/6/7/8/9/10/11/12/13/14/15",
        metadata={"help": "Budgets to try, each on all rows, from the seed."},
    )


ARGUMENTS = (DataArguments, EndpointArguments, PoolArguments, RewriteArguments, SweepArguments, ReleaseArguments)


def main(argv: Sequence[str]) -> None:
    """Run the recipe."""
    started = datetime.now(UTC)
    settings = parse(RECIPE, __doc__ or "", ARGUMENTS, argv)
    *blocks, release = settings
    destination = Destination.check(RECIPE, release, blocks[1].endpoint)
    made = make(*blocks)
    if made is not None:
        publish(made, destination, recipe=RECIPE, argv=argv, settings=settings, started=started)


def make(
    data: DataArguments,
    endpoint: EndpointArguments,
    drawing: PoolArguments,
    rewriting: RewriteArguments,
    own: SweepArguments,
) -> Made | None:
    """Evolve all rows by each budget. None where there is nothing to publish.

    All budgets draw from the same candidates of a row, so that nothing but the budget differs.
    """
    budgets = Budgets.parse(own.budgets)
    if budgets.adaptive or len(set(budgets.rounds)) < len(budgets.rounds):
        raise InputError(f"budgets {own.budgets!r}: a sweep takes different fixed budgets, 1/3/5/7 say")
    check_candidates(drawing, budgets.most)
    teacher, embedder = endpoint.to_endpoint(), drawing.embedder()
    plan = rewriting.plan(teacher, embedder, drawing.seed, None)
    pool = open_pool(drawing.pool, embedder) if drawing.pool else None
    source, facts = load_source(data)
    rows = to_rows(
        source,
        instruction_column=data.instruction_column,
        response_column=data.response_column,
        reject_bad=data.reject_bad_rows,
        reserved=(*TagEvolRounds.schema().names, *PASSING),
    )
    ranks, tagger = Ranks.from_environment(), rewriting.tagger(teacher)
    if endpoint.dry_run:
        if ranks.first:
            print_table("Dry run of tagging the rows: nothing was sent", dry_run(rows, tagger))
        return None

    stages = Stages(ranks)
    seeds, unread = split_by_status(stages.run(blank_rejected(rows), tagger, "tag"))
    if not len(seeds):
        raise InputError(f"all {len(rows):,} rows were rejected; first reason: {unread[0]['reason']}")
    pool = pool_for(seeds, pool, embedder, warn=ranks.first)
    rounds = TagEvolRounds.start(seeds, chained=False)
    results: dict[str, Dataset] = {}
    for number, budget in enumerate(budgets.rounds, 1):
        sampler = drawing.sampler(pool, 0)
        made = evolve_once(rounds.current(), budgets, number, plan, sampler, stages, f"budget {budget}")
        results[str(budget)] = made
        rounds = rounds.advance(made)
    of = figures(results, stages, teacher)
    if not ranks.first:
        return None

    sweep = [{"budget": budget, **of[str(budget)]} for budget in sorted(budgets.rounds)]
    saturated = saturation(sweep)
    kind = pa.schema([pa.field("budget", pa.int64()), *SCHEMA])
    _, failed = split_by_status(rounds.records)
    rejected = all_rejected(failed, unread)
    configs = {
        "default": Dataset(pa.Table.from_pylist(sweep, schema=kind)),
        "rounds": rounds.records,
        "rejected": rejected,
        CONFIG: Dataset(pool.table),
        "costs": stages.costs(),
        "generations": stages.generations(),
        **source_config(source, facts),
    }
    offline = stages.offline
    inputs: list[dict[str, Any]] = [facts]
    if drawing.pool:
        inputs.append({"name": drawing.pool_name, "rows": len(pool)})
    return Made(
        configs=configs,
        method="Tag-Evol",
        variant=f"{rewriting.method}, budgets {budgets}, {rewriting.domain} prompts",
        inputs=inputs,
        prompts=stages.prompts,
        models=[
            {"model": plan.first.client.server.model, "role": "teacher", "endpoint": "endpoint"},
            {"model": drawing.embedding_model, "role": "embeddings of tags and texts"},
        ],
        counts={
            "rows_in": len(seeds) * len(sweep) + len(unread),
            "rows_out": sum(line["accepted"] for line in sweep),
            "rejected": rejected_by_reason(rejected),
            "seed_rows": len(seeds),
            "pool_tags": len(pool),
            "saturation": saturated,
        },
        usage=stages.usage,
        offline=offline,
        card=lambda: card_text(facts, configs, saturated, offline),
        pictures=lambda: pictures(sweep, saturated),
        artefacts={"pool": CONFIG},
        summary=[
            ("seed rows", f"{len(seeds):,}"),
            *(
                (
                    f"budget {line['budget']}",
                    f"{line['acceptance']:.1%} accepted, {line['grounding']:.1%} grounded, difficulty"
                    f" {line['difficulty'] or float('nan'):.2f}",
                )
                for line in sweep
            ),
            ("saturates at", "no budget" if saturated is None else f"b = {saturated}"),
        ],
    )


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
