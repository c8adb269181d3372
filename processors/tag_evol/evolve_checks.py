"""Checks of an evolved instruction: the budget is kept, each tag is really there, and the task is still the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Features, Value

from tagsmith.processors.embedding import Embedder, TextEmbedder
from tagsmith.processors.errors import InputError
from tagsmith.processors.generation_processor import OK, REJECTED, Row, rows_of
from tagsmith.processors.one_prompt import cell, text_of
from tagsmith.processors.rewrite_checks import FILLER, is_copy, leaked_markup, names_tag, padding, sentences_of
from tagsmith.processors.tag_text import tag_key
from tagsmith.processors.word_stems import stem, words


@dataclass(frozen=True)
class EvolveLimits:
    """When an evolved instruction counts as carrying its tags, and as the same task.

    Args:
        tag_similarity: cosine of a tag to one of the new sentences that shows the tag where its words do not occur.
        kept_words: share of the original's content words that must stand in the new text. Where fewer do, meaning
            decides:
        similarity: cosine of the new instruction to the original, at least. Below it the task is another one.
        min_ratio: it has at least this share of the original's length: the material must not be lost.
        words_per_tag: at most so many new words a tag, three times what the authors' prompt asks for (10 to 20).

    Raises:
        InputError: a number is out of range.
    """

    # Measured with the bundled model; see docs/tag_evol.md.
    tag_similarity: float = 0.35
    kept_words: float = 0.6
    similarity: float = 0.45
    min_ratio: float = 0.5
    words_per_tag: int = 60

    def __post_init__(self) -> None:
        for name in ("tag_similarity", "similarity"):
            if not -1 <= getattr(self, name) <= 1:
                raise InputError(f"evolve limit {name}={getattr(self, name)!r}: expected a cosine, from -1 to 1")
        if not 0 <= self.kept_words <= 1:
            raise InputError(f"evolve limit kept_words={self.kept_words!r}: expected a share, from 0 to 1")
        for name, low in (("min_ratio", 0), ("words_per_tag", 1)):
            if not getattr(self, name) >= low:
                raise InputError(f"evolve limit {name}={getattr(self, name)!r}: expected at least {low}")


@dataclass(kw_only=True)
class EvolveChecker:
    """Find the first problem of each evolved row (Tag-Evol, §3.2: |t| = b, no constraint made up, the core task kept).

    Input columns:
        instruction (``str``) or messages, candidates, chosen_tags (``list[str]``), budget (``int``), new_instruction
        (``str``), status (``str``); absent_tags (``list[str]``) where a `PresenceJudge` was asked: its verdict then
        stands in place of words and embeddings.
    Output columns:
        problem (``str``): a code and the detail, empty when there is none, or for a row rejected before. In the order
        in which they are looked for:
            ``leaked_markup``: marks of the prompt's form in the text;
            ``copy``: the original's words again, or those with filler around them;
            ``budget_overflow``: more or fewer than b different tags;
            ``too_long``: more new words than b tags may bring;
            ``ungrounded``: a chosen tag is none of the candidates, or cannot be found in the text;
            ``drift``: much of the original's length is gone, or neither its words nor its meaning are in the text.

    Args:
        limits: see `EvolveLimits`.
        embedder: for tags that are taken up in other words, and for drift; None lets only words count, and does not
            look for drift in meaning. Texts are embedded once a batch; give it large batches (1,000 rows).

    Raises:
        InputError: rows lack a column.

    A tag counts as present when half of its telling words, in any inflection, stand in the sentences that the original
    does not have, or when one of those sentences is near to it in meaning. Copied sentences are no evidence: a tag that
    the original names already must be taken up anew. Presence is a necessary condition, not a proof: a tag can be named
    and still make nothing harder. The same holds for drift: a text that keeps the original's words keeps its task.

    Differs from the paper: it has the model review its own text and describes no check outside the model.
    """

    limits: EvolveLimits = field(default_factory=EvolveLimits)
    embedder: Embedder | None = field(default_factory=TextEmbedder)
    version: int = field(default=1, init=False)

    def features(self, before: Features) -> Features:
        """Types of a dataset with the features `before` afterwards: for `Dataset.map(features=…)`."""
        return Features({**before, "problem": Value("string")})

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
        """Columns in, `problem` out, in the same order of rows."""
        rows = rows_of(batch)
        problems = ["" if row.get("status") == REJECTED else self._by_words(row) or "" for row in rows]
        evidence = {
            n: self._wanting(row) for n, row in enumerate(rows) if row.get("status") != REJECTED and not problems[n]
        }
        vector = self._vectors([(rows[n], wanting) for n, wanting in evidence.items()])
        for n, wanting in evidence.items():
            problems[n] = self._by_meaning(rows[n], wanting, vector) or ""
        return {"problem": problems}

    def _by_words(self, row: Row) -> str | None:
        original, new = text_of(row), text_of(row, "new_instruction")
        chosen, budget = cell(row, "chosen_tags"), cell(row, "budget")
        if found := leaked_markup(original, new):
            return f"leaked_markup: the text contains {found!r}"
        if is_copy(original, new):
            return "copy: it says the same words as the original"
        if padded := padding(original, new, chosen):
            return f"copy: {padded}"
        number = len({tag_key(tag) for tag in chosen})
        if number != budget:
            return f"budget_overflow: {number} different tags were chosen, the budget is {budget}"
        added, most = len(words(new)) - len(words(original)), self.limits.words_per_tag * budget
        if added > most:
            return f"too_long: {added} words more than the original; at most {most} for {budget} tags"
        known = set(map(tag_key, cell(row, "candidates")))
        if strangers := [tag for tag in chosen if tag_key(tag) not in known]:
            return f"ungrounded: the chosen tag {strangers[0]!r} is none of the candidates"
        if len(new) < self.limits.min_ratio * len(original):
            return f"drift: {len(new)} characters are left of {len(original)}; at least {self.limits.min_ratio:.0%}"
        return None

    def _wanting(self, row: Row) -> "_Wanting":
        """For what words are no evidence."""
        kept = kept_share(text_of(row), row["new_instruction"]) >= self.limits.kept_words
        if row.get("absent_tags") is not None:
            return _Wanting(list(row["absent_tags"]), [], not kept)
        fresh = _fresh(row)
        text = " ".join(fresh)
        tags = [tag for tag in row["chosen_tags"] if not names_tag(tag, text)]
        return _Wanting(tags, fresh if tags else [], not kept)

    def _vectors(self, found: Sequence[tuple[Row, "_Wanting"]]) -> dict[str, Any]:
        """Vectors of what has to be compared by meaning."""
        texts: dict[str, None] = {}
        for row, wanting in found if self.embedder is not None else ():
            if wanting.sentences:
                texts |= dict.fromkeys((*wanting.tags, *wanting.sentences))
            if wanting.task:
                texts |= dict.fromkeys((text_of(row), row["new_instruction"]))
        if not texts:
            return {}
        assert self.embedder is not None
        return dict(zip(texts, self.embedder.encode(list(texts)), strict=True))

    def _by_meaning(self, row: Row, wanting: "_Wanting", vector: Mapping[str, Any]) -> str | None:
        for tag in wanting.tags:
            if row.get("absent_tags") is not None:
                return f"ungrounded: the judge does not find {tag!r} in the text"
            known = [vector[sentence] for sentence in wanting.sentences if sentence in vector]
            best = max((float(vector[tag] @ sentence) for sentence in known), default=-1.0)
            if best < self.limits.tag_similarity:
                return f"ungrounded: neither words nor meaning of {tag!r} can be found in what is new"
        if wanting.task and vector:
            likeness = float(vector[text_of(row)] @ vector[row["new_instruction"]])
            if likeness < self.limits.similarity:
                return f"drift: cosine {likeness:.2f} to the original, below {self.limits.similarity}"
        return None


@dataclass(frozen=True)
class _Wanting:
    """What words do not show of a row: tags, with the sentences that may carry them, and whether the task is kept."""

    tags: list[str]
    sentences: list[str]
    task: bool


def kept_share(original: str, new: str) -> float:
    """Share of the original's different content words that stand in the new text, in any inflection; 0 without any."""
    had = set(map(stem, words(original))) - FILLER
    return len(had & set(map(stem, words(new)))) / len(had) if had else 0.0


def reject_problems(batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """Rows that still have a problem are rejected for it; their text goes into `raw_reply`.

    Input columns: problem, status, reason, raw_reply (``str``), new_instruction (``str | None``).
    Output columns: new_instruction (None for a row rejected), status, reason, raw_reply.
    """
    names = ("new_instruction", "status", "reason", "raw_reply")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for row in rows_of(batch):
        values = [row[name] for name in names]
        if row["status"] == OK and row["problem"]:
            values = [None, REJECTED, row["problem"], row["new_instruction"]]
        for name, value in zip(names, values, strict=True):
            columns[name].append(value)
    return columns


def _fresh(row: Row) -> list[str]:
    """Sentences of the new text that the original does not have."""
    had = {tuple(words(sentence)) for sentence in sentences_of(text_of(row))}
    return [part for part in sentences_of(row["new_instruction"]) if tuple(words(part)) not in had]
