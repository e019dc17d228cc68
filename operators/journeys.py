"""Journeys of one store: stays of a track become visits, visits become steps from place to place; flow matrices add up. By
civil hour.

A step counts as soon as both its stays are told. That somebody left, and with it the visit and its path, counts once the
track has been silent for `quiet` seconds (at least the horizon); a longer stay that is told later takes that back. Tracks
are forgotten an hour after that, so nothing that names one is kept longer. Staff is left out.
"""

from collections.abc import Iterator, Sequence

import msgspec

from operators.calendar import bucket
from operators.cells import Cells, daily, hourly
from operators.ingest import Accepted, horizon_of
from operators.moment import FOREVER
from operators.paths import BOUNCE_S, ENTRY, EXIT, GAP_S, Path, Stayed, path_of, visits
from operators.place_names import checkouts, edge_place, zone_place
from schemas.events import FlowMatrix, Stay
from schemas.sites import Site

MOST_STAY_S = 6 * 3600
"""A longer stay is somebody who works there, or a thing; a visit goes on no longer than this after it began."""
LINGER_S = 3600
"""A track is remembered this long after it was taken for gone: a stay is told when it is over, which may be as much later."""
KEPT_S = 2 * MOST_STAY_S + LINGER_S + 3600
"""Hours are held this long after their end (and until tracks are quiet): a visit counts where it began, once it is over."""
MOST_PLACES = 40
"""A longer path is cut: a track that jumps between zones is noise."""
MOST_STAYS = 200
"""Stays of one track that are followed: a device that gives everybody the same number has no paths."""
MOST_PATHS = 2000
"""Different paths that an hour or a day of one device may have; further ones count as OTHER."""
OTHER = "…"

PEOPLE = 0
STAYS, BOUNCED, DWELL_S, BEGAN, ENDED = range(5)
VISITS, SECONDS, SERVED = range(3)

_At = tuple[str, int, tuple[str, ...]]
_Said = dict[_At, tuple[list[float], int]]
"""Sums, and the number of stays behind them, by cells (name), start of the bucket and key."""


class Track(msgspec.Struct, array_like=True):
    """Stays of one track, and the store's time at which they were last looked at."""

    stays: list[Stayed]
    seen: int


class Journeys(msgspec.Struct, array_like=True):
    """State of one store. `tracks`: by device and track.

    `flows`: (source, device, from, to) -> people; `places`: (device, place) -> stays, bounced, seconds, began, ended;
    `paths`: (device, *path) -> visits, seconds from first to last, of which saw a checkout; `days`: the same by day.
    `due`: when a track may be gone or forgotten, which is never later than the first one is.
    """

    tracks: dict[tuple[str, int], Track] = {}
    flows: Cells = msgspec.field(default_factory=hourly)
    places: Cells = msgspec.field(default_factory=hourly)
    paths: Cells = msgspec.field(default_factory=hourly)
    days: Cells = msgspec.field(default_factory=daily)
    due: int = FOREVER


class JourneyKeeper:
    """The operator. `horizon`: seconds within which late reports still count (endless where a day is computed again)."""

    def __init__(self, site: Site, horizon: int, state: Journeys) -> None:
        self.site, self.state = site, state
        self.quiet = max(GAP_S, horizon_of(site))
        self.late_after = max(horizon, self.quiet + LINGER_S)
        self.kept = max(horizon, KEPT_S + self.quiet)

    def take(self, a: Accepted, now: int, repairs: set[int]) -> None:
        """Take a stay or a flow matrix; `repairs` collects moments that came too late."""
        event, device = a.event, a.from_.report.device
        if a.verdict == "earlier":
            return
        if type(event) is Stay and not event.staff and a.end - a.start <= MOST_STAY_S:
            if a.end + self.late_after <= now:
                repairs.add(a.start)
                return
            stay = Stayed(a.start, a.end, zone_place(device, event.zone), event.dwell_s, a.arrival)
            sums = [1.0, float(stay.dwell_s < BOUNCE_S), stay.dwell_s, 0.0, 0.0]
            self.state.places.add(self._hour(a.start), (device, stay.place), sums, a.arrival)
            if event.track is not None:
                self._follow(device, event.track, stay, now)
        elif type(event) is FlowMatrix:
            self._matrix(a, event, device, now, repairs)

    def _matrix(self, a: Accepted, event: FlowMatrix, device: str, now: int, repairs: set[int]) -> None:
        if self.state.flows.late(self.site.zone, a.start, now, self.kept):
            repairs.add(a.start)
            return
        for pair, n in event.cells.items():
            origin, _, destination = pair.partition("-")
            key = ("matrix", device, edge_place(device, origin), edge_place(device, destination))
            self.state.flows.add(self._hour(a.start), key, [n], a.arrival)

    def _hour(self, moment: int) -> int:
        return bucket(self.site.zone, moment, "1h")[0]

    # -- visits ------------------------------------------------------------------------------------------------------------

    def _follow(self, device: str, number: int, stay: Stayed, now: int) -> None:
        track = self.state.tracks.setdefault((device, number), Track([], now))
        if len(track.stays) >= MOST_STAYS:
            return
        before = self._said(device, track)
        track.stays.append(stay)
        track.seen = now
        self._change(before, self._said(device, track), stay.known)
        self.state.due = min(self.state.due, max(now, stay.end + self.quiet))

    def advance(self, now: int) -> None:
        """Count the visits that are over, forget the tracks that are long gone."""
        if now < self.state.due:
            return
        due = FOREVER
        for key, track in sorted(self.state.tracks.items()):
            last = max(s.end for s in track.stays) + self.quiet
            if last > track.seen and last <= now:
                before, track.seen = self._said(key[0], track), now
                self._change(before, self._said(key[0], track), max(s.known for s in track.stays))
            if last + LINGER_S <= now:
                del self.state.tracks[key]
            else:
                due = min(due, last if last > now else last + LINGER_S)
        self.state.due = due

    def _said(self, device: str, track: Track) -> _Said:
        """Everything that a track says by what is known of it when it was last looked at."""
        found: _Said = {}
        for visit in visits(track.stays, GAP_S, MOST_STAY_S):
            over = max(s.end for s in visit) + self.quiet <= track.seen
            for at, origin, destination in _steps(visit, over):
                _more(found, ("flows", self._hour(at), ("stays", device, origin, destination)), [1.0], 1)
            _more(found, ("places", self._hour(visit[0].start), (device, visit[0].place)), [0.0, 0.0, 0.0, 1.0, 0.0], 0)
            if over:
                self._ended(found, device, visit)
        return found

    def _ended(self, found: _Said, device: str, visit: Sequence[Stayed]) -> None:
        path, last = path_of(visit)[:MOST_PLACES], visit[-1]
        _more(found, ("places", self._hour(last.start), (device, last.place)), [0.0, 0.0, 0.0, 0.0, 1.0], 0)
        served = bool(checkouts(self.site, frozenset(path)))
        sums = [1.0, float(max(s.end for s in visit) - visit[0].start), float(served)]
        for name, cells in (("paths", self.state.paths), ("days", self.state.days)):
            start = bucket(self.site.zone, visit[0].start, cells.step)[0]
            _more(found, (name, start, _kept(cells, start, device, path)), sums, len(visit))

    def _change(self, before: _Said, after: _Said, known: int) -> None:
        """Bring the cells from what a track said before to what it says now. Knowledge only grows, also where a figure
        falls."""
        for at in sorted(before.keys() | after.keys()):
            (old, had), (new, has) = before.get(at, ([], 0)), after.get(at, ([], 0))
            if old == new:
                continue
            size = max(len(old), len(new))
            delta = [a - b for a, b in zip(_filled(new, size), _filled(old, size), strict=True)]
            name, start, key = at
            getattr(self.state, name).add(start, key, delta, known, max(1, has - had))


def _filled(sums: list[float], size: int) -> list[float]:
    return sums or [0.0] * size


def _more(found: _Said, at: _At, sums: list[float], n: int) -> None:
    there, before = found.get(at, ([0.0] * len(sums), 0))
    found[at] = ([a + b for a, b in zip(there, sums, strict=True)], before + n)


def _kept(cells: Cells, start: int, device: str, path: Path) -> tuple[str, ...]:
    """Key of a path; OTHER when there are too many different ones already."""
    key, there = (device, *path), cells.held.get(start, {})
    return key if key in there or len(there) < MOST_PATHS else (device, OTHER)


def _steps(visit: Sequence[Stayed], over: bool) -> Iterator[tuple[int, str, str]]:
    """Moment, from and to of each step of a visit; the same place again is no step, out comes when it is over."""
    here = ENTRY
    for stay in visit:
        if stay.place != here:
            yield stay.start, here, stay.place
            here = stay.place
    if over:
        yield max(s.end for s in visit), here, EXIT
