"""Preference pairs as TRL's DPOTrainer takes them: looked at before the first step, and split for evaluation."""

from collections.abc import Mapping
from typing import Any

from datasets import Dataset

from tagsmith.processors.errors import InputError
from tagsmith.trainers.training_data import TrainingData, split_by_prompt

COLUMNS = ("prompt", "chosen", "rejected")


def prepare_pairs(
    pairs: Dataset, tokenizer: Any, *, max_length: int, evaluation_share: float, seed: int
) -> TrainingData:
    """Check the pairs, leave out those that teach nothing or would be cut, and set some prompts aside.

    Input columns:
        prompt, chosen, rejected (``list[{role, content}]``): a conversation that ends with the user's message, and two
            ways to go on, each ending with the assistant's. Other columns are dropped; `id` names a row in errors.

    Args:
        pairs: as `PreferencePairs` makes them, or any dataset in TRL's conversational form.
        tokenizer: with a chat template; counts tokens as the trainer will.
        max_length: of prompt and completion, in tokens. TRL would cut a longer pair at its end, which is the tag, so it
            is left out (`too_long`).
        evaluation_share: share of the distinct prompts to set aside; 0 for none.
        seed: of the split (see `split_by_prompt`).

    Raises:
        InputError: a column is missing, there are no pairs, a row has another form (named by its id), all pairs have
            chosen = rejected, all are too long, or there are too few prompts to split.
    """
    if missing := [name for name in COLUMNS if name not in pairs.column_names]:
        raise InputError(
            f"the pairs have no column {missing[0]!r}, they have {', '.join(pairs.column_names)}; give a release of"
            " build-tag-preferences, or a dataset in TRL's conversational preference form (prompt, chosen, rejected)"
        )
    if not len(pairs):
        raise InputError("there are no pairs (0 rows); give a dataset with at least one")
    names = pairs["id"][:] if "id" in pairs.column_names else range(len(pairs))
    pairs = pairs.select_columns(list(COLUMNS))
    differing = []
    for number, (name, pair) in enumerate(zip(names, pairs, strict=True)):
        _check_pair(name, pair)
        if pair["chosen"] != pair["rejected"]:
            differing.append(number)
    if not differing:
        raise InputError(
            f"all {len(pairs):,} pairs have chosen = rejected, so there is no preference to learn; look at how they"
            " were made"
        )
    kept = pairs.select(differing)
    lengths = [_tokens(tokenizer, pair) for pair in kept]
    short = [number for number, length in enumerate(lengths) if length <= max_length]
    if not short:
        raise InputError(
            f"all {len(kept):,} pairs are longer than max_length = {max_length:,} tokens (the shortest has"
            f" {min(lengths):,}); give a larger --max_length, up to the model's window"
        )
    left_out = {"no_preference": len(pairs) - len(kept), "too_long": len(kept) - len(short)}
    train, evaluation = split_by_prompt(kept.select(short), evaluation_share, seed)
    return TrainingData(train, evaluation, len(pairs), {name: rows for name, rows in left_out.items() if rows})


def _check_pair(name: Any, pair: Mapping[str, Any]) -> None:
    for column, role in (("prompt", "user"), ("chosen", "assistant"), ("rejected", "assistant")):
        messages = pair[column]
        if not isinstance(messages, list) or not messages or not all(map(_is_message, messages)):
            raise InputError(
                f"pair {name}: {column} is {_shown(messages)}; expected a list of messages with role and content"
            )
        if messages[-1]["role"] != role:
            raise InputError(f"pair {name}: {column} ends with role {messages[-1]['role']!r}; expected {role!r}")
        if not messages[-1]["content"].strip():
            raise InputError(f"pair {name}: the last message of {column} is empty; leave the pair out")


def _is_message(message: Any) -> bool:
    return (
        isinstance(message, dict) and isinstance(message.get("role"), str) and isinstance(message.get("content"), str)
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _tokens(tokenizer: Any, pair: Mapping[str, Any]) -> int:
    """Tokens of the prompt with the longer of the two completions."""
    return max(
        len(tokenizer.apply_chat_template(pair["prompt"] + pair[side], tokenize=True, return_dict=True)["input_ids"])
        for side in ("chosen", "rejected")
    )
