"""Several tag pools as one, each with a weight: the paper's open question of tags from other sources."""

from collections.abc import Mapping

from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_evol.tag_pool import TagPool


def mix_pools(pools: Mapping[str, TagPool], weights: Mapping[str, float] | None = None) -> TagPool:
    """One pool of all tags, from which source i is drawn with its weight (beyond Tag-Evol; its Limitations name it).

    With w_i the weights and v_i(t) the weight of tag t in pool i, a tag's weight is Σ_i w_i · v_i(t) / Σ_u v_i(u): of
    uniform draws, the share w_i / Σ w falls to source i whatever its size. Counts are added up.

    Args:
        pools: name of the source → its pool. They have the same `keep_characters` and embedding model.
        weights: name → weight above 0; None weighs all alike.

    Raises:
        InputError: no pools, weights for others, a weight that is not above 0, or pools that do not go together.
    """
    weights = dict.fromkeys(pools, 1.0) if weights is None else weights
    if not pools:
        raise InputError("there are no pools to mix; give one at least")
    if weights.keys() != pools.keys():
        raise InputError(f"weights for {', '.join(weights)}, pools of {', '.join(pools)}; give one weight a pool")
    if bad := [name for name, weight in weights.items() if not 0 < weight < float("inf")]:
        raise InputError(f"the weight of {bad[0]!r} is {weights[bad[0]]}; expected a number above 0")
    for what, found in (
        ("keep_characters", {pool.keep_characters for pool in pools.values()}),
        ("embedding model", {pool.embedder.model for pool in pools.values()}),
    ):
        if len(found) > 1:
            raise InputError(f"the pools differ in {what} ({', '.join(sorted(map(repr, found)))}); make them alike")
    total = sum(weights.values())
    parts = [(pool, weights[name] / total / float(pool.weights.sum())) for name, pool in pools.items()]
    shares = {name: {"tags": len(pool), "weight": weights[name] / total} for name, pool in pools.items()}
    return TagPool.of_parts(parts, {"sources": shares})
