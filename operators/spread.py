"""A report over several minutes, spread over its minutes as whole numbers: proportional shares, largest remainder first.

Deterministic: ties go to the earlier minute, so the same report always gives the same minutes.
"""

from operators.memory import Values

MINUTE = 60


def _shares(value: int, weights: list[int], whole: int) -> list[int]:
    base = [value * w // whole for w in weights]
    rest = value - sum(base)
    if rest:
        order = sorted(range(len(weights)), key=lambda i: (-(value * weights[i] % whole), i))
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
    columns = [None if v is None else _shares(v, seconds, end - start) for v in values]
    return [
        (m, seconds[i], tuple(None if c is None else c[i] for c in columns))  # type: ignore[misc]  # eight values, as in `Values`
        for i, m in enumerate(minutes)
    ]
