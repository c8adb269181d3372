"""What an InsTagger learns from: a query in its input format, and the tags with explanations that it is to answer."""

from collections.abc import Sequence

from tagsmith.processors.errors import InputError
from tagsmith.processors.explained_tags import write_explained_tags
from tagsmith.processors.prompt_template import PromptTemplate

FORMATS = ("instagger", "instagger_paper")


def instagger_example(query: str, pairs: Sequence[tuple[str, str]], *, format: str = "instagger") -> dict[str, str]:
    """One example to distil the tagger from (#InsTag, App. I), as raw text.

    `InsTagTagger` and Tag-Instruct's model encoder send exactly this prompt.

    Args:
        query: the user turn.
        pairs: its tags and their explanations; the paper learns both.
        format: "instagger", the input format of the released model, or "instagger_paper", the one that App. I prints.

    Returns:
        `prompt`, and `completion`, which begins with the space between the two and is a JSON list.

    Raises:
        InputError: unknown format, or no tags.
    """
    if format not in FORMATS:
        raise InputError(f"InsTagger format {format!r} is unknown; expected one of {', '.join(FORMATS)}")
    template = PromptTemplate.load(f"instag/{format}")
    return {"prompt": template.render(instruction=query), "completion": f" {write_explained_tags(pairs)}"}
