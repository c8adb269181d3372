"""Candidate tags: equal to a plain loop, never a row's own, the same in any order, batch and shard; bad settings."""

import math
import pickle
from collections import Counter
from hashlib import blake2b
from unittest.mock import patch

import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_evol import candidate_draws
from tagsmith.processors.tag_evol.candidate_draws import Band, OwnNumbers, draw_candidates, draw_in_band
from tagsmith.processors.tag_evol.candidate_walk import cosine, uniform
from tagsmith.processors.tag_evol.candidates import CandidateSampler
from tagsmith.processors.tag_evol.pool_mixture import mix_pools
from tagsmith.processors.tag_evol.tag_pool import TagPool

WORDS = "ratio prime angle proof graph matrix vector limit series chance mean area volume speed price age"
TAGS = [f"{first} {second}" for first in WORDS.split() for second in ("table", "puzzle", "rule", "sketch")]


class HashedEmbedder:
    """Unit vectors that follow from the text alone; those of tags with a common first word are near each other."""

    model = "hashed"
    dim = 70  # no multiple of a block

    def encode(self, texts):
        made = np.array([self._direction(text.split()[0]) * 2 + self._direction(text) for text in texts])
        made = made.reshape(len(texts), self.dim)
        return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)

    def _direction(self, text):
        seed = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
        return np.random.default_rng(seed).normal(size=self.dim) / math.sqrt(self.dim)


def a_pool(tags=TAGS, counts=None):
    table = Dataset.from_dict({"tag": list(tags), "count": list(counts or [1 + i % 7 for i in range(len(tags))])})
    return TagPool.from_table(table, embedder=HashedEmbedder())


POOL = a_pool()


def share_of(seed, place):
    """SplitMix64 with Python's integers."""
    bits = (seed + 0x9E3779B97F4A7C15 * (place + 1)) % 2**64
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB % 2**64
    return ((bits ^ (bits >> 31)) >> 11) / 2**53


def hashed(text, person=b""):
    return int.from_bytes(blake2b(text.encode(), digest_size=8, person=person).digest(), "little")


def plain(pool, row_id, own, *, n, mode, temperature=1.0, band=None, seed=0, number=0):
    """What the docstrings say, as a loop: the row's endless draws, first n allowed; then a race of clocks."""
    row_seed = hashed(f"{seed}/{number}/{row_id}")
    logs = [math.log(weight) for weight in pool.weights]
    if mode == "frequency":
        logs = [log + math.log(count) / temperature for log, count in zip(logs, pool.counts, strict=True)]
    sums = np.cumsum(np.exp(np.array(logs) - max(logs)))
    keys = {pool.key(tag) for tag in own}
    allowed = [pool.key(tag) not in keys for tag in pool.tags]
    drawn_from, places = row_seed, range(candidate_draws.DRAWS)
    if mode == "band":
        firsts = {pool.key(tag): tag for tag in reversed(own) if pool.key(tag)}
        spelled = [pool.clean(firsts[key]) for key in dict.fromkeys(map(pool.key, own)) if key]
        if not spelled:
            return []
        of_own = [pool.tags[pool.find(tag)] if pool.find(tag) is not None else tag for tag in spelled]
        anchor = HashedEmbedder().encode(of_own).astype(np.float64).sum(0)
        cosines = pool.vectors.astype(np.float64) @ (anchor / np.linalg.norm(anchor))
        low, high = (-2 if band[0] == -1 else band[0]), (2 if band[1] == 1 else band[1])
        assert np.abs(cosines[:, None] - np.array([low, high])).min() > 1e-6  # else float32 could not tell
        allowed = [is_allowed and low <= c <= high for is_allowed, c in zip(allowed, cosines, strict=True)]
        drawn_from = hashed(f"{seed}/{number}/{row_seed % candidate_draws.GROUPS}", b"group")
        chunk, first = candidate_draws.CHUNK, row_seed // candidate_draws.GROUPS
        rounds = range(0, chunk * candidate_draws.CHUNKS, chunk)
        places = [start + (first + step) % chunk for start in rounds for step in range(chunk)]
    found = []
    for place in places:
        if len(found) == n:
            break
        if np.ptp(logs) == 0:
            tag = int(share_of(drawn_from, place) * len(pool))
        else:
            tag = int(np.searchsorted(sums / sums[-1], share_of(drawn_from, place), side="right"))
        if allowed[tag] and tag not in found:
            found.append(tag)
    rest = [tag for tag in range(len(pool)) if allowed[tag] and tag not in found]
    times = {tag: math.log(-math.log1p(-share_of(row_seed, 2**40 + tag))) - logs[tag] for tag in rest}
    found += sorted(rest, key=lambda tag: (times[tag], tag))[: n - len(found)]
    return [pool.tags[tag] for tag in found]


own_tags = st.lists(
    st.sampled_from([*TAGS[::3], "Ratio Tables", "RATIO_RULE", "unknown thing", "other", "?!"]), max_size=6
)
rows_of_tags = st.lists(own_tags, min_size=1, max_size=6)


@settings(max_examples=40, deadline=None)
@given(
    rows_of_tags,
    st.sampled_from([1, 5, 21]),
    st.sampled_from([("uniform", 1.0), ("frequency", 0.05), ("frequency", 1.0), ("frequency", 9.0), ("band", 1.0)]),
    st.sampled_from([(-0.1, 0.3), (0.2, 0.6), (0.55, 0.95), (-1.0, 1.0)]),
    st.integers(0, 2),
)
def test_equals_a_plain_loop_over_the_draws(rows, n, how, band, seed):
    mode, temperature = how
    sampler = CandidateSampler(pool=POOL, n=n, mode=mode, temperature=temperature, band=band, seed=seed)
    dataset = Dataset.from_dict({"id": [f"row{i}" for i in range(len(rows))], "tags": rows})
    asked = {"n": n, "mode": mode, "temperature": temperature, "band": band, "seed": seed}
    # Few draws, since a plain loop takes long; few groups, so that rows share one.
    with patch.multiple(candidate_draws, DRAWS=200, CHUNK=50, CHUNKS=4, GROUPS=2):
        drawn = sampler.sample_rows(dataset)["candidates"][:]
        assert drawn == [plain(POOL, f"row{number}", own, **asked) for number, own in enumerate(rows)]


@pytest.mark.parametrize("mode", ["uniform", "frequency", "band"])
def test_where_draws_bring_too_few_the_race_goes_on_and_equals_the_plain_loop(mode, monkeypatch):
    for name, value in {"DRAWS": 8, "CHUNK": 4, "CHUNKS": 2}.items():
        monkeypatch.setattr(candidate_draws, name, value)
    rows = [["ratio table", "prime rule"], ["speed sketch"], ["Age Puzzles"]]
    sampler = CandidateSampler(pool=POOL, n=12, mode=mode, band=(-0.2, 0.4))
    drawn = sampler.sample_rows(Dataset.from_dict({"id": ["a", "b", "c"], "tags": rows}))["candidates"][:]
    for row_id, own, found in zip("abc", rows, drawn, strict=True):
        assert found == plain(POOL, row_id, own, n=12, mode=mode, band=(-0.2, 0.4))
        assert len(set(found)) == 12


@settings(max_examples=30, deadline=None)
@given(rows_of_tags, st.sampled_from(["uniform", "frequency", "band"]), st.integers(1, 40))
def test_candidates_are_different_and_never_the_rows_own(rows, mode, n):
    sampler = CandidateSampler(pool=POOL, n=n, mode=mode, band=(-0.5, 0.9))
    dataset = Dataset.from_dict({"id": [str(i) for i in range(len(rows))], "tags": rows})
    for own, drawn in zip(rows, sampler.sample_rows(dataset)["candidates"], strict=True):
        keys = [POOL.key(tag) for tag in drawn]
        assert len(set(keys)) == len(keys) <= n
        assert not set(keys) & {POOL.key(tag) for tag in own}
        assert set(drawn) <= set(POOL.tags)
        if mode != "band":
            assert len(drawn) == n


@settings(max_examples=15, deadline=None)
@given(rows_of_tags, st.sampled_from(["uniform", "frequency", "band"]), st.randoms(use_true_random=False))
def test_order_shards_and_batches_do_not_matter(rows, mode, random):
    sampler = CandidateSampler(pool=POOL, n=9, mode=mode, band=(-0.2, 0.8))
    ids = [f"r{i}" for i in range(len(rows))]
    whole = sampler.sample_rows(Dataset.from_dict({"id": ids, "tags": rows}))
    expected = dict(zip(ids, whole["candidates"][:], strict=True))
    order = list(range(len(rows)))
    random.shuffle(order)
    cut = random.randint(0, len(order))
    shards = [part for part in (order[:cut], order[cut:]) if part]
    whole_rows = Dataset.from_dict({"id": ids, "tags": rows})
    again = concatenate_datasets([sampler.sample_rows(whole_rows.select(part)) for part in shards])
    assert dict(zip(again["id"], again["candidates"], strict=True)) == expected
    batched = sampler({"id": ids, "tags": rows})
    assert dict(zip(ids, batched["candidates"], strict=True)) == expected


def test_with_all_its_draws_the_band_equals_the_plain_loop():
    rows = [["ratio table", "ratio rule"], ["age sketch"]]
    sampler = CandidateSampler(pool=POOL, n=21, mode="band", band=(0.5, 0.99))  # holds a handful
    drawn = sampler.sample_rows(Dataset.from_dict({"id": ["a", "b"], "tags": rows}))["candidates"][:]
    assert drawn == [
        plain(POOL, row, own, n=21, mode="band", band=(0.5, 0.99)) for row, own in zip("ab", rows, strict=True)
    ]
    assert 0 < len(drawn[0]) < 21


def test_it_is_a_processor_for_map_with_any_batch_size():
    rows = Dataset.from_dict({"id": ["a", "b", "c"], "tags": [[], ["ratio rule"], ["no such thing"]], "x": [1, 2, 3]})
    sampler = CandidateSampler(pool=POOL, n=3)
    mapped = rows.map(sampler, batched=True, batch_size=1)
    assert mapped.to_list() == sampler.sample_rows(rows).to_list()
    assert mapped.column_names == ["id", "tags", "x", "candidates"]
    again = pickle.loads(pickle.dumps(sampler))
    assert again.sample_rows(rows)["candidates"][:] == mapped["candidates"][:]


def test_seed_and_round_give_other_candidates():
    rows = Dataset.from_dict({"id": ["a"], "tags": [[]]})
    drawn = [
        CandidateSampler(pool=POOL, n=21, seed=seed, round_number=number).sample_rows(rows)[0]["candidates"]
        for seed, number in [(0, 0), (0, 1), (1, 0), (0, 0)]
    ]
    assert drawn[0] == drawn[3]
    assert len({tuple(each) for each in drawn}) == 3


def test_rejected_rows_and_rows_without_tags():
    rows = Dataset.from_dict(
        {"id": ["a", "b"], "tags": [None, []], "status": ["rejected", "ok"], "candidates": [["old"], ["old"]]}
    )
    assert CandidateSampler(pool=POOL, n=4).sample_rows(rows)["candidates"][0] == []
    assert len(CandidateSampler(pool=POOL, n=4).sample_rows(rows)["candidates"][1]) == 4
    assert CandidateSampler(pool=POOL, n=4, mode="band").sample_rows(rows)["candidates"][:] == [[], []]


def test_a_row_gets_what_there_is_where_that_is_less_than_n():
    pool = a_pool(TAGS[:6])
    rows = Dataset.from_dict({"id": ["a"], "tags": [TAGS[:2]]})
    (drawn,) = CandidateSampler(pool=pool, n=6).sample_rows(rows)["candidates"][:]
    assert sorted(drawn) == sorted(pool.clean(tag) for tag in TAGS[2:6])
    assert CandidateSampler(pool=pool, n=6, mode="band", band=(0.999, 1.0)).sample_rows(rows)["candidates"][:] == [[]]


def test_the_band_can_be_measured_from_the_instruction():
    rows = Dataset.from_dict({"id": ["a", "b"], "tags": [[], []], "instruction": ["ratio of things", " "]})
    near = CandidateSampler(pool=POOL, n=4, mode="band", band=(0.6, 1.0), anchor="instruction").sample_rows(rows)
    assert sorted(near[0]["candidates"]) == sorted(POOL.clean(tag) for tag in TAGS if tag.startswith("ratio"))
    assert near[1]["candidates"] == []


def test_draws_follow_the_weights():
    pool = a_pool(["alpha", "beta", "gamma"], [1, 3, 6])
    rows = Dataset.from_dict({"id": [str(i) for i in range(6000)], "tags": [[]] * 6000})

    def shares(**how):
        drawn = [found[0] for found in CandidateSampler(pool=pool, n=1, **how).sample_rows(rows)["candidates"]]
        return [drawn.count(tag) / len(drawn) for tag in ("alpha", "beta", "gamma")]

    assert shares() == pytest.approx([1 / 3, 1 / 3, 1 / 3], abs=0.03)
    assert shares(mode="frequency") == pytest.approx([0.1, 0.3, 0.6], abs=0.03)
    assert shares(mode="frequency", temperature=0.5) == pytest.approx([1 / 46, 9 / 46, 36 / 46], abs=0.03)


def test_a_mixed_pool_is_drawn_from_by_its_weights():
    mixed = mix_pools({"a": a_pool(TAGS[:4]), "b": a_pool(TAGS[8:40])}, {"a": 3, "b": 1})
    rows = Dataset.from_dict({"id": [str(i) for i in range(4000)], "tags": [[]] * 4000})
    drawn = [found[0] for found in CandidateSampler(pool=mixed, n=1).sample_rows(rows)["candidates"]]
    of_first = {mixed.clean(tag) for tag in TAGS[:4]}
    assert sum(tag in of_first for tag in drawn) / len(drawn) == pytest.approx(0.75, abs=0.03)


def test_the_race_has_the_law_of_the_draws(monkeypatch):
    """Without replacement by weight, from draws or from clocks: the same shares of second places."""
    logs = np.log(np.array([1.0, 2.0, 5.0]))
    seeds = np.arange(8000, dtype=np.uint64) * np.uint64(0x1234567)
    none = OwnNumbers(np.zeros(8001, np.int64), np.zeros(0, np.int32))
    by_draws, _ = draw_candidates(seeds, none, logs, 2)
    monkeypatch.setattr(candidate_draws, "DRAWS", 0)
    by_race, _ = draw_candidates(seeds, none, logs, 2)
    expected = [sum(p / 8 * q / (8 - p) for p in (1, 2, 5) if p != q) for q in (1, 2, 5)]
    for found in (by_draws, by_race):
        assert np.bincount(found[:, 1], minlength=3) / 8000 == pytest.approx(expected, abs=0.02)
    assert (by_draws != by_race).any()


def test_rows_of_a_group_do_not_get_the_same_candidates(monkeypatch):
    """They share a sequence; each has its own place in it. And in-band tags are drawn alike."""
    monkeypatch.setattr(candidate_draws, "GROUPS", 1)
    rows = Dataset.from_dict({"id": [str(i) for i in range(400)], "tags": [["ratio table"]] * 400})
    drawn = CandidateSampler(pool=POOL, n=5, mode="band", band=(-0.2, 0.9)).sample_rows(rows)["candidates"][:]
    assert len({tuple(found) for found in drawn}) > 250  # of the 280 different places that 400 rows have among 512
    times = Counter(tag for found in drawn for tag in found)
    assert len(times) > 50
    assert max(times.values()) < 0.25 * 400


def test_shares_are_splitmix64():
    """Its published first outputs for the seed 1234567."""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [uniform(np.uint64(1234567), place) for place in range(3)] == [(bits >> 11) / 2**53 for bits in expected]
    assert [share_of(1234567, place) for place in range(3)] == [(bits >> 11) / 2**53 for bits in expected]


def test_an_edge_of_the_band_is_decided_in_float64():
    """Tags whose cosine is an edge to the last bit are in; the next number beyond is out."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(40, 96)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    anchor = vectors[:1]
    own = OwnNumbers(np.zeros(2, np.int64), np.zeros(0, np.int32))
    for tag in (5, 17, 29):
        edge = cosine(anchor[0], vectors[tag])
        for low, high, inside in (
            (edge, 2.0, True),
            (np.nextafter(edge, 2), 2.0, False),
            (-2.0, edge, True),
            (-2.0, np.nextafter(edge, -2), False),
        ):
            band = Band(vectors, low, high)
            assert band.holds(anchor)[0, tag] == inside
            found, _ = draw_in_band(
                np.array([7], np.uint64), np.uint64, own, np.zeros(40), 40, band, lambda rows: anchor[rows]
            )
            assert (tag in found) == inside


@pytest.mark.parametrize(
    ("settings_", "words"),
    [
        ({"n": 0}, "n=0: expected a whole number of candidates from 1"),
        ({"n": 65}, "the pool has 64 tags, fewer than the n=65 candidates"),
        ({"mode": "near"}, "mode 'near' is unknown; expected one of uniform, frequency, band"),
        ({"anchor": "row"}, "anchor 'row' is unknown"),
        ({"temperature": 0.0}, "temperature=0.0: expected a number above 0"),
        ({"band": (0.7, 0.3)}, "expected lowest and highest cosine within -1 and 1"),
    ],
)
def test_settings_out_of_range(settings_, words):
    with pytest.raises(InputError, match=words.replace("(", r"\(").replace(")", r"\)")):
        CandidateSampler(pool=POOL, **settings_)


def test_rows_without_what_is_needed():
    sampler = CandidateSampler(pool=POOL, n=3)
    with pytest.raises(InputError, match="no column 'tags'; the columns are: id"):
        sampler.sample_rows(Dataset.from_dict({"id": ["a"]}))
    with pytest.raises(InputError, match="no column 'id'"):
        sampler({"tags": [[]]})
    with pytest.raises(InputError, match="row 1: got null in 1 rows"):
        sampler.sample_rows(Dataset.from_dict({"id": ["a", "b"], "tags": [["x"], None]}))
    with pytest.raises(InputError, match="null tag"):
        sampler.sample_rows(Dataset.from_dict({"id": ["a"], "tags": [["x", None]]}))
    with pytest.raises(InputError, match="no column 'instruction'"):
        CandidateSampler(pool=POOL, n=3, mode="band", anchor="instruction").sample_rows(
            Dataset.from_dict({"id": ["a"], "tags": [["x"]]})
        )
