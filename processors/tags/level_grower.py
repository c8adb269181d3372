"""One level of the tag tree: k-means, then summarise, deduplicate, reassign and rename by LLM (TAGS, §3.3)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from tagsmith.processors.generation_processor import GenerationProcessor
from tagsmith.processors.tags.grow_settings import GrowSettings
from tagsmith.processors.tags.tag_clusters import Clusters, centres_of, kept_clusters, similarities, spherical_kmeans
from tagsmith.processors.tags.tag_vectors import Vectors, digest_of, embed_texts
from tagsmith.processors.tags.topic_groups import close_groups, joined
from tagsmith.processors.tags.topic_lines import explained
from tagsmith.processors.tags.topic_names import unique_names
from tagsmith.processors.tags.topic_requests import Asked, TopicSteps

Ask = Callable[[Dataset, GenerationProcessor, str], Dataset]
Ints = NDArray[np.int32]

MODEL, CENTRAL, SINGLE = "model", "central_tag", "single"


@dataclass(eq=False)
class Level:
    """Topics made of the items of the level below.

    Args:
        names, descriptions: of each topic; names differ by more than case and spaces.
        named_by: "model"; "single" (one item, whose name it bears); "central_tag" (the reply could not be used, so the
            most central item gave its name).
        parent_of: each item's topic.
        moved: whether the review moved the item away from the cluster that k-means put it in.
        asked: what was asked, for the record.
        facts: counts of what happened.
        seconds: how long each step took.
    """

    names: list[str]
    descriptions: list[str]
    named_by: list[str]
    parent_of: Ints
    moved: NDArray[np.bool_]
    asked: list[Asked]
    facts: dict[str, Any]
    seconds: dict[str, float]


@dataclass(eq=False)
class LevelGrower:
    """Grows one level after the other.

    Args:
        settings: sizes, models, and what the steps show.
        steps: the four prompted processors.
        ask: runs a processor over rows; `map_rows`, or a recipe's stages.
        work: folder for vectors and clusterings, which a later call reads; None keeps them in memory.
    """

    settings: GrowSettings
    steps: TopicSteps
    ask: Ask
    work: Path | None = None

    def grow(self, items: Sequence[str], descriptions: Sequence[str], counts: NDArray[np.int64], height: int) -> Level:
        """The level above `items`.

        Args:
            items: tags, or topics of the level below; no two are equal.
            descriptions: of each topic; empty for tags.
            counts: uses of each: where topics are joined or names collide, the one with more uses wins.
            height: 0 for leaves.
        """
        return _Growth(self, items, descriptions, counts, height).level()

    def cluster(self, vectors: Vectors, items: Sequence[str], height: int) -> Clusters:
        """k-means of the items, from the work folder if it is there."""
        own = self.settings
        options = {"seed": own.seed, "rounds": own.rounds, "sample_per_cluster": own.sample_per_cluster}
        k = own.sizes[height]
        if self.work is None:
            return spherical_kmeans(vectors, k, **options)
        self.work.mkdir(parents=True, exist_ok=True)
        name = digest_of([own.embedder(height).model, k, *options.values()], items)
        return kept_clusters(self.work / f"clusters-{name}.npz", vectors, k, **options)


@dataclass(eq=False)
class _Growth:
    """The state of one level while it grows: each item's topic, and what is known of each topic."""

    grower: LevelGrower
    items: Sequence[str]
    item_descriptions: Sequence[str]
    counts: NDArray[np.int64]
    height: int
    names: list[str] = field(default_factory=list)
    descriptions: list[str] = field(default_factory=list)
    named_by: list[str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def level(self) -> Level:
        own = self.grower.settings
        self.facts |= {"items": len(self.items), "size": own.sizes[self.height]}
        self.facts["embedding_model"] = own.embedder(self.height).model
        with self._timed("embed"):
            self.vectors = embed_texts(self.items, own.embedder(self.height), self.grower.work)
        with self._timed("cluster"):
            clusters = self.grower.cluster(self.vectors, self.items, self.height)
        self.labels, self.centres = clusters.labels, clusters.centres
        self.facts["clusters"] = len(clusters)
        for step in (self._summarize, self._deduplicate, self._reassign, self._rename):
            with self._timed(step.__name__.strip("_")):
                step()
        self.facts["topics"] = len(self.names)
        self.facts["named_by"] = {kind: self.named_by.count(kind) for kind in (MODEL, SINGLE, CENTRAL)}
        return Level(
            self.names, self.descriptions, self.named_by, self.labels, self.moved, self.asked, self.facts, self.seconds
        )

    def _summarize(self) -> None:
        members = self._members()
        several = [number for number, mine in enumerate(members) if len(mine) > 1]
        rows = {number: {"members": self._shown(members[number])} for number in several}
        made = self._ask("summarize", rows, lambda number: self.items[members[number][0]])
        for number, mine in enumerate(members):
            central = int(mine[0])
            answer = made.get(number, {})
            if answer.get("topic") is not None:
                kind, name, description = MODEL, answer["topic"], answer["description"]
            else:
                kind = CENTRAL if number in rows else SINGLE
                name, description = self.items[central], self.item_descriptions[central]
            self.named_by.append(kind)
            self.names.append(name)
            self.descriptions.append(description)

    def _deduplicate(self) -> None:
        own = self.grower.settings
        weights = np.bincount(self.labels, self.counts, len(self.names)).astype(np.int64)
        by_key: dict[str, list[int]] = {}
        for number, name in enumerate(self.names):
            by_key.setdefault(_key(name), []).append(number)
        equal = [group for group in by_key.values() if len(group) > 1]
        apart = np.unique(joined(equal, weights))
        vectors = own.embedder(self.height).encode([self.names[number] for number in apart])
        groups = [
            [int(apart[place]) for place in group] for group in close_groups(vectors, own.same_above, own.same_at_once)
        ]
        rows = {number: {"topics": [self._explained(topic) for topic in group]} for number, group in enumerate(groups)}
        made = self._ask("deduplicate", rows, lambda _: "topics stay apart")
        same = [
            [groups[number][place] for place in group] for number, answer in made.items() for group in answer["same"]
        ]
        leaders = joined([*equal, *same], weights)
        self.facts["topics_joined"] = len(leaders) - len(np.unique(leaders))
        self._regroup(leaders[self.labels])

    def _reassign(self) -> None:
        own, before = self.grower.settings, self.labels.copy()
        rows: dict[int, dict[str, Any]] = {}
        reviewed: list[tuple[Ints, Ints]] = []
        if len(self.names) > 1:
            near = _near(self.centres, own.neighbours)
            for topic, mine in enumerate(self._members()):
                topics = [self._explained(topic), *(self._explained(int(other)) for other in near[topic])]
                mine = self._doubtful(mine, topic, near[topic])
                for start in range(0, len(mine), own.reviewed_at_once):
                    part = mine[start : start + own.reviewed_at_once]
                    rows[len(reviewed)] = {"topics": topics, "members": [self.items[item] for item in part]}
                    reviewed.append((part, np.concatenate([[topic], near[topic]]).astype(np.int32)))
        made = self._ask("reassign", rows, lambda _: "members stay")
        for number, answer in made.items():
            items, topics_shown = reviewed[number]
            self.labels[items[answer["moved_members"]]] = topics_shown[answer["to_topics"]]
        self.moved = self.labels != before
        self.facts["reviewed"] = sum(len(items) for items, _ in reviewed)
        self.facts["moved"] = int(self.moved.sum())
        self.facts["topics_emptied"] = len(self.names) - len(np.unique(self.labels))
        self._regroup(self.labels)

    def _rename(self) -> None:
        members = self._members()
        rows = {
            number: {
                "former_topic": self.names[number],
                "former_description": self.descriptions[number],
                "members": self._shown(mine),
            }
            for number, mine in enumerate(members)
            if len(mine) > 1
        }
        made = self._ask("rename", rows, lambda number: self.names[number])
        wanted = list(self.names)
        for number, mine in enumerate(members):
            if len(mine) == 1:
                wanted[number], self.named_by[number] = self.items[mine[0]], SINGLE
                self.descriptions[number] = self.item_descriptions[mine[0]]
            elif (answer := made.get(number, {})).get("topic") is not None:
                wanted[number], self.named_by[number] = answer["topic"], MODEL
                self.descriptions[number] = answer["description"] or self.descriptions[number]
        weights = np.bincount(self.labels, self.counts, len(self.names)).astype(np.int64)
        central = [self.items[mine[0]] for mine in members]
        self.names, self.facts["names_taken"] = unique_names(wanted, self.names, central, weights, _key)

    def _ask(
        self, step: str, rows: dict[int, dict[str, Any]], fallback: Callable[[int], str]
    ) -> dict[int, dict[str, Any]]:
        """The made columns of the rows that are ok, by number; all of them go on record."""
        self.facts[f"{step}_requests"] = len(rows)
        self.facts[f"{step}_fallbacks"] = 0
        if not rows:
            return {}
        numbers = list(rows)
        given = Dataset.from_list([{"id": f"{self.height}/{step}/{n}", **rows[n]} for n in numbers])
        made = self.grower.ask(given, self.grower.steps.processor(step), f"level {self.height + 1}: {step}")
        asked = Asked.of(self.height, step, made, [fallback(number) for number in numbers])
        self.asked.append(asked)
        self.facts[f"{step}_fallbacks"] = asked.rejected
        answers = made.to_list()
        return {n: answer for n, answer in zip(numbers, answers, strict=True) if answer["status"] == "ok"}

    def _regroup(self, labels: Ints) -> None:
        """Take over new labels, drop topics without items, and move the centres."""
        used, places = np.unique(labels, return_inverse=True)
        self.labels = places.astype(np.int32)
        self.names = [self.names[number] for number in used]
        self.descriptions = [self.descriptions[number] for number in used]
        self.named_by = [self.named_by[number] for number in used]
        self.centres = centres_of(self.vectors, self.labels, len(used))

    def _members(self) -> list[Ints]:
        """The items of each topic, the most central first."""
        near = similarities(self.vectors, self.labels, self.centres)
        order = np.lexsort((-near, self.labels)).astype(np.int32)
        return np.split(order, np.searchsorted(self.labels[order], np.arange(1, len(self.centres))))

    def _shown(self, mine: Ints) -> list[str]:
        """The most central half of what may be shown, and others spread evenly over the rest."""
        most = self.grower.settings.shown
        if len(mine) > most:
            first = most // 2
            spread = np.linspace(first, len(mine) - 1, most - first).round().astype(np.int64)
            mine = mine[np.concatenate([np.arange(first), spread])]
        return [self.items[item] for item in mine]

    def _doubtful(self, mine: Ints, topic: int, near: Ints) -> Ints:
        margin = self.grower.settings.review_margin
        if margin is None:
            return mine
        vectors = np.asarray(self.vectors[np.sort(mine)])
        others = (vectors @ self.centres[near].T).max(axis=1)
        doubtful: Ints = np.sort(mine)[others >= vectors @ self.centres[topic] - margin]
        return doubtful

    def _explained(self, topic: int) -> str:
        return explained(self.names[topic], self.descriptions[topic])

    def _timed(self, step: str) -> "_Timed":
        return _Timed(self.seconds, step)


class _Timed:
    def __init__(self, seconds: dict[str, float], step: str) -> None:
        self.seconds, self.step = seconds, step

    def __enter__(self) -> None:
        self.started = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self.seconds[self.step] = time.perf_counter() - self.started


def _near(centres: Vectors, most: int) -> Ints:
    """For each centre the others with the largest products, the closest first."""
    most = min(most, len(centres) - 1)
    found = np.empty((len(centres), most), np.int32)
    for start in range(0, len(centres), 1024):
        products = centres[start : start + 1024] @ centres.T
        products[np.arange(len(products)), start + np.arange(len(products))] = -np.inf
        found[start : start + 1024] = np.argsort(-products, axis=1, kind="stable")[:, :most]
    return found


def _key(name: str) -> str:
    return " ".join(name.casefold().split())
