"""A report over several minutes, spread over its minutes as whole numbers: proportional shares, largest remainder first.

Deterministic: ties go by a fixed order that is even over the report (bit reversal: first, middle, quarters, ...), so the same
report always gives the same minutes. With ties to the earliest, ten people of half an hour all came in its first ten minutes,
and quarters of an hour of an even flow alternated. The order is that of all counts of a report, so of the people of a minute
never more are children than there are people.
"""

from functools import lru_cache

from operators.memory import Values

MINUTE = 60


@lru_cache(maxsize=4096)
def _turns(minutes: int) -> tuple[int, ...]:
    """The rank of each minute among those of a report."""
    width = max(1, (minutes - 1).bit_length())
    order = sorted(range(minutes), key=lambda i: int(f"{i:0{width}b}"[::-1], 2))
    turns = [0] * minutes
    for turn, minute in enumerate(order):
        turns[minute] = turn
    return tuple(turns)


def shares(value: int, weights: list[int], whole: int) -> list[int]:
    """A whole number shared out by weights that add up to `whole`."""
    base = [value * w // whole for w in weights]
    rest = value - sum(base)
    if rest:
        turns = _turns(len(weights))
        order = sorted(range(len(weights)), key=lambda i: (-(value * weights[i] % whole), turns[i]))
        for i in order[:rest]:
            base[i] += 1
    return base


def spread(start: int, end: int, values: Values) -> list[tuple[int, int, Values]]:
    """(minute, covered seconds, values) for every minute that [start, end) touches; values sum to those given.

    A moment (start == end) lies in its minute and covers no time. Epoch seconds.
    """
    first = start - start % MINUTE
    if end <= first + MINUTE:
        return [(first, end - start, values)]
    minutes = list(range(first, end, MINUTE))
    seconds = [min(end, m + MINUTE) - max(start, m) for m in minutes]
    columns = [None if v is None else shares(v, seconds, end - start) for v in values]
    return [
        (m, seconds[i], tuple(None if c is None else c[i] for c in columns))  # type: ignore[misc]  # eight values, as in `Values`
        for i, m in enumerate(minutes)
    ]
