"""Subsets that differ in complexity alone or in diversity alone, to study what each does to training (App. E)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagsmith.processors.errors import InputError
from tagsmith.processors.instag.complexity_first import complexity_first
from tagsmith.processors.tag_sets import TagSets, read_tag_sets


@dataclass(frozen=True, eq=False)
class SampledSubset:
    """One subset of a decoupled study, with its place on the axes of the paper's Fig. 4.

    Args:
        rows: row numbers in the pool, in the order in which they were taken.
        mean_tags: distinct tags a row, on average.
        coverage: share of the pool's tags that some row of the subset carries, 0 to 1.
    """

    rows: NDArray[np.int64]
    mean_tags: float
    coverage: float


def sample_by_complexity(tags: Any, n_subsets: int, subset_size: int, tags_column: str = "tags") -> list[SampledSubset]:
    """Disjoint subsets of falling complexity and the largest possible diversity (#InsTag, §4.3, App. E, Alg. 2).

    Each subset is what `ComplexityFirstSelector` picks from the rows that the subsets before it left.

    Args:
        tags: the pool, in any shape that `read_tag_sets` takes.
        n_subsets: subsets to draw (the paper: 10).
        subset_size: rows of each subset (the paper: 6,000).
        tags_column: name of the column with the tags.

    Raises:
        InputError: a subset cannot be filled (says which, and how many rows were left for it), a number is out of
            range, or a row has no tag list.

    Differs from the paper: ties keep dataset order, and rows without tags are never taken.
    """
    tag_sets = read_tag_sets(tags, tags_column)
    _check_counts(n_subsets=n_subsets, subset_size=subset_size)
    left = np.flatnonzero(tag_sets.sizes)
    subsets = []
    for number in range(1, n_subsets + 1):
        if len(left) < subset_size:
            raise InputError(
                f"subset {number} of {n_subsets}: only {len(left)} rows with tags are left, subset_size={subset_size}"
                " are needed; lower n_subsets or subset_size"
            )
        picked, _ = complexity_first(tag_sets.take(left), subset_size)
        subsets.append(_subset(tag_sets, left[picked]))
        left = np.delete(left, picked)
    return subsets


def sample_by_diversity(
    tags: Any,
    coverage_rates: Sequence[float],
    subset_size: int,
    mean_tags: float | None = 5.0,
    mean_tolerance: float = 0.1,
    seed: int | None = None,
    tags_column: str = "tags",
) -> list[SampledSubset]:
    """Disjoint subsets of given diversity and equal complexity (#InsTag, §4.3, App. E, Alg. 3).

    For each rate, rows that add a tag are taken in the pool's order until the tags met are more than that share of
    the pool's tags. Then the rows left are walked, again and again while they yield anything, and rows that add no
    tag are taken until the subset is full.

    §4.3 also wants all subsets to have the same mean number of tags a row, which Alg. 3 as printed leaves out. We
    read it as a condition on each row of the second part: the row is taken iff, with it, the subset's mean so far
    lies within `mean_tolerance` of `mean_tags`; or, where the mean is still too high (too low), iff the row has at
    most (at least) as many tags as the rows still missing must have on average for the subset to end at `mean_tags`.
    A full subset therefore ends within the tolerance.

    Args:
        tags: the pool, in any shape that `read_tag_sets` takes. Rows without tags count as adding none, as printed:
            filter them out if they should not be taken.
        coverage_rates: one a subset, in this order, each from 0 to 1. Rate 1 means every tag of the pool.
        subset_size: rows of each subset (the paper: 6,000).
        mean_tags: distinct tags a row in each subset; None gives Alg. 3 as printed.
        mean_tolerance: how far from `mean_tags` a subset's mean may be (the paper says "around").
        seed: shuffles the pool's order first; None walks it as it is, as printed.
        tags_column: name of the column with the tags.

    Raises:
        InputError: a subset cannot be had (says which, and how many rows or which coverage or mean was found), a
            number is out of range, or a row has no tag list.

    Differs from the paper: Alg. 3 as printed runs for ever where rows are missing, and returns larger subsets where
    reaching the coverage takes more than `subset_size` rows; both are errors here.
    """
    tag_sets = read_tag_sets(tags, tags_column)
    _check_counts(subset_size=subset_size)
    if not tag_sets.vocabulary:
        raise InputError(
            f"column {tags_column!r}: no row has a tag, so there is no coverage to reach; tag the rows first"
        )
    if mean_tags is not None and not (mean_tags > 0 and mean_tolerance >= 0):
        raise InputError(
            f"mean_tags={mean_tags}, mean_tolerance={mean_tolerance}: expected a mean above 0 and a tolerance from 0"
        )
    left = np.arange(len(tag_sets)) if seed is None else np.random.default_rng(seed).permutation(len(tag_sets))
    subsets = []
    for number, rate in enumerate(coverage_rates, 1):
        if not 0 <= rate <= 1:
            raise InputError(f"coverage_rates: got {rate}, expected shares from 0 to 1")
        name = f"subset {number} (coverage {rate:g})"
        pool = tag_sets.take(left)
        expanding = _expand_to(pool, rate, subset_size, name)
        added = _fill_up(pool, expanding, subset_size, mean_tags, mean_tolerance, name)
        taken = np.concatenate([expanding, added])
        subsets.append(_subset(tag_sets, left[taken]))
        left = np.delete(left, taken)
    return subsets


def _expand_to(pool: TagSets, rate: float, subset_size: int, name: str) -> NDArray[np.int64]:
    """First part of Alg. 3: the positions of the rows that add a tag, until the tags met exceed the rate."""
    row_of_entry = np.repeat(np.arange(len(pool)), pool.sizes)
    # The rows that add a tag are the first holders of the tags. With repeated indices the last assignment stays, so
    # assigning backwards leaves the first holder.
    first_holder = np.full(len(pool.vocabulary), -1)
    first_holder[pool.indices[::-1]] = row_of_entry[::-1]
    adding, added_tags = np.unique(first_holder[first_holder >= 0], return_counts=True)
    coverage = np.cumsum(added_tags) / len(pool.vocabulary)
    enough = np.flatnonzero(coverage > rate)
    reached = coverage[-1] if len(coverage) else 0.0
    if len(enough):
        adding = adding[: enough[0] + 1]
    elif not (rate == 1 and reached == 1):  # above 1 is nowhere: all tags are what rate 1 can mean
        raise InputError(
            f"{name}: the {len(pool)} rows left cover {reached:.4f} of the tags, more than {rate:g} is needed; put the"
            " high rates first, lower them, or lower subset_size"
        )
    if len(adding) > subset_size:
        raise InputError(
            f"{name}: takes {len(adding)} rows to reach, subset_size={subset_size} allow fewer; lower the rate or raise"
            " subset_size"
        )
    return adding


def _fill_up(
    pool: TagSets,
    expanding: NDArray[np.int64],
    subset_size: int,
    mean_tags: float | None,
    mean_tolerance: float,
    name: str,
) -> NDArray[np.int64]:
    """Second part of Alg. 3: the positions of rows that add no tag, until the subset is full."""
    covered = np.zeros(len(pool.vocabulary), np.int64)
    covered[pool.take(expanding).indices] = 1
    adds_none = pool.matrix() @ covered == pool.sizes
    adds_none[expanding] = False
    candidates = np.flatnonzero(adds_none)
    count, total = len(expanding), int(pool.sizes[expanding].sum())
    if mean_tags is None:
        added = candidates[: subset_size - count]
    else:
        taken = _take_near_mean(pool.sizes[candidates].tolist(), count, total, subset_size, mean_tags, mean_tolerance)
        added = candidates[taken]
    if count + len(added) < subset_size:
        around = "" if mean_tags is None else f" and keep the mean at {mean_tags:g} ± {mean_tolerance:g} tags"
        raise InputError(
            f"{name}: found {count + len(added)} rows of subset_size={subset_size}: {count} that add tags, {len(added)}"
            f" that add none{around}, out of {len(pool)} rows left; lower subset_size, or loosen mean_tags"
        )
    mean = (total + int(pool.sizes[added].sum())) / subset_size
    if mean_tags is not None and abs(mean - mean_tags) > mean_tolerance:
        raise InputError(
            f"{name}: the rows that add tags fill it with {mean:.3f} tags a row, wanted {mean_tags:g} ±"
            f" {mean_tolerance:g}; raise subset_size, or set mean_tags"
        )
    return added


def _take_near_mean(
    sizes: list[int], count: int, total: int, subset_size: int, mean_tags: float, tolerance: float
) -> list[int]:
    """Positions of candidates taken, in order, under the condition on the mean (see `sample_by_diversity`)."""
    taken: list[int] = []
    waiting = list(range(len(sizes)))
    while count < subset_size:
        passed_over = []
        for position in waiting:
            if count == subset_size:
                break
            size = sizes[position]
            mean = (total + size) / (count + 1)
            still_needed = (subset_size * mean_tags - total) / (subset_size - count)
            too_high = mean > mean_tags + tolerance
            too_low = mean < mean_tags - tolerance
            if (too_high and size > still_needed) or (too_low and size < still_needed):
                passed_over.append(position)
                continue
            taken.append(position)
            count += 1
            total += size
        if len(passed_over) == len(waiting):
            break
        waiting = passed_over
    return taken


def _subset(tag_sets: TagSets, rows: NDArray[np.int64]) -> SampledSubset:
    subset = tag_sets.take(rows)
    coverage = len(np.unique(subset.indices)) / len(tag_sets.vocabulary)
    return SampledSubset(rows, float(subset.sizes.mean()), coverage)


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise InputError(f"{name}={count!r}: expected a whole number from 1")
