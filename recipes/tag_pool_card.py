"""What the release of `build_tag_pool` says of itself, and its pictures."""

from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc
from datasets import Dataset

from tagsmith.cards.dataset_card import CardText
from tagsmith.cards.pictures import Picture, tag_frequency, tags_by_aspect, top_tags, top_tags_caption
from tagsmith.cards.template import Table
from tagsmith.processors.tag_evol.tag_pool import TagPool
from tagsmith.recipes.tag_evol_words import CITATION, PAPER

_ASPECTS_SHOWN, _TAGS_SHOWN = 12, 6
_NOTES = {
    "default": "one row a tag: its aspect, the rows that carry it, its weight in draws; the most frequent first",
    "tagged": "every tagged row with its tags",
    "rejected": "rows that fell out, with the reason and the raw reply",
    "generations": "every reply that the rows were made from, repairs included",
    "source": "the rows as they were read, since they came from a local file",
}
_HOW = {
    "one-reply": "named the aspects of each instruction and then specific tags under each, in one reply",
    "two-step": "named the aspects of each instruction, and in a second call specific tags under each",
    "single-step": "named the tags of each instruction directly (#InsTag's tagger, the paper's ablation)",
}


def card_text(
    facts: Mapping[str, Any], configs: Mapping[str, Dataset], pool: TagPool, tagging: str, offline: bool
) -> CardText:
    """The card's words and tables."""
    who = "Rules, not a model," if offline else "A model"
    counts = pool.counts
    rows = len(configs["tagged"])
    aspects = pool.by_aspect()
    by_aspect = f" under {len(aspects):,} aspects" if tagging != "single-step" else ""
    merged = "merge_problem" in configs["tagged"].column_names
    return CardText(
        title=f"A pool of {len(pool):,} tags, from {facts['name']}",
        summary=(
            f"{who} {_HOW[tagging]}, for {rows:,} rows of `{facts['name']}`.",
            f"The pool has {len(pool):,} different tags{by_aspect}; {(counts == 1).mean():.0%} of them are in one row"
            f" alone, and a row carries {pool.config['mentions'] / rows:.1f} on average.",
            "Instructions are evolved by sampling candidate tags from such a pool (`tagsmith run evolve-tag-evol`).",
        ),
        configs={name: _NOTES[name] for name in configs},
        citation=CITATION,
        differences=(
            "The paper keeps a dictionary from aspect to tags; here a tag is one row, which knows all of its aspects.",
            "Spellings of one tag are one: lower case, special characters as spaces, equal stems (#InsTag's rule"
            f" stage); {pool.config['raw_tags']:,} spellings became {len(pool):,} tags.",
            *(("Aspects were merged and extended row by row, as the authors' code does.",) if merged else ()),
        ),
        limits=(
            ("The offline endpoint finds tags by cue words and keyphrases: sizes say how the rules behave.",)
            if offline
            else ()
        ),
        tables=(_aspect_table(aspects),) if tagging != "single-step" else (_tag_table(pool),),
        paper=PAPER,
        tags=("tag-evol", "synthetic"),
    )


def pictures(pool: TagPool) -> list[Picture]:
    """Tags by aspect, the most frequent tags, and the long tail."""
    aspects = {name: len(tags) for name, tags in pool.by_aspect().items() if name}
    counts = dict(zip(pool.tags, pool.counts.tolist(), strict=True))
    drawn = []
    if aspects:
        drawn.append(
            Picture(
                "tags_by_aspect",
                "Different tags under each of the largest aspects. A tag may stand under several.",
                lambda path, theme: tags_by_aspect(aspects, path, theme),
            )
        )
    return [
        *drawn,
        Picture(
            "tag_frequency",
            "Rows with each tag, by rank: a pool is mostly tail.",
            lambda path, theme: tag_frequency(list(counts.values()), path, theme),
        ),
        Picture(
            "top_tags",
            top_tags_caption(counts, "The most frequent tags of the pool."),
            lambda path, theme: top_tags(counts, path, theme),
        ),
    ]


def _aspect_table(aspects: Mapping[str, list[str]]) -> Table:
    rows = [(name, len(tags), ", ".join(tags[:_TAGS_SHOWN])) for name, tags in list(aspects.items())[:_ASPECTS_SHOWN]]
    return {
        "title": f"The {len(rows)} largest of {len(aspects):,} aspects",
        "columns": ("aspect", "tags", "the most frequent"),
        "rows": rows,
    }


def _tag_table(pool: TagPool) -> Table:
    rare = int(pc.sum(pc.equal(pool.table["count"], 1)).as_py())
    rows = [(tag, int(count)) for tag, count in zip(pool.tags[:_ASPECTS_SHOWN], pool.counts, strict=False)]
    return {
        "title": f"The most frequent tags ({rare:,} of all {len(pool):,} are in one row)",
        "columns": ("tag", "rows"),
        "rows": rows,
    }
