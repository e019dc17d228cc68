"""Plausible rows of a small chain, made straight into the tables: synthetic, seeded, for tests of boards and API.

Visitors come by hour and weekday and stay about twenty minutes; so in, out and the people present agree with each other. Nine
days of buckets and two days of minutes up to `now`. One sensor has been off for two hours, one never reported, one store is
nearly full, one alert is open, a few messages were refused.
"""

import math
import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, NamedTuple

from operators.calendar import bucket, civil_day, local_start, utc_offset
from schemas.alerts import episode_id, fingerprint, transition_id
from schemas.rows import TABLES
from schemas.tables import GENERATION
from tests.support.seed_floor import floor
from tests.support.seed_forecast import forecasts
from tests.support.seed_zones import zones

DAY = 86400
SATURDAY = int(datetime(2026, 6, 13, 13, 42, 20, tzinfo=UTC).timestamp())
"""A busy Saturday afternoon in Europe, the morning in New York."""


class Shop(NamedTuple):
    """A store to make: people per hour at its peak, share of its capacity that the peak fills."""

    site: str
    name: str
    zone: str
    per_hour: int
    fullness: float
    doors: tuple[tuple[str, str, int], ...]


CHAIN = (
    Shop(
        "oslo-karl-johan",
        "Oslo Karl Johan",
        "Europe/Oslo",
        260,
        0.8,
        (("6537c1", "Main entrance", 3), ("6537c2", "Side entrance", 1)),
    ),
    Shop(
        "berlin-mitte",
        "Berlin Mitte",
        "Europe/Berlin",
        190,
        0.62,
        (("6537d1", "Friedrichstraße", 2), ("6537d2", "Courtyard", 1)),
    ),
    Shop("hamburg-alster", "Hamburg Alster", "Europe/Berlin", 120, 0.84, (("6537e1", "Front", 1),)),
    Shop(
        "london-soho",
        "London Soho",
        "Europe/London",
        210,
        0.55,
        (("6537f1", "Wardour Street", 2), ("6537f2", "Old Compton Street", 1)),
    ),
    Shop(
        "new-york-spring",
        "New York Spring St",
        "America/New_York",
        150,
        0.5,
        (("653801", "Spring Street", 1), ("653802", "Mercer", 1)),
    ),
)
NEVER, SILENT = "653802", "6537d2"
HOSTILE = "<img src=x onerror=alert(1)> & 'Door'"


@dataclass
class Seed:
    """Rows by table name (columns in the order of `schemas/rows.py`), and what a reader should find."""

    now: int
    chain: tuple[Shop, ...]
    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: {name: [] for name in TABLES})

    def add(self, table: str, **values: Any) -> None:
        self.rows[table].append(TABLES[table].row(**values))

    def dicts(self, table: str) -> list[dict[str, Any]]:
        return [dict(zip(TABLES[table].columns, row, strict=True)) for row in self.rows[table]]


def _shape(zone: str, minute: int) -> float:
    """Share of the peak rate at a minute: closed at night, an afternoon peak, a stronger Saturday."""
    wall = local_start(zone, minute)
    hour, weekday = wall % DAY / 3600, (wall // DAY + 3) % 7
    if not 9 <= hour < 20 or weekday == 6:
        return 0.0
    day = (0.62, 0.6, 0.66, 0.7, 0.85, 1.0)[weekday]
    return day * (0.25 + 0.75 * math.exp(-(((hour - 15) / 3.2) ** 2)) + 0.12 * math.exp(-(((hour - 12) / 0.8) ** 2)))


def _rate(shop: Shop, minute: int) -> float:
    """People an hour who are usual at a minute."""
    return shop.per_hour * _shape(shop.zone, minute)


def _poisson(rng: random.Random, mean: float) -> int:
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


def seed(now: int = SATURDAY, shops: tuple[Shop, ...] = CHAIN, days: int = 9, number: int = 1) -> Seed:
    """Rows of the chain up to `now` (epoch seconds)."""
    made = Seed(now, shops)
    for shop in shops:
        rng = random.Random(f"{number}/{shop.site}")
        _registry(made, shop)
        _traffic(made, shop, rng, now - days * DAY)
        _anomalies(made, shop, rng)
        forecasts(made, shop.site, partial(_rate, shop))
    zones(made, shops[0].site, shops[0].zone)
    floor(made, shops[0].site, shops[min(1, len(shops) - 1)].site, shops[0].zone, tuple(d for d, _, _ in shops[0].doors))
    _alerts(made)
    _pipeline(made, random.Random(number))
    return made


def _registry(made: Seed, shop: Shop) -> None:
    loaded, capacity = (made.now - 15 * DAY) * 1000, _capacity(shop)
    made.add(
        "sites",
        site=shop.site,
        site_name=shop.name,
        zone=shop.zone,
        country="",
        capacity_operational=capacity,
        capacity_legal=capacity + 20,
        loaded_ms=loaded,
    )
    for device, name, _ in shop.doors:
        shown = HOSTILE if device == "6537f2" else name
        made.add(
            "lines",
            site=shop.site,
            device=device,
            device_name=shown,
            line=1,
            line_name=shown,
            role="entrance",
            loaded_ms=loaded,
        )
        if device == NEVER:
            continue
        seen = made.now - (7300 if device == SILENT else 21)
        made.add(
            "devices",
            site=shop.site,
            device=device,
            device_name=shown,
            dialect="vs133",
            firmware="1.2.1",
            expected_interval_s=60,
            last_arrival_ms=seen * 1000,
            last_skew_s=2,
            clock="device",
            silent=int(device == SILENT),
            messages=20_000,
            revision=20_000,
            known_at_ms=seen * 1000,
        )


def _capacity(shop: Shop) -> int:
    """Capacity such that the Saturday peak (per_hour x 22 minutes of stay) fills it as far as the shop says."""
    return round(shop.per_hour * 22 / 60 / shop.fullness)


def _traffic(made: Seed, shop: Shop, rng: random.Random, since: int) -> None:
    lines: dict[tuple[str, str, int], list[int]] = defaultdict(lambda: [0, 0])
    present, crossed, day, last = 0, 0, date.min, made.now // 60 * 60
    doors = [d for d in shop.doors if d[0] != NEVER]
    for minute in range(since // 60 * 60, last + 60, 60):
        today = civil_day(shop.zone, minute)
        if today != day:
            present, crossed, day = 0, 0, today
        entered = _poisson(rng, shop.per_hour * _shape(shop.zone, minute) / 60)
        left = sum(rng.random() < 1 / 22 for _ in range(present)) if _shape(shop.zone, minute) else present
        present, crossed = present + entered - left, crossed + entered + left
        split = _split(rng, doors, entered), _split(rng, doors, left)
        if minute >= made.now - 2 * DAY:
            _minute(made, shop, minute, doors, split, minute < last)
            _occupancy(made, shop, minute, present, crossed, minute < last)
        for step in ("15m", "1h", "1d"):
            start = bucket(shop.zone, minute, step)[0]
            for (device, _, _), ins, outs in zip(doors, *split, strict=True):
                lines[step, device, start][0] += ins
                lines[step, device, start][1] += outs
    _buckets(made, shop, lines)


def _split(rng: random.Random, doors: list[tuple[str, str, int]], people: int) -> list[int]:
    if not people:
        return [0] * len(doors)
    chosen = rng.choices(range(len(doors)), [weight for _, _, weight in doors], k=people)
    return [chosen.count(i) for i in range(len(doors))]


_OTHER = dict.fromkeys(("child_in", "child_out", "staff_in", "staff_out", "group_in", "group_out"))


def _minute(made: Seed, shop: Shop, minute: int, doors: list[Any], split: tuple[list[int], list[int]], complete: bool) -> None:
    known = dict(complete=int(complete), revision=GENERATION + 1, known_at_ms=(minute + 62) * 1000, **_OTHER)
    for (device, _, _), ins, outs in zip(doors, *split, strict=True):
        made.add(
            "line_minutes",
            site=shop.site,
            device=device,
            line=1,
            minute=minute,
            people_in=ins,
            people_out=outs,
            measured_s=60,
            resolution_s=60,
            **known,
        )
    made.add(
        "site_minutes",
        site=shop.site,
        minute=minute,
        people_in=sum(split[0]),
        people_out=sum(split[1]),
        measured_s=60 * len(doors),
        expected_s=60 * len(shop.doors),
        **known,
    )


def _occupancy(made: Seed, shop: Shop, minute: int, present: int, crossed: int, complete: bool) -> None:
    half, limit = 1.645 * math.sqrt(0.02 * crossed + 0.3), _capacity(shop)
    over = 1 / (1 + math.exp(-(present - 0.9 * limit) / max(half / 1.7, 0.1)))
    made.add(
        "occupancy",
        site=shop.site,
        minute=minute,
        estimate=float(present),
        low=max(0.0, present - half),
        high=present + half,
        raw=present,
        mode="learnt",
        limit_operational=limit,
        limit_legal=limit + 20,
        over_operational=over,
        over_legal=over / 2,
        coverage=0.99,
        factors_revision=3,
        complete=int(complete),
        revision=GENERATION + 1,
        known_at_ms=(minute + 62) * 1000,
    )


def _buckets(made: Seed, shop: Shop, lines: dict[tuple[str, str, int], list[int]]) -> None:
    sites: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for (step, device, start), (ins, outs) in lines.items():
        common = _bucket(made, shop, step, start)
        measured = max(0, min(common["end"], made.now) - start)
        made.add(
            "line_buckets",
            device=device,
            line=1,
            people_in=ins,
            people_out=outs,
            measured_s=measured,
            expected_s=common["end"] - start,
            **common,
        )
        for i, value in enumerate((ins, outs, measured)):
            sites[step, start][i] += value
    for (step, start), (ins, outs, measured) in sites.items():
        common = _bucket(made, shop, step, start)
        expected = (common["end"] - start) * len(shop.doors)
        made.add("site_buckets", people_in=ins, people_out=outs, measured_s=measured, expected_s=expected, **common)


def _bucket(made: Seed, shop: Shop, step: str, start: int) -> dict[str, Any]:
    end = bucket(shop.zone, start, step)[1]
    return dict(
        site=shop.site,
        step=step,
        start=start,
        end=end,
        utc_offset_s=utc_offset(shop.zone, start // 900),
        local_start=local_start(shop.zone, start),
        complete=int(end < made.now),
        revision=GENERATION + (end - start) // 60,
        known_at_ms=min(end + 2, made.now) * 1000,
        **_OTHER,
    )


def _anomalies(made: Seed, shop: Shop, rng: random.Random) -> None:
    for row in made.dicts("site_buckets"):
        if row["site"] != shop.site or row["step"] != "15m" or not row["complete"] or row["start"] < made.now - 2 * DAY:
            continue
        expected = shop.per_hour * _shape(shop.zone, row["start"]) / 4
        spread = 1.645 * math.sqrt(expected * 1.3 + 0.5)
        distance = abs(row["people_in"] - expected) / max(spread / 1.645, 0.5)
        score = math.erf(distance / math.sqrt(2))
        made.add(
            "anomalies",
            site=shop.site,
            start=row["start"],
            value=float(row["people_in"]),
            expected=expected,
            low=max(0.0, expected - spread),
            high=expected + spread,
            score=score,
            unusual=int(score >= 0.95),
            kind=("surge" if row["people_in"] > expected else "drop") if score >= 0.95 else "",
            reason=f"{row['people_in']} in the last 15 minutes, usual {expected:.0f}" if score >= 0.95 else "",
            model="slot",
            position=(row["start"] + 960) * 1000,
        )


def _alerts(made: Seed) -> None:
    sites = [shop.site for shop in made.chain]
    _episode(made, sites[0], "capacity", "", "critical", 11 * 60, None, "Occupancy at 94 % of the capacity of 119 people")
    words = "Courtyard has been silent for three report periods"
    _episode(made, sites[1], "sensor_silent", SILENT, "warning", 7100, None, words)
    if len(sites) > 2:
        _episode(made, sites[2], "capacity", "", "critical", 5 * 3600, 4 * 3600, "Occupancy at 91 % of the capacity")


def _episode(made: Seed, site: str, rule: str, subject: str, severity: str, ago: int, until: int | None, summary: str) -> None:
    mark = fingerprint(rule, site, subject)
    onset = made.now - ago
    episode = episode_id(mark, onset * 1000)
    for ordinal, (kind, back) in enumerate((("firing", ago), ("resolved", until))):
        if back is None:
            continue
        made.add(
            "transitions",
            transition_id=transition_id(episode, kind, ordinal),
            episode_id=episode,
            fingerprint=mark,
            site=site,
            rule=rule,
            subject=subject,
            severity=severity,
            kind=kind,
            happened=made.now - back,
            onset=onset,
            value=0.94,
            summary=summary,
            reason="threshold",
            backfilled=0,
            decided_ms=(made.now - back) * 1000,
        )


def _pipeline(made: Seed, rng: random.Random) -> None:
    """An hour of messages by outcome: positions count up by one, 2 % duplicates, 0.5 % refused."""
    position = 0
    for minute in range(made.now // 60 * 60 - 3600, made.now // 60 * 60, 60):
        for shop in made.chain:
            for device, _, _ in shop.doors:
                arrived, position, luck = minute + rng.randrange(60), position + 1, rng.random()
                place = {"topic": "raw", "partition_no": 0, "position": position}
                if luck < 0.02:
                    made.add("duplicates", site=shop.site, device=device, arrived=arrived, **place)
                elif luck < 0.035:
                    made.add(
                        "quarantine",
                        item=0,
                        arrived=arrived,
                        site=shop.site,
                        device=device,
                        reason="not_json",
                        place="byte 17",
                        detail="truncated after 17 bytes",
                        partial=0,
                        size=17,
                        payload="{",
                        **place,
                    )
                else:
                    _observation(made, shop.site, device, minute - 60, arrived, place)
    made.add("progress", topic="raw", partition_no=0, position=position + 1, log_ms=(made.now - 3) * 1000)


def _observation(made: Seed, site: str, device: str, start: int, arrived: int, place: dict[str, Any]) -> None:
    counts = dict.fromkeys(("people_in", "people_out", *_OTHER, "present"))
    made.add(
        "observations",
        **{**counts, "people_in": 1, "people_out": 1},
        site=site,
        device=device,
        event_id=place["position"],
        section="line",
        kind="window",
        part=1,
        start=start,
        end=start + 60,
        resolution_s=60,
        detail="",
        dialect="vs133",
        device_time="",
        clock="device",
        flags="",
        skew_s=2,
        arrival_ms=arrived * 1000,
        rank=2**63 - arrived * 1000,
        **place,
    )
