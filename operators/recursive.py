"""Recursive least squares for medians: several small regressions at once, with forgetting and guards.

Each error is weighted by 1 / max(|error| / usual error, 1/2), one step of reweighting towards least absolute errors: a holiday
then teaches as little as a median would let it. Kept in float32, so that a stored state goes on exactly like the one in memory.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_SHARP = 0.5
"""Errors below this share of the usual one are weighted alike."""
_MOST = 5.0
"""A coefficient beyond this has run away: features are residuals and levels on one scale."""


class Regressions:
    """Starts from `first`, a row of coefficients for each. `forget`: weight of the past per update; `ridge`: trust in `first`;
    `rate`: weight of the newest error in the usual one."""

    __slots__ = ("_first", "_forget", "_rate", "_ridge", "_spread", "_theta", "_upper", "covariance")

    def __init__(self, first: Floats, forget: float, ridge: float, rate: float) -> None:
        rows, width = first.shape
        self._first, self._forget, self._ridge, self._rate = first, forget, ridge, rate
        self._theta = first.copy()
        self.covariance = np.tile(np.eye(width, dtype=np.float32) / np.float32(ridge), (rows, 1, 1))
        self._spread = np.ones(rows, np.float32)
        self._upper = np.triu_indices(width)

    @property
    def theta(self) -> Floats:
        """Coefficients, one row per regression."""
        return self._theta

    def learn(self, which: slice | int, x: Floats, wanted: float) -> None:
        """Teach the regressions `which` one value; `x` has a row of features for each."""
        rows = slice(which, which + 1) if isinstance(which, int) else which
        theta, covariance, spread = self._theta[rows], self.covariance[rows], self._spread[rows]
        error = np.float32(wanted) - (theta * x).sum(1)
        size = np.abs(error)
        weight = 1.0 / np.maximum(size / spread, np.float32(_SHARP))
        spread += np.float32(self._rate) * (np.minimum(size, 3 * spread) - spread)
        np.maximum(spread, np.float32(1e-3), out=spread)
        turned = (covariance @ x[:, :, None])[:, :, 0]
        gain = weight / (np.float32(self._forget) + weight * (x * turned).sum(1))
        theta += turned * (gain * error)[:, None]
        covariance -= turned[:, :, None] * turned[:, None, :] * gain[:, None, None]
        covariance /= np.float32(self._forget)
        self._guard(rows)

    def _guard(self, rows: slice) -> None:
        """Without news the covariance grows by forgetting; and what has run away starts again."""
        theta, covariance = self._theta[rows], self.covariance[rows]
        width = theta.shape[1]
        diagonal = covariance.reshape(len(theta), -1)[:, :: width + 1]
        trace = diagonal.sum(1)
        grown = trace > 2.0 * width / self._ridge
        if grown.any():
            covariance[grown] *= np.float32(0.9)
        lost = ~np.isfinite(theta).all(1) | (np.abs(theta).max(1) > _MOST) | ~np.isfinite(trace) | (diagonal.min(1) <= 0.0)
        if lost.any():
            theta[lost] = self._first[rows][lost]
            covariance[lost] = np.eye(width, dtype=np.float32) / np.float32(self._ridge)

    def state(self) -> list[bytes]:
        """Coefficients, spreads and the upper triangle of each covariance."""
        upper = self.covariance[:, self._upper[0], self._upper[1]]
        return [self._theta.tobytes(), self._spread.tobytes(), np.ascontiguousarray(upper).tobytes()]

    def load(self, parts: list[bytes]) -> None:
        """What `state` gave. Raises ValueError when the sizes do not fit."""
        theta, spread, upper = (np.frombuffer(p, np.float32) for p in parts)
        self._theta[:] = theta.reshape(self._theta.shape)
        self._spread[:] = spread.reshape(self._spread.shape)
        i, j = self._upper
        self.covariance[:, i, j] = self.covariance[:, j, i] = upper.reshape(len(self._theta), -1)
