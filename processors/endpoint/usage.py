"""What a run has used: requests, retries, tokens, money. Numbers that the summary, the manifest and budgets read."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import Completion
from tagsmith.processors.errors import BudgetReachedError


@dataclass
class Usage:
    """Counters of one client, from its start.

    `requests` counts completions received (each one paid for), `repairs` those among them that asked again for a reply
    that could not be read, `retries` HTTP tries after one that failed, `store_hits` replies that were there already.
    """

    requests: int = 0
    repairs: int = 0
    retries: int = 0
    store_hits: int = 0
    unparsed: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    reply_tokens: int = 0
    latency_sec: float = 0.0

    @classmethod
    def total(cls, parts: Iterable["Usage"]) -> "Usage":
        """The sum of several clients' counters."""
        parts = list(parts)
        return cls(**{f.name: sum(getattr(part, f.name) for part in parts) for f in fields(cls)})

    def add(self, completion: Completion, latency_sec: float) -> None:
        """Count one completion."""
        self.requests += 1
        self.prompt_tokens += completion.prompt_tokens or 0
        self.reply_tokens += completion.reply_tokens or 0
        self.latency_sec += latency_sec

    def as_dict(self) -> dict[str, float]:
        """All counters by name."""
        return asdict(self)

    def check_budget(self, endpoint: Endpoint) -> None:
        """Raise BudgetReachedError when what was used has reached the endpoint's budget."""
        tokens = self.prompt_tokens + self.reply_tokens
        if endpoint.max_tokens_total is not None and tokens >= endpoint.max_tokens_total:
            raise BudgetReachedError(
                f"stopped at {tokens:,} tokens: max_tokens_total is {endpoint.max_tokens_total:,}; all replies are"
                " stored: run the same command with a larger max_tokens_total to continue"
            )
        cost = endpoint.cost(self.prompt_tokens, self.reply_tokens)
        if endpoint.max_cost is not None and cost is not None and cost >= endpoint.max_cost:
            raise BudgetReachedError(
                f"stopped at a cost of {cost:.4f}: max_cost is {endpoint.max_cost:g}; all replies are stored: run the"
                " same command with a larger max_cost to continue"
            )
