"""Rows taken by number are those that `select` gives, whatever the chunks, the order and an earlier selection."""

import pyarrow as pa
from datasets import Dataset, concatenate_datasets
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.take_rows import take_rows

CHUNKS = [[0, 1, 2], [], [3], [4, 5, 6, 7]]
DATASET = Dataset(
    pa.concat_tables(
        pa.table(
            {
                "number": pa.array(chunk, pa.int64()),
                "texts": pa.array([[str(n)] * n for n in chunk], pa.list_(pa.string())),
            }
        )
        for chunk in CHUNKS
    )
)
NUMBERS = st.lists(st.integers(0, 7), max_size=12)


@given(NUMBERS)
@settings(max_examples=100, deadline=None)
def test_the_same_as_select(numbers):
    taken, expected = take_rows(DATASET, numbers), DATASET.select(numbers)
    assert taken.to_list() == expected.to_list()
    assert taken.features == expected.features
    assert taken._indices is None


@given(st.permutations(range(8)), st.lists(st.integers(0, 4), max_size=6))
@settings(max_examples=50, deadline=None)
def test_of_a_selection(order, numbers):
    chosen = DATASET.select(order[:5])
    assert take_rows(chosen, numbers).to_list() == chosen.select(numbers).to_list()


def test_the_fingerprint_tells_rows_and_dataset_apart():
    other = concatenate_datasets([DATASET, DATASET])
    taken = [
        take_rows(DATASET, [1, 2]),
        take_rows(DATASET, [2, 1]),
        take_rows(other, [1, 2]),
        take_rows(DATASET, [1, 2]),
    ]
    fingerprints = [dataset._fingerprint for dataset in taken]
    assert len(set(fingerprints)) == 3
    assert fingerprints[0] == fingerprints[3]
