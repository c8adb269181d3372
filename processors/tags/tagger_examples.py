"""What a distilled tagger learns from: rows that a `KnowledgeTagger` tagged, as conversations (TAGS, App. A.2.1)."""

from typing import Any

from datasets import Dataset, Features, List, Value

from tagsmith.processors.errors import InputError
from tagsmith.processors.generation_processor import OK
from tagsmith.processors.tags.current_query import CurrentQuery
from tagsmith.processors.tags.distilled_tagger import distilled_example

_TEXT = Value("string")
_FEATURES = Features({"id": _TEXT, "messages": List({"role": _TEXT, "content": _TEXT})})
_NEEDED = ("id", "raw_tags", "tag_explanations", "check_passed", "status")


def tagger_examples(rows: Dataset) -> Dataset:
    """The examples, one for each row whose tags passed, in the rows' order.

    Input columns:
        id, instruction, response, messages, raw_tags, tag_explanations, check_passed, status: as `KnowledgeTagger`
        leaves them.
    Output columns:
        id (``str``), messages (``list[{role, content}]``): what the tagger is asked, and the tags as its answer.

    Rows that are rejected, or whose tags the checker never passed, are left out; without a checker all are taken.

    Raises:
        InputError: a column is missing.
    """
    if missing := [name for name in _NEEDED if name not in rows.column_names]:
        raise InputError(f"no column {missing[0]!r}; give rows that a KnowledgeTagger has tagged")

    def examples(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        made: dict[str, list[Any]] = {"id": [], "messages": []}
        for values in zip(*batch.values(), strict=True):
            row = dict(zip(batch, values, strict=True))
            if row["status"] != OK or row["check_passed"] is False:
                continue
            query, pairs = CurrentQuery.of(row), list(zip(row["raw_tags"], row["tag_explanations"], strict=True))
            example = distilled_example(query.problem, query.answer, pairs, history=query.history)
            made["id"].append(row["id"])
            made["messages"].append(example["messages"])
        return made

    return rows.map(
        examples, batched=True, remove_columns=rows.column_names, features=_FEATURES, load_from_cache_file=False
    )
