"""Where made rows come from: the first ancestor of each, over all configs of a release."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagsmith.cards.diff_codes import wide_type
from tagsmith.cards.opened_release import OpenedRelease

_SCHEMA = pa.schema([("id", pa.large_string()), ("parent_id", pa.large_string())])


class FirstAncestors:
    """Follows `parent_id` upwards to a row that has no parent in the release.

    A child's `parent_id` is its parent's content hash, so one edited text in round 1 renames the parents of round 2.
    The first ancestor is a row of the source, whose id does not move. Rows of all configs count, since a config of
    last versions and one of all rounds describe the same rows.
    """

    def __init__(self, release: OpenedRelease) -> None:
        table = pa.concat_tables([_SCHEMA.empty_table(), *_lineage_tables(release)]).combine_chunks()
        made = table.filter(pc.fill_null(pc.not_equal(table["parent_id"], ""), False))
        ids, parents = (made[name].combine_chunks() for name in _SCHEMA.names)
        encoded = ids.dictionary_encode()
        _, first = np.unique(np.asarray(encoded.indices), return_index=True)  # the same row may be in several configs
        self._ids, parents = encoded.dictionary, parents.take(pa.array(first))
        above = pc.index_in(parents, value_set=self._ids)
        up = np.where(np.asarray(above.is_valid()), np.asarray(pc.fill_null(above, 0)), np.arange(len(parents)))
        for _ in range(len(up).bit_length()):  # each round doubles the steps, so a cycle cannot hold us
            up = up[up]
        self._roots = parents.take(pa.array(up))

    def __call__(self, parents: pa.Array) -> pa.Array:
        """The first ancestor of each row with these parents; null where a row has none."""
        at = pc.index_in(parents, value_set=self._ids)
        return pc.coalesce(self._roots.take(at), parents)


def _lineage_tables(release: OpenedRelease) -> list[pa.Table]:
    """Ids and parents of every split of made rows; the other columns are not read."""
    tables = []
    for splits in release.manifest["configs"].values():
        for facts in splits.values():
            for path in sorted(Path(release.folder).glob(facts["path"])):
                file = pq.ParquetFile(path)
                schema = file.schema_arrow
                if {*_SCHEMA.names, "iteration"} <= set(schema.names) and _is_text(schema):
                    tables.append(file.read(columns=_SCHEMA.names).select(_SCHEMA.names).cast(_SCHEMA))
    return tables


def _is_text(schema: pa.Schema) -> bool:
    return all(wide_type(schema.field(name).type) == pa.large_string() for name in _SCHEMA.names)
