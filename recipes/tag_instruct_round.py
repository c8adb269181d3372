"""One round of Tag-Instruct over all rows: encode, expand, score, choose, decode, judge, respond (§3, App. D.2)."""

from dataclasses import dataclass

from datasets import Dataset

from tagsmith.processors.answerability import AnswerabilityJudge
from tagsmith.processors.responder import Responder
from tagsmith.processors.tag_instruct.alignment import AlignmentJudge
from tagsmith.processors.tag_instruct.alignment_band import AlignmentBand
from tagsmith.processors.tag_instruct.candidate_choice import CandidateChoice
from tagsmith.processors.tag_instruct.decoder import InstructionDecoder
from tagsmith.processors.tag_instruct.encoder import TagEncoder
from tagsmith.processors.tag_instruct.expander import TagExpander
from tagsmith.processors.tag_instruct.tag_score import TagScorer
from tagsmith.recipes.stages import Stages


@dataclass(frozen=True)
class Round:
    """The processors of a round; those that are None are left out.

    Args:
        encoder: instruction → base tags.
        expander: candidates for the new tag.
        band, judge: which candidates go with the row (§3.3).
        scorer: scores candidates by the utility pools.
        choice: which candidate becomes the new tag.
        decoder: instruction and tags → new instruction.
        answerability: whether it can be answered.
        responder: its response.
    """

    encoder: TagEncoder
    expander: TagExpander
    band: AlignmentBand | None
    judge: AlignmentJudge | None
    scorer: TagScorer | None
    choice: CandidateChoice
    decoder: InstructionDecoder
    answerability: AnswerabilityJudge | None
    responder: Responder | None

    def run(self, rows: Dataset, stages: Stages, name: str) -> Dataset:
        """All rows through all stages: as `Rounds.advance` takes them, rejected ones included.

        Args:
            rows: `Rounds.current()`.
            stages: what runs a processor, and adds up its work.
            name: of the round, for the progress bars.
        """
        rows = stages.run(rows, self.encoder, f"{name}: encode")
        rows = with_candidates(rows, stages, self.expander, self.band, self.judge, self.scorer, name)
        rows = stages.compute(rows, self.choice, f"{name}: choose")
        rows = stages.run(rows, self.decoder, f"{name}: decode")
        if self.answerability is not None:
            rows = stages.run(rows, self.answerability, f"{name}: judge")
        if self.responder is not None:
            rows = stages.run(rows, self.responder, f"{name}: respond")
        return rows


def with_candidates(
    rows: Dataset,
    stages: Stages,
    expander: TagExpander,
    band: AlignmentBand | None,
    judge: AlignmentJudge | None,
    scorer: TagScorer | None,
    name: str,
) -> Dataset:
    """Encoded rows with their candidates, checked and scored."""
    rows = stages.run(rows, expander, f"{name}: expand")
    if band is not None:
        rows = stages.compute(rows, band, f"{name}: align")
    if judge is not None:
        rows = stages.run(rows, judge, f"{name}: align")
    return scorer.score_rows(rows) if scorer is not None else rows
