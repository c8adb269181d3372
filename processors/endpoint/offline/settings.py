"""Settings of the offline endpoint, as written in its URI: `offline:?malformed=0.05&latency_ms=20`."""

from dataclasses import dataclass, fields
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable
from urllib.parse import parse_qsl

from tagsmith.processors.errors import InputError

MODEL_ID = "tagsmith/offline-rules"

_SHARES = ("malformed", "slow", "fail")


@dataclass(frozen=True)
class OfflineSettings:
    """How the offline endpoint behaves.

    Args:
        malformed: share of replies spoiled the way that models spoil them, 0 to 1.
        latency_ms: wait before each answer, milliseconds.
        slow: share of requests that wait `slow_factor` times as long, 0 to 1.
        fail: share of requests first answered by 500, 429, 503 or a dropped connection, 0 to 1; retries succeed.
        seed: of all choices: the wording of the replies, and which of them are spoiled, slow or failing.
        max_input_tokens, max_total_tokens, max_concurrent_requests, max_top_n_tokens: limits, as TGI's launcher has
            them; of the last, its default is 5, too few for DEITA's six score tokens.

    Raises:
        InputError: a value is out of range.
    """

    malformed: float = 0.0
    latency_ms: float = 0.0
    slow: float = 0.0
    slow_factor: float = 50.0
    fail: float = 0.0
    seed: int = 0
    max_input_tokens: int = 32_768
    max_total_tokens: int = 40_960
    max_concurrent_requests: int = 128
    max_top_n_tokens: int = 20

    def __post_init__(self) -> None:
        for name in _SHARES:
            _require(0.0 <= getattr(self, name) <= 1.0, name, getattr(self, name), "a share between 0 and 1")
        _require(0.0 <= self.latency_ms < 3.6e6, "latency_ms", self.latency_ms, "0 to 3600000 milliseconds")
        _require(1.0 <= self.slow_factor < 1e6, "slow_factor", self.slow_factor, "a factor of 1 or more")
        _require(self.seed >= 0, "seed", self.seed, "0 or more")
        _require(self.max_input_tokens >= 1, "max_input_tokens", self.max_input_tokens, "1 or more")
        concurrent = self.max_concurrent_requests
        _require(concurrent >= 1, "max_concurrent_requests", concurrent, "1 or more")
        _require(self.max_top_n_tokens >= 0, "max_top_n_tokens", self.max_top_n_tokens, "0 or more")
        _require(
            self.max_total_tokens > self.max_input_tokens,
            "max_total_tokens",
            self.max_total_tokens,
            f"more than max_input_tokens ({self.max_input_tokens})",
        )

    @classmethod
    def from_query(cls, query: str) -> "OfflineSettings":
        """Read the part of the URI after `offline:?`; an empty one gives the defaults."""
        kinds: dict[str, type[float] | type[int]] = {
            field.name: int if isinstance(field.default, int) else float for field in fields(cls)
        }
        given: dict[str, float | int] = {}
        for name, text in parse_qsl(query.removeprefix("?"), keep_blank_values=True):
            if name not in kinds:
                raise InputError(f"offline: has no setting {name!r}; it has: {', '.join(kinds)}")
            if name in given:
                raise InputError(f"offline: the setting {name!r} is given twice; give it once")
            try:
                given[name] = kinds[name](text)
            except ValueError:
                wanted = "a whole number" if kinds[name] is int else "a number"
                raise InputError(f"offline: {name}={text!r} is not {wanted}") from None
        return cls(**given)  # type: ignore[arg-type]


def identity(settings: OfflineSettings) -> tuple[str, str]:
    """Model id and revision, without a server: what was generated depends on nothing else.

    Latency, failures and limits delay or refuse a reply but never change one, so they are left out.
    """
    words = f"{_rules_sha()}/{settings.seed}/{settings.malformed}"
    return MODEL_ID, blake2b(words.encode(), digest_size=20).hexdigest()


@cache
def _rules_sha() -> str:
    # The rules' version is their source: an edited rule is another model, and nobody has to remember a number.
    digest = blake2b(digest_size=16)
    for source in _sources(files("tagsmith.processors") / "endpoint" / "offline"):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()


def _sources(folder: Traversable) -> list[Traversable]:
    found: list[Traversable] = []
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            found += _sources(item)
        elif item.name in _RULE_FILES or (folder.name == "answers" and item.name.endswith((".py", ".yaml"))):
            found.append(item)
    return found


# What a reply's text depends on, beside the answers. Tokens matter where a reply is cut at its limit.
_RULE_FILES = frozenset(
    ["draw.py", "faults.py", "generation.py", "grammar.py", "keyphrases.py", "regex_sample.py", "tokens.py"]
)


def _require(holds: bool, name: str, got: float | int, expected: str) -> None:
    if not holds:
        raise InputError(f"offline: {name}={got} must be {expected}")
