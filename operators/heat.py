"""Heat of one store by civil hour: person-seconds and stays per zone, and a device's own unitless heat, kept apart.

Presence comes from stays where a device tells them (split over the hours that they touch), else from people present times the
window that they were present for. The same window told again with other values replaces the earlier one: rows of cameras grow.
"""

from collections.abc import Iterator

import msgspec

from operators.calendar import bucket, open_seconds
from operators.cells import Key, Pending, Written
from operators.ingest import Accepted
from operators.journeys import MOST_STAY_S
from schemas.events import Heat, Stay, ZoneCount
from schemas.sites import Site

MOST_CELLS = 10_000
"""Cells of one map in an hour; further ones are not kept (a grid of 100 x 100 has that many)."""


class Sampled(msgspec.Struct, array_like=True):
    """People present over a window that ends at `end`."""

    end: int
    known: int
    present: int


class Mapped(msgspec.Struct, array_like=True):
    """A device's own heat over a window that ends at `end`; fields as in schemas.events.Heat."""

    end: int
    known: int
    value: float | None
    cells: list[tuple[int, int, float]]
    columns: int | None
    rows: int | None


class Spot(msgspec.Struct, array_like=True):
    """One zone in one hour. `samples`, `maps`: by start of the window; `stay_s`, `visits`: of stays; `n`, `known` as ever."""

    visits: int = 0
    stay_s: float = 0.0
    stays: int = 0
    samples: dict[int, Sampled] = {}
    maps: dict[int, Mapped] = {}
    n: int = 0
    known: int = 0


class Figures(msgspec.Struct, array_like=True):
    """What a spot comes to; None: not measured."""

    presence_s: float | None
    source: str
    measured_s: int | None
    visits: int | None
    intensity: float | None
    resolution_s: int
    open_s: int


class HeatState(msgspec.Struct, array_like=True):
    """State of one store; keys are (device, zone)."""

    pending: Pending = msgspec.field(default_factory=lambda: Pending("1h"))
    held: dict[int, dict[Key, Spot]] = {}


class HeatKeeper:
    """The operator. `horizon`: seconds within which late reports still count."""

    def __init__(self, site: Site, horizon: int, state: HeatState) -> None:
        self.site, self.horizon, self.state = site, horizon, state
        self.kept = MOST_STAY_S + horizon + 3600

    def take(self, a: Accepted, now: int, repairs: set[int]) -> None:
        """Take what says something of heat; `repairs` collects moments that came too late."""
        event = a.event
        if type(event) is Stay:
            wanted = not event.staff and a.end - a.start <= MOST_STAY_S
        else:
            wanted = type(event) is Heat or (type(event) is ZoneCount and event.kind == "window" and event.present is not None)
        if not wanted or a.verdict == "earlier":
            return
        zone = self.site.zone
        ended, began = bucket(zone, max(a.start, a.end - 1), "1h")[1], bucket(zone, a.start, "1h")[1]
        if ended + self.horizon <= now or began + self.kept <= now:
            repairs.add(a.start)
            return
        if type(event) is Stay:
            self._stay(a, event)
        elif type(event) is Heat:
            spot = self._spot(a, event.zone, a.start)
            before = spot.maps.get(a.start)
            if before is None or a.arrival >= before.known:
                gone = {(x, y): 0.0 for x, y, _ in before.cells} if before is not None else {}  # their rows are there already
                cells = sorted((x, y, v) for (x, y), v in (gone | {(x, y): v for x, y, v in event.cells}).items())
                spot.maps[a.start] = Mapped(a.end, a.arrival, event.value, cells[:MOST_CELLS], event.columns, event.rows)
        elif type(event) is ZoneCount:
            present = max(0, (event.present or 0) - (event.staff or 0))
            for start, end in self._hours(a.start, a.end):
                spot = self._spot(a, event.zone, start)
                there = spot.samples.get(start)
                if there is None or a.arrival >= there.known:
                    spot.samples[start] = Sampled(end, a.arrival, present)

    def _stay(self, a: Accepted, event: Stay) -> None:
        spot = self._spot(a, event.zone, a.start)
        spot.visits += 1
        for start, end in self._hours(a.start, a.end):
            spot = self._spot(a, event.zone, start) if start != a.start else spot
            spot.stay_s += end - start
            spot.stays += 1
        if a.end == a.start:
            spot.stays += 1

    def _hours(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """A window cut where the civil hours change."""
        while start < end:
            cut = min(end, bucket(self.site.zone, start, "1h")[1])
            yield start, cut
            start = cut

    def _spot(self, a: Accepted, zone: int, moment: int) -> Spot:
        """The spot that an event changes."""
        key, start = (a.from_.report.device, str(zone)), bucket(self.site.zone, moment, "1h")[0]
        spot = self.state.held.setdefault(start, {}).setdefault(key, Spot())
        spot.n += 1
        spot.known = max(spot.known, a.arrival)
        self.state.pending.mark(start, key)
        return spot

    def due(self, now: int, close_after: int) -> list[Written]:
        """Spots to be written; forgets those that the horizon has passed."""
        return list(self.state.pending.due(self.site.zone, now, close_after, self.kept, self.state.held))

    def figures(self, start: int, end: int, spot: Spot) -> Figures:
        """What a spot comes to."""
        measured = sum(s.end - at for at, s in spot.samples.items())
        presence: float | None = None
        if spot.stays:
            presence, source = spot.stay_s, "stays"
        elif spot.samples:
            presence, source = float(sum((s.end - at) * s.present for at, s in spot.samples.items())), "samples"
        else:
            source = ""
        values = [m.value for m in spot.maps.values() if m.value is not None]
        return Figures(
            presence,
            source,
            measured if source == "samples" else None,
            spot.visits if spot.stays else None,
            sum(values) if values else None,
            max((m.end - at for at, m in spot.maps.items()), default=0),
            open_seconds(self.site, start, end),
        )


def grid(spot: Spot) -> dict[tuple[int, int], float]:
    """A spot's own heat by cell, summed over its windows."""
    found: dict[tuple[int, int], float] = {}
    for _, mapped in sorted(spot.maps.items()):
        for x, y, value in mapped.cells:
            found[x, y] = found.get((x, y), 0.0) + value
    return found


def size_of(spot: Spot) -> tuple[int | None, int | None]:
    """Columns and rows of the grid, as the newest map that states them says."""
    stated = [m for _, m in sorted(spot.maps.items()) if m.columns is not None]
    return (stated[-1].columns, stated[-1].rows) if stated else (None, None)
