"""Make instructions harder in one pass each, by a budget of tags from a pool (Tag-Evol).

tagsmith run evolve-tag-evol --dataset org/seeds --pool org/tag-pool@v1.0.0 --budgets 1/3/5 --endpoint URI
accelerate launch recipes/evolve_tag_evol.py --config recipes/configs/evolve_tag_evol/demo.yaml
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from datasets import Dataset

from tagsmith.processors.embedding import Embedder
from tagsmith.processors.errors import InputError
from tagsmith.processors.rows import to_rows
from tagsmith.processors.tag_evol.budget import Budgets, BudgetSetter
from tagsmith.processors.tag_evol.candidates import CandidateSampler
from tagsmith.processors.tag_evol.rounds import TagEvolRounds
from tagsmith.processors.tag_evol.tag_pool import TagPool
from tagsmith.recipes.arguments import DataArguments, EndpointArguments, ReleaseArguments
from tagsmith.recipes.command import run
from tagsmith.recipes.dry_run import dry_run
from tagsmith.recipes.evolution_measures import MeasureArguments, measures
from tagsmith.recipes.evolved_rows import all_rejected, blank_rejected, with_source_columns
from tagsmith.recipes.made import Made
from tagsmith.recipes.parsing import parse
from tagsmith.recipes.publish import Destination, publish
from tagsmith.recipes.ranks import Ranks
from tagsmith.recipes.row_status import split_by_status
from tagsmith.recipes.sources import load_source, source_config
from tagsmith.recipes.stages import Stages
from tagsmith.recipes.summary import counted, print_table, rejected_by_reason
from tagsmith.recipes.tag_evol_arguments import PoolArguments, RewriteArguments
from tagsmith.recipes.tag_evol_card import card_text, pictures
from tagsmith.recipes.tag_evol_round import EvolvePlan
from tagsmith.recipes.tag_pool_source import CONFIG, language_warning, open_pool

RECIPE = "evolve_tag_evol"
# Columns that come and go between the stages of a round.
PASSING = ("problem", "absent_tags", "chosen_tags", "new_instruction", "rewritten", "ungrounded", "aspects")


@dataclass
class EvolveArguments:
    """How often and how far to evolve."""

    _argument_group_name = "recipe"

    budgets: str = field(
        default="1/3/5",
        metadata={"help": "Tags a row in each round: 1/3/5, or adaptive:6/8/10 (towards so many tags in all)."},
    )
    most_tags: int = field(default=7, metadata={"help": "Largest adaptive budget."})
    chained: bool = field(
        default=False, metadata={"help": "Start each round from the last good version, not from the seed."}
    )
    respond: bool = field(default=True, metadata={"help": "Answer each new instruction."})
    response_format: str = field(
        default="alpaca", metadata={"help": "alpaca (its form for single turns), or chat: the instruction alone."}
    )


ARGUMENTS = (
    DataArguments,
    EndpointArguments,
    PoolArguments,
    RewriteArguments,
    EvolveArguments,
    MeasureArguments,
    ReleaseArguments,
)


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
    own: EvolveArguments,
    measuring: MeasureArguments,
) -> Made | None:
    """Evolve all rows. None where there is nothing to publish."""
    budgets = Budgets.parse(own.budgets, highest=own.most_tags)
    check_candidates(drawing, budgets.most)
    teacher, embedder = endpoint.to_endpoint(), drawing.embedder()
    plan = rewriting.plan(teacher, embedder, drawing.seed, own.response_format if own.respond else None)
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
    tagged = stages.run(blank_rejected(rows), tagger, "tag")
    seeds, unread = split_by_status(tagged)
    if not len(seeds):
        raise InputError(f"all {len(rows):,} rows were rejected; first reason: {unread[0]['reason']}")
    pool = pool_for(seeds, pool, embedder, warn=ranks.first)
    rounds = evolve(seeds, pool, budgets, own.chained, plan, drawing, stages)
    measured = measures(rounds, stages, teacher, measuring.measure_rows) if measuring.measure else None
    if not ranks.first:
        return None

    evolved = rounds.evolved()
    if not len(evolved):
        raise InputError(f"no row was evolved: {counted(rejected_by_reason(rounds.records).items())}")
    _, failed = split_by_status(rounds.records)
    rejected = all_rejected(failed, unread)
    counts, costs = rounds.counts(), stages.costs()
    configs = {
        "default": with_source_columns(evolved, seeds.remove_columns(["aspects"])),
        "rounds": rounds.records,
        "rejected": rejected,
        CONFIG: Dataset(pool.table),
        **({"measures": measured} if measured is not None else {}),
        "costs": costs,
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
        variant=f"{rewriting.method}, budgets {budgets}, {'chained' if own.chained else 'each from the seed'},"
        f" {rewriting.domain} prompts",
        inputs=inputs,
        prompts=stages.prompts,
        models=[
            {"model": plan.first.client.server.model, "role": "teacher", "endpoint": "endpoint"},
            {"model": drawing.embedding_model, "role": "embeddings of tags and texts"},
        ],
        counts={
            # A row counts in each of its rounds, and once if it took part in none: so are rejections counted.
            "rows_in": len(seeds) * len(budgets.rounds) + len(unread),
            "rows_out": len(evolved),
            "rejected": rejected_by_reason(rejected),
            "rounds": len(budgets.rounds),
            "seed_rows": len(seeds),
            "pool_tags": len(pool),
        },
        usage=stages.usage,
        offline=offline,
        card=lambda: card_text(facts, configs, str(budgets), counts, offline),
        pictures=lambda: pictures(rounds.records, counts, measured),
        artefacts={"pool": CONFIG},
        summary=[
            ("seed rows", f"{len(seeds):,}"),
            ("pool", f"{len(pool):,} tags"),
            *(
                (
                    f"round {of['iteration']}",
                    f"{of['ok']:,} accepted, {of['rows'] - of['ok']:,} rejected ({counted(of['rejected'].items())})",
                )
                for of in counts[1:]
            ),
        ],
    )


def check_candidates(drawing: PoolArguments, most: int) -> None:
    """Raise where a row could not have enough candidates for its budget."""
    if drawing.candidates < most:
        raise InputError(
            f"candidates={drawing.candidates} a row, but a budget of {most} tags: give at least as many, 21 say"
        )


def pool_for(seeds: Dataset, pool: TagPool | None, embedder: Embedder, *, warn: bool) -> TagPool:
    """The pool that was given, or one of the rows' own tags, which is the paper's.

    A pool in another language than the rows is told on stderr.
    """
    if pool is None:
        return TagPool(embedder=embedder).fit(seeds)
    if warn and (warning := language_warning(pool, seeds)):
        print(f"tagsmith: warning: {warning}", file=sys.stderr)
    return pool


def evolve(
    seeds: Dataset,
    pool: TagPool,
    budgets: Budgets,
    chained: bool,
    plan: EvolvePlan,
    drawing: PoolArguments,
    stages: Stages,
) -> TagEvolRounds:
    """All rounds of the seeds, which have `tags`."""
    rounds = TagEvolRounds.start(seeds, chained=chained)
    for number in range(1, len(budgets.rounds) + 1):
        sampler = drawing.sampler(pool, number)
        made = evolve_once(rounds.current(), budgets, number, plan, sampler, stages, f"round {number}")
        rounds = rounds.advance(made)
    return rounds


def evolve_once(
    rows: Dataset,
    budgets: Budgets,
    number: int,
    plan: EvolvePlan,
    sampler: CandidateSampler,
    stages: Stages,
    name: str,
) -> Dataset:
    """One round of `TagEvolRounds.current()`, as `advance` takes it; `name` is what its stages are called by."""
    rows = stages.compute(rows, BudgetSetter(budgets, number), f"{name}: budgets")
    return plan.run(rows, sampler, stages, name)


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
