"""A tag is embedded once, whatever asks for it again."""

import pickle

import numpy as np

from tagsmith.processors.remembered_embedding import LONGEST, RememberedEmbedder


class Counting:
    """Vectors of one component, and every text that was asked for."""

    model = "counting"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: list[str]) -> np.ndarray:
        self.asked += texts
        return np.array([[len(text), 1.0] for text in texts], np.float32).reshape(len(texts), 2)


def test_short_texts_are_embedded_once_and_long_ones_each_time() -> None:
    counting = Counting()
    embedder = RememberedEmbedder(counting)
    long = "x" * (LONGEST + 1)
    first = embedder.encode(["poem", "data", "poem", long])
    assert counting.asked == ["poem", "data", long]
    assert first.tolist() == [[4, 1], [4, 1], [4, 1], [LONGEST + 1, 1]]
    again = embedder.encode([long, "data", "sea"])
    assert counting.asked[3:] == [long, "sea"]
    assert again.tolist() == [[LONGEST + 1, 1], [4, 1], [3, 1]]
    assert embedder.encode([]).shape == (0, 2)
    assert embedder.model == "counting"


def test_what_is_remembered_is_no_part_of_the_state() -> None:
    embedder = RememberedEmbedder(Counting())
    before = pickle.dumps(RememberedEmbedder(Counting()))
    embedder.encode(["poem"])
    embedder.embedder.asked.clear()
    assert pickle.dumps(embedder) == before
