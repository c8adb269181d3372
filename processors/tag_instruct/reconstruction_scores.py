"""How much of an instruction its tags keep: similarity and ROUGE-L of the reconstruction (Tag-Instruct, §5.1, E.1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Features, Value
from numpy.typing import NDArray

from tagsmith.processors.embedding import BUNDLED_MODEL, TextEmbedder
from tagsmith.processors.errors import InputError
from tagsmith.processors.typed_column import TypedColumn

PAPER_CROSS_ENCODER = "cross-encoder/stsb-roberta-base"


@dataclass(frozen=True)
class ReconstructionScores:
    """Compare instructions with what was reconstructed from their tags (Tab. 3).

    Input columns:
        instruction (``str``); reconstruction (``str | None``): None where there is none, and so no scores.
    Output columns:
        similarity (``float | None``): of meaning: the cross-encoder's score (0 to 1 with the paper's), or the cosine of
            the two embeddings (−1 to 1).
        rouge_l (``float | None``): ROUGE-L, F1, 0 to 1: 2PR / (P + R) with P and R the longest common subsequence's
            share of the reconstruction's and of the instruction's words. From `rouge-score`, without stemming; it
            knows ASCII letters and digits only, so texts in other scripts score 0.
        similarity_model (``str``): "cross-encoder:…" or "bi-encoder:…", since their numbers do not compare.

    Args:
        cross_encoder: a sentence-transformers cross-encoder: a folder or a name on the Hub, the paper's is
            "cross-encoder/stsb-roberta-base". None compares embeddings instead, which needs no network.
        embedder: the model for that.
        instruction_column, reconstruction_column: names of the columns.
        batch_size: pairs that the cross-encoder reads at a time.

    Raises:
        InputError: a column is missing, a value is not text, or the model cannot be loaded.

    Differs from the paper: similarity is by embeddings unless a cross-encoder is named. Either model reads only the
    beginning of a text that is longer than it takes (256 tokens with the bundled one).
    """

    cross_encoder: str | None = None
    embedder: TextEmbedder = field(default_factory=TextEmbedder)
    instruction_column: str = "instruction"
    reconstruction_column: str = "reconstruction"
    batch_size: int = 32
    version: int = field(default=1, init=False)

    @property
    def similarity_model(self) -> str:
        """What `similarity` was made with; of a folder the last part of its path."""
        kind, model = ("cross", self.cross_encoder) if self.cross_encoder else ("bi", self.embedder.model)
        return f"{kind}-encoder:{Path(model).name if Path(model).is_dir() else model}"

    def features(self, before: Features) -> Features:
        """Types of a dataset with the features `before` after scoring: for `Dataset.map(features=…)`."""
        score = Value("float64")
        return Features({**before, "similarity": score, "rouge_l": score, "similarity_model": Value("string")})

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Columns in, new columns out."""
        instructions, reconstructions = (self._texts(batch, name) for name in self._columns)
        rows = [row for row, text in enumerate(reconstructions) if text is not None]
        pairs = [(instructions[row], reconstructions[row]) for row in rows]
        for row, (instruction, _) in zip(rows, pairs, strict=True):
            if instruction is None:
                raise InputError(f"column {self.instruction_column!r}, row {row} of the batch: got null, expected text")
        similarity: list[float | None] = [None] * len(instructions)
        rouge: list[float | None] = [None] * len(instructions)
        for row, alike, shared in zip(rows, self.similarity(pairs).tolist(), rouge_l(pairs), strict=True):
            similarity[row], rouge[row] = alike, shared
        number = pa.float64()
        return {
            "similarity": TypedColumn(similarity, number),
            "rouge_l": TypedColumn(rouge, number),
            "similarity_model": [self.similarity_model] * len(instructions),
        }

    def similarity(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """(n,) similarity of each pair."""
        if not pairs:
            return np.zeros(0)
        if self.cross_encoder:
            scores = _load(self.cross_encoder).predict(list(pairs), batch_size=self.batch_size, show_progress_bar=False)
            scores = np.asarray(scores, np.float64)
            if scores.shape != (len(pairs),):
                raise InputError(
                    f"cross-encoder {self.cross_encoder!r} gives {scores.shape[1:]} numbers a pair; give one with a"
                    f" single output, such as {PAPER_CROSS_ENCODER!r}"
                )
            return scores
        vectors = self.embedder.encode([text for pair in pairs for text in pair]).astype(np.float64)
        cosines: NDArray[np.float64] = (vectors[0::2] * vectors[1::2]).sum(axis=1)
        return cosines

    @property
    def _columns(self) -> tuple[str, str]:
        return self.instruction_column, self.reconstruction_column

    def _texts(self, batch: Mapping[str, Sequence[Any]], name: str) -> Sequence[Any]:
        if name not in batch:
            raise InputError(f"no column {name!r} to compare; the columns are: {', '.join(batch)}")
        for row, text in enumerate(batch[name]):
            if text is not None and not isinstance(text, str):
                raise InputError(f"column {name!r}, row {row} of the batch: got {text!r:.60}, expected text")
        return batch[name]


def rouge_l(pairs: Sequence[tuple[str, str]]) -> list[float]:
    """ROUGE-L (F1) of (instruction, reconstruction) pairs."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"])
    return [float(scorer.score(target, prediction)["rougeL"].fmeasure) for target, prediction in pairs]


@cache
def _load(model: str) -> Any:
    from sentence_transformers import CrossEncoder

    try:
        return CrossEncoder(model)
    except (OSError, ValueError) as error:
        raise InputError(
            f"cross-encoder {model!r} cannot be loaded ({str(error).splitlines()[0]:.200}); give a folder or a name on"
            f" the Hub, such as {PAPER_CROSS_ENCODER!r}, or leave it out to compare embeddings of {BUNDLED_MODEL}"
        ) from error
