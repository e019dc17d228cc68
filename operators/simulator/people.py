"""Who really comes: parties of visitors and staff of one store and civil day, and the crossings they make.

Everything is a pure function of (seed, store, day). Times are epoch seconds, UTC, as floats.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from math import exp
from random import Random
from typing import Literal, NamedTuple

import msgspec

from operators.calendar import WEEKDAYS, local_start, opening
from schemas.sites import Site

WEEKDAY_SHARE = {"mon": 0.88, "tue": 0.9, "wed": 0.95, "thu": 1.0, "fri": 1.2, "sat": 1.55, "sun": 0.75}
"""Visitors of a weekday relative to the store's usual number. Shape as in public footfall series: Saturday leads."""

_HUMPS = {"week": ((12.6, 1.6, 0.8), (17.4, 1.9, 1.0)), "weekend": ((14.6, 2.8, 1.0), (11.2, 1.4, 0.35))}
"""Hour of the day, width in hours and height of the bumps in the arrival rate."""


class Spot(msgspec.Struct, frozen=True):
    """A place where a line is drawn. `share`: of entries that use it (outer doors) or of visitors that pass it (inner)."""

    name: str
    share: float
    outer: bool = True


class Happening(msgspec.Struct, frozen=True):
    """Something that really happens in a store in [start, end), epoch seconds: `closed` (nobody comes, who is inside leaves
    within minutes), `surge` (`factor` times the people come), `door` (the outer door `spot` is shut)."""

    kind: Literal["closed", "surge", "door"]
    start: int
    end: int
    factor: float = 1.0
    spot: int = -1


class Shop(msgspec.Struct, frozen=True):
    """A store as people see it. `daily`: visitors on an ordinary day; `stay_min`: median stay in minutes;
    `unusual`: factor on the visitors of single days (ISO date); `happenings`: what happens beside."""

    site: Site
    daily: float
    spots: tuple[Spot, ...]
    stay_min: float = 14.0
    staff: int = 6
    unusual: Mapping[str, float] = {}
    happenings: tuple[Happening, ...] = ()

    def happens(self, kind: str, at: float) -> list[Happening]:
        """What of a kind happens at a moment."""
        return [h for h in self.happenings if h.kind == kind and h.start <= at < h.end]


class Crossing(msgspec.Struct, gc=False):
    """One person over one line: `way` is +1 in, -1 out. `leads` is true for the first of a party of two or more."""

    at: float
    spot: int
    way: int
    child: bool = False
    staff: bool = False
    leads: bool = False


class Party(NamedTuple):
    """Visitors who come and go together. `children`: for each of them whether it is a child."""

    at: float
    leave: float
    children: list[bool]
    crossings: list[Crossing]


def rate_shape(hour: float, weekend: bool) -> float:
    """Relative arrival rate at an hour of the civil day."""
    humps = _HUMPS["weekend" if weekend else "week"]
    return 0.12 + sum(height * exp(-(((hour - middle) / width) ** 2)) for middle, width, height in humps)


def day_factor(seed: int, shop: Shop, day: date) -> float:
    """Visitors of a day relative to the ordinary: weekday, chance, and now and then an unusual day."""
    rng = Random(f"{seed}:{shop.site.id}:{day}:factor")
    factor = WEEKDAY_SHARE[WEEKDAYS[day.weekday()]] * rng.lognormvariate(0, 0.07)
    if rng.random() < 0.03:
        factor *= rng.choice((0.45, 1.6, 1.9))
    return factor * shop.unusual.get(day.isoformat(), 1.0)


def crossings(seed: int, shop: Shop, day: date) -> list[Crossing]:
    """All crossings that follow from one civil day's opening times, in order of time."""
    made = [c for party in parties(seed, shop, day) for c in party.crossings]
    made += _staff(seed, shop, day)
    made.sort(key=lambda c: (c.at, c.spot, c.way))
    return made


def parties(seed: int, shop: Shop, day: date) -> Iterator[Party]:
    """The visitors that follow from one civil day's opening times, in the order in which they come."""
    rng = Random(f"{seed}:{shop.site.id}:{day}:visitors")
    outer, inner = _by_kind(shop)
    for opened, closed in opening(shop.site, day):
        factor = day_factor(seed, shop, day)
        arrivals = _arrivals(rng, shop, factor, day, opened, closed)
        if shop.happenings:
            arrivals = _with_happenings(seed, shop, arrivals, factor, day, opened, closed)
        for at in arrivals:
            yield _party(rng, shop, outer, inner, at, closed)


def _with_happenings(
    seed: int, shop: Shop, arrivals: Iterator[float], factor: float, day: date, opened: int, closed: int
) -> Iterator[float]:
    rng = Random(f"{seed}:{shop.site.id}:{day}:more")
    for at in arrivals:
        if not shop.happens("closed", at):
            yield at
    for surge in [h for h in shop.happenings if h.kind == "surge" and opened <= h.start < closed]:
        more = _arrivals(rng, shop, factor * (surge.factor - 1.0), day, opened, closed)
        yield from (at for at in more if surge.start <= at < surge.end)


def _by_kind(shop: Shop) -> tuple[list[int], list[int]]:
    outer = [i for i, s in enumerate(shop.spots) if s.outer]
    return outer, [i for i, s in enumerate(shop.spots) if not s.outer]


def _arrivals(rng: Random, shop: Shop, factor: float, day: date, opened: int, closed: int) -> Iterator[float]:
    """Poisson arrivals, quarter of an hour by quarter; 1.45 persons a party on average."""
    weekend = day.weekday() >= 5
    steps = range(opened, closed, 900)
    shape = [rate_shape(local_start(shop.site.zone, at) % 86400 / 3600, weekend) for at in steps]
    parties = shop.daily * factor / 1.45
    for at, weight in zip(steps, shape, strict=True):
        width = min(900, closed - at)
        expected = parties * weight / sum(shape)
        moment = rng.expovariate(expected / width) if expected > 0 else width
        while moment < width:
            yield at + moment
            moment += rng.expovariate(expected / width)


def _party(rng: Random, shop: Shop, outer: list[int], inner: list[int], at: float, closed: int) -> Party:
    size = rng.choices((1, 2, 3, 4), (70, 19, 7, 4))[0]
    children = [size > 1 and i > 0 and rng.random() < 0.45 for i in range(size)]
    stay = 25 + rng.random() * 40 if rng.random() < 0.06 else 60 * min(150.0, shop.stay_min * rng.lognormvariate(0, 0.65))
    leave = max(at + 20, min(at + stay, closed + rng.random() * 480))
    if shop.happenings:
        leave = _leave(rng, shop, at, leave)
    way_in = rng.choices(outer, _weights(shop, outer, at))[0]
    back, weights = rng.random() < 0.6, _weights(shop, outer, leave)
    way_out = way_in if back and weights[outer.index(way_in)] else rng.choices(outer, weights)[0]
    legs = [(at, way_in, 1), (leave, way_out, -1)]
    for spot in inner:
        if leave - at > 240 and rng.random() < shop.spots[spot].share:
            inside = at + (leave - at) * (0.15 + 0.3 * rng.random())
            legs += [(inside, spot, 1), (inside + (leave - inside) * (0.2 + 0.6 * rng.random()), spot, -1)]
    made = [
        Crossing(moment + i * (0.5 + rng.random()), spot, way, child, False, size > 1 and i == 0)
        for moment, spot, way in legs
        for i, child in enumerate(children)
    ]
    return Party(at, leave, children, made)


def _leave(rng: Random, shop: Shop, at: float, leave: float) -> float:
    """When a party leaves: within five minutes where the store closes meanwhile."""
    for h in shop.happenings:
        if h.kind == "closed" and at < h.start < leave:
            return h.start + rng.random() * 300
    return leave


def _weights(shop: Shop, outer: list[int], at: float) -> list[float]:
    """Use of the outer doors at a moment."""
    shut = {h.spot for h in shop.happens("door", at)} if shop.happenings else set()
    return [0.0 if i in shut else shop.spots[i].share for i in outer]


def _staff(seed: int, shop: Shop, day: date) -> list[Crossing]:
    """Staff come before opening, go out for a break, leave after closing; all by the first door."""
    rng = Random(f"{seed}:{shop.site.id}:{day}:staff")
    made: list[Crossing] = []
    for opened, closed in opening(shop.site, day):
        for _ in range(shop.staff):
            pause = opened + (closed - opened) * (0.3 + 0.4 * rng.random())
            legs = [(opened - 300 - rng.random() * 1500, 1), (closed + 600 + rng.random() * 1500, -1)]
            if rng.random() < 0.7:
                legs += [(pause, -1), (pause + 900 + rng.random() * 1500, 1)]
            made += [Crossing(at, 0, way, staff=True) for at, way in legs]
    return made
