"""The distilled tagger of TAGS: what it is asked, and the examples that it learns from (§3.2, App. A.2.1)."""

from collections.abc import Mapping, Sequence

from tagsmith.processors.endpoint.request import Message
from tagsmith.processors.errors import InputError
from tagsmith.processors.explained_tags import write_explained_tags
from tagsmith.processors.prompt_template import PromptTemplate

MOST_TAGS = 5
_NOTHING = "none"


def distilled_messages(problem: str, answer: str | None, *, history: Sequence[Mapping[str, str]] = ()) -> list[Message]:
    """What the distilled tagger is asked about one query: training and use send the same.

    Args:
        problem: the current query.
        answer: the reference answer, if there is one.
        history: messages before the query, as context.
    """
    said = "\n\n".join(f"{message['role']}: {message['content']}" for message in history)
    template = PromptTemplate.load("tags/distilled")
    text = template.render(history=said or _NOTHING, problem=problem, answer=answer or _NOTHING)
    return [{"role": "user", "content": text}]


def distilled_example(
    problem: str,
    answer: str | None,
    pairs: Sequence[tuple[str, str]],
    *,
    history: Sequence[Mapping[str, str]] = (),
) -> dict[str, list[Message]]:
    """One example to train the tagger on, in TRL's conversational form.

    Args:
        problem, answer, history: see `distilled_messages`.
        pairs: the tags that passed the checker, with their explanations.

    Returns:
        `messages`: the request, and the answer as a JSON list, which `read_explained_tags` reads.

    Raises:
        InputError: no tags, or more than five.
    """
    if len(pairs) > MOST_TAGS:
        raise InputError(f"a problem has {len(pairs)} tags; the tagger learns {MOST_TAGS} at most")
    asked = distilled_messages(problem, answer, history=history)
    return {"messages": [*asked, {"role": "assistant", "content": write_explained_tags(pairs)}]}
