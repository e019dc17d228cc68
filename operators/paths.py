"""Paths through a store: visits from stays of one track, transitions between places, what follows from them as a Markov chain.

A place is any name (a zone, a door). A path is the tuple of places that one visit saw, in order, no place twice in a row.
ENTRY and EXIT stand before its first and after its last place. Definitions: kpis.md 2.5, written down in docs/analysts.md.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ENTRY, EXIT = "entry", "exit"
GAP_S = 600
"""Two stays of one track further apart than this are two visits: devices use track numbers again."""
BOUNCE_S = 10
"""A stay shorter than this looked in and went on (kpis.md 2.5)."""

Path = tuple[str, ...]
Counts = Mapping[tuple[str, str], float]
Matrix = NDArray[np.float64]


class Stayed(NamedTuple):
    """One stay: epoch seconds, place, seconds of dwell, arrival in epoch ms."""

    start: int
    end: int
    place: str
    dwell_s: float
    known: int


def visits(stays: Iterable[Stayed], gap_s: int = GAP_S, most_s: int = 86_400) -> list[list[Stayed]]:
    """Stays of one track as visits, in order: a new one begins after a gap longer than `gap_s`, and `most_s` after the first
    stay."""
    found: list[list[Stayed]] = []
    until = 0
    for stay in sorted(stays):
        if not found or stay.start - until > gap_s or stay.start - found[-1][0].start > most_s:
            found.append([])
            until = stay.end
        found[-1].append(stay)
        until = max(until, stay.end)
    return found


def path_of(visit: Sequence[Stayed]) -> Path:
    """The places of a visit; a place that comes twice in a row is one (the device lost and found the person)."""
    places = [stay.place for stay in visit]
    return tuple(p for i, p in enumerate(places) if i == 0 or p != places[i - 1])


def transitions(paths: Mapping[Path, float]) -> dict[tuple[str, str], float]:
    """People by (from, to), ENTRY and EXIT included, from visits by path."""
    found: dict[tuple[str, str], float] = {}
    for path, n in paths.items():
        for step in zip((ENTRY, *path), (*path, EXIT), strict=True):
            found[step] = found.get(step, 0) + n
    return found


class Chain(NamedTuple):
    """A first-order chain over places. `places`: states in the order of the rows, ENTRY first. `step[i, j]`: probability of
    going from state i to place j + 1 (nobody comes back to ENTRY), the last column to EXIT."""

    places: tuple[str, ...]
    step: Matrix


def chain(counts: Counts, alpha: float = 1.0) -> Chain:
    """Transition probabilities (n_ij + alpha / K) / (n_i + alpha); K: what can follow i. Nobody goes from ENTRY to EXIT
    directly, and no place follows itself."""
    inner = sorted({p for pair in counts for p in pair} - {ENTRY, EXIT})
    places, columns = (ENTRY, *inner), (*inner, EXIT)
    step = np.zeros((len(places), len(columns)))
    for i, here in enumerate(places):
        may = [j for j, to in enumerate(columns) if to != here and not (here == ENTRY and to == EXIT)]
        row = [counts.get((here, columns[j]), 0.0) for j in may]
        total = sum(row) + alpha
        for j, n in zip(may, row, strict=True):
            step[i, j] = (n + alpha / len(may)) / total if total else 0.0
    return Chain(places, step)


class Outlook(NamedTuple):
    """What a chain says of each state, ENTRY first: `visits`, expected visits of it in one visit of the store; `reach`,
    probability of coming to one of the goals from there (1 at a goal; None without goals); `left`, places still to come;
    `bits`, entropy of where to go next."""

    places: tuple[str, ...]
    visits: list[float]
    reach: list[float] | None
    left: list[float]
    bits: list[float]


def outlook(of: Chain, goals: frozenset[str] = frozenset()) -> Outlook:
    """Fundamental matrix (I - Q)^-1 and absorption probabilities of a chain."""
    size = len(of.places)
    among = np.zeros((size, size))  # from state to state: nobody comes to ENTRY, leaving the store leaves the matrix
    among[:, 1:] = of.step[:, :-1]
    fundamental = np.linalg.inv(np.eye(size) - among)
    at_goal = np.array([place in goals for place in of.places])
    reach = None
    if at_goal.any():
        reach = np.ones(size)
        other = ~at_goal
        straight = among[np.ix_(other, at_goal)].sum(axis=1)
        reach[other] = np.linalg.solve(np.eye(int(other.sum())) - among[np.ix_(other, other)], straight)
    bits = [float(-sum(p * math.log2(p) for p in row if p > 0)) for row in of.step]
    left = fundamental.sum(axis=1) - 1
    return Outlook(of.places, fundamental[0].tolist(), None if reach is None else reach.tolist(), left.tolist(), bits)


class Order(NamedTuple):
    """First against second order: Bayes information criterion of both (the smaller is believed), on so many transitions."""

    order: int
    first_bic: float
    second_bic: float
    transitions: float


def order_of(paths: Mapping[Path, float]) -> Order:
    """Whether where people go depends on the place before, too. Contexts are as seen; ENTRY stands twice before a path."""
    single: Counter[tuple[str, str]] = Counter()
    double: Counter[tuple[str, str, str]] = Counter()
    for path, n in paths.items():
        full = (ENTRY, ENTRY, *path, EXIT)
        for a, b, c in zip(full, full[1:], full[2:], strict=False):
            single[b, c] += n  # type: ignore[assignment]  # counts may be fractions
            double[a, b, c] += n  # type: ignore[assignment]
    total = float(sum(single.values()))
    if not total:
        return Order(1, 0.0, 0.0, 0.0)
    first, second = (_bic({(k[:-1], k[-1]): n for k, n in c.items()}, total) for c in (single, double))
    return Order(1 if first <= second else 2, first, second, total)


def _bic(counts: Mapping[tuple[tuple[str, ...], str], float], total: float) -> float:
    contexts: dict[tuple[str, ...], float] = {}
    for (context, _), n in counts.items():
        contexts[context] = contexts.get(context, 0) + n
    likelihood = sum(n * math.log(n / contexts[context]) for (context, _), n in counts.items() if n)
    return -2 * likelihood + (len(counts) - len(contexts)) * math.log(total)


class Delay(NamedTuple):
    """A place that slows people down when many come. `free_s`: mean dwell in its quieter half of hours, `busy_s` in its
    busier half; `lost_s`: person-seconds of all hours beyond what `free_s` would have taken."""

    place: str
    free_s: float
    busy_s: float
    lost_s: float


def bottlenecks(hours: Mapping[str, Sequence[tuple[float, float]]]) -> list[Delay]:
    """Places by person-seconds lost, worst first. `hours`: per place (stays, seconds of dwell) of each hour.

    A place whose dwell does not grow with the number of people loses nothing, however long they like to stay. Needs four
    hours with people; places with fewer are left out.
    """
    found = []
    for place, each in hours.items():
        used = sorted((n, dwell) for n, dwell in each if n > 0)
        if len(used) < 4:
            continue
        half = len(used) // 2
        free, busy = (sum(d for _, d in part) / sum(n for n, _ in part) for part in (used[:half], used[half:]))
        lost = sum(max(0.0, dwell - n * free) for n, dwell in used[half:]) if busy > free else 0.0
        found.append(Delay(place, free, busy, lost))
    return sorted(found, key=lambda d: (-d.lost_s, d.place))
