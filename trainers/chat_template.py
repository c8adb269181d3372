"""The chat template that a model is trained with, and served with afterwards: its own, a shipped one, or a file."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from tagsmith.processors.errors import InputError

SHIPPED = ("alpaca", "vicuna")
_BOS = "{{- bos_token -}}\n"


def read_chat_template(name: str, tokenizer: Any) -> str:
    """The Jinja source of a shipped template by name, or of a file by path.

    Args:
        name: `alpaca` or `vicuna`, or a file.
        tokenizer: where it puts no begin token before a text, a shipped template does not either.

    Raises:
        InputError: there is no such file, or it is no text.
    """
    if name in SHIPPED:
        source = (files("tagsmith.trainers") / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")
        return source if _begins(tokenizer) else source.replace(_BOS, "")
    try:
        return Path(name).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise InputError(
            f"chat template {name} cannot be read ({said}); give a Jinja file in UTF-8, or {' or '.join(SHIPPED)}"
        ) from error


def takes_input(template: str | None) -> bool:
    """Whether the template sets an instruction's input apart from it, as Alpaca's does."""
    return bool(template) and "### Input:" in str(template) and "input is defined" in str(template)


def _begins(tokenizer: Any) -> bool:
    return tokenizer.bos_token_id is not None and tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
