"""Instruction and response of a row, whatever its layout."""

from collections.abc import Mapping
from typing import Any


def texts(row: Mapping[str, Any]) -> tuple[str, str]:
    """Instruction and response; of a conversation (`messages`) the first turn of each side. Empty where missing."""
    turns = {turn["role"]: turn["content"] for turn in reversed(row.get("messages") or [])}
    instruction = row.get("instruction") or turns.get("user")
    response = row.get("response") or turns.get("assistant")
    return str(instruction or ""), str(response or "")
