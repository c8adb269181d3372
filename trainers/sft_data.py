"""Examples as TRL's SFTTrainer takes them: tokens, and which of them are learned; looked at before the first step."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Dataset, Features, List, Value
from jinja2.exceptions import TemplateError

from tagsmith.processors.errors import InputError
from tagsmith.trainers.chat_template import takes_input
from tagsmith.trainers.training_data import TrainingData, split_by_prompt

NOT_LEARNED = -100  # what PyTorch's loss passes over
_TOKENS = List(Value("int32"))
_FEATURES = Features(
    {
        "prompt": Value("string"),
        "input_ids": _TOKENS,
        "labels": _TOKENS,
        "tokens": Value("int32"),
        "learned": Value("bool"),
    }
)

Span = tuple[int, int]


def prepare_examples(
    examples: Dataset,
    tokenizer: Any,
    *,
    max_length: int,
    answers: str = "all",
    evaluation_share: float = 0.0,
    seed: int = 0,
) -> TrainingData:
    """Tokenise the examples, mark what is learned, leave out what cannot be, and set some prompts aside.

    Only answers are learned, with the token that ends them: never what they answer.

    Input columns, one of
        messages (``list[{role, content}]``): a conversation; what follows its last answer is cut off. Beside it perhaps
            `input` (``str``): what stands behind the first instruction, for a template that sets it apart (Alpaca's).
        prompt, completion (``str``): raw text; the end token is added.
    and `id`, which names a row in errors. Other columns are dropped.

    Args:
        examples: as `trainers/sft_examples.py` makes them.
        tokenizer: with a chat template for conversations.
        max_length: longest example, in tokens. A longer one is left out (`too_long`), since TRL would cut its end, and
            a model that learns from cut answers learns to break off.
        answers: "all" answers of a conversation are learned, or the "last".
        evaluation_share: share of the distinct first prompts to set aside; 0 for none.
        seed: of the split (see `split_by_prompt`).

    Returns:
        Columns `input_ids` and `labels`. Left out: `no_answer`, `too_long`.

    Raises:
        InputError: columns are missing, there are no examples, a row has another form (named by its id), none has an
            answer, all are too long, there are too few prompts to split; or the chat template refuses a conversation,
            writes a turn in another way once there are more behind it, or ends an answer with no special token.
    """
    conversational = is_conversational(examples.column_names)
    if not len(examples):
        raise InputError("there are no examples (0 rows); give a dataset with at least one")
    if not tokenizer.is_fast:
        raise InputError(
            f"the base model's tokenizer ({type(tokenizer).__name__}) does not say where tokens begin; give a base"
            " model with a tokenizer.json"
        )
    encode = _Encode(tokenizer, conversational, answers)
    made = examples.map(
        encode,
        batched=True,
        with_indices=True,
        remove_columns=examples.column_names,
        features=_FEATURES,
        load_from_cache_file=False,
    )
    lengths = made["tokens"][:]
    answered = [number for number, learned in enumerate(made["learned"][:]) if learned]
    if not answered:
        raise InputError(f"none of the {len(made):,} examples has an answer to learn; look at how they were made")
    short = [number for number in answered if lengths[number] <= max_length]
    if not short:
        raise InputError(
            f"all {len(answered):,} examples are longer than max_length = {max_length:,} tokens (the shortest has"
            f" {min(lengths[number] for number in answered):,}); give a larger --max_length, up to the model's window"
        )
    left_out = {"no_answer": len(made) - len(answered), "too_long": len(answered) - len(short)}
    train, evaluation = split_by_prompt(made.select(short), evaluation_share, seed, noun="examples")
    columns = ["input_ids", "labels"]
    return TrainingData(
        train.select_columns(columns),
        evaluation.select_columns(columns),
        len(made),
        {name: rows for name, rows in left_out.items() if rows},
    )


def is_conversational(columns: Sequence[str]) -> bool:
    """Whether examples with these columns are conversations, rather than raw text.

    Raises:
        InputError: they are neither.
    """
    if "messages" in columns:
        return True
    if {"prompt", "completion"} <= set(columns):
        return False
    raise InputError(
        f"the examples have the columns {', '.join(columns)}; expected messages, or prompt and completion as raw text"
    )


@dataclass
class _Encode:
    """Rows to tokens, a batch at a time."""

    tokenizer: Any
    conversational: bool
    answers: str

    def __call__(self, batch: Mapping[str, list[Any]], numbers: Sequence[int]) -> dict[str, list[Any]]:
        names = batch.get("id", numbers)
        texts, spans = [], []
        for place, name in enumerate(names):
            if self.conversational:
                extra = batch["input"][place] if "input" in batch else None
                text, learned = self._conversation(name, batch["messages"][place], extra)
            else:
                text, learned = self._raw(name, batch["prompt"][place], batch["completion"][place])
            texts.append(text)
            spans.append(learned)
        # A chat template writes the special tokens itself.
        special = not self.conversational
        tokens = self.tokenizer(texts, add_special_tokens=special, return_offsets_mapping=True, verbose=False)
        made: dict[str, list[Any]] = {name: [] for name in _FEATURES}
        columns = zip(texts, spans, tokens["input_ids"], tokens["offset_mapping"], strict=True)
        for name, (text, learned, ids, offsets) in zip(names, columns, strict=True):
            labels = _labels(ids, offsets, learned)
            if learned and self.conversational:
                self._check_end(name, labels)
            made["prompt"].append(text[: learned[0][0]] if learned else text)
            made["input_ids"].append(ids)
            made["labels"].append(labels)
            made["tokens"].append(len(ids))
            made["learned"].append(bool(learned))
        return made

    def _raw(self, name: Any, prompt: Any, completion: Any) -> tuple[str, list[Span]]:
        if not isinstance(prompt, str) or not isinstance(completion, str):
            kind = type(completion if isinstance(prompt, str) else prompt).__name__
            raise InputError(f"example {name}: prompt and completion must be texts, got {kind}")
        if not completion.strip():
            return prompt, []
        text = f"{prompt}{completion}{self.tokenizer.eos_token}"
        return text, [(len(prompt), len(text))]

    def _conversation(self, name: Any, messages: Any, extra: str | None) -> tuple[str, list[Span]]:
        if not isinstance(messages, list) or not all(map(_is_message, messages)):
            raise InputError(f"example {name}: messages must be a list of role and content, got {_shown(messages)}")
        beside: dict[str, str] = {}
        if extra and takes_input(self.tokenizer.chat_template):
            beside = {"input": extra}
            asked = {"role": "user", "content": messages[0]["content"].removesuffix(f"\n\n{extra}")}
            messages = [asked, *messages[1:]]
        answers = [
            place
            for place, message in enumerate(messages)
            if place and message["role"] == "assistant" and message["content"].strip()
        ]
        if not answers:
            return "", []
        whole = self._written(name, messages[: answers[-1] + 1], beside)
        spans = []
        for place in answers if self.answers == "all" else answers[-1:]:
            prompt = self._written(name, messages[:place], beside, ask=True)
            said = whole if place == answers[-1] else self._written(name, messages[: place + 1], beside)
            if not whole.startswith(said) or not said.startswith(prompt):
                raise InputError(
                    f"example {name}: the chat template writes message {place} in another way once the answer, or more,"
                    " stands behind it, so what is learned is not what is asked; give --answers last, or another"
                    " --chat_template"
                )
            spans.append((len(prompt), len(said)))
        return whole, spans

    def _written(self, name: Any, messages: list[Any], beside: Mapping[str, str], *, ask: bool = False) -> str:
        try:
            return str(
                self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=ask, **beside)
            )
        except TemplateError as error:
            raise InputError(
                f"example {name}: the chat template refuses these messages ({' '.join(str(error).split())}); leave the"
                " example out, or give another --chat_template"
            ) from error

    def _check_end(self, name: Any, labels: Sequence[int]) -> None:
        if end_token(labels, self.tokenizer) is None:
            raise InputError(
                f"example {name}: the chat template ends an answer with no special token, so the model would not learn"
                " to stop; end answers with {{ eos_token }}"
            )


def end_token(labels: Sequence[int], tokenizer: Any) -> int | None:
    """The special token that ends the last answer; None if there is none in it."""
    special = tokenizer.added_tokens_decoder
    return next((label for label in reversed(labels) if label in special), None)


def _labels(ids: Sequence[int], offsets: Sequence[Span], learned: Sequence[Span]) -> list[int]:
    """The tokens that reach into a learned span: a token on its edge belongs to the answer, as in TRL."""
    labels = [NOT_LEARNED] * len(ids)
    for begin, end in learned:
        first = bisect_right(offsets, begin, key=lambda span: span[1])
        behind = bisect_left(offsets, end, key=lambda span: span[0])
        labels[first:behind] = ids[first:behind]
    return labels


def _is_message(message: Any) -> bool:
    return (
        isinstance(message, dict) and isinstance(message.get("role"), str) and isinstance(message.get("content"), str)
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
