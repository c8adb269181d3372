"""From rows to examples to learn from: a student's answers, an InsTagger's tags, a knowledge tagger's tags."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from datasets import Dataset, Features, List, Value

from tagsmith.processors.errors import InputError
from tagsmith.processors.instag.instagger_example import instagger_example
from tagsmith.processors.rows import user_turns
from tagsmith.processors.tags.distilled_tagger import MOST_TAGS, distilled_example, distilled_messages

Row = Mapping[str, Any]
Example = dict[str, Any]

_TEXT = Value("string")
_MESSAGES = List({"role": _TEXT, "content": _TEXT})
_CHAT = Features({"id": _TEXT, "messages": _MESSAGES, "input": _TEXT})
_RAW = Features({"id": _TEXT, "prompt": _TEXT, "completion": _TEXT})
_EXTRA = ("input", "context")  # columns that `to_rows` puts behind the instruction


def student_examples(rows: Dataset) -> Dataset:
    """One conversation a row, for a model that is to answer as the rows do.

    Input columns:
        id, instruction, response (``str | None``), perhaps messages: as `to_rows` makes them.
    Output columns:
        id, messages, input (``str | None``): what an Alpaca row gives beside its instruction; it stands in the message
            too, behind a blank line, unless the chat template sets it apart.
    """
    return _mapped(rows, _student, _CHAT)


def instagger_examples(
    rows: Dataset,
    *,
    format: str = "instagger",
    tags_column: str = "raw_tags",
    explanations_column: str = "tag_explanations",
    canonical: Mapping[str, str | None] | None = None,
) -> Dataset:
    """One example a user turn that has tags, as raw text in the tagger's input format (#InsTag, App. I).

    Input columns:
        id, instruction, perhaps messages: as `to_rows` makes them.
        tags and explanations (``list[str]``): of the row, an explanation each.
        turn_tags (``list[list[str]]``): the tags of each user turn; needed in conversations only.
    Output columns:
        id, prompt, completion (``str``): empty where a turn has no tags.

    Args:
        rows: a tagged dataset.
        format: the tagger's input format (see `instagger_example`).
        tags_column, explanations_column: where they are.
        canonical: raw tag to canonical tag, or to None if it was dropped: the tagger then learns the canonical ones.

    Raises:
        InputError: a column is missing; or a row has another number of explanations than of tags (named by its id).
    """
    _need(rows, tags_column, explanations_column)

    def examples(row: Row) -> list[Example]:
        explained, turns = _explained(row, tags_column, explanations_column), user_turns(row)
        of_turns = [list(explained)] if len(turns) == 1 else row.get("turn_tags")
        if of_turns is None or len(of_turns) != len(turns):
            raise InputError(
                f"row {row['id']} has {len(turns)} user turns and no turn_tags for each; tag it with `select-instag`"
            )
        return [_instagger(row["id"], turn, tags or (), explained) for turn, tags in zip(turns, of_turns, strict=True)]

    def _instagger(name: str, turn: str, tags: Sequence[str], explained: Mapping[str, str]) -> Example:
        pairs: dict[str, str] = {}
        for raw in tags:
            tag = raw if canonical is None else canonical.get(raw)
            if tag:
                pairs.setdefault(tag, explained.get(raw, ""))
        if not pairs or not turn.strip():
            return {"id": name, "prompt": turn, "completion": ""}
        return {"id": name, **instagger_example(turn, list(pairs.items()), format=format)}

    return _mapped(rows, examples, _RAW)


def knowledge_tagger_examples(
    rows: Dataset, *, tags_column: str = "raw_tags", explanations_column: str = "tag_explanations"
) -> Dataset:
    """One conversation a row, for the tagger of TAGS (§3.2, App. A.2.1): at most five tags of problem and answer.

    In a conversation the problem is the last user turn, what stands before it is its history, and what the assistant
    says behind it is the answer.

    Input columns:
        id, instruction, response, perhaps messages: as `to_rows` makes them.
        tags and explanations (``list[str]``): of the row, an explanation each.
    Output columns:
        id, messages: without an answer where the row has no tags.

    Args:
        rows: a tagged dataset.
        tags_column, explanations_column: where they are.

    Raises:
        InputError: a column is missing, or a row has more than five tags, or not an explanation for each.
    """
    _need(rows, tags_column, explanations_column)

    def examples(row: Row) -> list[Example]:
        pairs = list(_explained(row, tags_column, explanations_column).items())
        problem, answer, history = _last_query(row)
        if len(pairs) > MOST_TAGS:
            raise InputError(
                f"row {row['id']} has {len(pairs)} tags in {tags_column!r}, but the tagger of TAGS learns {MOST_TAGS}"
                " at most; give rows that a KnowledgeTagger tagged"
            )
        if not pairs:
            return [{"id": row["id"], "messages": distilled_messages(problem, answer, history=history)}]
        return [{"id": row["id"], **distilled_example(problem, answer, pairs, history=history)}]

    return _mapped(rows, examples, Features({"id": _TEXT, "messages": _MESSAGES}))


def _student(row: Row) -> list[Example]:
    if messages := row.get("messages"):
        return [{"id": row["id"], "messages": messages, "input": None}]
    instruction, response = row["instruction"], row.get("response") or ""
    asked, answered = {"role": "user", "content": instruction}, {"role": "assistant", "content": response}
    extra = next((row[name] for name in _EXTRA if isinstance(row.get(name), str) and row[name].strip()), None)
    # An evolved row still has its seed's column, but not the text.
    behind = extra if extra and instruction.endswith(f"\n\n{extra}") else None
    return [{"id": row["id"], "messages": [asked, answered], "input": behind}]


def _last_query(row: Row) -> tuple[str, str | None, list[Mapping[str, str]]]:
    messages = row.get("messages")
    if not messages:
        return row["instruction"], row.get("response"), []
    place = max(place for place, message in enumerate(messages) if message["role"] == "user")
    answers = [message["content"] for message in messages[place + 1 :] if message["role"] == "assistant"]
    return messages[place]["content"], answers[0] if answers else None, messages[:place]


def _explained(row: Row, tags_column: str, explanations_column: str) -> dict[str, str]:
    tags, explanations = row[tags_column] or [], row[explanations_column] or []
    if len(tags) != len(explanations):
        raise InputError(
            f"row {row['id']} has {len(tags)} {tags_column} and {len(explanations)} {explanations_column}; expected one"
            " for each"
        )
    return dict(zip(tags, explanations, strict=True))


def _need(rows: Dataset, *columns: str) -> None:
    if missing := [name for name in columns if name not in rows.column_names]:
        raise InputError(
            f"the rows have no column {missing[0]!r}, they have {', '.join(rows.column_names)}; give a tagged dataset:"
            " config `tagged` of a release of select-instag, or name its columns with --tags_column and"
            " --explanations_column"
        )


def _mapped(rows: Dataset, examples: Callable[[Row], list[Example]], features: Features) -> Dataset:
    def batch_of(batch: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        made = [
            one
            for values in zip(*batch.values(), strict=True)
            for one in examples(dict(zip(batch, values, strict=True)))
        ]
        return {name: [one.get(name) for one in made] for name in features}

    return rows.map(
        batch_of, batched=True, remove_columns=rows.column_names, features=features, load_from_cache_file=False
    )
