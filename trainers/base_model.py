"""What training starts from: model and tokenizer, looked at before anything is trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelCard, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from tagsmith.processors.endpoint.local_folder import (
    SETTING_FILES,
    TOKENIZER_FILES,
    WEIGHT_FILES,
    check_model_folder,
    content_hash,
)
from tagsmith.processors.errors import EndpointError, InputError
from tagsmith.trainers.chat_template import read_chat_template


@dataclass(frozen=True)
class BaseModel:
    """A model folder that can be trained, and its tokenizer.

    Args:
        name: as it was given: a Hub name, or a folder.
        folder: where its files are; for one from the Hub, in the Hub's cache.
        tokenizer: with a pad token, and with a chat template where one is needed.
        window: the longest sequence that it takes, in tokens; None where its config does not say.
        commit: on the Hub; None for a folder.
        license: as its card says, if it does.
    """

    name: str
    folder: Path
    tokenizer: Any
    window: int | None
    commit: str | None = None
    license: str | None = None

    @classmethod
    def open(
        cls,
        name: str,
        *,
        revision: str | None = None,
        chat_template: str | None = None,
        pad_token: str | None = None,
        needs_chat_template: bool = True,
    ) -> "BaseModel":
        """Fetch a model's files if they are on the Hub, and load its tokenizer.

        Args:
            name: a folder, or a model on the Hub.
            revision: branch, tag or commit on the Hub.
            chat_template: a Jinja file, `alpaca` or `vicuna`, for a tokenizer without a template, or in its place.
            pad_token: a token of the vocabulary to pad with, for a tokenizer without one.
            needs_chat_template: whether the training data are conversations.

        Raises:
            InputError: no such model, files are missing or damaged, no chat template, or no pad token; says what to do.
        """
        folder, commit = Path(name).expanduser(), None
        if not folder.is_dir():
            folder = _fetch(name, revision)
            commit = folder.name  # a snapshot's folder is named by its commit
        elif revision is not None:
            raise InputError(f"base model {name} is a folder, which has no revision {revision!r}; leave it out")
        try:
            check_model_folder(folder, name)
        except EndpointError as error:
            raise InputError(f"base model {str(error).replace('cannot be served', 'cannot be trained')}") from None
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder)
            config = AutoConfig.from_pretrained(folder)
        except Exception as error:  # the library raises many kinds
            raise _unreadable(name, error) from error
        if chat_template is not None:
            tokenizer.chat_template = read_chat_template(chat_template, tokenizer)
        if needs_chat_template and not tokenizer.chat_template:
            raise InputError(
                f"base model {name} has no chat template, and the data are conversations; take its instruct version, or"
                " give a Jinja file with --chat_template (or one of ours: alpaca, vicuna)"
            )
        if pad_token is not None:
            if pad_token not in tokenizer.get_vocab():
                raise InputError(f"pad_token {pad_token!r} is no token of {name}; name one of its vocabulary")
            tokenizer.pad_token = pad_token
        if tokenizer.pad_token is None:
            end = f", such as its end token {tokenizer.eos_token!r}" if tokenizer.eos_token else ""
            raise InputError(f"base model {name} has no pad token; name one of its tokens with --pad_token{end}")
        window = getattr(config.get_text_config(), "max_position_embeddings", None)
        return cls(name, folder, tokenizer, window, commit, _licence(folder))

    def check_length(self, max_length: int) -> None:
        """Whether sequences may be so long.

        Raises:
            InputError: they are longer than the model's window.
        """
        if self.window is not None and max_length > self.window:
            raise InputError(
                f"max_length is {max_length:,} tokens, but {self.name} takes at most {self.window:,}; give a smaller"
                " --max_length"
            )

    def load(self, dtype: torch.dtype = torch.float32) -> Any:
        """The model, on the CPU: the trainer moves it.

        Raises:
            InputError: the weights are damaged, lack tensors of the config, or do not go with the tokenizer.
        """
        try:
            model, report = AutoModelForCausalLM.from_pretrained(self.folder, dtype=dtype, output_loading_info=True)
        except (OSError, RuntimeError, ValueError, SafetensorError) as error:
            raise _unreadable(self.name, error) from error
        if missing := sorted(report["missing_keys"]):  # Transformers only warns, and fills them with random numbers
            raise InputError(
                f"base model {self.name} lacks {len(missing)} tensors of its config, the first is {missing[0]}; it was"
                " saved in part: copy or download it again"
            )
        rows = model.config.get_text_config().vocab_size
        if len(self.tokenizer) > rows:
            raise InputError(
                f"base model {self.name} has embeddings for {rows:,} tokens, its tokenizer has {len(self.tokenizer):,}:"
                " they do not belong together"
            )
        return model

    def facts(self) -> dict[str, Any]:
        """What a manifest says of it: name and role, and commit or content hash, so that it can be found again."""
        known = {"revision": self.commit} if self.commit else {"content_hash": content_hash(self.folder)}
        licence = {"license": self.license} if self.license else {}
        return {"model": self.name, "role": "base model", **known, **licence}


def _fetch(name: str, revision: str | None) -> Path:
    """The folder of a Hub model's files, of one commit."""
    at = f" at {revision!r}" if revision else ""
    patterns = [*SETTING_FILES, *TOKENIZER_FILES, "README.md"]
    try:
        for weights in WEIGHT_FILES:  # pickled weights only where there are no safe ones
            folder = Path(snapshot_download(name, revision=revision, allow_patterns=[*patterns, weights]))
            if any(folder.glob(weights)):
                break
    except HFValidationError:
        raise InputError(
            f"base model {name!r} is neither a folder nor a name on the Hub; give a folder, or org/name"
        ) from None
    except GatedRepoError:
        raise InputError(f"base model {name} is gated; accept its terms on the Hub, then `hf auth login`") from None
    except RevisionNotFoundError:
        raise InputError(f"base model {name} has no revision {revision!r}; give a branch, a tag or a commit") from None
    except RepositoryNotFoundError:
        raise InputError(
            f"base model {name!r} is no folder here and no model on the Hub that you may read; check the name, or log"
            " in: `hf auth login`"
        ) from None
    except LocalEntryNotFoundError:
        raise InputError(
            f"base model {name!r}{at} is no folder here, not in the Hub's cache, and the Hub cannot be reached; give a"
            f" folder, or get it where there is a network: `hf download {name}`"
        ) from None
    except (HfHubHTTPError, OSError) as error:
        raise InputError(f"cannot download base model {name}{at}: {_line(error)}; try again") from None
    return folder


def _licence(folder: Path) -> str | None:
    try:
        licence = ModelCard.load(folder / "README.md").data.get("license")
    except (OSError, ValueError):  # no card, or one without readable metadata
        return None
    return licence if isinstance(licence, str) else None


def _unreadable(name: str, error: Exception) -> InputError:
    return InputError(
        f"base model {name} cannot be loaded ({type(error).__name__}: {_line(error)[:200]}); if it was saved or copied"
        " only in part, do that again"
    )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
