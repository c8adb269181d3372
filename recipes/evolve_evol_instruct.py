"""The baseline: Evol-Instruct, one of six fixed operations a row and round, chained, with its elimination (WizardLM).

tagsmith run evolve-evol-instruct --dataset org/seeds --rounds 3 --endpoint http://localhost:8080
accelerate launch recipes/evolve_evol_instruct.py --config recipes/configs/evolve_evol_instruct/demo.yaml
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from datasets import Dataset

from tagsmith.processors.baselines.evol_elimination import EqualityJudge, eliminate_by_response
from tagsmith.processors.baselines.evol_instruct import OPERATIONS, EvolInstructRewriter
from tagsmith.processors.baselines.evol_rounds import EvolInstructRounds
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import Parameters
from tagsmith.processors.errors import InputError
from tagsmith.processors.responder import Responder
from tagsmith.processors.rows import to_rows
from tagsmith.recipes.arguments import DataArguments, EndpointArguments, ReleaseArguments
from tagsmith.recipes.command import run
from tagsmith.recipes.dry_run import dry_run
from tagsmith.recipes.evol_instruct_card import card_text, pictures
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

RECIPE = "evolve_evol_instruct"
_PASSING = ("new_instruction", "equal")


@dataclass
class EvolveArguments:
    """How often and how to evolve."""

    _argument_group_name = "recipe"

    rounds: int = field(default=3, metadata={"help": "Rounds, each from the last good version."})
    operations: str = field(
        default=",".join(OPERATIONS), metadata={"help": "Among which each row and round draws one, between commas."}
    )
    temperature: float = field(default=0.7, metadata={"help": "Of rewriting."})
    max_new_tokens: int = field(default=2048, metadata={"help": "Longest instruction and response, in tokens."})
    response_format: str = field(
        default="alpaca", metadata={"help": "alpaca (its form for single turns), or chat: the instruction alone."}
    )
    seed: int = field(default=0, metadata={"help": "Of operations and sampling."})


ARGUMENTS = (DataArguments, EndpointArguments, EvolveArguments, MeasureArguments, ReleaseArguments)


def main(argv: Sequence[str]) -> None:
    """Run the recipe."""
    started = datetime.now(UTC)
    settings = parse(RECIPE, __doc__ or "", ARGUMENTS, argv)
    data, endpoint, own, measuring, release = settings
    destination = Destination.check(RECIPE, release, endpoint.endpoint)
    made = make(data, endpoint, own, measuring)
    if made is not None:
        publish(made, destination, recipe=RECIPE, argv=argv, settings=settings, started=started)


def make(
    data: DataArguments, endpoint: EndpointArguments, own: EvolveArguments, measuring: MeasureArguments
) -> Made | None:
    """Evolve all rows. None where there is nothing to publish."""
    if own.rounds < 1:
        raise InputError(f"rounds={own.rounds}: expected at least 1; with 0 there is nothing to do")
    teacher = endpoint.to_endpoint()
    first = _rewriter(teacher, own, 1)
    source, facts = load_source(data)
    rows = to_rows(
        source,
        instruction_column=data.instruction_column,
        response_column=data.response_column,
        reject_bad=data.reject_bad_rows,
        reserved=(*EvolInstructRounds.schema().names, *_PASSING),
    )
    ranks = Ranks.from_environment()
    if endpoint.dry_run:
        if ranks.first:
            print_table("Dry run of the first stage of one round: nothing was sent", dry_run(rows, first))
        return None
    seeds, unread = split_by_status(blank_rejected(rows))
    if not len(seeds):
        raise InputError(f"all {len(rows):,} rows were rejected while reading; first reason: {unread[0]['reason']}")

    stages = Stages(ranks)
    rounds = EvolInstructRounds.start(seeds)
    for number in range(1, own.rounds + 1):
        rounds = rounds.advance(_round(rounds.current(), teacher, own, stages, number))
    measured = measures(rounds, stages, teacher, measuring.measure_rows) if measuring.measure else None
    if not ranks.first:
        return None

    evolved = rounds.evolved()
    if not len(evolved):
        raise InputError(f"no row was evolved: {counted(rejected_by_reason(rounds.records).items())}")
    _, failed = split_by_status(rounds.records)
    rejected = all_rejected(failed, unread)
    counts, offline = rounds.counts(), stages.offline
    configs = {
        "default": with_source_columns(evolved, seeds),
        "rounds": rounds.records,
        "rejected": rejected,
        **({"measures": measured} if measured is not None else {}),
        "costs": stages.costs(),
        "generations": stages.generations(),
        **source_config(source, facts),
    }
    return Made(
        configs=configs,
        method="Evol-Instruct",
        variant=f"{len(first.operations)} operations, {own.rounds} rounds, chained",
        inputs=[facts],
        prompts=stages.prompts,
        models=[{"model": first.client.server.model, "role": "teacher", "endpoint": "endpoint"}],
        counts={
            "rows_in": len(seeds) * own.rounds + len(unread),
            "rows_out": len(evolved),
            "rejected": rejected_by_reason(rejected),
            "rounds": own.rounds,
            "seed_rows": len(seeds),
        },
        usage=stages.usage,
        offline=offline,
        card=lambda: card_text(facts, configs, counts, offline),
        pictures=lambda: pictures(counts, measured),
        summary=[
            ("seed rows", f"{len(seeds):,}"),
            *(
                (
                    f"round {of['iteration']}",
                    f"{of['ok']:,} accepted, {of['rows'] - of['ok']:,} eliminated ({counted(of['rejected'].items())})",
                )
                for of in counts[1:]
            ),
        ],
    )


def _rewriter(endpoint: Endpoint, own: EvolveArguments, number: int) -> EvolInstructRewriter:
    return EvolInstructRewriter(
        endpoint=endpoint,
        operations=tuple(name.strip() for name in own.operations.split(",") if name.strip()),
        seed=own.seed,
        round_number=number,
        parameters=Parameters(own.max_new_tokens, own.temperature, seed=own.seed if own.temperature else None),
    )


def _round(rows: Dataset, endpoint: Endpoint, own: EvolveArguments, stages: Stages, number: int) -> Dataset:
    """Rewrite, judge, respond, eliminate: each row falls out as early as it can, before more is paid for it."""
    name = f"round {number}"
    rows = stages.run(rows, _rewriter(endpoint, own, number), f"{name}: evolve")
    rows = stages.run(rows, EqualityJudge(endpoint=endpoint), f"{name}: judge")
    responder = Responder(
        endpoint=endpoint,
        format=own.response_format,
        column="new_instruction",
        parameters=Parameters(own.max_new_tokens),
    )
    rows = stages.run(rows, responder, f"{name}: respond")
    features = rows.features
    eliminated: Dataset = rows.map(eliminate_by_response, batched=True, features=features, load_from_cache_file=False)
    return eliminated


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
