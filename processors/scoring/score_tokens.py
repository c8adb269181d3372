"""A score out of a model's probabilities: the expectation over the tokens that say one."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

SCORES = ("1", "2", "3", "4", "5", "6")


def expected_score(top_tokens: Sequence[Mapping[str, Any]]) -> float | str:
    """Σ k·p_k over the six score tokens, p normalised over them alone (DEITA, its `Scorer.infer_score`).

    Args:
        top_tokens: of one position: `text` and `logprob` of each token that the server returned.

    Returns:
        The score, 1 to 6; or a text that says why there is none, with what was returned.

    A token counts by its exact text, or else by the text without the blanks that vocabularies mark (" 1", "▁1").

    Differs from DEITA's code, which returns 3.0 where a token is missing: no number is made up here.
    """
    exact = {token["text"]: token["logprob"] for token in reversed(top_tokens)}  # of equal texts the likeliest
    padded = {token["text"].strip(" \u2581\u0120"): token["logprob"] for token in reversed(top_tokens)}
    found = {score: exact.get(score, padded.get(score)) for score in SCORES}
    logprobs = {int(score): logprob for score, logprob in found.items() if _is_logprob(logprob)}
    if missing := [score for score in SCORES if int(score) not in logprobs]:
        said = ", ".join(f"{token['text']!r} {_shown(token['logprob'])}" for token in top_tokens)
        return f"no probability for {', '.join(missing)} among the {len(top_tokens)} tokens returned: {said or 'none'}"
    highest = max(logprobs.values())
    if highest == -math.inf:
        return "the score tokens have no probability at all"
    weights = {score: math.exp(logprob - highest) for score, logprob in logprobs.items()}
    return sum(score * weight for score, weight in weights.items()) / sum(weights.values())


def _is_logprob(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and value < math.inf  # NaN fails, too


def _shown(logprob: Any) -> str:
    return f"{logprob:.2f}" if isinstance(logprob, int | float) else repr(logprob)
