"""How full a store is: share of a capacity and the probability of having reached it (kpis.md 2.4, capacity alert)."""

from math import ceil, erfc, sqrt

_SHARE = 0.9
"""Share of a capacity at which it counts as reached."""
_SQRT2 = sqrt(2.0)


def share_of(estimate: float, limit: int | None) -> float | None:
    """Occupancy as a share of a capacity; None without one."""
    return estimate / limit if limit else None


def probability_at_or_over(limit: int | None, estimate: float, deviation: float) -> float | None:
    """P(people >= 90 % of a limit) for a normal error.

    People are whole, so the smallest number that counts is ceil(0.9 x limit) (at least one), and the normal curve is cut half
    a person below it (continuity correction).
    """
    if limit is None:
        return None
    # The tiny step down keeps 0.9 x 10 = 9.000000000000002 from needing ten people.
    least = max(1, ceil(_SHARE * limit - 1e-9)) - 0.5
    if deviation <= 0.0:
        return 1.0 if estimate >= least else 0.0
    return 0.5 * erfc((least - estimate) / (deviation * _SQRT2))
