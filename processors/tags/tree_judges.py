"""TreeEval: two judges of a tag tree, the cases that they are shown, and their score (TAGS, §4.1, Tab. 3, 17, 18)."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from datasets import Dataset, Features, List, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request, UnparsedReplyError
from tagsmith.processors.errors import InputError
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.json_reply import read_json
from tagsmith.processors.one_prompt import OnePromptProcessor, text_of

_TEXT = Value("string")
_WORDS = {"1": True, "0": False, "true": True, "false": False, "yes": True, "no": False}


def _schema(name: str) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": "boolean"}}, "required": [name]}


@dataclass(kw_only=True)
class _BooleanJudge(OnePromptProcessor):
    verdict: ClassVar[str]  # output column, and the key in the reply

    def read(self, text: str) -> bool:
        """The verdict; the paper's single digit is read as well."""
        if (bare := _WORDS.get(text.strip().lower())) is not None:
            return bare
        data = read_json(text)
        found = data.get(self.verdict) if isinstance(data, dict) else None
        verdict = _WORDS.get(str(found).strip().lower())
        if verdict is None:
            raise UnparsedReplyError(f'expected true or false under "{self.verdict}"')
        return verdict

    def own_features(self) -> Features:
        """Type of the verdict."""
        return Features({self.verdict: Value("bool")})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The verdict of the one reply; None when the case is unscored."""
        return {self.verdict: replies[0].value if replies and replies[0].status == "ok" else None}


@dataclass(kw_only=True)
class TreeInstanceJudge(_BooleanJudge):
    """Ask whether a node belongs under its parent (TAGS, Tab. 17).

    Input columns:
        parent, child (``str``): names, as `tree_cases` draws them.
    Output columns:
        belongs (``bool | None``), and the columns of every `GenerationProcessor`.
    """

    verdict = "belongs"
    prompt_name = "tags/tree_instance"
    prompt_inputs = ("parent", "child")

    parameters: Parameters = field(default_factory=lambda: Parameters(32, json_schema=_schema("belongs")))

    def render(self, row: Row) -> list[Request]:
        """One request."""
        return self.ask(parent=text_of(row, "parent"), child=text_of(row, "child"))


@dataclass(kw_only=True)
class TreeClusterJudge(_BooleanJudge):
    """Ask whether a cluster's name sums up its members (TAGS, Tab. 18).

    Input columns:
        name (``str``), members (``list[str]``): as `tree_cases` draws them.
    Output columns:
        fits (``bool | None``), and the columns of every `GenerationProcessor`.
    """

    verdict = "fits"
    prompt_name = "tags/tree_cluster"
    prompt_inputs = ("name", "members")

    parameters: Parameters = field(default_factory=lambda: Parameters(32, json_schema=_schema("fits")))

    def render(self, row: Row) -> list[Request]:
        """One request."""
        members = "\n".join(" ".join(member.split()) for member in row["members"])
        return self.ask(name=text_of(row, "name"), members=members)


def tree_cases(
    names: Sequence[str],
    parents: Sequence[int],
    *,
    pairs: int = 200,
    clusters: int = 50,
    most_members: int = 50,
    seed: int = 0,
) -> tuple[Dataset, Dataset]:
    """Draw TreeEval's cases from a tree (§4.1: 200 pairs of a tag and its parent, 50 parent clusters).

    Args:
        names: of the nodes.
        parents: number of each node's parent, -1 for a root.
        pairs, clusters: how many to draw; a smaller tree gives all that it has.
        most_members: members shown of a cluster (ours: a cluster may have thousands), drawn from it.
        seed: of the draw.

    Returns:
        Cases for `TreeInstanceJudge` (id, parent, child) and for `TreeClusterJudge` (id, name, members).

    Raises:
        InputError: names and parents differ in number, a parent is no node, or there is no pair at all.
    """
    if len(names) != len(parents):
        raise InputError(f"the tree has {len(names)} names and {len(parents)} parents; give one of each for a node")
    children: dict[int, list[int]] = defaultdict(list)
    for node, parent in enumerate(parents):
        if not -1 <= parent < len(names) or parent == node:
            raise InputError(f"tree, node {node}: its parent is {parent}, expected another node, or -1 for a root")
        if parent >= 0:
            children[int(parent)].append(node)
    if not children:
        raise InputError("no node of the tree has a parent; there is nothing to judge")
    edges = [(parent, child) for parent, below in children.items() for child in below]
    draw = random.Random(seed)
    drawn = sorted(draw.sample(edges, min(pairs, len(edges))))
    chosen = sorted(draw.sample(list(children), min(clusters, len(children))))
    shown = {node: sorted(draw.sample(children[node], min(most_members, len(children[node])))) for node in chosen}
    instance = [{"id": f"{p}/{c}", "parent": names[p], "child": names[c]} for p, c in drawn]
    cluster = [{"id": str(p), "name": names[p], "members": [names[c] for c in shown[p]]} for p in chosen]
    return (
        Dataset.from_list(instance, Features({"id": _TEXT, "parent": _TEXT, "child": _TEXT})),
        Dataset.from_list(cluster, Features({"id": _TEXT, "name": _TEXT, "members": List(_TEXT)})),
    )


@dataclass(frozen=True)
class TreeScore:
    """One column of the paper's Tab. 3.

    Args:
        score: share of the scored cases with a good verdict, 0 to 1; None if none is scored.
        cases, unscored: cases there, and those among them without a verdict.
    """

    score: float | None
    cases: int
    unscored: int


def tree_score(judged: Dataset, verdict: str) -> TreeScore:
    """Score judged cases.

    Args:
        judged: with the column `verdict`.
        verdict: "belongs" (instance level) or "fits" (cluster level).

    Raises:
        InputError: there is no such column.
    """
    if verdict not in judged.column_names:
        raise InputError(f"no column {verdict!r}; the columns are: {', '.join(judged.column_names)}")
    verdicts = [value for value in judged[verdict] if value is not None]
    score = sum(verdicts) / len(verdicts) if verdicts else None
    return TreeScore(score, len(judged), len(judged) - len(verdicts))
