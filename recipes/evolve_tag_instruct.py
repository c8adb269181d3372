"""Make instructions harder through tags, round by round: compress, expand, decode, respond (Tag-Instruct).

tagsmith run evolve-tag-instruct --dataset org/seeds --utility org/tag-utility@v1.0.0 --endpoint http://localhost:8080
accelerate launch recipes/evolve_tag_instruct.py --config recipes/configs/evolve_tag_instruct/demo.yaml
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from datasets import Dataset

from tagsmith.processors.answerability import AnswerabilityJudge
from tagsmith.processors.endpoint.request import Parameters
from tagsmith.processors.errors import InputError
from tagsmith.processors.responder import Responder
from tagsmith.processors.rows import to_rows
from tagsmith.processors.tag_instruct.candidate_choice import CandidateChoice
from tagsmith.processors.tag_instruct.decode_checks import DecodeLimits
from tagsmith.processors.tag_instruct.decoder import InstructionDecoder
from tagsmith.processors.tag_instruct.expander import TagExpander
from tagsmith.processors.tag_instruct.rounds import SCHEMA, Rounds
from tagsmith.recipes.arguments import DataArguments, EndpointArguments, ReleaseArguments
from tagsmith.recipes.command import run
from tagsmith.recipes.dry_run import dry_run
from tagsmith.recipes.evolved_rows import all_rejected, blank_rejected, curves, with_source_columns
from tagsmith.recipes.made import Made
from tagsmith.recipes.parsing import parse
from tagsmith.recipes.policy_facts import policy_facts
from tagsmith.recipes.publish import Destination, publish
from tagsmith.recipes.ranks import Ranks
from tagsmith.recipes.row_status import split_by_status
from tagsmith.recipes.sources import load_source, source_config
from tagsmith.recipes.stages import Stages
from tagsmith.recipes.summary import counted, print_table, rejected_by_reason
from tagsmith.recipes.tag_instruct_arguments import ExpansionArguments
from tagsmith.recipes.tag_instruct_card import card_text, pictures
from tagsmith.recipes.tag_instruct_round import Round
from tagsmith.recipes.tag_utilities import CONFIG

RECIPE = "evolve_tag_instruct"
EXPANSIONS = ("best-of-n", "prompt", "policy")


@dataclass
class EvolveArguments:
    """How to evolve."""

    _argument_group_name = "recipe"

    rounds: int = field(default=5, metadata={"help": "Rounds, each from the last good version (paper: 5)."})
    expansion: str = field(
        default="best-of-n",
        metadata={"help": "best-of-n (by score), prompt (the teacher's first answer), or policy (a trained one)."},
    )
    policy_endpoint: str | None = field(
        default=None, metadata={"help": "Serves the trained policy: local:runs/tag-policy, or local:org/policy@v1.0.0."}
    )
    policy_format: str = field(
        default="policy", metadata={"help": "policy (completes with the tag), or policy_explained (explains it first)."}
    )
    check_answerable: bool = field(default=True, metadata={"help": "Judge whether a new instruction can be answered."})
    respond: bool = field(default=True, metadata={"help": "Answer each new instruction."})
    response_format: str = field(
        default="alpaca", metadata={"help": "alpaca (Fig. 8), or chat: the instruction alone."}
    )
    max_new_tokens: int = field(default=2048, metadata={"help": "Longest instruction and response, in tokens."})
    decode_temperature: float = field(default=0.7, metadata={"help": "Of new instructions."})
    max_characters: int = field(default=6_000, metadata={"help": "Longest new instruction, in characters."})
    measure: bool = field(
        default=True,
        metadata={"help": "Count InsTag tags of every round's instructions, as Fig. 3 does, and judge them."},
    )


ARGUMENTS = (DataArguments, EndpointArguments, ExpansionArguments, EvolveArguments, ReleaseArguments)


def main(argv: Sequence[str]) -> None:
    """Run the recipe."""
    started = datetime.now(UTC)
    settings = parse(RECIPE, __doc__ or "", ARGUMENTS, argv)
    data, endpoint, tags, own, release = settings
    destination = Destination.check(RECIPE, release, endpoint.endpoint, own.policy_endpoint)
    made = make(data, endpoint, tags, own)
    if made is not None:
        publish(made, destination, recipe=RECIPE, argv=argv, settings=settings, started=started)


def make(
    data: DataArguments, endpoint: EndpointArguments, tags: ExpansionArguments, own: EvolveArguments
) -> Made | None:
    """Evolve all rows. None where there is nothing to publish."""
    if own.rounds < 1:
        raise InputError(f"rounds={own.rounds}: expected at least 1; with 0 there is nothing to do")
    utility = tags.open_utility()
    plan = _plan(endpoint, tags, own)
    source, facts = load_source(data)
    rows = to_rows(
        source,
        instruction_column=data.instruction_column,
        response_column=data.response_column,
        reject_bad=data.reject_bad_rows,
        reserved=SCHEMA.names,
    )
    ranks = Ranks.from_environment()
    if endpoint.dry_run:
        if ranks.first:
            print_table("Dry run of the first stage of one round: nothing was sent", dry_run(rows, plan.encoder))
        return None
    seeds, unread = split_by_status(blank_rejected(rows))
    if not len(seeds):
        raise InputError(f"all {len(rows):,} rows were rejected while reading; first reason: {unread[0]['reason']}")

    stages = Stages(ranks)
    rounds = Rounds.start(seeds)
    for number in range(1, own.rounds + 1):
        rounds = rounds.advance(plan.run(rounds.current(), stages, f"round {number}"))
    measured = curves(rounds, stages, endpoint.to_endpoint()) if own.measure else None
    if not ranks.first:
        return None

    final = rounds.final()
    _, failed = split_by_status(rounds.records)
    rejected = all_rejected(failed, unread)
    configs = {
        "default": with_source_columns(final, seeds),
        "rounds": rounds.records,
        "rejected": rejected,
        **({"curves": measured} if measured is not None else {}),
        **({CONFIG: Dataset(utility.fitted.table)} if utility is not None else {}),
        "generations": stages.generations(),
        **source_config(source, facts),
    }
    offline = stages.offline
    counts = rounds.counts()
    policy = [policy_facts(own.policy_endpoint, plan.expander.client.server.model)] if own.policy_endpoint else []
    return Made(
        configs=configs,
        method="Tag-Instruct",
        variant=f"{own.expansion}, {tags.encoder} encoder",
        inputs=[facts],
        prompts=stages.prompts,
        models=[
            {"model": plan.encoder.client.server.model, "role": "teacher", "endpoint": "endpoint"},
            *policy,
            {"model": tags.embedding_model, "role": "tag embeddings"},
        ],
        counts={
            # A row counts in each of its rounds, and once if it took part in none: so are rejections counted.
            "rows_in": len(seeds) * own.rounds + len(unread),
            "rows_out": len(final),
            "rejected": rejected_by_reason(rejected),
            "rounds": own.rounds,
            "rows_evolved": sum(1 for iteration in final["iteration"] if iteration > 0),
        },
        usage=stages.usage,
        offline=offline,
        card=lambda: card_text(facts, configs, own.expansion, counts, offline),
        pictures=lambda: pictures(rounds.records, measured, utility),
        artefacts={"utility": CONFIG} if utility is not None else {},
        summary=[
            ("seed rows", f"{len(seeds):,}"),
            *(
                (
                    f"round {of['iteration']}",
                    f"{of['ok']:,} evolved, {of['rows'] - of['ok']:,} kept their version"
                    f" ({counted(of['rejected'].items())})",
                )
                for of in counts[1:]
            ),
        ],
    )


def _plan(endpoint: EndpointArguments, tags: ExpansionArguments, own: EvolveArguments) -> Round:
    """The processors of a round; whatever is wrong with the settings shows here, before anything is sent."""
    if own.expansion not in EXPANSIONS:
        raise InputError(f"expansion {own.expansion!r} is unknown; expected one of {', '.join(EXPANSIONS)}")
    if (own.expansion == "policy") != (own.policy_endpoint is not None):
        raise InputError("--expansion policy and --policy_endpoint belong together; give both or neither")
    utility = tags.open_utility()
    if own.expansion == "best-of-n" and utility is None:
        raise InputError(
            "best-of-n needs --utility: make it with `tagsmith run build-tag-utility`, or use --expansion prompt"
        )
    teacher, embedder = endpoint.to_endpoint(), tags.embedder()
    band, judge = tags.alignment_checks(teacher, embedder)
    sampled = Parameters(128, tags.temperature)
    if own.expansion == "policy":
        assert own.policy_endpoint is not None
        served = replace(teacher, uri=own.policy_endpoint)
        expander = TagExpander(endpoint=served, n=1, seed=tags.seed, format=own.policy_format, parameters=sampled)
    else:
        n = tags.candidates if own.expansion == "best-of-n" else 1
        expander = TagExpander(endpoint=teacher, n=n, seed=tags.seed, parameters=sampled)
    decoded = Parameters(own.max_new_tokens, own.decode_temperature, seed=tags.seed if own.decode_temperature else None)
    decoder = InstructionDecoder(
        endpoint=teacher,
        parameters=decoded,
        limits=DecodeLimits(max_characters=own.max_characters),
        embedder=embedder,
    )
    responder = Responder(
        endpoint=teacher,
        format=own.response_format,
        column="new_instruction",
        parameters=Parameters(own.max_new_tokens),
    )
    return Round(
        encoder=tags.make_encoder(teacher),
        expander=expander,
        band=band,
        judge=judge,
        scorer=tags.scorer(utility, embedder) if utility is not None else None,  # last: it embeds both pools
        choice=CandidateChoice("best-of-n" if own.expansion == "best-of-n" else "prompt"),
        decoder=decoder,
        answerability=AnswerabilityJudge(endpoint=teacher) if own.check_answerable else None,
        responder=responder if own.respond else None,
    )


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
