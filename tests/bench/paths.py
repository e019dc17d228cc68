"""Paths on recorded people: stays through footstream/v1 and the flow against counting one by one, and the estimate from
counts alone against where the same people really went. `python -m tests.bench paths`; reads ../shared/data, measures once
(nothing is random).
"""

import csv
import gzip
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from operators.flow_estimate import fit, wrongly_placed
from operators.series import stamp_of
from schemas.sites import Device, Line, Site, Zone
from tests.support.play import message, newest, play

HOUR = 3600
ENTRY, EXIT = "entry", "exit"


class Seen(NamedTuple):
    """One person: the zones in order as (zone, start, end), epoch seconds; `doors`: lines over which they came and went."""

    track: int
    stays: list[tuple[int, int, int]]
    doors: tuple[int, int]


class Scene(NamedTuple):
    """One recording. `hour`: seconds of the local clock that the recording's hours begin after."""

    name: str
    site: Site
    people: list[Seen]


def site_of(name: str, zone: str, zones: list[str], doors: list[str], checkout: str = "") -> Site:
    """A store with one sensor that sees all of it."""
    sensor = Device(
        "camera1",
        "Camera",
        lines={i: Line(i, door) for i, door in enumerate(doors, 1)},
        zones={i: Zone(i, z, "checkout" if z == checkout else "department") for i, z in enumerate(zones, 1)},
        interval_s=HOUR // 60,
    )
    return Site(name, name, zone, devices={"camera1": sensor})


# -- the recordings


def supermarket(path: Path) -> Scene:
    """Customer, minute, zone: a stay lasts to the next row of its customer, the last one a minute."""
    zones = ["fruit", "spices", "dairy", "drinks", "checkout"]
    site = site_of(path.name.partition(".")[0], "Europe/Berlin", zones, ["Door"], "checkout")
    rows: dict[int, list[tuple[int, int]]] = defaultdict(list)
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file, delimiter=";"):
            at = int(stamp_of(row["timestamp"]).replace(tzinfo=ZoneInfo(site.zone)).timestamp())
            rows[int(row["customer_no"])].append((at, zones.index(row["location"]) + 1))
    people = []
    for customer, seen in rows.items():
        ends = [at for at, _ in seen[1:]] + [seen[-1][0] + 60]
        people.append(Seen(customer, [(zone, at, end) for (at, zone), end in zip(seen, ends, strict=True)], (1, 1)))
    return Scene(site.id, site, people)


def trajectories(path: Path, columns: tuple[str, str], size: tuple[float, float, float, float], rate: float) -> Scene:
    """Tracks over a floor that is cut into three by two zones. A device would tell a zone once somebody has been in it for a
    second; doors are the sides of the picture nearest to the first and the last point. `size`: left, top, right, bottom."""
    names = [f"{row} {column}" for row in ("back", "front") for column in ("left", "middle", "right")]
    site = site_of(path.name.partition(".")[0], "UTC", names, ["West", "North", "East", "South"])
    points: dict[int, list[tuple[float, float, float]]] = defaultdict(list)
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            points[int(row["track"])].append((int(row["frame"]) / rate, float(row[columns[0]]), float(row[columns[1]])))
    left, top, right, bottom = size
    people = []
    for track, seen in points.items():
        seen.sort()
        zones = [
            (t, 1 + min(2, int(3 * (x - left) / (right - left))) + 3 * min(1, int(2 * (y - top) / (bottom - top))))
            for t, x, y in seen
        ]
        stays = list(_settled(zones))
        if stays:
            doors = tuple(1 + int(np.argmin([x - left, y - top, right - x, bottom - y])) for _, x, y in (seen[0], seen[-1]))
            people.append(Seen(track, stays, (doors[0], doors[1])))
    return Scene(site.id, site, people)


def _settled(points: list[tuple[float, int]]) -> Iterator[tuple[int, int, int]]:
    """Stays of at least a second as (zone, start, end) in whole epoch seconds, each from a second of its own on."""
    base, begin = 1_785_492_000, 0
    for i in range(1, len(points) + 1):
        if i == len(points) or points[i][1] != points[begin][1]:
            start, end = int(points[begin][0]), int(points[i - 1][0])
            if points[i - 1][0] - points[begin][0] >= 1 and end > start:
                yield points[begin][1], base + start, base + end
            begin = i


# -- counting one by one


def brute(scene: Scene) -> dict[str, Counter[Any]]:
    """Transitions, paths, stays by zone and who came to the checkout, counted person by person, by UTC hour."""
    found: dict[str, Counter[Any]] = {"flows": Counter(), "paths": Counter(), "stays": Counter()}
    for person in scene.people:
        walk = [person.stays[0]]
        for stay in person.stays[1:]:
            if stay[0] != walk[-1][0]:
                walk.append(stay)
        first, last = person.stays[0][1], person.stays[-1][2]
        for (a, _, _), (b, at, _) in pairwise(walk):
            found["flows"][at // HOUR, a, b] += 1
        found["flows"][first // HOUR, ENTRY, walk[0][0]] += 1
        found["flows"][last // HOUR, walk[-1][0], EXIT] += 1
        found["paths"][first // HOUR, tuple(z for z, _, _ in walk)] += 1
        for zone, start, _ in person.stays:
            found["stays"][start // HOUR, zone] += 1
    return found


# -- through the product


def records(scene: Scene) -> list[tuple[int, bytes]]:
    """What the sensor sends: each stay when it is over, the doors by the minute."""
    told: list[tuple[int, bytes]] = []
    doors: Counter[tuple[int, int, str]] = Counter()
    for person in scene.people:
        for zone, start, end in person.stays:
            told.append(
                (end, message("camera1", {"type": "stay", "zone": zone, "start": start, "end": end, "track": person.track}))
            )
        doors[person.stays[0][1] // 60, person.doors[0], "people_in"] += 1
        doors[person.stays[-1][2] // 60, person.doors[1], "people_out"] += 1
    for minute, line in {(m, line) for m, line, _ in doors}:
        counts = {way: doors[minute, line, way] for way in ("people_in", "people_out")}
        window = {"type": "line_count", "line": line, "start": minute * 60, "end": minute * 60 + 60, **counts}
        told.append((minute * 60 + 60, message("camera1", window)))
    return [(at * 1000 + 1000, payload) for at, payload in sorted(told)]


def measured(out: Any) -> dict[str, Counter[Any]]:
    """The same as `brute`, from the tables."""

    def number(place: str) -> Any:
        return place if place in (ENTRY, EXIT) else int(place.rpartition(":")[2])

    found: dict[str, Counter[Any]] = {"flows": Counter(), "paths": Counter(), "stays": Counter()}
    for r in newest(out, "path_flows"):
        if r["source"] == "stays":
            found["flows"][r["start"] // HOUR, number(r["origin"]), number(r["destination"])] += r["people"]
    for r in newest(out, "path_visits"):
        found["paths"][r["start"] // HOUR, tuple(number(p) for p in r["path"].split(" > "))] += r["visits"]
    for r in newest(out, "path_places"):
        found["stays"][r["start"] // HOUR, number(r["place"])] += r["stays"]
    return found


def truth_of(scene: Scene) -> dict[int, Counter[tuple[str, str]]]:
    """By UTC hour: people from place to place as the estimate sees places (doors are origins and destinations)."""
    found: dict[int, Counter[tuple[str, str]]] = defaultdict(Counter)
    for person in scene.people:
        places = [
            f"zone:camera1:{zone}" for i, (zone, _, _) in enumerate(person.stays) if not i or person.stays[i - 1][0] != zone
        ]
        starts = [s for i, (z, s, _) in enumerate(person.stays) if not i or person.stays[i - 1][0] != z]
        way = [f"line:camera1:{person.doors[0]}", *places, f"line:camera1:{person.doors[1]}"]
        for at, pair in zip([*starts, person.stays[-1][2]], pairwise(way), strict=True):
            found[at // HOUR][pair] += 1
    return found


def doors_alone(scene: Scene) -> tuple[float, float]:
    """Door to door from door counts alone: share of people in a wrong cell, and if everybody left where they came in."""
    size = len(scene.site.devices["camera1"].lines)
    truth = np.zeros((size, size))
    for person in scene.people:
        truth[person.doors[0] - 1, person.doors[1] - 1] += 1
    made = fit(truth.sum(axis=1), truth.sum(axis=0), np.ones((size, size))).people
    return wrongly_placed(made, truth), wrongly_placed(np.diag(truth.sum(axis=1)), truth)


def estimate_error(out: Any, truth: dict[int, Counter[tuple[str, str]]]) -> tuple[float, float, float]:
    """Share of the people in a wrong cell over all hours, by hour and summed over them; share of true cells within their
    bounds."""
    rows = newest(out, "path_estimates")
    wrong = people = within = 0.0
    day_made, day_true = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for r in rows:
        pair = (r["origin"], r["destination"])
        real = truth[r["start"] // HOUR][pair]
        wrong, people = wrong + abs(r["people"] - real), people + real
        within += r["low"] - 1e-6 <= real <= r["high"] + 1e-6
        day_made[pair] += r["people"]
        day_true[pair] += real
    summed = sum(abs(day_made[p] - day_true[p]) for p in day_made) / 2 / sum(day_true.values())
    return wrong / 2 / people, summed, within / len(rows)


def matrix(scene: Scene) -> tuple[list[str], Any]:
    """The true matrix of a whole recording."""
    total: Counter[tuple[str, str]] = sum(truth_of(scene).values(), Counter())
    places = sorted({p for pair in total for p in pair})
    return places, np.array([[float(total[a, b]) for b in places] for a in places])


def taught(scene: Scene, other: Scene) -> float:
    """Error of a day's estimate that starts from another day's matrix instead of from nothing."""
    places, truth = matrix(scene)
    before = dict(zip(matrix(other)[0], range(99), strict=False))
    seed = np.array([[matrix(other)[1][before[a], before[b]] + 0.5 * (a != b) for b in places] for a in places])
    return wrongly_placed(fit(truth.sum(axis=1), truth.sum(axis=0), seed).people, truth)


def run(shared: Path) -> list[dict[str, Any]]:
    """One row per recording. Raises AssertionError where the flow and the counting disagree."""
    data = shared / "data"
    days = [supermarket(data / "supermarket_paths" / f"{day}.csv.gz") for day in ("monday", "tuesday", "wednesday")]
    scenes = [
        *days,
        trajectories(data / "trajectories" / "edinburgh_forum_01aug.csv.gz", ("x_px", "y_px"), (0, 0, 640, 480), 9),
        trajectories(data / "trajectories" / "ucy_zara01.csv.gz", ("x_m", "y_m"), (-3, 0, 16, 19), 25),
    ]
    rows = []
    for scene in scenes:
        began = time.perf_counter()
        told = records(scene)
        out = play(scene.site, ["paths"], told, until=max(at for at, _ in told) // 1000 + 2 * HOUR)
        took = time.perf_counter() - began
        wanted, found = brute(scene), measured(out)
        for what in wanted:
            assert +found[what] == +wanted[what], f"{scene.name}: {what} differ: {found[what] - wanted[what]}"
        wrong, summed, within = estimate_error(out, truth_of(scene))
        common = Counter[tuple[int, ...]]()
        for (_, path), n in wanted["paths"].items():
            common[path] += n
        doors, same = doors_alone(scene)
        row = {
            "bench": "paths",
            "recording": scene.name,
            "people": len(scene.people),
            "stays": sum(wanted["stays"].values()),
            "transitions": len(wanted["flows"]),
            "paths": len(common),
            "equal to counting": "yes",
            "most common": f"{common.most_common(1)[0]}",
            "estimate_wrong_by_hour": wrong,
            "estimate_wrong_in_sum": summed,
            "truth_within_bounds": within,
            "seconds": took,
        }
        if len(scene.site.devices["camera1"].lines) > 1:
            row |= {"doors_alone_wrong": doors, "same_door_rule_wrong": same}
        if scene in days:
            row["estimate_from_another_day_wrong"] = taught(scene, days[0] if scene is days[1] else days[1])
        chained = [r for r in newest(out, "path_outlook") if r["place"] == ENTRY and r["to_checkout"] is not None]
        if chained:
            served = sum(any(zone == 5 for zone, _, _ in p.stays) for p in scene.people)
            row |= {"chain_to_checkout": chained[0]["to_checkout"], "really_to_checkout": served / len(scene.people)}
            row["chain_order"] = chained[0]["chain_order"]
        rows.append(row)
    return rows
