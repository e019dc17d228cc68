"""Trials of store or sensor: one store over weeks, with seeded faults and real happenings of which the truth is known.

The first weeks are sound. Then every second day has one case; in between everything works. Sensors report every five minutes
(LoRaWAN ones every ten); times are epoch seconds.
"""

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from operators.calendar import civil_day, opening
from operators.simulator.people import WEEKDAY_SHARE, Crossing, Happening, Shop, day_factor
from operators.simulator.plan import Chain, chain
from operators.simulator.sensing import Sensor, Trouble
from schemas.sites import Site

KINDS = ("dead", "blind", "stuck", "tilt", "imbalance", "closed", "surge", "quiet", "door")
PERIOD_S = 300
_FIRST = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday."""
_ODD = (0.55, 1.5)
"""Days with less or more people than these shares of their weekday's are quiet or busy."""
_PLAIN = (0.8, 1.25)
"""Days between these are neither; what is said of the level of others is not judged."""


class Case(NamedTuple):
    """Something that is so in [start, end). `verdict`: sensor or store; `device`: of a sensor, or of a shut door; "" else.
    `due`: moments at which people crossed where it shows, or would have; `factor`: what is counted of what was to be expected.
    """

    kind: str
    verdict: str
    device: str
    start: int
    end: int
    due: tuple[float, ...]
    factor: float = 0.0


class Trial(NamedTuple):
    """A store, the first moment that counts, its end, and all cases in order."""

    chain: Chain
    site: Site
    judged: int
    end: int
    cases: list[Case]


class _EveryFive(Chain):
    """Sensors that report every five minutes from the first day on."""

    def interval(self, at: float) -> int:
        return PERIOD_S


def trial(seed: int, cases: int = 12, weeks: int = 3, kinds: tuple[str, ...] = KINDS) -> Trial:
    """The store of that seed, with so many cases after so many weeks."""
    rng = Random(f"{seed}:trial")
    made = chain(4, seed, int(_FIRST.timestamp()))
    shop = list(made.shops.values())[seed % len(made.shops)]
    shop = replace(shop, unusual={})
    sensors = tuple(_mounted(rng, s) for s in made.sensors[shop.site.id])
    shop = replace(shop, site=replace(shop.site, devices={s.entry.id: s.entry for s in sensors}))
    days = [_FIRST.date() + timedelta(days=7 * weeks + 2 * n) for n in range(cases)]
    plain = _EveryFive(seed, 0, 1 << 40, [shop], {shop.site.id: sensors})
    found: list[Case] = []
    for day in days:
        if not _PLAIN[0] < _share(seed, shop, day) < _PLAIN[1]:
            continue  # chance has made it a case already, or nearly
        shop, sensors = _case(rng, plain, rng.choice(kinds), day, shop, sensors, found)
    origin = int(_FIRST.timestamp())
    judged, end = origin + 7 * weeks * 86_400, origin + (7 * weeks + 2 * cases) * 86_400
    found += _odd_days(seed, shop, days[0], 2 * cases)
    whole = _EveryFive(seed, origin, 1 << 40, [shop], {shop.site.id: sensors})
    return Trial(whole, shop.site, judged, end, sorted(found, key=lambda c: c.start))


def _mounted(rng: Random, sensor: Sensor) -> Sensor:
    """Half of the sensors that could tell their angles do."""
    tells = sensor.dialect in ("vs125", "vs13x") and rng.random() < 0.5
    angles = (round(rng.uniform(-3, 3), 1), round(rng.uniform(-3, 3), 1)) if tells else None
    entry = replace(sensor.entry, interval_s=max(PERIOD_S, sensor.entry.interval_s))
    return replace(sensor, entry=entry, dead_from=None, angles=angles)


def _case(
    rng: Random, plain: Chain, kind: str, day: date, shop: Shop, sensors: tuple[Sensor, ...], found: list[Case]
) -> tuple[Shop, tuple[Sensor, ...]]:
    """Add one case to a store: in the first half of a day's opening, for some hours or until it closes."""
    opened, closed = opening(shop.site, day)[0]
    start = int(opened + (closed - opened) * rng.uniform(0.1, 0.45))
    doors = [i for i, s in enumerate(shop.spots) if s.outer]
    if kind == "quiet":
        return replace(shop, unusual={**shop.unusual, day.isoformat(): rng.uniform(0.3, 0.5)}), sensors
    if kind in ("closed", "surge", "door"):
        spot = rng.choice([i for i in doors if shop.spots[i].share >= 0.3]) if kind == "door" else -1
        end = closed if kind == "door" else min(closed, start + int(rng.uniform(1.5, 4.0) * 3600))
        happening = Happening(kind, start, end, rng.uniform(2.0, 3.5), spot)  # type: ignore[arg-type]  # one of the three
        door = next((s.entry.id for s in sensors if any(e.spot == spot for e in s.eyes)), "")
        places = {spot} if kind == "door" else {e.spot for s in sensors for e in s.eyes}
        named = {"surge": "busy"}.get(kind, kind)
        due = _due(plain, shop, day, places, (1, -1), start, end)
        found.append(Case(named, "store", door, start, end, due, happening.factor if kind == "surge" else 0.0))
        return replace(shop, happenings=(*shop.happenings, happening)), sensors
    at = rng.randrange(len(sensors))
    trouble, ways = _trouble(rng, kind, start, closed - 1800)
    sensor = sensors[at]
    places = {e.spot for e in sensor.eyes}
    due = _due(plain, shop, day, places, ways, start, trouble.end)
    factor = 1.0 - max(trouble.miss_in, trouble.miss_out) if trouble.kind in ("misses", "tilt") else 0.0
    told = kind if kind != "tilt" or sensor.angles is not None else "undercounts"
    found.append(Case(told, "sensor", sensor.entry.id, start, trouble.end, due, factor))
    hung = replace(sensor, troubles=(*sensor.troubles, trouble))
    return shop, (*sensors[:at], hung, *sensors[at + 1 :])


def _trouble(rng: Random, kind: str, start: int, end: int) -> tuple[Trouble, tuple[int, ...]]:
    """What is wrong, and the ways on which it shows, as the people go."""
    if kind == "imbalance":
        miss, way = rng.uniform(0.4, 0.9), rng.choice((1, -1))
        return Trouble("misses", start, end, miss if way > 0 else 0.0, miss if way < 0 else 0.0), (way,)
    if kind == "tilt":
        return Trouble("tilt", start, end, rng.uniform(0.4, 0.8), rng.uniform(0.4, 0.8)), (1, -1)
    return Trouble(kind, start, end), (1, -1)  # type: ignore[arg-type]  # dead, blind or stuck


def _due(
    plain: Chain, shop: Shop, day: date, spots: set[int], ways: tuple[int, ...], start: int, end: int
) -> tuple[float, ...]:
    made = plain.crossings(shop.site.id, day)
    return tuple(c.at for c in made if c.spot in spots and c.way in ways and start <= c.at < end and not c.staff)


def _odd_days(seed: int, shop: Shop, first: date, days: int) -> list[Case]:
    """Days that chance, or a case, made quiet or busy."""
    found = []
    for n in range(days):
        day = first + timedelta(days=n)
        share = _share(seed, shop, day)
        if not _ODD[0] <= share <= _ODD[1]:
            opened, closed = opening(shop.site, day)[0]
            kind = "quiet" if share < 1.0 else "busy"
            made: list[Crossing] = _EveryFive(seed, 0, 1 << 40, [shop], {}).crossings(shop.site.id, day)
            # What was to be expected: as many as on an ordinary day.
            due = tuple(c.at for c in made if opened <= c.at < closed for _ in range(max(1, round(1 / share))))
            found.append(Case(kind, "store", "", opened, closed, due, share))
    return found


def _share(seed: int, shop: Shop, day: date) -> float:
    """People of a day against those of its weekday."""
    return day_factor(seed, shop, day) / WEEKDAY_SHARE[f"{day:%a}".lower()]


def between(made: Trial, at: int) -> bool:
    """Whether the day of a moment is neither ordinary nor clearly quiet or busy."""
    (shop,) = made.chain.shops.values()
    share = _share(made.chain.seed, shop, civil_day(made.site.zone, at))
    return _ODD[0] <= share <= _PLAIN[0] or _PLAIN[1] <= share <= _ODD[1]


__all__ = ["KINDS", "Case", "Trial", "between", "trial"]
