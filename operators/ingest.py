"""Ingest of one store: reports in, accepted events out; chooses the event time, refuses nothing for being late, counts nothing
twice. Pure: time is the log's timestamp, what the store knows of older days is handed in.

Rules: milesight.md 3, 8 and 11, written down in docs/architecture.md ("Messages and identity").
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import msgspec

from operators.memory import (
    DAY,
    DeviceMemory,
    LineMemory,
    Values,
    Window,
    accept_id,
    accept_window,
    minute_mask,
    place_of,
    prune,
)
from schemas.events import Event, LineCount, Plain, Report, event_id
from schemas.sites import Device, Site

FUTURE_S = 300
"""A device time further ahead of its arrival than this is not believed."""
PAST_S = 35 * DAY
"""A device time further back than this is not believed (devices keep at most a month of history)."""
BAD_CLOCK_IDS_S = 2 * DAY
"""Ids of a device without a usable clock are remembered this long, because a late copy cannot be told by its time."""
MIN_HORIZON_S = 900
SPANS = frozenset(("dwell", "flow", "heat", "people"))
"""Sections that hold over a period: without a time of their own it is the expected interval, as for a window."""


class Arrival(msgspec.Struct, gc=False):
    """One report as it lies in the log. `arrival`: the log's timestamp, epoch ms."""

    partition: int
    position: int
    arrival: int
    report: Report


class Accepted(msgspec.Struct, gc=False):
    """An event that says something new. `verdict` as in operators.memory; `before`: the values that a correction replaces.

    `start`, `end`: chosen event time, epoch seconds. `late`: its end is beyond the horizon. `place`: the record that it
    stands for, which is an older one when this is an earlier-stamped copy.
    """

    device: Device
    event: Event
    event_id: int
    start: int
    end: int
    verdict: str
    before: Values | None
    arrival: int
    skew_s: int
    clock: str
    late: bool
    from_: Arrival
    flags: str
    place: int


class Known(msgspec.Struct, gc=False):
    """An observation of an older day, as the store gives it back (see `needs`)."""

    section: str
    kind: str
    part: int
    start: int
    end: int
    event_id: int
    arrival: int
    values: Values
    counted_before: bool
    place: int


def horizon_of(site: Site) -> int:
    """Seconds within which the lane corrects in place: twice the longest expected interval, at least 15 minutes."""
    return max([MIN_HORIZON_S, *(2 * d.interval_s for d in site.devices.values())])


def values_of(event: LineCount) -> Values:
    e = event
    return (e.people_in, e.people_out, e.child_in, e.child_out, e.staff_in, e.staff_out, e.group_in, e.group_out)


class Ingest:
    """The ingest state of one store."""

    def __init__(self, site: Site, devices: dict[str, DeviceMemory] | None = None) -> None:
        self.site = site
        self.horizon = horizon_of(site)
        self.devices: dict[str, DeviceMemory] = devices or {}
        self.clockless = frozenset(d.id for d in site.devices.values() if d.clock == "arrival")
        self.failed: object = None
        """What `take_plains` looked at when it raised."""

    # -- time ------------------------------------------------------------------------------------------------------------

    def clock(self, entry: Device, memory: DeviceMemory, report: Report, arrival_s: int) -> tuple[str, str]:
        """Whose time counts ("device" or "arrival") and why not the device's ("" when it does)."""
        if report.time is None:
            return "arrival", ""
        if entry.clock != "auto":
            return entry.clock, "clock_rule" if entry.clock == "arrival" else ""
        if report.time > arrival_s + FUTURE_S:
            return "arrival", "clock_future"
        if report.time < arrival_s - PAST_S:
            return "arrival", "clock_past"
        if self._stands_still(entry, memory, report):
            return "arrival", "clock_stopped"
        return "device", ""

    def _stands_still(self, entry: Device, memory: DeviceMemory, report: Report) -> bool:
        """True while a device goes on running but repeats the same time."""
        if report.running_time is None or not report.time_text:
            return False
        if report.time_text != memory.last_time_text:
            memory.standing_still = False
        elif report.running_time - memory.last_running >= entry.interval_s * 3 // 2:
            memory.standing_still = True
        if not memory.standing_still or report.time_text != memory.last_time_text:
            memory.last_time_text, memory.last_running = report.time_text, report.running_time
        return memory.standing_still

    # -- older days ------------------------------------------------------------------------------------------------------

    def needs(self, arrivals: Iterable[Arrival], now: int) -> set[tuple[str, int]]:
        """(device, UTC day) of late reports that might be there already: to be looked up before `take`.

        A report is surely new when one of its windows lies on minutes of a known day that were never covered.
        """
        wanted: set[tuple[str, int]] = set()
        limit = now - self.horizon
        for a in arrivals:
            time = a.report.time
            if time is None or time > limit or (time < a.arrival // 1000 - PAST_S and not self._trusts(a.report.device)):
                continue
            if not self._surely_new(a.report):
                wanted |= {(a.report.device, day) for day in self._days(a.report)}
        return wanted

    def _trusts(self, device: str) -> bool:
        entry = self.site.devices.get(device)
        return entry is not None and entry.clock == "device"

    def _days(self, report: Report) -> set[int]:
        moments = {report.time} | {t for e in report.events for t in (getattr(e, "start", None), getattr(e, "end", None))}
        return {t // DAY for t in moments if t is not None}

    def _surely_new(self, report: Report) -> bool:
        memory = self.devices.get(report.device)
        if memory is None or report.frame is not None:
            return False
        for e in report.events:
            if type(e) is LineCount and e.kind == "window" and e.start is not None and e.end is not None:
                covered = memory.line(e.line).covered
                if all(d in covered and not covered[d] & m for d, m in minute_mask(e.start, e.end)):
                    return True
        return False

    def recall(self, known: Mapping[tuple[str, int], Sequence[Known]], stamp: int) -> None:
        """Take in what the store knows of older days, for the batch `stamp`; what is remembered already wins."""
        for (device, day), rows in known.items():
            memory = self.devices.setdefault(device, DeviceMemory(device=device))
            memory.settle()
            for row in sorted(rows, key=lambda k: (k.arrival, k.event_id)):
                if row.section == "line" and row.kind == "window" and row.counted_before:
                    _recall_window(memory.line(row.part), row, stamp)
                    memory.frontier = max(memory.frontier, row.end)
                else:
                    time, arrival, _, place = memory.ids.get(row.event_id, (row.end, row.arrival, stamp, row.place))
                    memory.ids[row.event_id] = (time, arrival, stamp, place)
            for line in memory.lines.values():
                line.covered.setdefault(day, 0)

    # -- reports ---------------------------------------------------------------------------------------------------------

    def take(self, a: Arrival, entry: Device, now: int, stamp: int, durable: int = 0) -> list[Accepted]:
        """Judge every event of one report at store time `now` (epoch s). Duplicates give nothing back."""
        report, arrival_s = a.report, a.arrival // 1000
        memory = self.devices.get(report.device)
        if memory is None:
            memory = self.devices[report.device] = DeviceMemory(device=report.device)
        clock, why = self.clock(entry, memory, report, arrival_s)
        shift, salt = 0, ""
        if clock == "arrival" and report.time is not None:
            shift = arrival_s - report.time
            salt = str(report.running_time if report.running_time is not None else arrival_s // max(entry.interval_s, 1))
        elif report.dst_added_s and entry.dst == "included":
            shift = report.dst_added_s
        time = report.time + shift if report.time is not None else arrival_s
        skew = arrival_s - report.time if report.time is not None else 0
        self._note(memory, report, a.arrival, clock, skew)
        late_before = now - self.horizon
        out: list[Accepted] = []
        for index, event in enumerate(report.events):
            accepted = self._judge(a, entry, memory, event, event_id(report, event, index, salt), time, shift, stamp)
            if accepted is not None:
                accepted.clock, accepted.skew_s, accepted.late = clock, skew, accepted.end <= late_before
                if why:
                    accepted.flags = f"{accepted.flags},{why}" if accepted.flags else why
                out.append(accepted)
        if memory.messages >= memory.prune_at:
            prune(memory, now, self.horizon, durable, BAD_CLOCK_IDS_S if why else self.horizon)
        return out

    def take_plains(self, work: Sequence[object], at: int, end: int, now: int, due: int, durable: int) -> tuple[int, int]:
        """Take plain reports of `work[at:end]` whole, as long as each comes in order, in time and by a good clock: it is
        surely new then, and nothing has to be looked up.

        `now`: the store's time, `due`: when its next timer has to fire (epoch s); a report after that is not taken. Returns
        where it stopped and the store's time there. With the report there nothing was done: `take` has to judge it event by
        event, or the timer comes first.
        """
        devices, horizon = self.devices, min(self.horizon, PAST_S)
        plain: object = None
        try:
            for plain in islice(work, at, end):
                if type(plain) is not Plain:
                    break
                arrival = plain.arrival
                arrival_s = arrival // 1000
                if arrival_s > now:
                    if arrival_s >= due:
                        break
                    reached = arrival_s
                else:
                    reached = now
                device, text, start, until = plain.device, plain.time_text, plain.start, plain.end
                memory = devices.get(device)
                if (
                    memory is None
                    or start < memory.frontier
                    or arrival < memory.last_arrival
                    or start + horizon <= reached
                    or until > arrival_s + FUTURE_S
                    or text == memory.last_time_text
                    or device in self.clockless
                    or (memory.ids and not memory.ids.keys().isdisjoint(plain.ids()))
                ):
                    break
                running = plain.running_time
                if running is not None:
                    memory.standing_still, memory.last_time_text, memory.last_running = False, text, running
                if start == memory.run_end and plain.lines == memory.run_lines:
                    memory.run_end = until
                else:
                    memory.begin_run(plain)
                memory.fresh.append(plain)
                memory.frontier = until
                memory.messages += 1
                memory.last_arrival, memory.skew_s, memory.clock = arrival, arrival_s - until, "device"
                memory.dialect, memory.name = plain.dialect, plain.name or memory.name
                memory.firmware = plain.firmware or memory.firmware
                if memory.messages >= memory.prune_at:
                    prune(memory, reached, self.horizon, durable, self.horizon)
                now = reached
                at += 1
        except BaseException:
            self.failed = plain
            raise
        return at, now

    def _note(self, memory: DeviceMemory, said: Report, arrival: int, clock: str, skew: int) -> None:
        memory.messages += 1
        if arrival >= memory.last_arrival:
            memory.last_arrival = arrival
            memory.dialect, memory.skew_s, memory.clock = said.dialect, skew, clock
            memory.firmware = said.firmware or memory.firmware
            memory.name = said.name or memory.name

    def _judge(
        self, a: Arrival, entry: Device, memory: DeviceMemory, event: Event, eid: int, time: int, shift: int, stamp: int
    ) -> Accepted | None:
        start, end, stated = _times(event, entry, time, shift)
        if type(event) is LineCount and event.kind == "trigger" and entry.trigger == "counter":
            event = msgspec.structs.replace(event, kind="total")  # a running total counts nobody, whatever it is called
        report = a.report
        before: Values | None = None
        place = place_of(a.partition, a.position)
        if type(event) is LineCount and event.kind == "window":
            if eid in memory.ids:
                return None
            line = memory.line(event.line)
            replayed = report.retransmission and not stated
            verdict, before, place = accept_window(
                line, eid, start, end, values_of(event), a.arrival, place, stamp, stated, replayed
            )
            memory.frontier = max(memory.frontier, end)
            if verdict == "overlap":
                memory.ids[eid] = (end, a.arrival, stamp, place)
        else:
            verdict, _, place = accept_id(memory, eid, end, a.arrival, place, stamp)
        if verdict == "duplicate":
            return None
        # An earlier copy stands in the place of the one that we had: which of them came first must not show.
        flags: str = "" if verdict in ("new", "earlier") else verdict
        if report.retransmission:
            flags = f"{flags},replayed" if flags else "replayed"
        if not stated and type(event) is LineCount and event.kind == "window":
            flags = f"{flags},derived" if flags else "derived"
        return Accepted(entry, event, eid, start, end, verdict, before, a.arrival, 0, "", False, a, flags, place)


def _times(event: Event, entry: Device, time: int, shift: int) -> tuple[int, int, bool]:
    """Start and end of an event, and whether the device stated them. A LoRaWAN period covers (t - expected interval, t]."""
    if type(event) is LineCount and event.start is not None and event.end is not None:
        return event.start + shift, event.end + shift, True
    start, end = getattr(event, "start", None), getattr(event, "end", None)
    period = entry.interval_s if getattr(event, "kind", "") == "window" or event.section in SPANS else 0
    if end is None:
        return time - period, time, False
    if start is None:
        return end + shift - period, end + shift, True
    return start + shift, end + shift, True


def _recall_window(line: LineMemory, row: Known, stamp: int) -> None:
    known = line.windows.get(row.start)
    if known is None:
        line.windows[row.start] = Window(row.end, row.values, row.arrival, [(row.event_id, row.arrival, row.place)], stamp)
    else:
        known.stamp = max(known.stamp, stamp)
    if known is not None and all(i != row.event_id for i, _, _ in known.ids):
        known.ids.append((row.event_id, row.arrival, row.place))
        if row.arrival > known.arrival:
            known.values, known.arrival = row.values, row.arrival
    line.cover(row.start, row.end)
