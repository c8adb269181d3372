"""Tagsmith's own seed dataset: a few hundred instructions and responses, written for this project, in ``seeds.jsonl``.

The demo runs on it and the tests lean on it, so it is varied on purpose: simple requests beside requests with many
constraints, conversations, many languages, and rows that break careless code (see category ``awkward``).
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset


def load_seeds() -> Dataset:
    """Load the seed dataset that ships inside the package; reads one file, needs no network.

    Output columns:
        instruction (``str | None``): the request; None for a conversation.
        response (``str | None``): the answer, "" in one row on purpose; None for a conversation.
        messages (``list[{"role": str, "content": str}] | None``): a conversation of 2 to 5 user turns that ends with
            the assistant, some with a system message first; None for a single request.
        category (``str``): everyday, reasoning, mathematics, code, writing, extraction, safety, conversation,
            multilingual or awkward.
        language (``str``): ISO 639-1 code of the instruction.

    Every row has either ``instruction`` and ``response`` or ``messages``, never both. Rows keep the file's order, which
    is by category: shuffle before you take the first few.
    """
    # datasets takes a second to import, and importing a package should not cost that.
    from datasets import Dataset, Features, List, Value

    text = Value("string")
    # Given, not inferred: inference would read a column of nulls as type null, and differ from file to file.
    features = Features(
        {
            "instruction": text,
            "response": text,
            "messages": List({"role": text, "content": text}),
            "category": text,
            "language": text,
        }
    )
    path = files("tagsmith.processors") / "seeds" / "seeds.jsonl"
    with path.open(encoding="utf-8") as lines:
        return Dataset.from_list([json.loads(line) for line in lines], features=features)
