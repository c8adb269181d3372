"""Reproducible choices: a key and a label always give the same draw, whatever was drawn before."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """Labelled draws under one key. Stateless, so the order of requests changes nothing."""

    def __init__(self, *key: object) -> None:
        self._key = blake2b("\x1f".join(map(str, key)).encode("utf-8", "replace"), digest_size=32).digest()

    def bits(self, label: str) -> int:
        """64 uniform bits."""
        digest = blake2b(label.encode("utf-8", "replace"), key=self._key, digest_size=8).digest()
        return int.from_bytes(digest, "big")

    def share(self, label: str) -> float:
        """A uniform number in [0, 1)."""
        return (self.bits(label) >> 11) / (1 << 53)

    def pick(self, label: str, options: Sequence[T]) -> T:
        return options[self.bits(label) % len(options)]
