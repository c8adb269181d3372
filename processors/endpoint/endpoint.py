"""Where text is generated and within which bounds: one URI and its settings, picklable, without any connection."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from tagsmith.processors.errors import InputError

SCHEMES = ("http", "https", "hf", "local", "offline", "replay")
_SHAPES = (
    "http(s)://host:port, hf:org/model, local:org/model-or-folder, offline:, replay:org/dataset@tag, replay:folder"
)


def default_store() -> str:
    """`TAGSMITH_STORE`, else a file in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return os.environ.get("TAGSMITH_STORE") or str(Path(cache).expanduser() / "tagsmith" / "generations.sqlite")


@dataclass(frozen=True)
class Endpoint:
    """An endpoint's URI and how it may be used.

    Args:
        uri: `http(s)://…` (TGI, or any OpenAI-compatible server), `hf:org/model` (Inference Providers),
            `local:org/model-or-folder` (served here, started and stopped for you), `offline:` (the embedded default:
            rules, no model), or `replay:org/dataset@tag` and `replay:folder` (the recorded generations of a release).
            Options go behind a question mark: `?model=NAME` names the model on servers and in releases with several,
            `?api=generate` sends conversations as raw text, `offline:?latency_ms=20&fail=0.01` sets faults.
        store: the generation store's file; None means `TAGSMITH_STORE`, else the user's cache folder. A replay has
            none, and keeps to no bound but `max_repairs`.
        concurrency: requests in flight; None asks the server's `/info`, else 64.
        timeout_sec: longest wait for one answer.
        deadline_sec: longest time for one request, retries included.
        max_repairs: how often a reply that cannot be read is asked for again, with the reason.
        max_tokens_total: stop cleanly before sending more, once so many tokens (prompt and reply) were paid for.
        max_cost: the same for money; needs the two prices.
        prompt_price, reply_price: money for a million prompt tokens and a million reply tokens.
        reject_refused: a request that the server refuses for good (4xx) or that is over its limits rejects its row,
            with the server's words as reason, instead of ending the run.

    Raises:
        InputError: unknown scheme, or a number out of range.
    """

    uri: str = "offline:"
    store: str | None = None
    concurrency: int | None = None
    timeout_sec: float = 120.0
    deadline_sec: float = 600.0
    max_repairs: int = 2
    max_tokens_total: int | None = None
    max_cost: float | None = None
    prompt_price: float | None = None
    reply_price: float | None = None
    reject_refused: bool = False

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise InputError(f"endpoint {self.uri!r} has no known form; expected one of: {_SHAPES}")
        if self.scheme in ("hf", "local") and not self.target:
            raise InputError(f"endpoint {self.uri!r} names no model; expected {self.scheme}:org/model")
        if self.scheme == "replay" and not self.target:
            raise InputError(
                f"endpoint {self.uri!r} names no release; expected replay:org/dataset@tag or replay:folder"
            )
        if self.scheme in ("http", "https") and not urlsplit(self.uri).netloc:
            raise InputError(f"endpoint {self.uri!r} names no host; expected {self.scheme}://host:port")
        if self.scheme in ("http", "https") and "@" in urlsplit(self.uri).netloc:
            raise InputError(  # without the address: it would be shown with the password, here and in manifests
                f"an {self.scheme} endpoint's address must not carry a user name or password; set TAGSMITH_API_KEY"
            )
        for name in ("concurrency", "max_tokens_total"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise InputError(f"{name} must be at least 1, got {value}")
        for name in ("timeout_sec", "deadline_sec"):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} must be above 0 seconds, got {getattr(self, name)}")
        if self.max_repairs < 0:
            raise InputError(f"max_repairs must be at least 0, got {self.max_repairs}")
        if self.max_cost is not None and (self.prompt_price is None or self.reply_price is None):
            raise InputError("max_cost needs prompt_price and reply_price (money for a million tokens)")

    @property
    def scheme(self) -> str:
        """The part before the first colon."""
        return self.uri.partition(":")[0]

    @property
    def target(self) -> str:
        """What the URI points at, without scheme and options: an address, a model, a folder."""
        if self.scheme in ("http", "https"):
            parts = urlsplit(self.uri)
            path = parts.path.rstrip("/").removesuffix("/v1")
            return f"{parts.scheme}://{parts.netloc}{path}"
        return self.uri.partition(":")[2].partition("?")[0]

    @property
    def query(self) -> str:
        """The options behind the question mark, as they stand."""
        return self.uri.partition("?")[2]

    @property
    def server_query(self) -> str:
        """The options without those that say how to speak to the server: what is left is the server's own."""
        given = parse_qsl(self.query, keep_blank_values=True)
        return urlencode([(name, value) for name, value in given if name not in ("api", "model")])

    def option(self, name: str) -> str | None:
        """One option of the URI, None when it is not given."""
        return parse_qs(self.query).get(name, [None])[-1]

    @property
    def store_path(self) -> str:
        """The store's file in use."""
        return self.store or default_store()

    def cost(self, prompt_tokens: float, reply_tokens: float) -> float | None:
        """Money for so many tokens; None without prices."""
        if self.prompt_price is None or self.reply_price is None:
            return None
        return (prompt_tokens * self.prompt_price + reply_tokens * self.reply_price) / 1e6
