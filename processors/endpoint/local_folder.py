"""The files that make a Transformers model folder: which they are, whether they are all there, and their hash."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tagsmith.processors.errors import EndpointError

# One pattern a format, the safe one first. Checkpoint leftovers (optimizer.pt, training_args.bin) match neither.
WEIGHT_FILES = ("model*.safetensors", "pytorch_model*.bin")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt", "tekken.json")
SETTING_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "chat_template*",
    "*.index.json",
)


def check_model_folder(folder: Path, name: str) -> None:
    """Refuse a folder that cannot be served, before a process is started for it.

    Args:
        folder: where the files are.
        name: what the user called it, for the message.

    Raises:
        EndpointError: config, tokenizer or weights are missing, incomplete, or Git LFS pointers.
    """
    if (folder / "adapter_config.json").exists() and not (folder / "config.json").exists():
        raise EndpointError(
            f"{name} is a LoRA adapter, expected a whole model; merge it first: PEFT's `merge_and_unload()`, then"
            " `save_pretrained`"
        )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _incomplete(name, "no config.json", "give the folder that `save_pretrained` wrote") from None
    except ValueError as error:
        raise _incomplete(name, f"a damaged config.json ({error})", "copy or download it again") from None
    if not isinstance(config, dict) or "model_type" not in config:
        raise _incomplete(name, "a config.json without model_type", "give the folder of a Transformers model")
    if not any((folder / file).exists() for file in TOKENIZER_FILES):
        raise _incomplete(
            name, f"no tokenizer ({', '.join(TOKENIZER_FILES)})", "save it there: `tokenizer.save_pretrained`"
        )
    weights = list(_weights(folder))
    if not weights:
        raise _incomplete(name, f"no weights ({' or '.join(WEIGHT_FILES)})", "save them there: `model.save_pretrained`")
    for index in folder.glob("*.index.json"):
        shards = set(json.loads(index.read_text(encoding="utf-8")).get("weight_map", {}).values())
        if missing := sorted(shard for shard in shards if not (folder / shard).exists()):
            raise _incomplete(name, f"no {missing[0]}, which {index.name} lists", "copy or download it again")
    for file in weights:
        with file.open("rb") as stream:
            head = stream.read(32)
        if not head or head.startswith(b"version https://git-lfs"):
            what = "a Git LFS pointer" if head else "empty"
            raise _incomplete(name, f"a {file.name} that is {what}", "run `git lfs pull`, or download it again")


def content_hash(folder: Path) -> str:
    """The identity of a model that has no commit: SHA-256 over the content of its files, 16 hex digits.

    All weights are read: a model trained a little further has the same file sizes and headers, and a copied one
    has other dates. That costs about a second a gigabyte, while the model is being loaded.
    """
    names = (*TOKENIZER_FILES, *SETTING_FILES)
    files = sorted({*_weights(folder), *(file for name in names for file in folder.glob(name) if file.is_file())})
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(_file_digest, files))
    whole = hashlib.sha256()
    for file, digest in zip(files, digests, strict=True):
        whole.update(f"{file.name}\0{digest}\n".encode())
    return whole.hexdigest()[:16]


def _weights(folder: Path) -> Iterator[Path]:
    for pattern in WEIGHT_FILES:
        yield from folder.glob(pattern)


def _file_digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _incomplete(name: str, found: str, remedy: str) -> EndpointError:
    return EndpointError(f"{name} cannot be served: it has {found}; expected config, tokenizer and weights; {remedy}")
