"""Answers of TAGS' distilled tagger by rules: what the problem asks for and is about, five tags at most."""

from tagsmith.processors.endpoint.offline.answers.instag import tags_of
from tagsmith.processors.endpoint.offline.draw import Draw

_MOST_TAGS = 5


def distilled(values: dict[str, str], draw: Draw) -> list[dict[str, str]]:
    """Reply to tags/distilled."""
    return tags_of(values["problem"], draw)[:_MOST_TAGS]
