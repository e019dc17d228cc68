"""Queues of one store: length, arrivals, wait, service and lanes by minute and in civil buckets (kpis.md 2.6).

A queue is a zone with role `checkout`. Lines with role `checkout` lead into it, lines with role `service` out of it to the
tills, zones with role `service` are the tills (`Device.queue_of` says which belong together). Every figure takes the best
evidence there is and says which: a line before stays, what the device measured before what is computed.

Tallies: see `operators.gauges` (`present` is the length), and seconds by lanes `open`, seconds by people `busy` at the tills;
stays by rounded seconds: `queued`, `service`; `told` waits by rounded seconds; `joined`, `passed`, `served`: {1: people,
0: reports}, so that nobody in a report is something else than no report.
"""

import msgspec

from operators.erlang import erlang_c
from operators.gauges import Level, minute_tally
from operators.ingest import Accepted
from operators.lanes_wanted import TARGET_S
from operators.rollup import LAST, Rollup, RollupState
from operators.spread import spread
from operators.tallies import Histogram, Tally, amount, at_least, mean, quantile, rounded_s, total
from operators.traffic import counted
from operators.zones import gain_level, minute_of_end
from schemas.events import LineCount, Plain, QueueLength, Stay, ZoneCount
from schemas.sites import Device, Line, Site, Zone

JOINED_S = 5
"""A shorter stay in the queue is somebody who walked through (kpis.md 2.6)."""
LONG = 5
"""People from which a queue is too long where its zone has no capacity."""
_LITTLE_COVERED = 0.9

Levels = dict[str, dict[int, dict[int, list[Level]]]]


class QueuesState(msgspec.Struct, array_like=True):
    """Samples by device, zone and minute until the horizon has passed: of queues, and of tills."""

    rollup: RollupState = msgspec.field(default_factory=RollupState)
    queues: Levels = {}
    tills: Levels = {}


def limit_of(entry: Device, queue: int) -> int:
    """People from which a queue is too long."""
    zone = entry.zones.get(queue)
    return zone.capacity if zone is not None and zone.capacity is not None else LONG


class Queues:
    """All queues of one store. `horizon`: seconds, None for the store's own; `generation`: see schemas.rows."""

    def __init__(self, site: Site, horizon: int | None, state: QueuesState | None = None, generation: int = 0) -> None:
        self.site, self.state = site, state or QueuesState()
        self.rollup = Rollup(site, horizon, self.state.rollup, generation)
        self.lines: dict[tuple[str, int], tuple[int, Line]] = {}
        for entry in site.devices.values():
            for line in entry.lines.values():
                if line.role in ("checkout", "service"):
                    self.lines[entry.id, line.number] = entry.queue_of(line), line
        self.counted = frozenset(device for device, _ in self.lines)

    def take_plain(self, plain: Plain) -> None:
        """A plain report of a device with lines at queues; it is in time."""
        entry = self.site.entry(plain.device)
        for number, into, out in zip(plain.lines, plain.counts[::2], plain.counts[1::2], strict=True):
            found = self.lines.get((plain.device, number))
            if found is not None and entry.source(number) == "window":
                people = out if entry.swapped(number) else into
                for minute, _, values in spread(plain.start, plain.end, (people, 0, *[None] * 6)):  # type: ignore[arg-type]
                    self._crossed(plain.device, *found, minute, _counted(values[0]), plain.arrival, 0)

    def take(self, a: Accepted, now: int, repairs: set[int]) -> bool:
        """Take an accepted event, whether it is about a queue; minutes that only a repair can write go to `repairs`."""
        event, device = a.event, a.from_.report.device
        if isinstance(event, LineCount):
            found = self.lines.get((device, event.line))
            if found is None or a.verdict == "overlap" or event.kind != a.device.source(event.line):
                return False
            if a.verdict == "earlier":
                repairs.add(a.start)
                return True
            for minute, _, values in counted(a, event, a.device.swapped(event.line)):
                if not self._crossed(device, *found, minute, _counted(values[0], a.verdict == "new"), a.arrival, now):
                    repairs.add(minute)
            return True
        if not isinstance(event, (ZoneCount, QueueLength, Stay)):
            return False
        zone = a.device.zones.get(event.zone) or Zone(event.zone)
        if zone.role not in ("checkout", "service") and not isinstance(event, QueueLength):
            return False
        if a.verdict == "earlier":
            repairs.add(a.start)
        elif isinstance(event, Stay):
            self._stay(device, event, zone, a, now, repairs)
        elif isinstance(event, QueueLength):
            self._length(device, event, a, now, repairs)
        elif event.kind != "total" and event.present is not None:
            level = Level(a.start, a.end, a.event_id, a.arrival, event.present)
            if zone.role == "checkout":
                self._level(self.state.queues, device, zone.number, zone.number, level, now, repairs)
            else:
                self._level(self.state.tills, device, a.device.queue_of(zone), zone.number, level, now, repairs)
        return True

    def _crossed(self, device: str, queue: int, line: Line, minute: int, people: Histogram, known: int, now: int) -> bool:
        name = "joined" if line.role == "checkout" else "passed"
        return self.rollup.gain(self.rollup.strand(device, queue), minute, {name: people}, known, now)

    def _stay(self, device: str, stay: Stay, zone: Zone, a: Accepted, now: int, repairs: set[int]) -> None:
        if stay.staff:
            return
        queued = zone.role == "checkout"
        strand = self.rollup.strand(device, zone.number if queued else a.device.queue_of(zone))
        more = {"queued" if queued else "service": {rounded_s(stay.dwell_s): 1}}
        if not self.rollup.gain(strand, minute_of_end(a), more, a.arrival, now):
            repairs.add(minute_of_end(a))

    def _length(self, device: str, e: QueueLength, a: Accepted, now: int, repairs: set[int]) -> None:
        level = Level(a.start, a.end, a.event_id, a.arrival, e.length, staff=e.lanes_open)
        self._level(self.state.queues, device, e.zone, e.zone, level, now, repairs)
        more: Tally = {}
        if e.wait_s is not None:
            more["told"] = {rounded_s(e.wait_s): 1}
        if e.served is not None:
            more["served"] = _counted(e.served)
        if more and not self.rollup.gain(self.rollup.strand(device, e.zone), minute_of_end(a), more, a.arrival, now):
            repairs.add(minute_of_end(a))

    def _level(self, of: Levels, device: str, queue: int, zone: int, level: Level, now: int, repairs: set[int]) -> None:
        tills = of is self.state.tills
        by_minute = of.setdefault(device, {}).setdefault(zone, {})
        tally = till_tally if tills else queue_tally
        name = f"till {zone}" if tills else "level"
        repairs |= gain_level(self.rollup, self.rollup.strand(device, queue), by_minute, level, now, tally, name)

    def forget(self, now: int) -> None:
        """Let go of samples that the horizon has passed."""
        for zones in (*self.state.queues.values(), *self.state.tills.values()):
            for by_minute in zones.values():
                for minute in [m for m in by_minute if self.rollup.late(m, now)]:
                    del by_minute[minute]


def _counted(people: int, first: bool = True) -> Histogram:
    """People of a report. `first`: the report is no correction of one that was counted."""
    return {1: people, 0: int(first)}


def queue_tally(levels: list[Level], minute: int) -> Tally:
    """Samples of a queue: its length, and lanes open (carried where a zone has its staff)."""
    found = minute_tally(levels, minute)
    kept = {"present": "present", "peak": "peak", LAST: LAST, "staff": "open"}
    return {kept[name]: values for name, values in found.items() if name in kept}


def till_tally(levels: list[Level], minute: int) -> Tally:
    """Samples of a till: people there."""
    found = minute_tally(levels, minute)
    return {"busy": found["present"]} if "present" in found else {}


class QueueFigures(msgspec.Struct):
    """Figures of a queue over a minute or a bucket. None: not known. Sources: see schemas/rows_zones.py."""

    length_mean: float | None
    length_p95: int | None
    length_max: int | None
    over_s: int | None
    arrivals: int | None
    arrivals_source: str
    served: int | None
    served_source: str
    wait_s: float | None
    wait_source: str
    service_s: float | None
    lanes_open: float | None
    busy_share: float | None
    utilisation: float | None
    measured_s: int


def figures(tally: Tally, limit: int, seconds: int) -> QueueFigures:
    """What a tally over so many seconds says. `limit`: people from which the queue is too long."""
    length, opened, busy = (tally.get(name, {}) for name in ("present", "open", "busy"))
    arrivals, arrivals_source = _arrivals(tally)
    served, served_source = _served(tally)
    served_at, busy_s = amount(busy), sum(much for people, much in busy.items() if people)
    service = mean(tally.get("service", {}))
    wait, wait_source = _wait(tally, service, arrivals, seconds)
    return QueueFigures(
        length_mean=mean(length),
        length_p95=quantile(length, 0.95),
        length_max=max((v for name in ("present", "peak") for v in tally.get(name, ())), default=None),
        over_s=at_least(length, limit) if length else None,
        arrivals=arrivals,
        arrivals_source=arrivals_source,
        served=served,
        served_source=served_source,
        wait_s=wait,
        wait_source=wait_source,
        service_s=service,
        lanes_open=mean(opened),
        busy_share=busy_s / served_at if served_at else None,
        utilisation=total(busy) / total(opened) if total(opened) and busy else None,
        measured_s=amount(length),
    )


def _arrivals(tally: Tally) -> tuple[int | None, str]:
    if "joined" in tally:
        return total(tally["joined"]), "line"
    return (at_least(tally["queued"], JOINED_S), "stays") if "queued" in tally else (None, "")


def _served(tally: Tally) -> tuple[int | None, str]:
    for name, source in (("passed", "line"), ("served", "told"), ("service", "stays")):
        if name in tally:
            return total(tally[name]) if source != "stays" else amount(tally[name]), source
    return None, ""


def waits(tally: Tally) -> dict[int, int]:
    """Waits by rounded seconds: those that the device told, else stays in the queue of those who joined it."""
    return tally.get("told") or {s: n for s, n in tally.get("queued", {}).items() if s >= JOINED_S}


def _wait(tally: Tally, service: float | None, arrivals: int | None, seconds: int) -> tuple[float | None, str]:
    """Told or seen, else people times service per lane, else Little's law where the queue was as long before as after."""
    found = mean(waits(tally))
    if found is not None:
        return found, "told" if "told" in tally else "stays"
    length, lanes = mean(tally.get("present", {})), mean(tally.get("open", {}))
    if length is not None and service is not None and lanes:
        return length * service / lanes, "servers"
    even = "first" in tally and tally["first"].keys() == tally.get(LAST, {}).keys()
    if length is not None and arrivals and even and amount(tally["present"]) >= _LITTLE_COVERED * seconds:
        return length * seconds / arrivals, "little"
    return None, ""


def service_level(tally: Tally, f: QueueFigures, seconds: int) -> tuple[float | None, str]:
    """Share of people who waited no longer than the target, counted; else by Erlang-C, where it is stable."""
    seen = waits(tally)
    if seen:
        return 1.0 - at_least(seen, int(TARGET_S) + 1) / amount(seen), "counted"
    if f.arrivals and f.service_s and f.lanes_open:
        steady = erlang_c(f.arrivals / seconds, 1 / f.service_s, round(f.lanes_open))
        return (steady.served_within(TARGET_S), "erlang_c") if steady is not None else (None, "unstable")
    return None, ""


def abandonment(f: QueueFigures) -> tuple[float | None, str]:
    """(joined - served) / joined, and its grade: A both by lines, C where one of them is stays. Never clipped: below zero says
    that one of the two counts too little. Grade B wants tickets of a till."""
    if not f.arrivals or f.served is None:
        return None, ""
    return (f.arrivals - f.served) / f.arrivals, "A" if f.arrivals_source == f.served_source == "line" else "C"
