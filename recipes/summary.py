"""The table at the end of a run."""

from collections import Counter
from collections.abc import Iterable, Sequence

from datasets import Dataset

from tagsmith.processors.endpoint.usage import Usage


def print_table(title: str, lines: Sequence[tuple[str, str]]) -> None:
    """Two aligned columns under a title."""
    width = max(len(name) for name, _ in lines)
    print(f"\n{title}")
    for name, value in lines:
        print(f"  {name:<{width}}  {value}")


def usage_lines(usage: Usage) -> list[tuple[str, str]]:
    """Lines on what the endpoint was asked for."""
    return [
        ("requests answered", f"{usage.requests:,} ({usage.repairs:,} of them repairs)"),
        ("found in the store", f"{usage.store_hits:,}"),
        ("retries", f"{usage.retries:,}"),
        ("tokens", f"{usage.prompt_tokens:,} prompt, {usage.reply_tokens:,} reply"),
    ]


def reason_code(reason: str) -> str:
    """The countable part of a reason: what stands before the first colon."""
    return reason.partition(":")[0]


def rejected_by_reason(rejected: Dataset) -> dict[str, int]:
    """How many rows fell out for each reason, most first."""
    return dict(Counter(map(reason_code, rejected["reason"])).most_common())


def counted(counts: Iterable[tuple[str, int]]) -> str:
    """`12 unparsed, 3 endpoint`, or `none`."""
    return ", ".join(f"{number:,} {reason}" for reason, number in counts) or "none"
