"""Journeys of one store: stays of a track become visits once they are over, and flow matrices add up; all by civil hour.

A visit is over when its track has been silent for `quiet` seconds, which is never less than the horizon: until then a stay that
comes late still finds its place in it. Nothing that names a track is kept longer. Staff is left out.
"""

from collections.abc import Iterator

import msgspec

from operators.calendar import bucket
from operators.cells import Cells
from operators.ingest import Accepted
from operators.moment import FOREVER
from operators.paths import BOUNCE_S, ENTRY, EXIT, GAP_S, Path, Stayed, path_of, visits
from operators.place_names import checkouts, edge_place, zone_place
from schemas.events import FlowMatrix, Stay
from schemas.sites import Site

MOST_STAY_S = 6 * 3600
"""A longer stay is somebody who works there, or a thing; a visit goes on no longer than this after it began."""
KEPT_S = 2 * MOST_STAY_S + 3600
"""Hours are held this long after their end (and until tracks are quiet): a visit counts where it began, once it is over."""
MOST_PLACES = 40
"""A longer path is cut: a track that jumps between zones is noise."""
MOST_PATHS = 2000
"""Different paths that an hour or a day of one device may have; further ones count as OTHER."""
OTHER = "…"

PEOPLE = 0
STAYS, BOUNCED, DWELL_S, BEGAN, ENDED = range(5)
VISITS, SECONDS, SERVED = range(3)


class Journeys(msgspec.Struct, array_like=True):
    """State of one store. `tracks`: stays of visits that are not over, by device and track.

    `flows`: (source, device, from, to) -> people; `places`: (device, place) -> stays, bounced, seconds, began, ended;
    `paths`: (device, *path) -> visits, seconds from first to last, of which saw a checkout; `days`: the same by day.
    `over`: when a visit may be over, which is never later than the first one is.
    """

    tracks: dict[tuple[str, int], list[Stayed]] = {}
    flows: Cells = msgspec.field(default_factory=lambda: Cells("1h"))
    places: Cells = msgspec.field(default_factory=lambda: Cells("1h"))
    paths: Cells = msgspec.field(default_factory=lambda: Cells("1h"))
    days: Cells = msgspec.field(default_factory=lambda: Cells("1d"))
    over: int = FOREVER


class JourneyKeeper:
    """The operator. `horizon`: seconds within which late reports still count."""

    def __init__(self, site: Site, horizon: int, state: Journeys) -> None:
        self.site, self.horizon, self.state = site, horizon, state
        self.quiet = max(GAP_S, horizon)

    def take(self, a: Accepted, now: int, repairs: set[int]) -> None:
        """Take a stay or a flow matrix; `repairs` collects moments that came too late."""
        event, device = a.event, a.from_.report.device
        if a.verdict == "earlier":
            return
        if type(event) is Stay and not event.staff and a.end - a.start <= MOST_STAY_S:
            place = zone_place(device, event.zone)
            if a.end + self.quiet <= now:
                repairs.add(a.start)
                return
            stay = Stayed(a.start, a.end, place, event.dwell_s, a.arrival)
            if event.track is None:
                self._settle_stay(device, stay, False, False)
            else:
                self.state.tracks.setdefault((device, event.track), []).append(stay)
                self.state.over = min(self.state.over, a.end + self.quiet)
        elif type(event) is FlowMatrix:
            self._matrix(a, event, device, now, repairs)

    def _matrix(self, a: Accepted, event: FlowMatrix, device: str, now: int, repairs: set[int]) -> None:
        if self.state.flows.late(self.site.zone, a.start, now, KEPT_S + self.quiet):
            repairs.add(a.start)
            return
        start = bucket(self.site.zone, a.start, "1h")[0]
        for pair, n in event.cells.items():
            origin, _, destination = pair.partition("-")
            key = ("matrix", device, edge_place(device, origin), edge_place(device, destination))
            self.state.flows.add(start, key, [n], a.arrival)

    # -- visits that are over ----------------------------------------------------------------------------------------------

    def advance(self, now: int) -> None:
        """Count the visits that are over."""
        for key, stays in sorted(self.state.tracks.items()):
            rest: list[Stayed] = []
            for visit in visits(stays, GAP_S, MOST_STAY_S):
                if max(s.end for s in visit) + self.quiet <= now:
                    self._settle(key[0], visit)
                else:
                    rest += visit
            if rest:
                self.state.tracks[key] = rest
            else:
                del self.state.tracks[key]
        ends = [max(s.end for s in stays) for stays in self.state.tracks.values()]
        self.state.over = min(ends) + self.quiet if ends else FOREVER

    def _settle(self, device: str, visit: list[Stayed]) -> None:
        zone, state = self.site.zone, self.state
        path = path_of(visit)[:MOST_PLACES]
        known, n = max(s.known for s in visit), len(visit)
        for i, stay in enumerate(visit):
            self._settle_stay(device, stay, i == 0, i == n - 1)
        for at, origin, destination in _steps(visit):
            state.flows.add(bucket(zone, at, "1h")[0], ("stays", device, origin, destination), [1], known)
        served = bool(checkouts(self.site, frozenset(path)))
        sums = [1.0, float(max(s.end for s in visit) - visit[0].start), float(served)]
        for cells in (state.paths, state.days):
            start = bucket(zone, visit[0].start, cells.step)[0]
            cells.add(start, self._kept(cells, start, device, path), sums, known, n)

    def _settle_stay(self, device: str, stay: Stayed, began: bool, ended: bool) -> None:
        start = bucket(self.site.zone, stay.start, "1h")[0]
        sums = [1.0, float(stay.dwell_s < BOUNCE_S), stay.dwell_s, float(began), float(ended)]
        self.state.places.add(start, (device, stay.place), sums, stay.known)

    @staticmethod
    def _kept(cells: Cells, start: int, device: str, path: Path) -> tuple[str, ...]:
        """Key of a path; OTHER when there are too many different ones already."""
        key, there = (device, *path), cells.held.get(start, {})
        return key if key in there or len(there) < MOST_PATHS else (device, OTHER)


def _steps(visit: list[Stayed]) -> Iterator[tuple[int, str, str]]:
    """Moment, from and to of each transition of a visit; the same place again is no transition."""
    here = ENTRY
    for stay in visit:
        if stay.place != here:
            yield stay.start, here, stay.place
            here = stay.place
    yield max(s.end for s in visit), here, EXIT
