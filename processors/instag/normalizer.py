"""#InsTag's tag normalisation: four stages from the tags that a model wrote to a vocabulary, then a processor."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from datasets import Dataset

from tagsmith.processors.embedding import Embedder, TextEmbedder
from tagsmith.processors.errors import InputError
from tagsmith.processors.hub_folder import find_folder, push_folder
from tagsmith.processors.instag.association_aggregation import RULES_SCHEMA, association_aggregation
from tagsmith.processors.instag.vocabulary import TagVocabulary, tag_table
from tagsmith.processors.merge_tags import merge_tags
from tagsmith.processors.rule_aggregation import frequency_filter, rule_aggregation
from tagsmith.processors.semantic_aggregation import semantic_aggregation
from tagsmith.processors.tag_sets import TagSets, read_tag_sets
from tagsmith.processors.text_lists import text_lists

STAGES = ("frequency", "rule", "semantic", "association")
UNSEEN = ("drop", "keep")


@dataclass(kw_only=True)
class TagNormalizer:
    """Normalise open-set tags: frequency filter, rule, semantic and association aggregation (#InsTag, §3.2, Tab. 1).

    `fit` builds the vocabulary from a whole dataset; then the object is a callable on a batch of columns, for
    `Dataset.map(batched=True)`. `vocabulary` is the artefact; `report` has each stage's counts and seconds.

    Input columns:
        raw_tags (``list[str]``): tags as the model wrote them.
    Output columns:
        tags (``list[str]``): canonical tags, each once, in the order of first mention.
        dropped_tags (``list[str]``): the row's raw tags that the fit dropped (rare, or special characters only).
        unseen_tags (``list[str]``): the row's raw tags that the fit did not see, in no spelling.

    Args:
        tags_column: name of the input column.
        alpha: rows that must carry a raw tag for it to stay; 20 in the paper, for 306,000 rows.
        keep_characters: special characters that rule aggregation keeps: "+#" keeps C++ and C# apart.
        eps: cosine distance within which two tags are neighbours in DBSCAN; 0.05 in the paper, for its model. With the
            bundled one the paper's example (the information requests of Tab. 1) meets from 0.13 on.
        min_samples: DBSCAN's; see `semantic_aggregation`.
        min_support: rows that must carry both tags of an association rule; 40 in the paper.
        min_confidence: share of the antecedent's rows that must carry the consequent; 0.99 in the paper.
        stages: the stages to run, of "frequency", "rule", "semantic", "association"; always in that order.
        unseen: what becomes of unseen tags: "drop" leaves them out of `tags`; "keep" adds them, cleaned by the rule.
        embedder: embeds tags for the semantic stage. (The paper uses PhraseBERT.)

    Raises:
        InputError: a parameter is out of range; the column is missing or does not hold lists of strings (names the
            row); `alpha` leaves no tag; or a batch comes before `fit`.

    Differs from the paper: a count is of rows, so a tag repeated within a row counts once, which makes α and the
    supports comparable. A rare tag whose text is exactly the name that frequent spellings got ("python", 3 rows, beside
    "Python", 1,000) is kept with them, so that normalised tags normalise to themselves. Where the paper is silent, the
    docstrings of the stages state our reading.

    Measured on two busy cores, 100,000 raw tags in 306,000 rows: 2.6 s with alpha=20 and, where all tags reach the
    clustering (alpha=1), 7.5 s after embedding, in 1.3 GB with the model (`benchmarks/normalize_tags.py`).
    """

    tags_column: str = "raw_tags"
    alpha: int = 20
    keep_characters: str = ""
    eps: float = 0.05
    min_samples: int = 2
    min_support: int = 40
    min_confidence: float = 0.99
    stages: tuple[str, ...] = STAGES
    unseen: str = "drop"
    embedder: Embedder = field(default_factory=TextEmbedder)
    vocabulary: TagVocabulary | None = field(default=None, repr=False)

    # Hashed by `datasets` with the state: raise it when the output changes, or stale rows come back from its cache.
    version: int = field(default=1, init=False)
    _seconds: dict[str, float] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("alpha", "min_samples", "min_support"):
            value = getattr(self, name)
            _check(isinstance(value, int) and value >= 1, name, value, "a whole number, at least 1")
        eps, share = self.eps, self.min_confidence
        _check(isinstance(eps, int | float) and 0 < eps < 2, "eps", eps, "a cosine distance in (0, 2), 0.05 say")
        _check(
            isinstance(share, int | float) and 0 < share <= 1, "min_confidence", share, "a share in (0, 1], 0.99 say"
        )
        _check(self.unseen in UNSEEN, "unseen", self.unseen, " or ".join(map(repr, UNSEEN)))
        _check(not isinstance(self.stages, str), "stages", self.stages, f"a list of stages, of {', '.join(STAGES)}")
        _check(set(self.stages) <= set(STAGES), "stages", self.stages, f"stages of {', '.join(STAGES)}")
        self.stages = tuple(stage for stage in STAGES if stage in self.stages)

    def fit(self, dataset: Dataset) -> "TagNormalizer":
        """Build the vocabulary from the whole dataset, and return self."""
        # Numbered alphabetically from here on, so that the order of the rows decides nothing.
        raw = read_tag_sets(dataset, self.tags_column)
        raw = merge_tags(raw, raw.vocabulary)
        if not raw.vocabulary:
            raise InputError(
                f"column {self.tags_column!r} holds no tag in {len(raw)} rows; expected raw tags: run the tagger first"
            )
        self._seconds = {}
        names: list[str | None] = list(raw.vocabulary)  # what each raw tag is called so far
        last_stage = ["kept"] * len(names)
        tags, rules, report = raw, RULES_SCHEMA.empty_table(), []
        for stage in self.stages:
            start = time.perf_counter()
            renamed: Sequence[str | None]
            if stage == "frequency":
                renamed = self._frequent(tags)
            elif stage == "rule":
                renamed = rule_aggregation(tags.vocabulary, tags.tag_counts.tolist(), self.keep_characters)
            elif stage == "semantic":
                renamed = self._semantic(tags)
            else:
                renamed, rules = association_aggregation(
                    tags, min_support=self.min_support, min_confidence=self.min_confidence
                )
            becomes = dict(zip(tags.vocabulary, renamed, strict=True))
            for number, name in enumerate(names):
                if name is not None and becomes[name] != name:
                    names[number] = becomes[name]
                    last_stage[number] = "empty" if stage == "rule" and becomes[name] is None else stage
            if stage == "rule":
                _take_back_names(raw.vocabulary, names, last_stage)
            before, tags = tags, merge_tags(raw, names)
            self._seconds[stage] = time.perf_counter() - start
            report.append(
                {
                    "stage": stage,
                    "tags_before": len(before.vocabulary),
                    "tags_after": len(tags.vocabulary),
                    "occurrences_before": len(before.indices),
                    "occurrences_after": len(tags.indices),
                }
            )
        if "semantic" in self._seconds:  # reported apart
            self._seconds["semantic"] -= self._seconds["embedding"]
        self.vocabulary = TagVocabulary(tag_table(raw, names, last_stage, tags), rules, self._config(len(raw), report))
        return self

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Columns in, new columns out."""
        vocabulary = self.fitted
        if self.tags_column not in batch:
            raise InputError(f"no column {self.tags_column!r} with raw tags; the columns are: {', '.join(batch)}")
        tags, dropped, unseen = [], [], []
        for row, raw_tags in enumerate(batch[self.tags_column]):
            if isinstance(raw_tags, str) or not isinstance(raw_tags, Sequence):
                raise _bad_row(self.tags_column, row, raw_tags)
            # Dictionaries as ordered sets.
            tags.append(kept := dict[str, None]())
            dropped.append(gone := dict[str, None]())
            unseen.append(new := dict[str, None]())
            for raw in raw_tags:
                if not isinstance(raw, str):
                    raise _bad_row(self.tags_column, row, raw_tags)
                name, is_known = vocabulary.resolve(raw)
                if name is not None:
                    kept[name] = None
                elif is_known:
                    gone[raw] = None
                else:
                    new[raw] = None
                    if self.unseen == "keep":
                        kept[vocabulary.clean(raw)] = None
        return {"tags": text_lists(tags), "dropped_tags": text_lists(dropped), "unseen_tags": text_lists(unseen)}

    def report(self) -> list[dict[str, Any]]:
        """For each stage that ran: tags and occurrences (tags summed over rows) before and after, and seconds.

        Embedding is apart, in `embed_seconds` of the semantic stage. Both are None unless this object did the fit.
        """
        rows: list[dict[str, Any]] = []
        for row in self.fitted.config["report"]:
            embed_seconds = self._seconds.get("embedding") if row["stage"] == "semantic" else None
            rows.append(row | {"seconds": self._seconds.get(row["stage"]), "embed_seconds": embed_seconds})
        return rows

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the vocabulary and the parameters to a folder."""
        self.fitted.save(folder)

    @classmethod
    def from_pretrained(cls, folder: str | Path, **download: Any) -> "TagNormalizer":
        """Read a folder that `save_pretrained` wrote, or a dataset repository that `push_to_hub` made.

        Args:
            folder: a path, or a repository's id on the Hub.
            download: for `huggingface_hub.snapshot_download`: `revision`, `token`, …
        """
        folder = find_folder(folder, "tag vocabulary", **download)
        vocabulary = TagVocabulary.load(folder)
        try:
            parameters = {name: vocabulary.config[name] for name in _PARAMETERS}
            embedder = TextEmbedder(model=vocabulary.config["embedding_model"])
        except KeyError as error:
            raise InputError(f"config.json in {str(folder)!r} has no {error}; save the normalizer again") from error
        return cls(**parameters, embedder=embedder, vocabulary=vocabulary)

    def push_to_hub(self, repo_id: str, *, private: bool | None = None, token: str | None = None, **upload: Any) -> str:
        """Upload the folder of `save_pretrained` as a dataset repository, made if need be; returns the commit's URL.

        Args:
            upload: for `HfApi.upload_folder`: `commit_message`, `revision`, …
        """
        return push_folder(self.fitted.save, repo_id, private=private, token=token, **upload)

    def _frequent(self, tags: TagSets) -> list[str | None]:
        names = frequency_filter(tags.vocabulary, tags.tag_counts.tolist(), self.alpha)
        if not any(name is not None for name in names):
            highest = int(tags.tag_counts.max())
            raise InputError(
                f"alpha={self.alpha} leaves no tag: the most frequent of {len(names)} raw tags is in {highest} of"
                f" {len(tags)} rows; use alpha={max(highest // 2, 1)} or less"
            )
        return names

    def _semantic(self, tags: TagSets) -> Sequence[str]:
        start = time.perf_counter()
        vectors = self.embedder.encode(tags.vocabulary)
        self._seconds["embedding"] = time.perf_counter() - start
        if vectors.ndim != 2 or len(vectors) != len(tags.vocabulary):
            raise InputError(
                f"the embedder made an array {vectors.shape} of {len(tags.vocabulary)} tags; expected one vector a tag"
            )
        counts = tags.tag_counts.tolist()
        return semantic_aggregation(tags.vocabulary, counts, vectors, eps=self.eps, min_samples=self.min_samples)

    def _config(self, rows: int, report: list[dict[str, Any]]) -> dict[str, Any]:
        parameters = {name: getattr(self, name) for name in _PARAMETERS} | {"stages": list(self.stages)}
        extra = {"embedding_model": self.embedder.model, "version": self.version, "rows": rows, "report": report}
        return parameters | extra

    @property
    def fitted(self) -> TagVocabulary:
        """The vocabulary; raises InputError before `fit`."""
        if self.vocabulary is None:
            raise InputError(
                "the TagNormalizer has no vocabulary yet; call fit(dataset) or TagNormalizer.from_pretrained"
            )
        return self.vocabulary

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "_seconds"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _seconds={})


_PARAMETERS = [f.name for f in fields(TagNormalizer) if f.init and f.name not in ("embedder", "vocabulary")]


def _take_back_names(raw: Sequence[str], names: list[str | None], last_stage: list[str]) -> None:
    """Keep the rare raw tags that are, to the letter, the name of a tag that stays."""
    staying = {name for name in names if name is not None}
    for number, tag in enumerate(raw):
        if names[number] is None and tag in staying:
            names[number], last_stage[number] = tag, "kept"


def _check(holds: bool, name: str, got: object, expected: str) -> None:
    if not holds:
        raise InputError(f"{name}={got!r}: expected {expected}")


def _bad_row(column: str, row: int, got: object) -> InputError:
    return InputError(
        f"column {column!r}, row {row} of the batch: got {got!r:.60}, expected a list of strings; give rows without"
        " tags an empty list, or filter them out"
    )
