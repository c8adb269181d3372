"""The dataset card: a page that people want to read, from the recipe's words, the manifest and the rows themselves."""

import re
import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypedDict

from datasets import Dataset
from huggingface_hub import DatasetCardData
from jinja2 import Environment, StrictUndefined, meta

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.examples import Example, example_rows
from tagsmith.cards.redact import redact_text

LONGEST_TEXT = 300  # characters of a row's text on the card


class Table(TypedDict):
    """One table of results, as a recipe hands it over."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class CardText:
    """What only the recipe knows about its release. Markdown is welcome; text from rows never goes in here.

    Args:
        title: heading of the page.
        summary: what the dataset is, in one to three lines.
        configs: for each config of the release, what its rows are, in a few words.
        citation: BibTeX of the method's paper.
        differences: where the run differs from the paper, one a line.
        tables: further results, such as the stages of the tag normaliser.
        license: the Hub's identifier; None where it is not known, which the card then says.
        language: ISO 639 codes, if known.
        tags: keywords on the Hub beside those that every release has.
    """

    title: str
    summary: Sequence[str]
    configs: Mapping[str, str]
    citation: str
    differences: Sequence[str] = ()
    tables: Sequence[Table] = ()
    license: str | None = None
    language: Sequence[str] | None = None
    tags: Sequence[str] = ()
