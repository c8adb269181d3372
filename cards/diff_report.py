"""The comparison of two releases as a report for a terminal, 100 columns wide at most."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from tagsmith.cards.diff import Example, ReleaseDiff, SplitDiff
from tagsmith.cards.diff_rows import KEYS
from tagsmith.cards.diff_tags import TagDiff, VocabularyDiff
from tagsmith.cards.diff_words import change, fit, one_line, pad, width

_WIDTH = 100
_NAME = 32  # columns of the first column
_NUMBER = 10
_MOST_COLUMNS = 6  # of one changed row


def report(diff: ReleaseDiff, limit: int = 5) -> str:
    """The whole report; what is equal takes one line.

    Args:
        diff: from `compare_releases`, with at least `limit` examples.
        limit: tag shifts, moves of the vocabulary and examples of each kind to show for each split.
    """
    parts = [list(_head(diff)), list(_rows(diff.splits)), list(_columns(diff.splits))]
    parts += [list(_tags(tags, limit)) for tags in diff.tags if tags.shifts]
    if diff.vocabulary and (diff.vocabulary.moves or diff.vocabulary.came or diff.vocabulary.went):
        parts.append(list(_vocabulary(diff.vocabulary, limit)))
    parts.append(list(_made(diff)))
    # The vocabulary has been told better above.
    parts += [list(_examples(split, limit)) for split in diff.splits if split.config != "vocabulary" and limit]
    return "\n\n".join("\n".join(fit(line.rstrip(), _WIDTH) for line in part) for part in parts if part) + "\n"


def _head(diff: ReleaseDiff) -> Iterator[str]:
    yield f"A  {one_line(diff.a)}"
    yield f"B  {one_line(diff.b)}"
    differ = sum(not split.equal for split in diff.splits)
    if not differ:
        yield "=  the same rows" + (", made differently" if diff.made else "")
    elif all(split.equal or _only_order(split) for split in diff.splits):
        yield "≠  the same rows, in another order"
    else:
        yield f"≠  differ in {differ} of {len(diff.splits)} splits"


def _rows(splits: Sequence[SplitDiff]) -> Iterator[str]:
    yield _line("Rows", "A", "B", "removed", "added", "changed", note="")
    for split in splits:
        numbers = ("" if split.only_in == "b" else split.rows_a, "" if split.only_in == "a" else split.rows_b)
        changes = (split.removed, split.added, split.changed)
        yield _line(f"  {_name(split)}", *numbers, *(number or "–" for number in changes), note=_note(split))


def _note(split: SplitDiff) -> str:
    if split.only_in:
        return f"only in {split.only_in.upper()}"
    if split.equal:
        return "equal"
    return "other order" if split.reordered else ""


def _columns(splits: Sequence[SplitDiff]) -> Iterator[str]:
    """In which columns rows differ, and which columns came, went or have another type."""
    lines: list[str] = []
    for split in splits:
        columns = split.columns
        said = [
            *(f"− {name} ({kind})" for name, kind in columns.removed.items()),
            *(f"+ {name} ({kind})" for name, kind in columns.added.items()),
            *(
                f"{name} was {old}, is {new}" + (" (not compared)" if name in columns.not_compared else "")
                for name, (old, new) in columns.retyped.items()
            ),
        ]
        if split.changed_columns:
            said.append("differ: " + ", ".join(f"{name} {rows:,}" for name, rows in split.changed_columns.items()))
        if split.repeated_a or split.repeated_b:
            said.append(f"rows that repeat the {split.key} of another: A {split.repeated_a:,}, B {split.repeated_b:,}")
        for n, words in enumerate(said):
            lines += _wrapped(f"  {_name(split)}" if n == 0 else "", one_line(words))
    if lines:
        yield "Columns"
        yield from lines


def _tags(tags: TagDiff, limit: int) -> Iterator[str]:
    union = round(tags.tags_a / tags.diversity_a) if tags.tags_a else tags.tags_b
    yield _line(f"Tags of {tags.config}/{tags.split}", "A", "B", note="")
    yield _line("  tagged rows", tags.rows_a, tags.rows_b, note="")
    yield _line("  different tags", tags.tags_a, tags.tags_b, note=f"{tags.came:,} came, {tags.went:,} went")
    yield _line(
        "  diversity", f"{tags.diversity_a:.1%}", f"{tags.diversity_b:.1%}", note=f"share of all {union:,} tags"
    )
    means = ("–" if mean is None else f"{mean:.2f}" for mean in (tags.complexity_a, tags.complexity_b))
    yield _line("  complexity", *means, note="tags a row")
    if limit:
        yield "  share of rows that carry"
    for shift in tags.shifts[:limit]:
        mark = "+" if not shift.rows_a else "−" if not shift.rows_b else " "
        shares = (f"{shift.share_a:.1%}", f"{shift.share_b:.1%}")
        yield _line(
            f"  {mark} {one_line(shift.tag)}", *shares, note=f"{100 * shift.change:+.1f} points".replace("-", "−")
        )
    if len(tags.shifts) > limit:
        yield f"    and {len(tags.shifts) - limit:,} more with another share"


def _vocabulary(vocabulary: VocabularyDiff, limit: int) -> Iterator[str]:
    yield _line("Vocabulary", "A", "B", note="")
    came_went = f"{vocabulary.came:,} came, {vocabulary.went:,} went"
    yield _line("  raw tags", vocabulary.raw_a, vocabulary.raw_b, note=came_went)
    moved = f"raw tags that became another: {len(vocabulary.moves):,}"
    yield _line("  canonical tags", vocabulary.canonical_a, vocabulary.canonical_b, note=moved)
    for move in vocabulary.moves[:limit]:
        became = change(move.canonical_a or "dropped", move.canonical_b or "dropped", _WIDTH - _NAME)
        yield pad(f"    {one_line(move.raw)}", _NAME - 1) + f" {became}"
    if len(vocabulary.moves) > limit:
        yield f"    and {len(vocabulary.moves) - limit:,} more"


def _made(diff: ReleaseDiff) -> Iterator[str]:
    if diff.made:
        yield "Made differently"
    for section, differences in groupby(diff.made, key=lambda difference: difference.section):
        for n, difference in enumerate(differences):
            name = pad(f"  {section if n == 0 else ''}", 12) + pad(one_line(difference.name), _NAME)
            a, b = (_counted(value) for value in (difference.a, difference.b))
            yield f"{name} {change(a, b, _WIDTH - 13 - _NAME)}"


def _examples(split: SplitDiff, limit: int) -> Iterator[str]:
    if split.examples:
        yield f"Examples of {_name(split)}"
    marks = {"removed": ("−", split.removed), "added": ("+", split.added), "changed": ("~", split.changed)}
    for kind, examples in groupby(split.examples, key=lambda example: example.kind):
        mark, number = marks[kind]
        shown = list(examples)[:limit]
        for example in shown:
            yield f"  {mark} {_known_by(example.values)}"
            yield from _changes(example)
        if number > len(shown):
            yield f"  {mark} and {number - len(shown):,} more {kind}"


def _changes(example: Example) -> Iterator[str]:
    names = list(example.before)
    for name in names[:_MOST_COLUMNS]:
        yield pad(f"      {one_line(name)}", 25) + " " + change(example.before[name], example.after[name], _WIDTH - 26)
    if len(names) > _MOST_COLUMNS:
        more = ", ".join(map(one_line, names[_MOST_COLUMNS:]))
        yield f"      and {len(names) - _MOST_COLUMNS} more: {more}"


def _known_by(row: dict[str, Any]) -> str:
    """Its key and its instruction; of a row without either, all that it has."""
    known = [one_line(row[name]) for name in (*KEYS, "instruction") if row.get(name) is not None]
    return "  ".join(known) if known else one_line({name: value for name, value in row.items() if value is not None})


def _line(name: str, *numbers: Any, note: str) -> str:
    cells = "".join(pad(_counted(number), _NUMBER, right=True) for number in numbers)
    return f"{pad(name, _NAME)}{cells}   {note}"


def _wrapped(name: str, words: str) -> Iterator[str]:
    """A name and words beside it, on as many lines as they take."""
    line = ""
    for word in words.split(" "):
        if line.strip() and width(f"{line} {word}") > _WIDTH - _NAME:
            yield pad(name, _NAME) + line
            name, line = "", "  "
        line = fit(f"{line} {word}" if line.strip() else f"{line}{word}", _WIDTH - _NAME)
    yield pad(name, _NAME) + line


def _counted(value: Any) -> Any:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value


def _name(split: SplitDiff) -> str:
    return one_line(f"{split.config}/{split.split}")


def _only_order(split: SplitDiff) -> bool:
    differs = split.only_in or split.removed or split.added or split.changed or split.columns.any
    return split.reordered and not differs
