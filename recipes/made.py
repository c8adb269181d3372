"""What a recipe hands over: all that its release is written from. `publish` writes it, `reproduce` compares it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Dataset

from tagsmith.cards.dataset_card import CardText
from tagsmith.cards.pictures import Picture
from tagsmith.processors.endpoint.usage import Usage
from tagsmith.processors.prompt_template import PromptTemplate


@dataclass
class Made:
    """Rows and facts. Card and pictures are functions, since whoever only compares the rows needs neither.

    Args:
        configs: the rows, by config of the release; `default` is the one that `load_dataset` opens.
        method, variant: what the method is called, and which reading of it ran.
        inputs: what is known of each source dataset (see `build_manifest`).
        prompts: the templates in use.
        models: a mapping each, with `model` (the identity) and `role`; one that answered requests also has `endpoint`:
            the name of the setting that says where it is, so that a replay can take its place.
        counts: `rows_in`, `rows_out`, `rejected` (rows by reason) and whatever else the card should show.
        usage: what the endpoints were asked for, added up.
        offline: whether any row came from the offline endpoint.
        card, pictures: the page's words and its pictures.
        artefacts: settings that named something made before, and the config that holds it here: a release can be made
            again from itself alone.
        summary: the recipe's own lines for the end of the run.
        tree: makes the tags' tree for the explorer (see `render_explorer`), where the recipe has one.
    """

    configs: Mapping[str, Dataset]
    method: str
    variant: str
    inputs: Sequence[Mapping[str, Any]]
    prompts: Sequence[PromptTemplate]
    models: Sequence[Mapping[str, Any]]
    counts: Mapping[str, Any]
    usage: Usage
    offline: bool
    card: Callable[[], CardText]
    pictures: Callable[[], Sequence[Picture]]
    default: str = "default"
    artefacts: Mapping[str, str] = field(default_factory=dict)
    summary: Sequence[tuple[str, str]] = field(default_factory=list)
    tree: Callable[[], Mapping[str, Any]] | None = None
