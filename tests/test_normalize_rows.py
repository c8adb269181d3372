"""`normalize_rows` and `Dataset.map(normalizer)` make the same columns."""

import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.cards.content_hash import content_hash
from tagsmith.processors.errors import InputError
from tagsmith.processors.instag.normalize_rows import normalize_rows
from tagsmith.processors.instag.normalizer import TagNormalizer


@pytest.fixture(scope="module")
def fitted() -> TagNormalizer:
    rows = Dataset.from_dict({"raw_tags": [["Poem", "poems"], ["Poem", "data"], ["data"], ["data", "rare"]]})
    return TagNormalizer(alpha=1, stages=("frequency", "rule")).fit(rows)


RAW = st.lists(st.sampled_from(["Poem", "poems", "poem", "data", "Data!", "rare", "unheard of", "C++", ""]), max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(RAW, min_size=1, max_size=8), unseen=st.sampled_from(["drop", "keep"]), alpha=st.sampled_from([1, 2])
)
def test_the_same_as_the_map(rows: list[list[str]], unseen: str, alpha: int) -> None:
    seen = Dataset.from_dict({"raw_tags": [["Poem", "poems"], ["Poem", "data"], ["data"], ["data", "rare"]]})
    normalizer = TagNormalizer(alpha=alpha, stages=("frequency", "rule"), unseen=unseen).fit(seen)
    typed = Dataset(pa.table({"n": list(range(len(rows))), "raw_tags": pa.array(rows, pa.list_(pa.string()))}))
    mapped = typed.map(normalizer, batched=True, load_from_cache_file=False)
    fast = normalize_rows(typed, normalizer)
    assert fast.to_list() == mapped.to_list()
    assert content_hash(fast) == content_hash(mapped)


def test_rows_in_another_order_and_columns_that_are_there_already(fitted: TagNormalizer) -> None:
    rows = Dataset.from_dict({"raw_tags": [["Poem"], ["unheard of"], ["data", "Poem"]], "tags": [["old"]] * 3})
    made = normalize_rows(rows.select([2, 0]), fitted)
    assert made["tags"][:] == [["data", "poem"], ["poem"]]
    assert normalize_rows(rows, fitted)["unseen_tags"][:] == [[], ["unheard of"], []]


def test_bad_rows_are_named_as_the_map_names_them(fitted: TagNormalizer) -> None:
    with pytest.raises(InputError, match="no column 'raw_tags' with raw tags; the columns are: text"):
        normalize_rows(Dataset.from_dict({"text": ["a"]}), fitted)
    with pytest.raises(InputError, match=r"column 'raw_tags', row 1 of the batch: got None"):
        normalize_rows(Dataset.from_dict({"raw_tags": [["Poem"], None]}), fitted)
    with pytest.raises(InputError, match="has no vocabulary yet"):
        normalize_rows(Dataset.from_dict({"raw_tags": [["Poem"]]}), TagNormalizer())
