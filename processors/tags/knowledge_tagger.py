"""TAGS' tagger: propose, check, refine, at most three rounds, every one of them recorded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, List, Value, concatenate_datasets
from datasets.fingerprint import Hasher

from tagsmith.processors.errors import InputError
from tagsmith.processors.generation_processor import OK, GenerationProcessor
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.stage_work import add_stage
from tagsmith.processors.tags.tag_checker import TagChecker
from tagsmith.processors.tags.tag_proposer import TagProposer
from tagsmith.processors.take_rows import take, take_rows
from tagsmith.processors.typed_column import TypedColumn

# Runs a processor over rows: the rows with its columns, and the work of the stages before added to its own.
Run = Callable[[Dataset, GenerationProcessor, str], Dataset]

_TEXTS = List(Value("string"))
TAG_ROUNDS = Features(
    {
        "tag_rounds": List(
            {
                "tags": _TEXTS,
                "explanations": _TEXTS,
                "passed": Value("bool"),
                "reason": Value("string"),
                "faulty_tags": _TEXTS,
            }
        )
    }
)
_BETWEEN_ROUNDS = ("check_reason", "faulty_tags")  # what a round leaves for the next one
_PLACE = "_place"
_OLD = frozenset(["raw_tags", "tag_explanations", "check_passed", *TAG_ROUNDS, *_BETWEEN_ROUNDS, _PLACE])


def run_stage(rows: Dataset, processor: GenerationProcessor, description: str) -> Dataset:
    """`map_rows`, with the work of earlier stages added up."""
    return add_stage(rows, map_rows(rows, processor, description=description))


@dataclass(kw_only=True)
class KnowledgeTagger:
    """Tag the atomic knowledge of problem and answer by an act-critic loop (TAGS, §3.2, Tab. 12, 13).

    A round is a proposal and its check. A row whose tags pass is done; one whose tags do not is proposed anew with the
    checker's reason, the tags without an issue being kept. All rows of a round are asked about at once; a row costs
    two requests a round.

    Input columns:
        instruction, response, messages: as for `TagProposer`.
    Output columns:
        raw_tags, tag_explanations (``list[str] | None``): the tags of the last round; None for a row rejected.
        check_passed (``bool | None``): whether they passed; None without a checker. Rows whose tags never passed are
            kept, with False: the paper does not say what becomes of them.
        tag_rounds (``list[{tags, explanations, passed, reason, faulty_tags}]``): every round whose tags could be read.
        and the columns of every `GenerationProcessor`, over all rounds: attempts and generation_keys added up, model
        and prompt_hash joined by "+". A row is rejected where a reply cannot be read, in whichever round.

    Args:
        proposer: names the tags.
        checker: checks them; None leaves it out (the paper's ablation "w/o Act-Critic", and a distilled tagger).
        max_rounds: proposals at most (§3.2: three).

    Use `tag` for a dataset. The object is also a callable on a batch of columns, for `Dataset.map(batched=True)`; there
    the requests of one batch are under way at a time, and a request without any answer raises EndpointError.

    Raises:
        InputError: `max_rounds` below 1, or a checker beside a distilled tagger.
    """

    proposer: TagProposer = field(default_factory=TagProposer)
    checker: TagChecker | None = field(default_factory=TagChecker)
    max_rounds: int = 3

    version: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        if self.max_rounds < 1:
            raise InputError(f"max_rounds must be at least 1, got {self.max_rounds}")
        if self.checker is not None and self.proposer.format == "distilled":
            raise InputError("a distilled tagger cannot refine its tags; leave the checker out (checker=None)")

    @property
    def stages(self) -> tuple[GenerationProcessor, ...]:
        """The processors that ask."""
        return (self.proposer,) if self.checker is None else (self.proposer, self.checker)

    def features(self, before: Features) -> Features:
        """Types of a dataset with the features `before` after tagging."""
        passed = {"check_passed": Value("bool")}
        return Features({**self.proposer.features(before), **passed, **TAG_ROUNDS})

    def tag(self, rows: Dataset, run: Run = run_stage) -> Dataset:
        """The rows with their tags, in their order.

        Args:
            rows: as `to_rows` makes them; earlier output of a tagger in them is replaced.
            run: what runs one stage over rows; a recipe has its own, which shares the work among ranks.

        Raises:
            InputError, EndpointError, StoreError, BudgetReachedError: what ended the run; all replies are stored.
        """
        under_way = _fresh(rows)
        done: list[Dataset] = []
        last = 1 if self.checker is None else self.max_rounds
        for number in range(1, last + 1):
            under_way = run(under_way, self.proposer, f"round {number}: tag")
            if self.checker is not None:
                under_way = run(under_way, self.checker, f"round {number}: check")
            under_way = _recorded(under_way)
            columns = zip(under_way["status"], under_way["check_passed"], strict=True)
            refines = np.array([status == OK and passed is False for status, passed in columns], bool)
            if number == last:
                refines[:] = False
            done.append(take_rows(under_way, np.flatnonzero(~refines)))
            if not refines.any():
                break
            under_way = take_rows(under_way, np.flatnonzero(refines))
        return _together(rows, done, self.features(Features()))

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Columns in, new columns out, in the same order of rows."""
        types = self.features(Features()).arrow_schema
        made = self.tag(Dataset.from_dict(dict(batch)), run=_run_batch).to_dict()
        return {name: TypedColumn(made[name], types.field(name).type) for name in types.names}


def _run_batch(rows: Dataset, processor: GenerationProcessor, description: str) -> Dataset:
    columns = rows.to_dict() | processor(rows.to_dict())
    features = processor.features(rows.features)
    return add_stage(rows, Dataset(pa.Table.from_pydict(columns, schema=features.arrow_schema)))


def _fresh(rows: Dataset) -> Dataset:
    """The rows numbered, without what an earlier tagger left."""
    rows = rows.remove_columns([name for name in rows.column_names if name in _OLD])
    return rows.add_column(_PLACE, pa.array(range(len(rows)), pa.int64()))


def _recorded(rows: Dataset) -> Dataset:
    """The rows with the round that they have just gone through at the end of `tag_rounds`."""
    names = ["raw_tags", "tag_explanations", "tag_rounds", "check_passed", *_BETWEEN_ROUNDS]
    given = [name for name in names if name in rows.column_names]
    rounds = []
    for row in rows.select_columns(given).to_list():
        before = row.get("tag_rounds") or []
        if row["raw_tags"] is not None:
            verdict = {name: row.get(name) for name in ("check_passed", *_BETWEEN_ROUNDS)}
            before.append(
                {
                    "tags": row["raw_tags"],
                    "explanations": row["tag_explanations"],
                    "passed": verdict["check_passed"],
                    "reason": verdict["check_reason"],
                    "faulty_tags": verdict["faulty_tags"],
                }
            )
        rounds.append(before)
    rows = rows.remove_columns([name for name in TAG_ROUNDS if name in rows.column_names])
    if "check_passed" not in rows.column_names:
        rows = rows.add_column("check_passed", pa.nulls(len(rows), pa.bool_()))
    return rows.add_column("tag_rounds", pa.array(rounds, TAG_ROUNDS.arrow_schema.field("tag_rounds").type))


def _together(rows: Dataset, parts: list[Dataset], made: Features) -> Dataset:
    """The rows as they came, with the new columns of all parts in the rows' order."""
    table = pa.concat_tables([part.data.table.select([_PLACE, *made]) for part in parts])
    order = np.argsort(table[_PLACE].to_numpy())
    new = Dataset(
        take(table.drop_columns([_PLACE]), order).cast(made.arrow_schema),
        fingerprint=Hasher.hash([part._fingerprint for part in parts]),
    )
    kept = rows.remove_columns([name for name in rows.column_names if name in _OLD or name in made])
    return concatenate_datasets([kept, new], axis=1)
