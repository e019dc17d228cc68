"""Tallies: how much of each value there was, such as {"present": {3: 40, 4: 20}} for forty seconds with three people.

Gauges (value -> seconds) and durations (seconds -> how many) are kept like this, because tallies add and subtract exactly: a
correction takes back what it corrects, and mean, highest and any quantile of a day come from the same numbers as those of a
minute, in whatever order the reports came.
"""

from collections.abc import Mapping

Histogram = dict[int, int]
Tally = dict[str, Histogram]


def add(to: Tally, more: Mapping[str, Mapping[int, int]], sign: int = 1) -> None:
    """Add (or with sign -1 take away) what `more` holds; values of which nothing is left are gone."""
    for name, values in more.items():
        held = to.setdefault(name, {})
        for value, amount in values.items():
            left = held.get(value, 0) + sign * amount
            if left:
                held[value] = left
            else:
                held.pop(value, None)
        if not held:
            del to[name]


def difference(new: Tally, old: Tally) -> Tally:
    """New minus old."""
    found: Tally = {}
    add(found, new)
    add(found, old, -1)
    return found


def amount(values: Histogram) -> int:
    """How much there is in all."""
    return sum(values.values())


def total(values: Histogram) -> int:
    """Sum of value times how much of it."""
    return sum(value * much for value, much in values.items())


def mean(values: Histogram) -> float | None:
    """Weighted mean; None of nothing."""
    much = amount(values)
    return total(values) / much if much else None


def quantile(values: Histogram, share: float) -> int | None:
    """The smallest value that at least this share does not exceed (nearest rank); None of nothing."""
    wanted = share * amount(values)
    seen = 0
    for value in sorted(values):
        seen += values[value]
        if seen >= wanted - 1e-9:
            return value
    return None


def at_least(values: Histogram, mark: int) -> int:
    """How much is at or over a mark."""
    return sum(much for value, much in values.items() if value >= mark)


def rounded_s(seconds: float) -> int:
    """A duration as it is tallied: whole seconds below ten minutes, above to about 1 %, so that a day has few values."""
    whole = round(seconds)
    step = 1 if whole < 600 else 10 if whole < 6000 else 100
    return (whole + step // 2) // step * step
