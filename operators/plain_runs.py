"""Plain reports of a minute each, device by device: what a lane counts in one go instead of report by report.

Times are epoch seconds, arrivals epoch milliseconds.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from operators.spread import MINUTE
from schemas.events import Plain

LEAST = 8
"""Fewer reports of a device than this are counted one by one."""

Numbers = npt.NDArray[np.int64]


class Run(NamedTuple):
    """Reports of one device in order, all with the same lines: starts, arrivals, and the counts: people in of the first line,
    people out of it, and so on."""

    device: str
    lines: tuple[int, ...]
    start: list[int]
    known: list[int]
    counts: list[tuple[int, ...]]


class Part(NamedTuple):
    """Minutes of one line: start, people in and out, arrival."""

    start: Sequence[int]
    people_in: Sequence[int]
    people_out: Sequence[int]
    known: Sequence[int]


class Minutes(NamedTuple):
    """Minutes of a store, ascending: start, people in and out, contributions, newest arrival."""

    start: Numbers
    people_in: Numbers
    people_out: Numbers
    n: Numbers
    known: Numbers


def runs_of(waiting: Iterable[Plain]) -> tuple[list[Run], list[Plain]]:
    """Runs of reports over whole minutes of the clock, and the reports that are in none."""
    by_device: dict[str, list[Plain]] = {}
    left: list[Plain] = []
    for plain in waiting:
        start = plain.start
        if plain.end - start != MINUTE or start % MINUTE:
            left.append(plain)
            continue
        reports = by_device.get(plain.device)
        if reports is None:
            by_device[plain.device] = [plain]
        else:
            reports.append(plain)
    runs = []
    for device, reports in by_device.items():
        lines = reports[0].lines
        if len(reports) < LEAST or [p.lines for p in reports].count(lines) < len(reports):
            left += reports
        else:
            starts, known = [p.start for p in reports], [p.arrival for p in reports]
            runs.append(Run(device, lines, starts, known, list(zip(*[p.counts for p in reports], strict=True))))
    return runs, left


def total_of(parts: Sequence[Part]) -> Minutes:
    """The minutes of several lines (at least one) added up."""
    starts, ins, outs, arrivals = (
        np.fromiter(chain.from_iterable([p[column] for p in parts]), np.int64) for column in range(4)
    )
    start, where = np.unique(starts, return_inverse=True)
    size = len(start)
    known = np.zeros(size, np.int64)
    np.maximum.at(known, where, arrivals)
    into, out = (np.bincount(where, c, size).astype(np.int64) for c in (ins, outs))  # exact: far below 2 ** 53
    return Minutes(start, into, out, np.bincount(where, minlength=size), known)


Quarter = tuple[int, int, int, int, int]
"""Its first minute; people in and out, contributions; newest arrival."""


def by_quarter(minutes: Minutes) -> list[Quarter]:
    """Minutes by quarter of an hour."""
    quarter = minutes.start // 900
    cuts = np.concatenate(((0,), np.flatnonzero(quarter[1:] != quarter[:-1]) + 1))
    sums = [np.add.reduceat(column, cuts).tolist() for column in minutes[1:4]]
    return list(zip(minutes.start[cuts].tolist(), *sums, np.maximum.reduceat(minutes.known, cuts).tolist(), strict=True))


def quarters_of(start: Sequence[int], known: Sequence[int]) -> list[tuple[int, int, int]]:
    """Ascending minutes by quarter of an hour: the slice of them, and the newest arrival in it."""
    found, since = [], 0
    while since < len(start):
        until = bisect_left(start, start[since] // 900 * 900 + 900, since)
        found.append((since, until, max(known[since:until])))
        since = until
    return found
