"""The tag vocabulary: what each raw tag became, by which stage, and the rules that were found; a folder on disk."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tagsmith.processors.errors import InputError
from tagsmith.processors.instag.association_aggregation import RULES_SCHEMA
from tagsmith.processors.rule_aggregation import clean, stems
from tagsmith.processors.tag_sets import TagSets

TAGS_SCHEMA = pa.schema(
    {
        "raw": pa.string(),
        "canonical": pa.string(),
        "stage": pa.string(),
        "count": pa.int64(),
        "canonical_count": pa.int64(),
    }
)
TAGS_FILE, RULES_FILE, CONFIG_FILE = "vocabulary.parquet", "rules.parquet", "config.json"

# Makes `load_dataset(folder, "vocabulary")` and `"rules"` work, locally and on the Hub.
CARD = """---
configs:
- config_name: vocabulary
  default: true
  data_files: vocabulary.parquet
- config_name: rules
  data_files: rules.parquet
tags:
- tagsmith
- instag
---
# Tag vocabulary

{n_raw:,} raw tags of {rows:,} rows, normalised to {n_canonical:,} with tagsmith. `config.json` has the parameters.

```python
from tagsmith.processors.instag.vocabulary import TagVocabulary

TagVocabulary.load("folder").lookup("a raw tag")
```
"""


@dataclass(eq=False)
class TagVocabulary:
    """What each raw tag of a dataset became (#InsTag, §3.2).

    Args:
        table: one row a raw tag, the most frequent first. `raw`; `canonical`: the tag that it became, null when it was
            dropped; `stage`: the stage that last changed or dropped it ("frequency", "empty", "rule", "semantic",
            "association"), or "kept"; `count`: dataset rows with the raw tag; `canonical_count`: rows with the
            canonical tag, 0 when dropped.
        rules: the association rules that were merged: `antecedent`, `consequent`, `support` (rows with both),
            `confidence`, `round`.
        config: the parameters and the counts of the fit, as JSON values.
    """

    table: pa.Table
    rules: pa.Table
    config: dict[str, Any]
    _resolved: dict[str, tuple[str | None, bool]] = field(default_factory=dict, init=False, repr=False)

    def lookup(self, raw: str) -> str | None:
        """The canonical tag; None for a tag that was dropped, or is not known in any spelling."""
        return self.resolve(raw)[0]

    def resolve(self, raw: str) -> tuple[str | None, bool]:
        """The canonical tag or None, and whether the tag is known: as it is, or as another spelling of a known one."""
        if raw not in self._resolved:
            self._resolved[raw] = self._resolve(raw)
        return self._resolved[raw]

    def clean(self, raw: str) -> str:
        """A tag as the rule stage writes it; unchanged where that stage was switched off."""
        return clean(raw, self.config["keep_characters"]) if "rule" in self.config["stages"] else raw

    def _resolve(self, raw: str) -> tuple[str | None, bool]:
        if raw in self._canonical:
            return self._canonical[raw], True
        if "rule" in self.config["stages"]:
            key = stems(self.clean(raw))
            if not key:
                return None, True  # nothing but special characters is dropped, seen before or not
            if key in self._by_stems:
                return self._by_stems[key], True
        return None, False

    @cached_property
    def _canonical(self) -> dict[str, str | None]:
        columns = self.table["raw"].to_pylist(), self.table["canonical"].to_pylist()
        return dict(zip(*columns, strict=True))

    @cached_property
    def _by_stems(self) -> dict[str, str | None]:
        # Of the spellings of one tag some may be kept and some too rare: what is kept goes last, and so wins.
        by_fate = sorted(self._canonical.items(), key=lambda tag: tag[1] is not None)
        return {stems(self.clean(raw)): name for raw, name in by_fate}

    @property
    def canonical_tags(self) -> list[str]:
        """The tags that remain, in alphabetical order."""
        return sorted({name for name in self._canonical.values() if name is not None})

    def __getstate__(self) -> dict[str, Any]:
        return {"table": self.table, "rules": self.rules, "config": self.config}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _resolved={})

    def save(self, folder: str | Path) -> None:
        """Write `vocabulary.parquet`, `rules.parquet`, `README.md` (for the Hub) and, last, `config.json`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG_FILE).unlink(missing_ok=True)  # without it, a half-written folder does not load
        pq.write_table(self.table, folder / TAGS_FILE, compression="zstd")
        pq.write_table(self.rules, folder / RULES_FILE, compression="zstd")
        counts = {"n_raw": len(self.table), "n_canonical": len(self.canonical_tags), "rows": self.config["rows"]}
        (folder / "README.md").write_text(CARD.format(**counts), encoding="utf-8")
        part = folder / f"{CONFIG_FILE}.part"
        part.write_text(json.dumps(self.config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(part, folder / CONFIG_FILE)

    @classmethod
    def load(cls, folder: str | Path) -> "TagVocabulary":
        """Read a folder that `save` wrote.

        Raises:
            InputError: a file is missing or is not what `save` writes.
        """
        folder = Path(folder)
        for name in (CONFIG_FILE, TAGS_FILE, RULES_FILE):
            if not (folder / name).is_file():
                raise InputError(
                    f"{str(folder)!r} has no {name}; expected a tag vocabulary's folder, as"
                    " TagNormalizer.save_pretrained writes it"
                )
        try:
            config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
            table = pq.read_table(folder / TAGS_FILE).select(TAGS_SCHEMA.names).cast(TAGS_SCHEMA)
            rules = pq.read_table(folder / RULES_FILE).select(RULES_SCHEMA.names).cast(RULES_SCHEMA)
        except (ValueError, KeyError, pa.ArrowException) as error:
            raise InputError(
                f"the tag vocabulary in {str(folder)!r} cannot be read ({str(error).splitlines()[0]:.200}); save it"
                " again"
            ) from error
        return cls(table, rules, config)


def tag_table(raw: TagSets, names: Sequence[str | None], last_stage: Sequence[str], tags: TagSets) -> pa.Table:
    """The table of a `TagVocabulary`: from the rows' raw tags, each one's name and last stage, and the rows' tags."""
    count_of: dict[str | None, int] = dict(zip(tags.vocabulary, tags.tag_counts.tolist(), strict=True))
    rows = zip(raw.vocabulary, names, last_stage, raw.tag_counts.tolist(), map(count_of.get, names), strict=True)
    ordered = sorted(
        ((tag, name, stage, n, of or 0) for tag, name, stage, n, of in rows), key=lambda row: (-row[3], row[0])
    )
    return pa.table([pa.array(column) for column in zip(*ordered, strict=True)], schema=TAGS_SCHEMA)
