"""How rows change with evolution: difficulty, diversity and lengths, round by round, over the same number of rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import pyarrow as pa
from datasets import Dataset

from tagsmith.processors.complexity_judge import ComplexityJudge
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import Parameters
from tagsmith.processors.evolved_rounds import EvolvedRounds
from tagsmith.processors.explained_tags import TAGS_SCHEMA
from tagsmith.processors.instag.tagger import InsTagTagger
from tagsmith.processors.tag_text import tag_key
from tagsmith.processors.token_lengths import TokenCounter
from tagsmith.processors.word_stems import words
from tagsmith.recipes.stages import Stages

DIVERSITY_SHARE = 0.7
MEASURED = "measure"  # how the names of these stages begin: what they cost is no part of the method
SCHEMA = pa.schema(
    {"iteration": pa.int64(), "rows": pa.int64(), "unique_tags": pa.int64(), "diversity_rows": pa.int64()}
    | dict.fromkeys(
        ("tags_a_row", "difficulty", "difficulty_error", "instruction_tokens", "response_tokens", "words_added"),
        pa.float64(),
    )
)


@dataclass
class MeasureArguments:
    """What is measured of the result."""

    _argument_group_name = "measures"

    measure: bool = field(
        default=True, metadata={"help": "Judge difficulty and count InsTag tags of every round's instructions."}
    )
    measure_rows: int = field(default=1000, metadata={"help": "For so many seed rows, drawn by their ids."})


def measures(rounds: EvolvedRounds, stages: Stages, endpoint: Endpoint, rows: int) -> Dataset:
    """Measures of the seeds and of each round's good versions (Tag-Evol, §5.5, Tab. 5: diversity, difficulty).

    Output columns, a row a round (0: the seeds):
        iteration, rows (``int``: measured versions), unique_tags (``int``: different InsTag tags of the first
        diversity_rows (``int``) of them: the same number in every round, 70 % of the seeds measured where all rounds
        have so many, since more rows have more tags), tags_a_row, difficulty (mean of the judge's 1 to 10),
        difficulty_error (its standard error), instruction_tokens, response_tokens, words_added (mean over the versions:
        words more than the version that it was made from) (``float | None``).

    Differs from the paper: it does not say how tags are counted or which judge is asked; these are #InsTag's tagger
    and `ComplexityJudge`.
    """
    records = drawn(rounds.records, rows)
    texts = list(dict.fromkeys(record["instruction"] for record in records))
    distinct = Dataset.from_dict({"id": [f"text-{number}" for number in range(len(texts))], "instruction": texts})
    tagger = InsTagTagger(endpoint=endpoint, parameters=Parameters(1024, json_schema=TAGS_SCHEMA))
    tagged = stages.run(distinct, tagger, f"{MEASURED}: tags")
    judged = stages.run(distinct, ComplexityJudge(endpoint=endpoint), f"{MEASURED}: difficulty")
    tags_of = dict(zip(texts, tagged["raw_tags"][:], strict=True))
    score_of = dict(zip(texts, judged["complexity_score"][:], strict=True))
    text_of = {record["id"]: record["instruction"] for record in records}
    sizes = [sum(record["iteration"] == number for record in records) for number in range(rounds.iteration + 1)]
    compared = min(*sizes, math.ceil(DIVERSITY_SHARE * min(rows, sizes[0])))
    found = []
    for number in range(rounds.iteration + 1):
        mine = [record for record in records if record["iteration"] == number]
        texts_here = [record["instruction"] for record in mine]
        scores = [score for text in texts_here if (score := score_of[text]) is not None]
        tags = [tags_of[text] for text in texts_here if tags_of[text] is not None]
        lengths = TokenCounter()({name: [row[name] for row in mine] for name in ("instruction", "response")})
        added = [
            len(words(row["instruction"])) - len(words(text_of[row["parent_id"]])) for row in mine if row["parent_id"]
        ]
        found.append(
            {
                "iteration": number,
                "rows": len(mine),
                "unique_tags": len({tag_key(tag) for of in tags[:compared] for tag in of}),
                "diversity_rows": compared,
                "tags_a_row": mean([len(of) for of in tags]),
                "difficulty": mean(scores),
                "difficulty_error": standard_error(scores),
                "words_added": mean(added),
                **{name: mean([value for value in values if value is not None]) for name, values in lengths.items()},
            }
        )
    return Dataset(pa.Table.from_pylist(found, schema=SCHEMA))


def drawn(records: Dataset, rows: int) -> list[dict[str, Any]]:
    """The good versions of so many seed rows, in every round; which ones follows from their ids alone."""
    names = ["id", "parent_id", "root_id", "iteration", "instruction", "response", "status"]
    good = [record for record in records.select_columns(names).to_list() if record["status"] == "ok"]
    roots = sorted({record["root_id"] for record in good}, key=lambda name: blake2b(name.encode()).digest())
    chosen = set(roots[:rows])
    order = {root: number for number, root in enumerate(roots)}
    return sorted(
        (record for record in good if record["root_id"] in chosen),
        key=lambda record: (record["iteration"], order[record["root_id"]]),
    )


def mean(values: Sequence[float]) -> float | None:
    """The mean, None of nothing."""
    return sum(values) / len(values) if values else None


def standard_error(values: Sequence[float]) -> float | None:
    """Of the mean; None for fewer than two values."""
    if len(values) < 2:
        return None
    middle = sum(values) / len(values)
    return float((sum((value - middle) ** 2 for value in values) / (len(values) - 1) / len(values)) ** 0.5)
