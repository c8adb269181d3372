"""Names of topics that no two share: of several that want one name, the most used topic gets it."""

from collections.abc import Callable, Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray


def unique_names(
    wanted: Sequence[str],
    former: Sequence[str],
    central: Sequence[str],
    weights: NDArray[np.int64],
    key: Callable[[str], str],
) -> tuple[list[str], int]:
    """A name for each topic, and how many did not get the one they wanted.

    Args:
        wanted: what each topic should be called.
        former: its name before, which it keeps where the wanted one is taken.
        central: its most central member, put behind the former name in brackets where that is taken, too.
        weights: uses of each topic: the heaviest chooses first, of equals the first one.
        key: equal for names that count as one.
    """
    taken: set[str] = set()
    names = list(wanted)
    missed = 0
    for number in np.lexsort((np.arange(len(names)), -weights)).tolist():
        for attempt in count():
            name = _attempt(attempt, wanted[number], former[number], central[number])
            if key(name) not in taken:
                break
        missed += attempt > 0
        names[number] = name
        taken.add(key(name))
    return names, missed


def _attempt(number: int, wanted: str, former: str, central: str) -> str:
    if number < 3:
        return (wanted, former, f"{former} ({central})")[number]
    return f"{former} ({central}, {number - 1})"
