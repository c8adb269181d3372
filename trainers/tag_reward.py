"""Reward of a completed tag for online RL of the tag-expansion policy (Tag-Instruct, §3.3 and App. D.4)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, ClassVar

import numpy as np
import orjson

from tagsmith.processors.embedding import Embedder
from tagsmith.processors.endpoint.request import UnparsedReplyError
from tagsmith.processors.errors import InputError
from tagsmith.processors.generation_processor import OK
from tagsmith.processors.tag_instruct.alignment_band import AlignmentBand
from tagsmith.processors.tag_instruct.expansion_prompt import NotOneTagError, parse_completion
from tagsmith.processors.tag_instruct.tag_pools import TagPools
from tagsmith.processors.tag_instruct.tag_score import TagScorer
from tagsmith.processors.tag_text import tag_key

# Why a completion is not valid, in the order in which it is looked at.
REASONS = ("unparsed", "not_one_tag", "unexplained", "known", "alignment", "coherence")
INVALID = -1.0


@dataclass(frozen=True)
class JudgedCompletion:
    """What became of a completion.

    Args:
        tag: in its one spelling; None where none could be read.
        reason: one of `REASONS`; empty for a valid one.
        utility: score_good − score_bad (Eq. 2, 3) of a valid one, else None.
    """

    tag: str | None
    reason: str = ""
    utility: float | None = None


@dataclass(eq=False)
class TagReward:
    """Reward completions of the expansion policy by the utility of their tag: a reward function for TRL's trainers.

    With e(z) the unit embedding of the completed tag z, and μ_good, μ_bad the means of the pools,

        R(z) = score_good(z) − score_bad(z) = e(z) · (μ_good − μ_bad)      (App. D.4; Eq. 2, 3)
        reward = R(z) / ‖μ_good − μ_bad‖, between −1 and 1, where z is valid
               = −1, where it is not

    ‖μ_good − μ_bad‖ is the most that |R| can be (Cauchy and Schwarz): no invalid completion is worth more than a valid
    one, whatever the pools, and a weight of the KL term means the same for any of them. (Pools of the authors' table,
    1,000 tags each: the bound is 0.26, tags score from −0.15 to 0.11.)

    A completion is valid if it can be read as `TagExpander` reads it, is one tag, explains that tag where it should
    (`explain`), is new to the row (an inflected spelling of a tag that it has is not), and lies in the embedding band
    of `AlignmentBand`. The judge of `AlignmentJudge` costs a request a completion: it is no part of this.

    Input columns:
        instruction (``str``), base_tags (``list[str]``, at least one); injected_tags (``list[str]``, optional): tags of
            earlier rounds, which the row has too.

    Logged with TRL's own figures, each the mean over a batch's completions: `utility`, R of the valid ones (the paper's
    reward, not divided); `valid`, their share; `invalid/<reason>`, the share of each of `REASONS`; `distinct`, the
    number of different tags among the valid ones by their number: it falls where the policy says the same everywhere.

    Args:
        pools: the good and the bad one.
        embedder: of tags. Give the band's, a `RememberedEmbedder`: a tag is embedded once then, however often it comes.
        band: which tags go with a row; None lets all pass.
        explain: a completion without an explanation before the tag is not valid (format "policy_explained").

    Raises:
        InputError: the two pools have the same mean, so that no tag is better than another.

    Differs from the paper: it gives R alone, and says nothing of completions that are no tag; R is not divided there.
    """

    __name__: ClassVar[str] = "tag"  # TRL names the figures by it

    pools: TagPools
    embedder: Embedder
    band: AlignmentBand | None = None
    explain: bool = False
    version: int = field(default=1, init=False)
    scorer: TagScorer = field(init=False, repr=False)
    bound: float = field(init=False)

    def __post_init__(self) -> None:
        self.scorer = TagScorer.from_pools(self.pools, self.embedder)
        self.bound = float(np.linalg.norm(self.scorer.direction))
        if not self.bound > 0:
            raise InputError("the good and the bad pool have the same mean, so that every tag scores 0; give others")

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        *,
        instruction: Sequence[str],
        base_tags: Sequence[Sequence[str]],
        injected_tags: Sequence[Sequence[str] | None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **_: Any,
    ) -> list[float]:
        """One reward a completion, in their order; what TRL hands over beside these is not needed.

        Args:
            prompts: not looked at.
            completions: texts, or messages of which the last counts.
            instruction, base_tags, injected_tags: the rows' columns, one entry a completion.
            log_metric: TRL's, called once for each completion that a figure is about, so that the mean is right over
                ranks too.
        """
        texts = [done if isinstance(done, str) else done[-1]["content"] for done in completions]
        more = injected_tags or [None] * len(texts)
        rows = [
            {"instruction": text, "base_tags": list(own), "injected_tags": list(injected or ())}
            for text, own, injected in zip(instruction, base_tags, more, strict=True)
        ]
        judged = self.judge(texts, rows)
        if log_metric is not None:
            _log(judged, log_metric)
        return [INVALID if one.utility is None else one.utility / self.bound for one in judged]

    def facts(self) -> dict[str, Any]:
        """What it depends on: a training whose reward has other facts is another one."""
        pools = blake2b(orjson.dumps([self.pools.good, self.pools.bad]), digest_size=16).hexdigest()
        band = [self.band.low, self.band.high] if self.band else None
        facts = {"pools": pools, "embeddings": self.embedder.model, "band": band, "explain": self.explain}
        return facts | {"version": self.version}

    def judge(self, texts: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[JudgedCompletion]:
        """Read each text as a completion of its row, and score those that are valid."""
        judged = [self._read(text, row) for text, row in zip(texts, rows, strict=True)]
        if self.band is not None:
            judged = self._aligned(judged, rows)
        valid = [number for number, one in enumerate(judged) if not one.reason]
        scores = self.scorer.score([str(judged[number].tag) for number in valid]) if valid else ()
        for number, score in zip(valid, scores, strict=True):
            judged[number] = JudgedCompletion(judged[number].tag, utility=float(score))
        return judged

    def _read(self, text: str, row: Mapping[str, Any]) -> JudgedCompletion:
        try:
            said = parse_completion(text)
        except UnparsedReplyError as error:
            return JudgedCompletion(None, "not_one_tag" if isinstance(error, NotOneTagError) else "unparsed")
        if self.explain and not said.explanation:
            return JudgedCompletion(said.tag, "unexplained")
        has = (*row["base_tags"], *(row.get("injected_tags") or ()))
        return JudgedCompletion(said.tag, "known" if tag_key(said.tag) in set(map(tag_key, has)) else "")

    def _aligned(self, judged: Sequence[JudgedCompletion], rows: Sequence[Mapping[str, Any]]) -> list[JudgedCompletion]:
        """Those in the band as they were, the others with its reason."""
        assert self.band is not None
        inside = [number for number, one in enumerate(judged) if not one.reason]
        columns = {
            "instruction": [rows[number]["instruction"] for number in inside],
            "base_tags": [rows[number]["base_tags"] for number in inside],
            "candidates": [[{"tag": judged[number].tag, "status": OK, "reason": ""}] for number in inside],
        }
        checked = list(judged)
        for number, (candidate,) in zip(inside, self.band(columns)["candidates"], strict=True):
            checked[number] = JudgedCompletion(judged[number].tag, candidate["reason"].partition(":")[0])
        return checked


def _log(judged: Sequence[JudgedCompletion], log_metric: Callable[[str, float], None]) -> None:
    tags = [one.tag for one in judged if one.utility is not None]
    for one in judged:
        log_metric("valid", float(not one.reason))
        for reason in REASONS:
            log_metric(f"invalid/{reason}", float(one.reason == reason))
        if one.utility is not None:
            log_metric("utility", one.utility)
    if tags:
        log_metric("distinct", len(set(tags)) / len(tags))
