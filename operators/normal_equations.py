"""Several small regressions for medians, taught in blocks: normal equations with forgetting, solved once per block.

What `operators/recursive.py` does answer by answer, for many at once: each error is weighted by 1 / max(|error| / usual error,
1/2), one step of reweighting towards least absolute errors. The equations are always pulled a little to the coefficients they
began with, so that a season of zeros leaves them solvable. Kept in float32, so that a stored state goes on exactly like the
one in memory.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Many = NDArray[np.float64]
_SHARP = 0.5
"""Errors below this share of the usual one are weighted alike."""
_MOST = 5.0
"""A coefficient beyond this has run away: features are residuals and levels on one scale."""
_PULL = 0.02
"""Least trust in `first` that is left in the end."""


class NormalEquations:
    """Starts from `first`, a row of coefficients for each regression. `forget`: weight of the past per answer; `ridge`: trust
    in `first`; `rate`: weight of the newest error in the usual one."""

    __slots__ = ("_first", "_forget", "_left", "_one", "_rate", "_ridge", "_right", "_solved", "_spread", "_theta")

    def __init__(self, first: Floats, forget: float, ridge: float, rate: float) -> None:
        rows, width = first.shape
        self._first, self._forget, self._rate = first.astype(np.float64), forget, rate
        self._ridge, self._one = ridge, _identity(width)
        self._left = np.empty((rows, width, width), np.float32)
        self._left[:] = self._one * np.float32(ridge)
        self._right = first * np.float32(ridge)
        self._spread = np.ones(rows, np.float32)
        self._theta, self._solved = self._first.copy(), True

    @property
    def theta(self) -> Many:
        """Coefficients, one row per regression."""
        if not self._solved:
            self._solve(slice(0, len(self._theta)))
            self._solved = True
        return self._theta

    def row(self, at: int) -> list[float]:
        """Coefficients of one regression; the others need not be solved for it."""
        if self._solved:
            return self._theta[at].tolist()  # type: ignore[no-any-return]  # numpy says Any
        self._solve(slice(at, at + 1))
        return self._theta[at].tolist()  # type: ignore[no-any-return]

    def learn(self, rows: slice, x: Many, wanted: Many, known: NDArray[np.bool_]) -> None:
        """Teach the regressions `rows` some answers each: `x` (rows, answers, width), `wanted` and `known` (rows, answers)."""
        spread = self._spread[rows]
        size = np.abs(wanted - (x @ self.theta[rows][:, :, None])[:, :, 0])
        weight = known / np.maximum(size / spread[:, None], _SHARP)
        count = known.sum(1)
        kept = self._forget**count
        weighted = x * weight[:, :, None]
        left, right = self._left[rows], self._right[rows]
        pull = ((1.0 - kept) * _PULL)[:, None]
        left *= kept[:, None, None]
        left += np.swapaxes(weighted, 1, 2) @ x
        left += pull[:, :, None] * self._one
        right *= kept[:, None]
        right += (weighted * wanted[:, :, None]).sum(1) + pull * self._first[rows]
        usual = (np.minimum(size, 3.0 * spread[:, None]) * known).sum(1) / np.maximum(count, 1)
        spread += (1.0 - (1.0 - self._rate) ** count) * (usual - spread)
        np.maximum(spread, np.float32(1e-3), out=spread)
        self._solve(rows)

    def _solve(self, rows: slice) -> None:
        """Coefficients from the equations; what has run away starts again."""
        try:
            theta = np.linalg.solve(self._left[rows].astype(np.float64), self._right[rows].astype(np.float64)[:, :, None])
        except np.linalg.LinAlgError:
            theta = np.full((*self._right[rows].shape, 1), np.nan)
        self._theta[rows] = theta[:, :, 0]
        lost = ~(np.abs(self._theta[rows]).max(1) <= _MOST)
        if lost.any():
            self._theta[rows][lost] = self._first[rows][lost]
            self._left[rows][lost] = self._one * self._ridge
            self._right[rows][lost] = self._first[rows][lost] * self._ridge

    def state(self) -> list[bytes]:
        """The upper triangles of the left sides, the right sides and the spreads."""
        i, j = _upper(self._left.shape[1])
        upper = self._left[:, i, j]
        return [np.ascontiguousarray(upper).tobytes(), self._right.tobytes(), self._spread.tobytes()]

    def load(self, parts: list[bytes]) -> None:
        """What `state` gave. Raises ValueError when the sizes do not fit."""
        upper, right, spread = (np.frombuffer(p, np.float32) for p in parts)
        i, j = _upper(self._left.shape[1])
        self._left[:, i, j] = self._left[:, j, i] = upper.reshape(len(self._right), -1)
        self._right[:] = right.reshape(self._right.shape)
        self._spread[:] = spread.reshape(self._spread.shape)
        self._solved = False


@lru_cache
def _identity(width: int) -> Floats:
    return np.eye(width, dtype=np.float32)


@lru_cache
def _upper(width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places of the upper triangle."""
    return np.triu_indices(width)
