"""The flows of one store behind one ingest: moments in, rows and transitions out. Knows no engine, no clock, no I/O."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import msgspec

from flows.ingest import IngestFlow
from flows.traffic import days_of
from operators.ingest import Accepted, Arrival, Known
from operators.memory import unplaced
from operators.moment import FOREVER, Context, Flow, Moment, Output, PlainFlow, SiteFlow
from operators.traffic import Change
from schemas.events import Plain
from schemas.sites import Device, Site

Lookup = Callable[[str, set[tuple[str, int]]], Mapping[tuple[str, int], Sequence[Known]]]
"""Observations of older days: (site, {(device, UTC day)}) -> rows by (device, UTC day)."""


def arrival_of(plain: Plain) -> Arrival:
    """A plain report at length, with where it came from."""
    return Arrival(*unplaced(plain.place), plain.arrival, plain.report())


class _Saved(msgspec.Struct, array_like=True):
    now: int
    flows: dict[str, bytes]


class Chain:
    """All flows of one store. `now` is the store's time, epoch s: the newest log timestamp or tick it has seen."""

    def __init__(self, site: Site, flows: Sequence[Flow], state: bytes | None, context: Context) -> None:
        saved = msgspec.msgpack.decode(state, type=_Saved) if state else _Saved(0, {})
        self.site, self.now = site, saved.now
        built: dict[str, SiteFlow] = {}
        for flow in flows:
            built[flow.name] = flow.build(site, saved.flows.get(flow.name), {name: built[name] for name in flow.after}, context)
        self.built = built
        self.kept = {name: blob for name, blob in saved.flows.items() if name not in built}
        self.ingest = cast(IngestFlow, built["ingest"])
        self.others = [f for name, f in built.items() if name != "ingest"]
        self.closes: list[Callable[[], int]] = [f.closes_at for f in built.values() if hasattr(f, "closes_at")]
        # Not `isinstance`: asking a protocol walks all its members, and a lane builds a chain for every store.
        self.plain_ways = [cast(PlainFlow, f).take_plains for f in self.others if hasattr(f, "take_plains")]
        self.together = len(self.plain_ways) == len(self.others)
        self.ways = [(f, getattr(f, "take_plains", None), getattr(f, "in_runs", None)) for f in self.others]
        self.asked: list[Callable[[], bool]] = [f.in_runs for f in self.others if hasattr(f, "in_runs")]
        self.wants_changes = any(f.wants_changes for f in flows)
        self.due = self._due()
        self.changed = False
        self.failed: object = None
        """What `handle_plains` was at when it raised."""

    def _due(self) -> int:
        soonest = FOREVER
        for flow in self.others:
            due = flow.due()
            if due < soonest:
                soonest = due
        return soonest

    def handle(self, arrivals: list[Arrival], entry: Device, payload: bytes, stamp: int, durable: int, out: Output) -> None:
        """One record, after every timer that was due before it."""
        a = arrivals[0]
        now = a.arrival // 1000
        if now > self.now:
            if now >= self.due:
                self.advance(now, out)
            self.now = now
        m = Moment(self.now, max(a.arrival, self.now * 1000), a, out, [], [] if self.wants_changes else None, set(), {})
        self.ingest.accept(arrivals, entry, m, stamp, durable, payload)
        for flow in self.others:
            flow.take(m)
        if m.repairs:
            for day in days_of(self.site, m.repairs):
                self.ingest.ask_repair(day, m.now_ms)
        self.changed = True
        if self.others:
            self.due = self._due()

    def handle_plains(self, work: Sequence[object], at: int, durable: int, out: Output) -> int:
        """Plain reports from `work[at]` on, the short way as long as nothing stands against it; where it ended."""
        try:
            while at < len(work):
                to = self._take_plains(work, at, durable, out)
                if to == at and not self._timer_before(work[at], out):
                    break
                at = to
        except BaseException:
            self.failed = self.ingest.ingest.failed or work[at]
            raise
        return at

    def _take_plains(self, work: Sequence[object], at: int, durable: int, out: Output) -> int:
        runs = self.together and all(ask() for ask in self.asked)
        before, end = self.now, len(work) if runs else at + 1
        to, now = self.ingest.accept_plains(work, at, end, before, self.due, durable, out.rows)
        if to > at:
            self.now, self.changed = now, True
            taken = cast(Sequence[Plain], work[at:to])
            if runs:
                changes: list[Change] | None = [] if self.wants_changes else None
                for take in self.plain_ways:
                    take(taken, changes, before)
                if self.asked:  # a sensor that was heard is looked at later
                    self.due = self._due()
            else:
                self._take_at_length(taken[0], out)
        return to

    def _timer_before(self, next_: object, out: Output) -> bool:
        """Fire the timers that are due before a plain report; whether there were any."""
        if not isinstance(next_, Plain):
            return False
        reached = next_.arrival // 1000
        if reached <= self.now or reached < self.due:
            return False
        self.advance(reached, out)
        return True

    def handle_plain(self, plain: Plain, durable: int, out: Output) -> None:
        """A plain report, event by event."""
        self.handle([arrival_of(plain)], self.site.entry(plain.device), b"", plain.stamp, durable, out)

    def _take_at_length(self, plain: Plain, out: Output) -> None:
        """Hand on a plain report where not every flow takes it as it stands."""
        a, arrival = arrival_of(plain), plain.arrival
        entry, skew = self.site.entry(plain.device), arrival // 1000 - plain.end
        accepted = [
            Accepted(
                entry, event, event_id, plain.start, plain.end, "new", None, arrival, skew, "device", False, a, "", plain.place
            )
            for event, event_id in zip(a.report.events, plain.ids(), strict=True)
        ]
        changes: list[Change] | None = [] if self.wants_changes else None
        m = Moment(self.now, max(arrival, self.now * 1000), a, out, accepted, changes, set(), {})
        for flow, way, ask in self.ways:
            if way is None or (ask is not None and not ask()):
                flow.take(m)
            else:
                way([plain], changes, self.now)
        self.due = self._due()

    def advance(self, now: int, out: Output) -> None:
        """Fire all timers up to `now` (epoch s), in order of their time."""
        if not self.now:
            self.now = now  # a store's time begins with its first report: a timer at 0 asks for that moment
        while self.due <= now:
            at = max(self.due, self.now)
            m = Moment(at, at * 1000, None, out, [], [] if self.wants_changes else None, set(), {})
            for flow in self.others:
                flow.advance(m)
            self.changed = True
            before, self.due = self.due, self._due()
            if self.due <= before:
                raise RuntimeError(f"a timer of store {self.site.id} does not move on from {before}")
        self.now = max(self.now, now)

    def flush_due(self) -> int:
        """When there is something to write: 0 for now, else the time at which open rows become complete."""
        if self.ingest.dirty() or any(f.dirty() for f in self.others):
            return 0
        return min([closes_at() for closes_at in self.closes], default=FOREVER)

    def flush(self, force: bool, out: Output) -> None:
        """Write what changed, as of the store's time."""
        self.ingest.flush(self.now, force, out)
        for flow in self.others:
            flow.flush(self.now, force, out)
        self.changed = True

    def state(self) -> bytes:
        """Everything of the store, as bytes; flows that do not run now keep what they had."""
        return msgspec.msgpack.encode(_Saved(self.now, self.kept | {name: f.state() for name, f in self.built.items()}))
