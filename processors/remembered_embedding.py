"""An embedding model that remembers: a tag that comes up in many rows, batches and rounds is embedded once a run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagsmith.processors.embedding import Embedder

LONGEST = 64  # characters: tags and phrases come again, whole instructions hardly ever do


@dataclass
class RememberedEmbedder:
    """Embed texts, the short ones only the first time.

    Args:
        embedder: the model.

    What is remembered is no part of the state: pickling and hashing see the model alone. 100,000 tags of 384 dimensions
    take 150 MB.
    """

    embedder: Embedder
    _known: dict[str, NDArray[np.float32]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def model(self) -> str:
        """The model's name."""
        return self.embedder.model

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, dim), one vector a text, each of length 1."""
        if not texts:
            return self.embedder.encode(texts)
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        made = dict(zip(new, self.embedder.encode(new), strict=True)) if new else {}
        self._known.update((text, vector) for text, vector in made.items() if len(text) <= LONGEST)
        return np.stack([made[text] if text in made else self._known[text] for text in texts])

    def __getstate__(self) -> dict[str, Any]:
        return {"embedder": self.embedder, "_known": {}}
