"""One round of Tag-Evol over all rows: candidates, evolve, check, repair once, respond (Tag-Evol, §3.2)."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from datasets import Dataset

from tagsmith.processors.generation_processor import GenerationProcessor
from tagsmith.processors.responder import Responder
from tagsmith.processors.tag_evol.candidates import CandidateSampler
from tagsmith.processors.tag_evol.evolve_checks import EvolveChecker, reject_problems
from tagsmith.processors.tag_evol.evolve_repair import EvolveRepairer
from tagsmith.processors.tag_evol.presence_judge import PresenceJudge
from tagsmith.processors.take_rows import take_rows
from tagsmith.recipes.stages import Stages


@dataclass(frozen=True)
class EvolvePlan:
    """The processors of a round; those that are None are left out.

    Args:
        steps: (name, processor) of what makes the new instruction: one `TagEvolver`, or the steps one by one.
        judge: whether each tag is in the text.
        checker: finds problems.
        repairer: mends a row with one, once.
        responder: answers the new instruction.
    """

    steps: tuple[tuple[str, GenerationProcessor], ...]
    judge: PresenceJudge | None
    checker: EvolveChecker
    repairer: EvolveRepairer | None
    responder: Responder | None

    @property
    def first(self) -> GenerationProcessor:
        """What asks first: its model is the run's."""
        return self.steps[0][1]

    def run(self, rows: Dataset, sampler: CandidateSampler, stages: Stages, name: str) -> Dataset:
        """All rows through all stages: as `TagEvolRounds.advance` takes them, rejected ones included.

        Args:
            rows: `TagEvolRounds.current()` with `budget`.
            sampler: draws this round's candidates.
            stages: what runs a processor, and adds up its work.
            name: of the round, for the progress bars and the costs.
        """
        rows = sampler.sample_rows(rows)
        for step, processor in self.steps:
            rows = stages.run(rows, processor, f"{name}: {step}")
        rows = self._checked(rows, stages, name)
        if self.repairer is not None:
            rows = self._repaired(rows, self.repairer, stages, name)
        features = rows.features
        rows = rows.map(reject_problems, batched=True, features=features, load_from_cache_file=False)
        if self.responder is not None:
            rows = stages.run(rows, self.responder, f"{name}: respond")
        return rows

    def _checked(self, rows: Dataset, stages: Stages, name: str) -> Dataset:
        if self.judge is not None:
            rows = stages.run(rows, self.judge, f"{name}: judge")
        return stages.compute(rows, self.checker, f"{name}: check")

    def _repaired(self, rows: Dataset, repairer: EvolveRepairer, stages: Stages, name: str) -> Dataset:
        """The rows, those with a problem repaired and checked again; the others as they are."""
        has_problem = np.array([bool(problem) for problem in rows["problem"][:]], bool)
        if not has_problem.any():
            return rows
        bad, good = np.flatnonzero(has_problem), np.flatnonzero(~has_problem)
        mended = stages.run(take_rows(rows, bad), repairer, f"{name}: repair")
        mended = self._checked(mended, stages, f"{name}: repair")
        tables = [take_rows(rows, good).data.table, mended.data.table.select(rows.column_names)]
        both = pa.concat_tables([table.cast(rows.features.arrow_schema) for table in tables])
        order = np.argsort(np.concatenate([good, bad]))
        return Dataset(both.take(pa.array(order)).combine_chunks(), info=rows.info.copy())
