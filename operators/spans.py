"""Sets of seconds as sorted spans [start, end) that do not touch: what is covered, and what is missing. Epoch seconds."""

Spans = list[tuple[int, int]]


def covers(spans: Spans, start: int, end: int) -> bool:
    """Whether any second of [start, end) is in it."""
    return any(a < end and start < b for a, b in spans)


def length(spans: Spans) -> int:
    """Seconds in it."""
    return sum(b - a for a, b in spans)


def joined(spans: Spans, start: int, end: int) -> Spans:
    """The set with [start, end) added."""
    if end <= start:
        return spans
    if spans and spans[-1][0] <= start <= spans[-1][1]:  # the common case: time goes on
        return [*spans[:-1], (spans[-1][0], max(end, spans[-1][1]))]
    before = [s for s in spans if s[1] < start]
    after = [s for s in spans if s[0] > end]
    for a, b in spans[len(before) : len(spans) - len(after)]:
        start, end = min(start, a), max(end, b)
    return [*before, (start, end), *after]


def cut(spans: Spans, start: int, end: int) -> Spans:
    """The set without [start, end)."""
    if end <= start:
        return spans
    return [(a, b) for s in spans for a, b in ((s[0], min(s[1], start)), (max(s[0], end), s[1])) if a < b]


def inside(spans: Spans, start: int, end: int) -> Spans:
    """What of the set lies in [start, end)."""
    return [(max(a, start), min(b, end)) for a, b in spans if a < end and start < b]


def since(spans: Spans, start: int) -> Spans:
    """What of the set ends after a moment, whole."""
    return [s for s in spans if s[1] > start]
