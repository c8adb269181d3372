"""Make preference pairs of tags, to train an expansion policy with DPO (Tag-Instruct, App. D.2 and D.3).

tagsmith run build-tag-preferences --dataset org/seeds --utility org/tag-utility@v1.0.0 --endpoint http://localhost:8080
accelerate launch recipes/build_tag_preferences.py --config recipes/configs/build_tag_preferences/demo.yaml
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from datasets import Dataset

from tagsmith.processors.endpoint.request import Parameters
from tagsmith.processors.errors import InputError
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.rows import to_rows
from tagsmith.processors.tag_instruct.expander import TagExpander
from tagsmith.processors.tag_instruct.preference_pairs import PAIR_FEATURES, PreferencePairs
from tagsmith.recipes.arguments import DataArguments, EndpointArguments, ReleaseArguments
from tagsmith.recipes.command import run
from tagsmith.recipes.dry_run import dry_run
from tagsmith.recipes.made import Made
from tagsmith.recipes.parsing import parse
from tagsmith.recipes.publish import Destination, publish
from tagsmith.recipes.ranks import Ranks
from tagsmith.recipes.row_status import split_by_status
from tagsmith.recipes.sources import load_source, source_config
from tagsmith.recipes.stages import Stages
from tagsmith.recipes.summary import counted, print_table, rejected_by_reason
from tagsmith.recipes.tag_instruct_arguments import ExpansionArguments
from tagsmith.recipes.tag_instruct_round import with_candidates
from tagsmith.recipes.tag_preferences_card import card_text, pictures
from tagsmith.recipes.tag_utilities import CONFIG

RECIPE = "build_tag_preferences"


@dataclass
class PreferenceArguments:
    """How pairs are made of scored candidates."""

    _argument_group_name = "recipe"

    rejected: str = field(
        default="random", metadata={"help": "The rejected tag: random (paper, D.3), or worst (the authors' code)."}
    )
    explain: bool = field(
        default=False, metadata={"help": "The completion explains the tag before it, as in the authors' code."}
    )


ARGUMENTS = (DataArguments, EndpointArguments, ExpansionArguments, PreferenceArguments, ReleaseArguments)


def main(argv: Sequence[str]) -> None:
    """Run the recipe."""
    started = datetime.now(UTC)
    settings = parse(RECIPE, __doc__ or "", ARGUMENTS, argv)
    data, endpoint, tags, own, release = settings
    destination = Destination.check(RECIPE, release, endpoint.endpoint)
    made = make(data, endpoint, tags, own)
    if made is not None:
        publish(made, destination, recipe=RECIPE, argv=argv, settings=settings, started=started)


def make(
    data: DataArguments, endpoint: EndpointArguments, tags: ExpansionArguments, own: PreferenceArguments
) -> Made | None:
    """Encode, sample candidates, score them, pair them. None where there is nothing to publish."""
    utility = tags.open_utility()
    if utility is None:
        raise InputError("pairs need --utility: make it with `tagsmith run build-tag-utility`")
    if tags.candidates < 2:
        raise InputError(f"candidates={tags.candidates}: a pair needs at least 2 a row (paper, D.2: 20)")
    pairs = PreferencePairs(way=own.rejected, explain=own.explain, seed=tags.seed)
    policy_prompt = pairs.prompt
    assert isinstance(policy_prompt, PromptTemplate)
    teacher, embedder = endpoint.to_endpoint(), tags.embedder()
    band, judge = tags.alignment_checks(teacher, embedder)
    scorer = tags.scorer(utility, embedder)
    encoder = tags.make_encoder(teacher)
    expander = TagExpander(
        endpoint=teacher,
        n=tags.candidates,
        seed=tags.seed,
        format="policy_explained" if own.explain else "question",
        parameters=Parameters(128, tags.temperature),
    )
    source, facts = load_source(data)
    rows = to_rows(
        source,
        instruction_column=data.instruction_column,
        response_column=data.response_column,
        reject_bad=data.reject_bad_rows,
        reserved={*encoder.features({}), *expander.features({}), *PAIR_FEATURES},
    )
    ranks = Ranks.from_environment()
    if endpoint.dry_run:
        if ranks.first:
            print_table("Dry run of the first stage: nothing was sent", dry_run(rows, encoder))
        return None
    stages = Stages(ranks)
    encoded = stages.run(rows, encoder, "encoding")
    scored = with_candidates(encoded, stages, expander, band, judge, scorer, "pairs")
    if not ranks.first:
        return None
    paired = scored.map(pairs, batched=True, features=pairs.features(scored.features), load_from_cache_file=False)
    made, rejected = split_by_status(paired)
    reasons = rejected_by_reason(rejected)
    if not len(made):
        raise InputError(
            f"no row gave a pair: all {len(rows):,} were rejected ({counted(reasons.items())}); first reason:"
            f" {rejected[0]['reason']}"
        )
    configs = {
        "default": made.select_columns(["id", *PAIR_FEATURES, "base_tags"]),
        "candidates": made.remove_columns([name for name in PAIR_FEATURES if name in made.column_names]),
        "rejected": rejected,
        CONFIG: Dataset(utility.fitted.table),
        "generations": stages.generations(),
        **source_config(source, facts),
    }
    offline = stages.offline
    return Made(
        configs=configs,
        method="Tag-Instruct",
        variant=f"rejected {own.rejected}",
        inputs=[facts],
        prompts=[*stages.prompts, policy_prompt],
        models=[
            {"model": encoder.client.server.model, "role": "teacher", "endpoint": "endpoint"},
            {"model": tags.embedding_model, "role": "tag embeddings"},
        ],
        counts={"rows_in": len(rows), "rows_out": len(made), "rejected": reasons},
        usage=stages.usage,
        offline=offline,
        card=lambda: card_text(facts, configs, own.rejected, offline),
        pictures=lambda: pictures(configs),
        artefacts={"utility": CONFIG},
        summary=[
            ("pairs", f"{len(made):,}"),
            ("mean margin", f"{sum(made['margin']) / len(made):.4f}"),
        ],
    )


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
