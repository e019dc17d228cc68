"""Who went from where to where, estimated from counts alone: iterative proportional fitting with bounds that cannot be crossed.

Known are only the people that left each place (rows) and that came to each place (columns). Of all tables with these sums the
fit is the one nearest to the seed; with an even seed it is the one that assumes least. It is a model and labelled so.
Method: Deming and Stephan, Ann. Math. Stat. 11 (1940); bounds: Fréchet.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
MOST_ROUNDS = 500
NEAR = 1e-9


class Fitted(NamedTuple):
    """`people[i, j]`: from i to j; `low`, `high`: what the sums allow at all. `unbalanced`: difference of the two totals as
    a share of their mean (people that stayed inside, or were missed); `miss`: largest relative deviation of a sum that
    remains."""

    people: Matrix
    low: Matrix
    high: Matrix
    unbalanced: float
    miss: float


def fit(left: Matrix, came: Matrix, seed: Matrix) -> Fitted:
    """Fit a table to its sums. `left`: people that left each place, `came`: that came to each; `seed`: rows x columns, 0
    where nobody can go. Both totals are first scaled to their mean."""
    total = (left.sum() + came.sum()) / 2
    if not left.sum() or not came.sum():
        nothing = np.zeros(seed.shape)
        return Fitted(nothing, nothing, np.minimum.outer(left, came), 2.0 if total else 0.0, 0.0)
    unbalanced = abs(left.sum() - came.sum()) / total
    rows, columns = left * total / left.sum(), came * total / came.sum()
    table = seed * (rows > 0)[:, None] * (columns > 0)
    miss = 1.0
    for _ in range(MOST_ROUNDS):
        table = table * _ratio(rows, table.sum(axis=1))[:, None]
        table = table * _ratio(columns, table.sum(axis=0))
        miss = float(np.abs(table.sum(axis=1) - rows).max() / total)
        if miss < NEAR:
            break
    low = np.maximum(0.0, rows[:, None] + columns[None, :] - total)
    return Fitted(table, low, np.minimum.outer(rows, columns), float(unbalanced), miss)


def _ratio(wanted: Matrix, there: Matrix) -> Matrix:
    return np.divide(wanted, there, out=np.zeros_like(wanted), where=there > 0)


def wrongly_placed(estimate: Matrix, truth: Matrix) -> float:
    """Share of the people that an estimate puts into a wrong cell: half the sum of differences by the truth's total."""
    return float(np.abs(estimate - truth).sum() / 2 / truth.sum())
