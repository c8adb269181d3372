"""The saturation rule, figures of a sweep, and costs of stages, by hand."""

from typing import Any

import pytest
from datasets import Dataset

from tagsmith.recipes.budget_sweep import saturation
from tagsmith.recipes.evolution_measures import mean, standard_error
from tagsmith.recipes.stage_costs import each, stage_costs


def sweep(*points: tuple[int, float | None]) -> list[dict[str, Any]]:
    return [{"budget": b, "difficulty": d, "seed_difficulty": 2.0} for b, d in points]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(1, 3.0), (2, 5.0), (3, 6.0)], 3),  # still rising
        ([(1, 3.0), (2, 5.8), (3, 6.0)], 2),  # 95 % of the largest gain, just
        ([(1, 3.0), (2, 5.79), (3, 6.0)], 3),
        ([(1, 6.0), (2, 5.0)], 1),  # falls from the start
        ([(3, 5.0), (1, 5.0)], 1),  # whatever the order
        ([(1, None), (2, 4.0)], 2),  # a budget without accepted rows does not count
        ([(1, 1.5), (2, 2.0)], None),  # nothing gained
        ([(1, None)], None),
        ([], None),
    ],
)
def test_saturation_is_where_nearly_all_is_gained(points: Any, expected: int | None) -> None:
    assert saturation(sweep(*points)) == expected


def test_means_and_errors_of_few_values() -> None:
    assert mean([]) is None
    assert mean([1, 2]) == 1.5
    assert standard_error([3]) is None
    assert standard_error([1, 2, 3, 4]) == pytest.approx(0.6454972)  # sqrt(5/3) / 2


class Store:
    """What `stage_costs` asks of a generation store: keys and what lies under them."""

    def __init__(self, **replies: tuple[str | None, int | None, int | None]) -> None:
        self.replies = replies

    def export(self, keys: list[bytes]) -> Any:
        import pyarrow as pa

        found = [self.replies[f"k{key.hex()}"] for key in keys]
        names = ("text", "prompt_tokens", "reply_tokens")
        kinds = (pa.string(), pa.int64(), pa.int64())
        columns = [pa.array([reply[n] for reply in found], kind) for n, kind in enumerate(kinds)]
        return pa.table(columns, names=names)


def test_each_reply_is_counted_in_the_stage_that_paid_for_it() -> None:
    store: Any = Store(k01=("a", 10, 1), k02=("b", 20, 2), k03=(None, None, None), k04=("d", 40, None))
    first = Dataset.from_dict({"generation_keys": [["01"], ["02", "03"], []]})
    # The second row was rejected before and carries its old keys; the third asks what the first asked already.
    second = Dataset.from_dict({"generation_keys": [["04"], ["02", "03"], ["01"]]})
    assert stage_costs([("one", store, first), ("two", store, second)]).to_list() == [
        {"stage": "one", "rows": 2, "calls": 2, "prompt_tokens": 30, "reply_tokens": 3},
        {"stage": "two", "rows": 1, "calls": 1, "prompt_tokens": 40, "reply_tokens": 0},
    ]


def test_costs_for_each_accepted_row() -> None:
    stages = [{"calls": 3, "prompt_tokens": 10, "reply_tokens": 2}, {"calls": 1, "prompt_tokens": 0, "reply_tokens": 0}]
    assert each(stages, 2) == (2.0, 6.0)
    assert each(stages, 0) == (None, None)
