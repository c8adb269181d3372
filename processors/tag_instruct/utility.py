"""Tag utility: how long the responses are to the instructions that carry a tag (Tag-Instruct, §3.4, Eq. 1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
import pyarrow.parquet as pq
from datasets import Dataset
from numpy.typing import NDArray

from tagsmith.processors.errors import InputError
from tagsmith.processors.hub_folder import find_folder, push_folder
from tagsmith.processors.tag_instruct.utility_table import SCHEMA, Quartile, UtilityTable
from tagsmith.processors.tag_sets import TagSets, read_tag_sets
from tagsmith.processors.token_lengths import BUNDLED_TOKENIZER, TokenCounter
from tagsmith.processors.typed_column import TypedColumn

VARIANTS = ("paper", "official")


@dataclass
class TagUtility:
    """Estimate what each tag is worth from an instruction–response dataset (Tag-Instruct, §3.4, App. D.1).

    With D_i the rows that carry tag i, |y_j| the tokens of response j and k_j the distinct tags of row j,

        paper:     φ_i = Σ_{j ∈ D_i} |y_j| / |D_i|           (Eq. 1)
        official:  φ_i = Σ_{j ∈ D_i} |y_j| / k_j / |D_i|     (the authors' code; Table 6 of the paper agrees with it)

    Input columns of `fit`:
        base_tags (``list[str]``): tags of the row; a repeated tag counts once. response (``str``).
    Output columns:
        tag_utilities (``list[float | None]``): φ of each tag, in tokens; None for a tag that is not in the table.
        utility_tokens (``float | None``): their mean over the tags that are in it; None when none is.

    Args:
        variant: "paper" or "official".
        min_count: tags in fewer rows are left out (paper: 1; the authors' pools need 3).
        tokenizer: of `TokenCounter`: the bundled one, a folder, or a model on the Hub. It is named in the table.
        tags_column, response_column: names of the columns.
        table: the result of `fit`.

    Raises:
        InputError: variant or min_count out of range; in `fit`: a column is missing, a response is null, blank or not
            text (how many, and the first row), a row has no tag list, there are no tags, or min_count leaves none.

    Differs from the paper: the game-theoretic value v(S ∪ {i}) − v(S) is estimated by Eq. 1 alone, as the paper itself
    does; "official" divides by distinct tags. Tags are compared letter by letter: normalise them before.

    Example:
        >>> utility = TagUtility(variant="paper", min_count=3).fit(tagged)
        >>> utility.save_pretrained("runs/utility")
        >>> tagged = tagged.map(TagUtility.from_pretrained("runs/utility"), batched=True)
    """

    variant: str = "paper"
    min_count: int = 1
    tokenizer: str = BUNDLED_TOKENIZER
    tags_column: str = "base_tags"
    response_column: str = "response"
    table: UtilityTable | None = field(default=None, repr=False, compare=False)
    version: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise InputError(f"utility variant {self.variant!r} is unknown; expected {' or '.join(VARIANTS)}")
        if isinstance(self.min_count, bool) or not isinstance(self.min_count, int) or self.min_count < 1:
            raise InputError(f"min_count={self.min_count!r}: expected a whole number from 1")

    def fit(self, dataset: Dataset) -> "TagUtility":
        """Make the table from the whole dataset, and return self."""
        responses = self._responses(dataset)
        tags = read_tag_sets(dataset, self.tags_column)
        if not len(tags.indices):
            raise InputError(f"column {self.tags_column!r} holds no tag in {len(tags)} rows; run the encoder first")
        counter = TokenCounter(self.tokenizer)
        lengths = counter.count(responses)
        config = {
            "variant": self.variant,
            "min_count": self.min_count,
            "tokenizer": counter.identity,
            "tags_column": self.tags_column,
            "response_column": self.response_column,
            "version": self.version,
            "rows": len(tags),
            "rows_with_tags": int(np.count_nonzero(tags.sizes)),
            "response_tokens": int(lengths.sum()),
        }
        table = UtilityTable.from_rows(_totals(tags, lengths, self.variant), config)
        self.table = table.frequent(self.min_count)
        return self

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Columns in, new columns out."""
        if self.tags_column not in batch:
            raise InputError(f"no column {self.tags_column!r} with the tags; the columns are: {', '.join(batch)}")
        means = self.fitted.means
        each: list[list[float | None] | None] = []
        mean: list[float | None] = []
        for tags in batch[self.tags_column]:
            values = None if tags is None else [means.get(tag) for tag in tags]
            known = [value for value in values or () if value is not None]
            each.append(values)
            mean.append(sum(known) / len(known) if known else None)
        number = pa.float64()
        return {"tag_utilities": TypedColumn(each, pa.list_(number)), "utility_tokens": TypedColumn(mean, number)}

    def lookup(self, tag: str) -> float | None:
        """The tag's utility in tokens; None when the table does not have it."""
        return self.fitted.means.get(tag)

    def quartiles(self, min_count: int = 1) -> list[Quartile]:
        """Q1 to Q4, lowest utility first (§5.2, Tab. 6): see `UtilityTable.quartiles`."""
        return self.fitted.quartiles(min_count)

    @property
    def fitted(self) -> UtilityTable:
        """The table; raises InputError before `fit`."""
        if self.table is None:
            raise InputError("the TagUtility has no table yet; call fit(dataset) or TagUtility.from_pretrained")
        return self.table

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the table and the parameters to a folder."""
        self.fitted.save(folder)

    @classmethod
    def from_pretrained(cls, folder: str | Path, **download: Any) -> "TagUtility":
        """Read a folder that `save_pretrained` wrote, or a dataset repository that `push_to_hub` made.

        Args:
            folder: a path, or a repository's id on the Hub.
            download: for `huggingface_hub.snapshot_download`: `revision`, `token`, …
        """
        return cls._of(UtilityTable.load(find_folder(folder, "utility table", **download)))

    @classmethod
    def from_table(
        cls, table: str | Path | pa.Table | Dataset, *, variant: str = "official", tokenizer: str | None = None
    ) -> "TagUtility":
        """Take a table that was made elsewhere, such as the authors' `tag_values.jsonl`.

        Args:
            table: `tag`, `count`, `total`, `mean`, or `tag`, `count`, `total_value`, `average_value` as the authors'
                code writes them; a JSON Lines or Parquet file, or in memory.
            variant: how it was made. The authors' table is "official".
            tokenizer: what the lengths were counted with; None where it is not known.

        Raises:
            InputError: the file cannot be read, or what is in it is no utility table (names the first bad row).
        """
        name = str(table) if isinstance(table, str | Path) else None
        if isinstance(table, str | Path):
            table = _read_file(Path(table))
        elif isinstance(table, Dataset):
            table = table.with_format("arrow")[:]
        config = {"variant": variant, "min_count": 1, "tokenizer": tokenizer, "version": 1}
        return cls._of(UtilityTable.from_rows(table, config | {"source": name and Path(name).name}))

    @classmethod
    def _of(cls, table: UtilityTable) -> "TagUtility":
        names = ("variant", "min_count", "tags_column", "response_column")
        parameters = {name: table.config[name] for name in names if name in table.config}
        # The record has the tokenizer's content hash behind its name.
        tokenizer = (table.config.get("tokenizer") or BUNDLED_TOKENIZER).rpartition("@")
        return cls(**parameters, tokenizer=tokenizer[0] or tokenizer[2], table=table)

    def push_to_hub(self, repo_id: str, *, private: bool | None = None, token: str | None = None, **upload: Any) -> str:
        """Upload the folder of `save_pretrained` as a dataset repository, made if need be; returns the commit's URL.

        Args:
            upload: for `HfApi.upload_folder`: `commit_message`, `revision`, …
        """
        return push_folder(self.fitted.save, repo_id, private=private, token=token, **upload)

    def _responses(self, dataset: Dataset) -> list[str]:
        """The response column, checked."""
        if self.response_column not in dataset.column_names:
            raise InputError(
                f"no column {self.response_column!r}: utility is measured on responses, and the columns are:"
                f" {', '.join(dataset.column_names)}; name the column with response_column, or respond first"
            )
        if not len(dataset):
            raise InputError("the dataset is empty (0 rows); utility needs rows with tags and a response")
        responses: list[Any] = dataset.with_format(None)[self.response_column][:]
        bad = [row for row, text in enumerate(responses) if not isinstance(text, str) or not text.strip()]
        if bad:
            first = responses[bad[0]]
            what = "empty" if isinstance(first, str) else "null" if first is None else type(first).__name__
            raise InputError(
                f"column {self.response_column!r}: {len(bad):,} of {len(responses):,} responses are empty, null or not"
                f" text; first: row {bad[0]} ({what}); filter such rows out"
            )
        return responses


def _totals(tags: TagSets, lengths: NDArray[np.int64], variant: str) -> pa.Table:
    """Count, total and mean of each tag that some row carries: Eq. 1 as sums over (row, tag) pairs."""
    values = lengths.astype(np.float64)
    if variant == "official":
        values /= np.maximum(tags.sizes, 1)  # rows without tags are in no sum
    counts = tags.tag_counts
    totals = np.bincount(tags.indices, weights=np.repeat(values, tags.sizes), minlength=len(counts))
    columns = [pa.array(tags.vocabulary), pa.array(counts), pa.array(totals), pa.array(totals / np.maximum(counts, 1))]
    table = pa.table(columns, schema=SCHEMA)
    return table.filter(pc.greater(table["count"], 0))


def _read_file(path: Path) -> pa.Table:
    try:
        return pq.read_table(path) if path.suffix == ".parquet" else pa.json.read_json(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"utility table {str(path)!r} cannot be read ({str(error).splitlines()[0]:.200}); expected JSON Lines or"
            " Parquet"
        ) from error
