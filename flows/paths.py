"""Paths: who went from where to where, by hour and store; common paths, bounce, and what follows for the way to the checkout.

Two sources, never mixed: `matrix` (the device counts from edge to edge) and `stays` (stays of one device and track).
Estimates from line and zone counts alone, a model with the bounds that the counts allow, stand in a table of their own and
are made once an hour has left the horizon. A visit is counted when it is over. Later data ask for a repair of their day.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from flows.traffic import TrafficFlow
from operators.calendar import bucket
from operators.cells import Cell, Cells, Key, Written
from operators.counted_flows import Margin, estimate, line_margin, zone_visits
from operators.ingest import Accepted, horizon_of
from operators.journeys import (
    BEGAN,
    BOUNCED,
    DWELL_S,
    ENDED,
    KEPT_S,
    MOST_STAY_S,
    OTHER,
    PEOPLE,
    SECONDS,
    SERVED,
    STAYS,
    VISITS,
    JourneyKeeper,
    Journeys,
)
from operators.moment import FOREVER, Context, Flow, Moment, Output, SiteFlow
from operators.paths import ENTRY, chain, order_of, outlook, transitions
from operators.place_names import checkouts, place_name, zone_place
from operators.traffic import Change
from schemas.events import DwellSummary, Plain, Stay, ZoneCount
from schemas.rows_floor import PathEstimates, PathFlows, PathOutlook, PathPlaces, PathVisits
from schemas.sites import Site
from schemas.tables import GENERATION

SCHEMA = 1
Row = tuple[Any, ...]
Known = tuple[int, int, int]
PRESENCE_S, WINDOW_S, DWELLS, DWELT_S, CAME, LEFT = range(6)


class _Saved(msgspec.Struct, array_like=True):
    """`zones`: what zones counted, by hour, device and zone (indexes above). `next_hour`: start of the hour that is
    estimated next."""

    schema: int
    journeys: Journeys
    zones: dict[int, dict[tuple[str, int], list[float]]] = {}
    next_hour: int = FOREVER


def _order(a: Accepted) -> tuple[int, int, int]:
    return a.start, a.end, a.event_id


class PathsFlow:
    """Journeys and estimates of one store."""

    def __init__(self, site: Site, state: bytes | None, traffic: TrafficFlow | None, context: Context) -> None:
        self.site, self.traffic = site, traffic.traffic if traffic is not None else None
        self.base = context.generation * GENERATION
        self.horizon = context.horizon if context.horizon is not None else horizon_of(site)
        self.saved = msgspec.msgpack.decode(state, type=_Saved) if state else _Saved(SCHEMA, Journeys())
        self.keeper = JourneyKeeper(site, self.horizon, self.saved.journeys)

    def take(self, m: Moment) -> None:
        for a in sorted(m.accepted, key=_order):  # nobody keeps the order within a message: it must not matter
            self.keeper.take(a, m.now, m.repairs)
            if type(a.event) in (Stay, ZoneCount, DwellSummary):
                self._zone(a, m.now)
        if self.saved.next_hour == FOREVER and m.accepted and self.traffic is not None:
            self.saved.next_hour = bucket(self.site.zone, m.now - self.horizon, "1h")[0]

    def in_runs(self) -> bool:
        """The first report says which hour is estimated first."""
        return self.saved.next_hour != FOREVER or self.traffic is None

    def take_plains(self, reports: Sequence[Plain], changes: list[Change] | None, now: int) -> None:
        """Crossings of lines are read from the traffic when an hour is over."""

    def _zone(self, a: Accepted, now: int) -> None:
        """What says how many came to a zone and left it: stays, or people present over a window and average dwell."""
        event, seconds = a.event, a.end - a.start
        if a.verdict == "earlier":
            return
        if type(event) is Stay and not event.staff:
            self._count(a, event.zone, a.start, now, {CAME: 1})
            self._count(a, event.zone, a.end, now, {LEFT: 1})
        elif type(event) is ZoneCount and event.kind == "window" and event.present is not None:
            self._count(a, event.zone, a.start, now, {PRESENCE_S: event.present * seconds, WINDOW_S: seconds})
        elif type(event) is DwellSummary and not event.child and event.avg_s > 0:
            self._count(a, event.zone, a.start, now, {DWELLS: seconds, DWELT_S: event.avg_s * seconds})

    def _count(self, a: Accepted, zone: int, moment: int, now: int, gained: Mapping[int, float]) -> None:
        start, end = bucket(self.site.zone, moment, "1h")
        if end + self.horizon <= now:
            return
        held = self.saved.zones.setdefault(start, {}).setdefault((a.from_.report.device, zone), [0.0] * 6)
        for i, value in gained.items():
            held[i] += value

    def due(self) -> int:
        hour = self.saved.next_hour
        estimate_at = bucket(self.site.zone, hour, "1h")[1] + self.horizon if hour < FOREVER else FOREVER
        return min(self.saved.journeys.due, estimate_at)

    def advance(self, m: Moment) -> None:
        if self.saved.journeys.due <= m.now:
            self.keeper.advance(m.now)
        hour = self.saved.next_hour
        if hour < FOREVER:
            end = bucket(self.site.zone, hour, "1h")[1]
            if end + self.horizon <= m.now:
                m.out.rows.setdefault("path_estimates", []).extend(self._estimated(hour, end, m.now_ms))
                self.saved.zones.pop(hour, None)
                self.saved.next_hour = end

    def _margins(self, hour: int) -> Iterator[Margin]:
        assert self.traffic is not None
        self.traffic.propagate()
        for device, lines in self.traffic.state.lines.items():
            for line, series in lines.items():
                sums = series.buckets.get("1h", {}).get(hour)
                margin = line_margin(self.site, device, line, sums) if sums is not None else None
                if margin is not None:
                    yield margin
        for (device, zone), held in sorted(self.saved.zones.get(hour, {}).items()):
            left, came = held[LEFT], held[CAME]
            if not came and not left and held[WINDOW_S] and held[DWELLS]:
                left = came = zone_visits(held[PRESENCE_S], held[DWELT_S] / held[DWELLS])
            if zone and (left or came):
                yield Margin(zone_place(device, zone), left, came, False)

    def _estimated(self, hour: int, end: int, now_ms: int) -> list[Row]:
        found = estimate(self.site, list(self._margins(hour)))
        if found is None:
            return []
        return [
            (
                self.site.id,
                hour,
                end,
                f.origin,
                f.destination,
                *self._names(f.origin, f.destination),
                f.people,
                f.low,
                f.high,
                found.unbalanced,
                now_ms,
            )
            for f in found.flows
        ]

    def _names(self, *places: str) -> tuple[str, ...]:
        return tuple(place_name(self.site, place) for place in places)

    # -- out -----------------------------------------------------------------------------------------------------------------

    def _cells(self) -> tuple[Cells, ...]:
        journeys = self.saved.journeys
        return journeys.flows, journeys.places, journeys.paths, journeys.days

    def dirty(self) -> bool:
        return any(cells.unsent for cells in self._cells())

    def flush(self, now: int, force: bool, out: Output) -> None:
        flows, places, paths, days = self._cells()
        for cells, table, row in (
            (flows, "path_flows", self._flow_row),
            (places, "path_places", self._place_row),
            (paths, "path_visits", self._path_row),
        ):
            if cells.turn(now, force):
                written = cells.due(self.site.zone, now, self.keeper.quiet, self.keeper.kept)
                out.rows.setdefault(table, []).extend([row(w) for w in written])
        if days.turn(now, force):
            held = dict(days.held)  # what is written for the last time is forgotten by it
            of_days = {(w.start, w.key[0]): w for w in days.due(self.site.zone, now, self.keeper.quiet, self.keeper.kept)}
            for (start, device), w in of_days.items():
                out.rows.setdefault("path_outlook", []).extend(self._outlook_rows(device, held[start], w))

    def _known(self, w: Written) -> Known:
        return (w.complete, self.base + w.cell.n, w.cell.known)

    def _flow_row(self, w: Written) -> Row:
        source, _, origin, destination = w.key
        ends = (origin, destination, *self._names(origin, destination))
        return (self.site.id, source, w.start, w.end, *ends, int(w.cell.sums[PEOPLE]), *self._known(w))

    def _place_row(self, w: Written) -> Row:
        sums, place = w.cell.sums, w.key[1]
        counts = (int(sums[STAYS]), int(sums[BOUNCED]), sums[DWELL_S], int(sums[BEGAN]), int(sums[ENDED]))
        return (self.site.id, w.start, w.end, place, place_name(self.site, place), *counts, *self._known(w))

    def _path_row(self, w: Written) -> Row:
        device, *path = w.key
        names = " > ".join(place_name(self.site, p) for p in path)
        sums = w.cell.sums
        figures = (len(path), int(sums[VISITS]), sums[SECONDS], int(sums[SERVED]))
        return (self.site.id, device, w.start, w.end, " > ".join(path), names, *figures, *self._known(w))

    def _outlook_rows(self, device: str, day: Mapping[Key, Cell], w: Written) -> list[Row]:
        """The chain of a device's day. A path that stands for many others says nothing."""
        cells = {key[1:]: cell for key, cell in day.items() if key[0] == device and key[1] != OTHER}
        paths = {path: cell.sums[VISITS] for path, cell in cells.items()}
        if not paths:
            return []
        of = chain(transitions(paths))
        found = outlook(of, checkouts(self.site, frozenset(of.places) - {ENTRY}))
        total, order = int(sum(paths.values())), order_of(paths).order
        known = (w.complete, self.base + sum(c.n for c in cells.values()), max(c.known for c in cells.values()))
        return [
            (
                self.site.id,
                device,
                w.start,
                w.end,
                place,
                place_name(self.site, place),
                total,
                found.visits[i],
                found.reach[i] if found.reach is not None else None,
                found.left[i],
                found.bits[i],
                order,
                *known,
            )
            for i, place in enumerate(found.places)
        ]

    def state(self) -> bytes:
        return msgspec.msgpack.encode(self.saved)


def _build(site: Site, state: bytes | None, upstream: Mapping[str, SiteFlow], context: Context) -> SiteFlow:
    return PathsFlow(site, state, cast(TrafficFlow | None, upstream.get("traffic")), context)


def _stay(at: str, zone: int, person: int, seconds: int, begin: str) -> tuple[str, bytes]:
    return (
        f"2026-07-31T{at}Z",
        f"""{{"device_info": {{"device_sn": "6537F28778010000"}}, "time_info": {{"time": "2026-07-31T{at}+00:00"}},
"dwell_time_data": [{{"region": {zone}, "people_id": {person}, "duration": {seconds * 1000},
"dwell_start_time": "2026-07-31T{begin}+00:00", "dwell_end_time": "2026-07-31T{at}+00:00"}}]}}""".encode(),
    )


SAMPLE = [
    _stay("10:01:00", 1, 7, 50, "10:00:10"),
    _stay("10:01:10", 2, 7, 5, "10:01:05"),
    _stay("10:02:00", 1, 8, 30, "10:01:30"),
    (
        "2026-07-31T10:02:02Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T10:00:00+00:00", "end_time": "2026-07-31T10:02:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 3, "out": 3}]}""",
    ),
    (
        "2026-07-31T10:05:02Z",
        b"""{"event": "flow", "report_type": "interval", "device_info": {"device_sn": "6537F28778010000"},
"time_info": {"timezone": "UTC+0:00", "dst_status": false, "start_time": "2026/07/31 10:00:00",
"end_time": "2026/07/31 10:05:00"}, "flow_data": {"A-B": 4, "B-A": 3}}""",
    ),
    (
        "2026-07-31T11:20:02Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T11:18:00+00:00", "end_time": "2026-07-31T11:20:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 0, "out": 0}]}""",
    ),
]


EXPECTED: dict[str, list[dict[str, object]]] = {
    # Door and zones left and reached by 3, 2 and 1: of 6 people in all, r + c - 6 at least and the smaller of r and c at most.
    "path_estimates": [
        {"origin_name": "Door", "destination_name": "Door", "low": 0.0, "high": 3.0, "start": "2026-07-31T10:00:00Z"},
        {"origin_name": "Door", "destination_name": "Zone 1", "low": 0.0, "high": 2.0, "unbalanced": 0.0},
        {"origin_name": "Door", "destination_name": "Shelf", "low": 0.0, "high": 1.0},
        {"origin_name": "Zone 1", "destination_name": "Door", "low": 0.0, "high": 2.0},
        {"origin_name": "Zone 1", "destination_name": "Shelf", "low": 0.0, "high": 1.0},
        {"origin_name": "Shelf", "destination_name": "Door", "low": 0.0, "high": 1.0},
        {"origin_name": "Shelf", "destination_name": "Zone 1", "low": 0.0, "high": 1.0},
    ],
    "path_flows": [
        {"source": "matrix", "origin": "edge:6537f28778010000:A", "destination": "edge:6537f28778010000:B", "people": 4},
        {"source": "matrix", "origin": "edge:6537f28778010000:B", "destination": "edge:6537f28778010000:A", "people": 3},
        {"source": "stays", "origin": "entry", "destination_name": "Zone 1", "people": 2, "revision": 2},
        {"source": "stays", "origin_name": "Zone 1", "destination": "exit", "people": 1},
        {"source": "stays", "origin_name": "Zone 1", "destination_name": "Shelf", "people": 1},
        {"source": "stays", "origin_name": "Shelf", "destination": "exit", "people": 1},
    ],
    "path_places": [
        {"place_name": "Zone 1", "stays": 2, "bounced": 0, "dwell_s": 80.0, "began": 2, "ended": 1, "revision": 5},
        {"place_name": "Shelf", "stays": 1, "bounced": 1, "dwell_s": 5.0, "began": 0, "ended": 1, "revision": 2},
    ],
    "path_visits": [
        {"path_names": "Zone 1", "places": 1, "visits": 1, "seconds": 30.0, "served": 0},
        {"path_names": "Zone 1 > Shelf", "places": 2, "visits": 1, "seconds": 60.0, "served": 0},
    ],
    # 2 + 1/2 of 3 smoothed people go to zone 1 first; half of those there go on; a quarter comes back from zone 2.
    # Visits: v1 = 5/6 + v2/4, v2 = 1/6 + v1/2.
    "path_outlook": [
        {"place": "entry", "visits": 2, "to_checkout": None, "chain_order": 1, "revision": 3},
        {"place_name": "Zone 1", "entropy_bits": 1.0, "visits": 2},
        {"place_name": "Shelf", "visits": 2, "to_checkout": None},
    ],
}
FLOW = Flow(
    name="paths",
    summary="who went from where to where by hour; common paths, bounce, way to the checkout; estimates where only counts are",
    after=("traffic",),
    tables=(PathFlows, PathPlaces, PathVisits, PathOutlook, PathEstimates),
    build=_build,
    sections=("stay", "flow"),
    around_s=2 * MOST_STAY_S,
    settles_s=KEPT_S,
)
