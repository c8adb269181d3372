"""Load a Transformers model for serving: weights checked, token limits and identity known."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from tagsmith.processors.endpoint.local_folder import content_hash
from tagsmith.processors.errors import EndpointError

_UNSTATED_WINDOW = 2048


@dataclass
class LocalModel:
    """A causal language model in memory.

    Args:
        model, tokenizer: as Transformers loaded them.
        model_id: its name: the Hub's, or the folder's.
        model_sha: its commit on the Hub, or the hash of the folder's content.
        max_total_tokens: its window: prompt and reply together.
        eos_ids: tokens that end a reply.
        pad_id: what shorter prompts of a batch are filled up with; masked, so any token does.
    """

    model: Any
    tokenizer: Any
    model_id: str
    model_sha: str
    max_total_tokens: int
    eos_ids: frozenset[int]
    pad_id: int

    @classmethod
    def load(cls, folder: Path, model_id: str, model_sha: str | None, device: str | None, dtype: str) -> "LocalModel":
        """Read a model folder.

        Raises:
            EndpointError: the weights do not fit the config: some would be left random.
        """
        if device is None:
            accelerator = torch.accelerator.current_accelerator(check_available=True)
            device = accelerator.type if accelerator else "cpu"
        with ThreadPoolExecutor(1) as pool:  # hashing reads the same files as loading, and releases the GIL
            sha = pool.submit(content_hash, folder) if model_sha is None else None
            tokenizer = AutoTokenizer.from_pretrained(folder)
            model, report = AutoModelForCausalLM.from_pretrained(
                folder, dtype=dtype, device_map=device, output_loading_info=True
            )
        if missing := sorted(report["missing_keys"]):
            # Transformers only warns, and fills them with random numbers.
            raise EndpointError(
                f"{model_id} cannot be served: its weights lack {len(missing)} tensors of its config, the first is"
                f" {missing[0]}; save the whole model again with `save_pretrained`"
            )
        eos = {*_as_list(model.generation_config.eos_token_id), *_as_list(tokenizer.eos_token_id)}
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(eos, default=0)
        # Sampling defaults that a model brings along would apply beside those of the request.
        model.generation_config = GenerationConfig(pad_token_id=pad)
        return cls(
            model=model.eval(),
            tokenizer=tokenizer,
            model_id=model_id,
            model_sha=model_sha or (sha.result() if sha else ""),
            max_total_tokens=_window(model.config, tokenizer),
            eos_ids=frozenset(eos),
            pad_id=pad,
        )

    @property
    def vocabulary_size(self) -> int:
        """Rows of the embedding: token ids must be below it."""
        return int(self.model.get_input_embeddings().weight.shape[0])


def _window(config: Any, tokenizer: Any) -> int:
    stated = getattr(config.get_text_config(), "max_position_embeddings", None)
    if isinstance(stated, int) and stated > 0:
        return stated
    # Tokenizers without a limit say so with an absurd number.
    return tokenizer.model_max_length if tokenizer.model_max_length < 2**31 else _UNSTATED_WINDOW


def _as_list(ids: int | list[int] | None) -> list[int]:
    if ids is None:
        return []
    return ids if isinstance(ids, list) else [ids]
