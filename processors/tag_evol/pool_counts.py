"""From rows to a pool's counts: which tags they carry under which aspects, spellings of one tag counted as one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from numpy.typing import NDArray

from tagsmith.processors.errors import InputError
from tagsmith.processors.rule_aggregation import rule_aggregation
from tagsmith.processors.tag_sets import read_tag_sets


@dataclass(frozen=True)
class Mentions:
    """Every mention of a tag: in which row, which tag, under which aspect (-1: no aspect)."""

    n_rows: int
    rows: NDArray[np.int64]
    tags: NDArray[np.int64]
    aspects: NDArray[np.int64]
    tag_names: list[str]
    aspect_names: list[str]

    @property
    def tag_rows(self) -> NDArray[np.int64]:
        """Rows that carry each tag."""
        return _rows_of(self.rows, self.tags, len(self.tag_names))

    def renamed(self, tags: Sequence[str | None], aspects: Sequence[str | None]) -> "Mentions":
        """With new names: those that share one are one, and mentions of a tag without a name go."""
        tag_codes, tag_names = _recoded(tags)
        aspect_codes, aspect_names = _recoded(aspects)
        of_tag = tag_codes[self.tags]
        of_aspect = np.append(aspect_codes, -1)[self.aspects]  # the last for those without
        kept = of_tag >= 0
        return Mentions(self.n_rows, self.rows[kept], of_tag[kept], of_aspect[kept], tag_names, aspect_names)

    def aspect_rows(self) -> dict[tuple[str, str], int]:
        """(tag, aspect) → rows that carry the tag under the aspect."""
        held = self.aspects >= 0
        width = max(len(self.aspect_names), 1)
        pairs = self.tags[held] * width + self.aspects[held]
        distinct, codes = np.unique(pairs, return_inverse=True)
        counts = _rows_of(self.rows[held], codes.ravel(), len(distinct)).tolist()
        tags, aspects = np.divmod(distinct, width)
        names = zip(tags.tolist(), aspects.tolist(), counts, strict=True)
        return {(self.tag_names[tag], self.aspect_names[aspect]): count for tag, aspect, count in names}


def read_mentions(dataset: Dataset, aspects_column: str, tags_column: str) -> Mentions:
    """The tags of all rows: by aspect where the column of aspects is there, else flat.

    Raises:
        InputError: neither column is there, it is of another type, or a row has null in it.
    """
    if aspects_column not in dataset.column_names:
        if tags_column not in dataset.column_names:
            raise InputError(
                f"no column {aspects_column!r} or {tags_column!r} with tags; the columns are:"
                f" {', '.join(dataset.column_names)}"
            )
        sets = read_tag_sets(dataset, tags_column)
        rows = np.repeat(np.arange(len(sets), dtype=np.int64), sets.sizes)
        codes = sets.indices.astype(np.int64)
        return Mentions(len(sets), rows, codes, np.full(len(codes), -1), list(sets.vocabulary), [])
    column = dataset.select_columns(aspects_column).with_format("arrow")[:][aspects_column]
    lists = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(lists, pa.ChunkedArray):  # of no chunks
        lists = pa.array([], lists.type)
    _check_type(lists, aspects_column)
    entries = pc.list_flatten(lists)
    row_of_entry = pc.list_parent_indices(lists).to_numpy().astype(np.int64)
    names, tag_lists = pc.struct_field(entries, "aspect"), pc.struct_field(entries, "tags")
    flat = pc.list_flatten(tag_lists)
    for what, values in (("aspect without a name", names), ("aspect whose tags are null", tag_lists)):
        if values.null_count:
            place = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
            raise _bad(aspects_column, int(row_of_entry[place]), what)
    entry_of_tag = pc.list_parent_indices(tag_lists).to_numpy().astype(np.int64)
    if flat.null_count:
        place = int(np.flatnonzero(flat.is_null().to_numpy(zero_copy_only=False))[0])
        raise _bad(aspects_column, int(row_of_entry[entry_of_tag[place]]), "aspect with a tag that is null")
    aspects, tags = names.cast(pa.string()).dictionary_encode(), flat.cast(pa.string()).dictionary_encode()
    return Mentions(
        len(dataset),
        row_of_entry[entry_of_tag],
        tags.indices.to_numpy().astype(np.int64),
        aspects.indices.to_numpy().astype(np.int64)[entry_of_tag],
        tags.dictionary.to_pylist(),
        aspects.dictionary.to_pylist(),
    )


def by_rule(mentions: Mentions, keep_characters: str) -> Mentions:
    """Spellings of one tag as one, and of one aspect, by #InsTag's rule stage."""
    held = mentions.aspects >= 0
    of_aspect = _rows_of(mentions.rows[held], mentions.aspects[held], len(mentions.aspect_names))
    return mentions.renamed(
        rule_aggregation(mentions.tag_names, mentions.tag_rows.tolist(), keep_characters),
        rule_aggregation(mentions.aspect_names, of_aspect.tolist(), keep_characters),
    )


def _check_type(lists: Any, column: str) -> None:
    kind = lists.type
    fits = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if fits and pa.types.is_struct(kind.value_type):
        held = {kind.value_type.field(i).name for i in range(kind.value_type.num_fields)}
        fits = {"aspect", "tags"} <= held
    else:
        fits = False
    if not fits:
        raise InputError(
            f"column {column!r} holds {kind}; expected lists of aspects with their tags, as AspectTagger makes them"
        )
    if lists.null_count:
        row = int(np.flatnonzero(lists.is_null().to_numpy(zero_copy_only=False))[0])
        raise InputError(f"column {column!r}, row {row}: got null, expected aspects with their tags; filter it out")


def _bad(column: str, row: int, what: str) -> InputError:
    return InputError(f"column {column!r}, row {row}: has an {what}; run the tagger again, or filter such rows out")


def _recoded(names: Sequence[str | None]) -> tuple[NDArray[np.int64], list[str]]:
    """Each name's number in the alphabetical list of all, -1 for None; and that list."""
    ordered = sorted({name for name in names if name is not None})
    number = {name: code for code, name in enumerate(ordered)}
    return np.array([-1 if name is None else number[name] for name in names], np.int64), ordered


def _rows_of(rows: NDArray[np.int64], codes: NDArray[np.int64], n_codes: int) -> NDArray[np.int64]:
    """Distinct rows of each code."""
    pairs = np.unique(rows * max(n_codes, 1) + codes)
    return np.bincount(pairs % max(n_codes, 1), minlength=n_codes)
