"""Prompts for online RL of the tag policy: looked at before the first step, and split for evaluation."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
import orjson
from datasets import Dataset

from tagsmith.processors.errors import InputError
from tagsmith.processors.one_prompt import text_of
from tagsmith.processors.tag_instruct.expansion_prompt import expansion_messages
from tagsmith.trainers.training_data import TrainingData, split_by_prompt

_GIVE = "give a release of build-tag-preferences or build-tag-utility, or rows with `instruction` and `base_tags`"


@dataclass(frozen=True)
class PromptData(TrainingData):
    """Prompts that are ready for the trainer, with the columns that the reward looks at.

    Args:
        reward: what the reward depends on. Completions of the same prompts teach something else with another one.
    """

    reward: Mapping[str, Any] = field(default_factory=dict)

    def digest(self) -> str:
        """A hash of prompts and reward."""
        said = orjson.dumps([super().digest(), self.reward], option=orjson.OPT_SORT_KEYS)
        return blake2b(said, digest_size=16).hexdigest()


def prepare_prompts(
    rows: Dataset,
    tokenizer: Any,
    *,
    explain: bool,
    longest_prompt: int,
    evaluation_share: float,
    seed: int,
    reward: Mapping[str, Any],
) -> PromptData:
    """Make the policy's prompt of each row, leave out rows that it cannot be asked about, and set some prompts aside.

    Input columns:
        instruction (``str``) or messages, base_tags (``list[str]``); injected_tags (``list[str]``, optional); prompt
            (``list[{role, content}]``, optional): used as it is, where preference pairs were made with another one.
    Output columns, of both parts:
        prompt (``list[{role, content}]``): as in preference pairs (`expansion_messages`); instruction, base_tags,
            injected_tags: for the reward.

    Args:
        rows: encoded ones: those that `TagEncoder` made.
        tokenizer: with a chat template; counts tokens as the trainer will.
        explain: the policy explains the tag before it gives it.
        longest_prompt: in tokens; rows with a longer one are left out (`too_long`), as are those without tags
            (`no_tags`) or text (`no_instruction`).
        evaluation_share, seed: of the split (see `split_by_prompt`).
        reward: what the reward depends on.

    Raises:
        InputError: a column is missing, there are no rows, none can be used, or there are too few prompts to split.
    """
    columns = rows.column_names
    if "base_tags" not in columns or not {"instruction", "messages"} & set(columns):
        missing = "instruction" if "base_tags" in columns else "base_tags"
        raise InputError(f"the rows have no column {missing!r}, they have {', '.join(columns)}; {_GIVE}")
    if not len(rows):
        raise InputError(f"there are no rows (0); {_GIVE}")
    left_out = dict.fromkeys(("no_tags", "no_instruction", "too_long"), 0)
    kept = []
    lengths = []
    for row in rows:
        if not row["base_tags"]:
            left_out["no_tags"] += 1
            continue
        if not (instruction := text_of(row)).strip():
            left_out["no_instruction"] += 1
            continue
        prompt = row.get("prompt") or expansion_messages(instruction, row["base_tags"], explain=explain)
        lengths.append(_tokens(tokenizer, prompt))
        if lengths[-1] > longest_prompt:
            left_out["too_long"] += 1
            continue
        own = {"instruction": instruction, "base_tags": row["base_tags"]}
        kept.append({"prompt": prompt, **own, "injected_tags": row.get("injected_tags") or []})
    if not kept:
        why = f"the shortest prompt has {min(lengths):,} tokens, {longest_prompt:,} are left for it" if lengths else ""
        counted = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items() if count)
        raise InputError(
            f"none of {len(rows):,} rows can be used ({counted}); " + (f"{why}: raise --max_length" if why else _GIVE)
        )
    train, evaluation = split_by_prompt(Dataset.from_list(kept), evaluation_share, seed, noun="rows")
    return PromptData(
        train, evaluation, len(rows), {reason: count for reason, count in left_out.items() if count}, reward
    )


def in_order(prompts: Dataset, number: int, seed: int) -> Dataset:
    """That many prompts in the order in which they are taken: pass after pass, each in an order of its own.

    TRL shuffles a pass by what is left of the generator from the one before, which a run that goes on in a later pass
    does not know; and it drops the rest of a pass that fills no batch.
    """
    passes = -(-number // len(prompts))
    orders = [np.random.default_rng([seed, one]).permutation(len(prompts)) for one in range(passes)]
    return prompts.select(np.concatenate(orders)[:number])


def texts_of(rows: Dataset) -> Iterator[str]:
    """Instructions and tags, as far as there are any: what is wrong with them is said later."""
    for column in ("instruction", "base_tags"):
        for value in rows[column] if column in rows.column_names else ():
            yield from value if isinstance(value, list) else [str(value)]


def _tokens(tokenizer: Any, prompt: Any) -> int:
    whole = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=True, return_dict=True)
    return len(whole["input_ids"])
