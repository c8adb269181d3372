"""Take secrets and machine paths out of whatever is about to be published."""

import os
import re
from collections.abc import Mapping
from typing import Any

from huggingface_hub import get_token
from huggingface_hub.errors import OIDCError

REMOVED = "[removed]"

_SECRET_WORDS = re.compile("secret|passw|apikey|accesskey|privatekey|authorization|credential")
# The special tokens of a tokenizer are named `…_token` too, and are no secret.
_SPECIAL_TOKENS = ("bos", "eos", "pad", "unk", "sep", "cls", "mask", "stop", "start", "end", "image", "special")
_TOKEN_SHAPES = re.compile(
    r"\bhf_[A-Za-z0-9]{8,}|\bsk-[\w-]{16,}|\bgh[opsu]_\w{16,}|\bgithub_pat_\w{16,}|\bAKIA[0-9A-Z]{16}\b"
    r"|\bAIza[\w-]{30,}|\beyJ[\w-]+\.[\w-]+\.[\w-]+"
)
_URL_USER = re.compile(r"(?<=://)[^/\s@]+@")
_HEADER = re.compile(r"""(authorization["']?\s*[:=]\s*["']?)[^"'\n]+|(\b(?:bearer|basic)\s+)\S+""", re.IGNORECASE)
# `key=value` in a URL's query, a command or an environment, `key: value` in a header; `--key value` in a command.
_KEY = r"(?P<key>-{0,2}[\w-]*(?:auth|bearer|cookie|credential|key|passw|secret|token)[\w-]*)"
_ASSIGNMENT = re.compile(_KEY + r"""(?P<sep>["']?\s*[=:]\s*["']?)(?P<value>[^\s&"',;]+)""", re.IGNORECASE)
_FLAG = re.compile(rf"(?<!\S)(?=-){_KEY}" + r"""(?P<sep>\s+["']?)(?P<value>[^\s"'-][^\s"']*)""", re.IGNORECASE)
_LOCAL_PATH = re.compile(r"(?P<prefix>(?:--?[\w-]+=)?(?:(?:file|local|replay):(?://)?)?)(?:/|~[/\\]|[A-Za-z]:[/\\]).*")


def redact(value: Any) -> Any:
    """The same nested value, fit to publish: secrets become `[removed]`, absolute local paths their last part.

    A secret is the value of a key, flag or query parameter that is named like one (`token`, `api_key`,
    `Authorization`), text shaped like a well-known token, user names and passwords in a URL, and the values of
    secret-looking environment variables and of the Hub login, wherever they turn up.
    """
    return _redact(value, _known_secrets())


def redact_text(text: str) -> str:
    """Prose without known secrets and well-known shapes of tokens; a row that says `password: ` stays as it is."""
    return _without_tokens(text, _known_secrets())


def is_secret_name(name: str) -> bool:
    """Whether a key, a flag or an environment variable is named like a secret."""
    word = re.sub(r"[^a-z]", "", name.lower())
    if word in ("auth", "bearer", "cookie") or _SECRET_WORDS.search(word):
        return True
    return word.endswith("token") and not word.startswith(_SPECIAL_TOKENS)


def _known_secrets() -> list[str]:
    values = {value.strip() for name, value in os.environ.items() if is_secret_name(name)} | {_login()}
    # Longest first: one secret may be the beginning of another. A very short one would wipe out ordinary words.
    return sorted((value for value in values if len(value) >= 8), key=len, reverse=True)


def _login() -> str:
    try:
        return get_token() or ""
    except OIDCError:  # a short-lived token of a CI that could not be had: then nothing can show it
        return ""


def _redact(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, Mapping):
        return {_without_secrets(str(key), secrets): _item(str(key), item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        # A list may be a command, where a secret follows its flag as an item of its own.
        flags = ["", *(item if isinstance(item, str) and item.startswith("-") else "" for item in value)]
        return [_item(flag, item, secrets) for flag, item in zip(flags, value, strict=False)]
    if isinstance(value, str):
        return _without_secrets(_without_folder(value), secrets)
    return value


def _item(name: str, value: Any, secrets: list[str]) -> Any:
    if value and isinstance(value, str | bytes | list | tuple) and is_secret_name(name):
        return REMOVED
    return _redact(value, secrets)


def _without_secrets(text: str, secrets: list[str]) -> str:
    text = _HEADER.sub(lambda found: (found[1] or found[2]) + REMOVED, _without_tokens(text, secrets))
    text = _URL_USER.sub("", text)
    for pattern in (_ASSIGNMENT, _FLAG):
        text = pattern.sub(
            lambda found: f"{found['key']}{found['sep']}{REMOVED}" if is_secret_name(found["key"]) else found[0],
            text,
        )
    return text


def _without_tokens(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, REMOVED)
    return _TOKEN_SHAPES.sub(REMOVED, text)


def _without_folder(text: str) -> str:
    """Where a file lies on this machine is nobody's business: `local:/home/me/llama` becomes `local:llama`."""
    found = _LOCAL_PATH.fullmatch(text)
    return found["prefix"] + (re.split(r"[/\\]", text.rstrip("/\\"))[-1] or "/") if found else text
