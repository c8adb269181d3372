"""Forward passes of a sentence-transformers model, such that a text's vector depends on the text alone."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Tokens in a batch. On a CPU what a core's cache holds is fastest: 490 tags a second, against 340 with 1,024 tokens.
CPU_TOKENS = 128
ACCELERATOR_TOKENS = 16_384
MOST_WORKERS = 8  # beyond that they wait for the interpreter


def encode_texts(
    model: Any, texts: Sequence[str], batch_tokens: int | None, advance: Callable[[int], Any]
) -> NDArray[np.float32]:
    """(n, dim) the model's vectors, not scaled.

    How a matrix product rounds depends on its shape and on how many threads share it. So a batch holds texts of one
    length in tokens, nothing is padded, and a batch that lacks texts is filled up; each batch is one thread's, and on a
    CPU there are several batches at a time. (Threads that share one small product mostly wait for each other: on two
    busy cores that took up to seven times as much of the processor.)

    Args:
        model: a `SentenceTransformer`.
        texts: any number.
        batch_tokens: tokens at a time; None: 128 on a CPU, else 16,384.
        advance: called with the number of texts that were just done.
    """
    import torch

    on_cpu = model.device.type == "cpu"
    at_a_time = batch_tokens or (CPU_TOKENS if on_cpu else ACCELERATOR_TOKENS)
    workers = min(torch.get_num_threads(), MOST_WORKERS) if on_cpu else 1
    made = np.empty((len(texts), model.get_embedding_dimension()), np.float32)
    prompt = model.prompts.get(model.default_prompt_name)
    tokenizing = threading.Lock()  # a fast tokenizer is for one thread at a time

    def encode(numbers: Sequence[int]) -> int:
        with tokenizing:
            features = model.preprocess([texts[number] for number in numbers], prompt=prompt)
        with torch.inference_mode():
            features = {name: _on(model.device, value) for name, value in features.items()}
            vectors = model.forward(features)["sentence_embedding"].float().cpu().numpy()
        made[list(numbers)] = vectors[:, : made.shape[1]]  # some models are cut to their first dimensions
        return len(set(numbers))

    model.eval()
    with (
        _threads_given_back(),
        ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        for done in pool.map(encode, list(_batches(model, texts, at_a_time))):
            advance(done)
    return made


def _batches(model: Any, texts: Sequence[str], at_a_time: int) -> Iterator[list[int]]:
    """The texts' numbers, those of one length together; the last batch of a length repeats its first text."""
    of_length: dict[int, list[int]] = {}
    for number, length in enumerate(_lengths(model, texts)):
        of_length.setdefault(length, []).append(number)
    for length, numbers in of_length.items():
        size = max(1, at_a_time // length)
        for start in range(0, len(numbers), size):
            batch = numbers[start : start + size]
            yield batch + batch[:1] * (size - len(batch))


def _lengths(model: Any, texts: Sequence[str]) -> list[int]:
    """Of each text, in tokens."""
    if not texts or not callable(model.tokenizer):  # a static embedding adds words up: no shapes to round by
        return [1] * len(texts)
    longest = model.max_seq_length
    ids = model.tokenizer(list(texts), truncation=longest is not None, max_length=longest)["input_ids"]
    return [max(1, len(tokens)) for tokens in ids]


def _on(device: Any, value: Any) -> Any:
    return value.to(device) if hasattr(value, "to") else value


@contextmanager
def _threads_given_back() -> Iterator[None]:
    """Leave the process as many threads as it had: a worker's setting is in part the whole process's."""
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
