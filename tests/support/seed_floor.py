"""Rows of the floor for the seeded chain: the first store has zones, tracks, a heat map and talkative sensors, the second
one only lines (estimates). Synthetic, seeded, consistent: places are left as often as they are reached."""

import random
from typing import Any, Protocol

from operators.calendar import bucket
from schemas.tables import GENERATION

HOUR = 3600
CAMERA = "6537c9"
ZONES = {1: "Shoes", 2: "Jackets", 3: "Café", 4: "Sale", 5: "Checkout"}
WAYS = (
    ((1, 5), 30),
    ((4, 1, 5), 22),
    ((2, 5), 18),
    ((1, 2), 14),
    ((3,), 12),
    ((4, 2, 1, 5), 9),
    ((4,), 8),
    ((2, 3, 5), 5),
)
"""Zones in order, and how many visits an hour take them at the peak."""
DWELL = {1: 260.0, 2: 200.0, 3: 900.0, 4: 120.0, 5: 90.0}
SHAPES = {1: "shoes", 2: "jackets", 3: "cafe", 4: "sale", 5: "checkout"}


class Rows(Protocol):
    """What takes rows by name."""

    now: int

    def add(self, table: str, **values: Any) -> None: ...


def floor(made: Rows, site: str, other: str, zone: str, doors: tuple[str, ...]) -> None:
    """Twelve hours up to now."""
    rng = random.Random(f"floor/{site}")
    first = bucket(zone, made.now - 11 * HOUR, "1h")[0]
    for number, start in enumerate(range(first, made.now, HOUR)):
        busy = 0.35 + 0.65 * (number / 11)
        known = {"start": start, "end": start + HOUR, "complete": int(start + HOUR < made.now), "known_at_ms": made.now * 1000}
        _paths(made, site, busy, rng, {**known, "revision": GENERATION + 9})
        _map(made, site, busy, {**known, "revision": GENERATION + 4})
        _estimates(made, other, start, busy)
        for i, device in enumerate((CAMERA, *doors)):
            _health(made, site, device, i, number, {**known, "revision": GENERATION + 60})
    day, end = bucket(zone, made.now, "1d")
    _outlook(made, site, day, end)


def _name(place: str) -> str:
    return place.capitalize() if ":" not in place else ZONES[int(place.rpartition(":")[2])]


def _place(zone: int) -> str:
    return f"zone:{CAMERA}:{zone}"


def _paths(made: Rows, site: str, busy: float, rng: random.Random, known: dict[str, Any]) -> None:
    flows: dict[tuple[str, str], int] = {}
    stays, began, ended = (dict.fromkeys(ZONES, 0) for _ in range(3))
    for way, most in WAYS:
        visits = round(most * busy * rng.uniform(0.8, 1.2))
        places = [_place(z) for z in way]
        for pair in zip(["entry", *places], [*places, "exit"], strict=True):
            flows[pair] = flows.get(pair, 0) + visits
        for zone in way:
            stays[zone] += visits
        began[way[0]] += visits
        ended[way[-1]] += visits
        made.add(
            "path_visits",
            site=site,
            device=CAMERA,
            path=" > ".join(places),
            path_names=" > ".join(ZONES[z] for z in way),
            places=len(way),
            visits=visits,
            seconds=visits * sum(DWELL[z] for z in way),
            served=visits if 5 in way else 0,
            **known,
        )
    for (origin, destination), people in flows.items():
        names = {"origin_name": _name(origin), "destination_name": _name(destination)}
        made.add(
            "path_flows", site=site, source="stays", origin=origin, destination=destination, people=people, **names, **known
        )
    for zone, name in ZONES.items():
        dwell = DWELL[zone] * (1 + 2 * busy * (zone == 5))
        counts = {"stays": stays[zone], "began": began[zone], "ended": ended[zone], "bounced": round(stays[zone] * 0.07 * zone)}
        made.add("path_places", site=site, place=_place(zone), place_name=name, dwell_s=dwell * stays[zone], **counts, **known)
        made.add(
            "heat_zones",
            site=site,
            device=CAMERA,
            zone=zone,
            zone_name=name,
            presence_s=dwell * stays[zone],
            source="stays",
            measured_s=None,
            visits=stays[zone],
            intensity=None,
            resolution_s=0,
            open_s=HOUR,
            **known,
        )


def _map(made: Rows, site: str, busy: float, known: dict[str, Any]) -> None:
    """A grid of 16 x 10 with two warm places."""
    cells = {
        (x, y): busy * (40 / (1 + (x - 4) ** 2 + (y - 3) ** 2) + 90 / (2 + (x - 11) ** 2 + (y - 7) ** 2))
        for x in range(16)
        for y in range(10)
    }
    total = sum(cells.values())
    for (x, y), heat in cells.items():
        about = {"device": CAMERA, "zone": 0, "x": x, "y": y, "grid_columns": 16, "grid_rows": 10}
        figures = {"intensity": heat, "share": heat / total, "resolution_s": 900, "open_s": HOUR}
        made.add("heat_cells", site=site, **about, **figures, **known)


def _estimates(made: Rows, site: str, start: int, busy: float) -> None:
    doors = {"line:6537d1:1": ("Friedrichstraße", 60 * busy), "line:6537d2:1": ("Courtyard", 25 * busy)}
    total = sum(n for _, n in doors.values())
    for origin, (origin_name, left) in doors.items():
        for destination, (destination_name, came) in doors.items():
            made.add(
                "path_estimates",
                site=site,
                start=start,
                end=start + HOUR,
                origin=origin,
                destination=destination,
                origin_name=origin_name,
                destination_name=destination_name,
                people=left * came / total,
                low=max(0.0, left + came - total),
                high=min(left, came),
                unbalanced=0.04,
                position=(start + HOUR + 900) * 1000,
            )


def _health(made: Rows, site: str, device: str, number: int, hour: int, known: dict[str, Any]) -> None:
    radio = number == 0
    made.add(
        "device_hours",
        site=site,
        device=device,
        device_name=("Ceiling camera", "Main entrance", "Side entrance")[number],
        messages=60,
        expected_s=HOUR,
        covered_s=HOUR - 60 * (number == 2),
        missed=int(number == 2) if known["complete"] else None,
        last_seen_ms=(known["end"] - 30) * 1000,
        skew_low_s=1,
        skew_high_s=3 + 200 * (number == 2),
        reboots=int(number == 2 and hour == 5),
        firmware="1.2.1",
        battery_pct=84.0 - hour if radio else None,
        temperature_C=48.0 + number * 7,
        pitch_deg=0.5,
        roll_deg=-0.2,
        rssi_dBm=-82.0 if radio else None,
        snr_dB=6.5 if radio else None,
        occluded=0,
        said="",
        **known,
    )


def _outlook(made: Rows, site: str, day: int, end: int) -> None:
    chances = {"entry": (1.0, 0.71, 1.9), **{_place(z): (0.4, 1.0 if z == 5 else 0.9 - 0.15 * z, 1.1) for z in ZONES}}
    for place, (visits, checkout, left) in chances.items():
        made.add(
            "path_outlook",
            site=site,
            device=CAMERA,
            start=day,
            end=end,
            place=place,
            place_name=_name(place),
            visits=900,
            expected_visits=visits,
            to_checkout=checkout,
            places_left=left,
            entropy_bits=1.2,
            chain_order=1,
            complete=0,
            revision=GENERATION + 2000,
            known_at_ms=made.now * 1000,
        )
