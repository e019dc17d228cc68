"""A store with known truth: people who enter by one door and leave by another, past counters that miss some of them."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RESET = 1_699_848_000
"""04:00 UTC of a Monday."""
DAY = 86_400

Ints = NDArray[np.int64]


class ShopDay(NamedTuple):
    """`counts`: door number -> (in, out) per minute since the reset; `truth`: people present at the end of each minute."""

    reset: int
    counts: list[tuple[Ints, Ints]]
    truth: Ints


def shop_days(seed: int, days: int, doors: int = 3, visitors: int = 1000, miss: float = 0.08) -> Iterator[ShopDay]:
    """Days from 09:00 to 20:00, busier on Saturdays. Each door and direction misses its own share of people, 0 to `miss`,
    a little more or less every day."""
    rng = np.random.default_rng(seed)
    missed = rng.uniform(0, miss, (doors, 2))
    entering, leaving = rng.dirichlet([5] * doors), rng.dirichlet([5] * doors)
    for day in range(days):
        busy = rng.gamma(30, 1 / 30) * (1.6 if day % 7 == 5 else 1.0)
        n = int(rng.poisson(visitors * busy))
        came = 300 + rng.beta(2.5, 2, n) * 600
        left = np.minimum(came + rng.gamma(1.5, 25, n), 955 + 5 * rng.random(n))
        today = missed * rng.gamma(100, 0.01, (doors, 2))
        by_in, by_out = rng.choice(doors, n, p=entering), rng.choice(doors, n, p=leaving)
        seen_in, seen_out = rng.random(n) > today[by_in, 0], rng.random(n) > today[by_out, 1]
        counts = [(_minutes(came[seen_in & (by_in == d)]), _minutes(left[seen_out & (by_out == d)])) for d in range(doors)]
        yield ShopDay(RESET + day * DAY, counts, np.cumsum(_minutes(came) - _minutes(left)))


def _minutes(times: NDArray[np.float64]) -> Ints:
    return np.bincount(times.astype(int), minlength=1440).astype(np.int64)
