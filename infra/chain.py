"""The flows of one store behind one ingest: moments in, rows and transitions out. Knows no engine, no clock, no I/O."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import msgspec

from flows.ingest import IngestFlow
from flows.traffic import TrafficFlow, days_of
from operators.ingest import Accepted, Arrival, Known
from operators.memory import unplaced
from operators.moment import FOREVER, Context, Flow, Moment, Output, PlainFlow, SiteFlow
from operators.traffic import Change
from schemas.events import Plain
from schemas.sites import Device, Site

Lookup = Callable[[str, set[tuple[str, int]]], Mapping[tuple[str, int], Sequence[Known]]]
"""Observations of older days: (site, {(device, UTC day)}) -> rows by (device, UTC day)."""


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
        self.traffic = cast(TrafficFlow | None, built.get("traffic"))
        # Not `isinstance`: asking a protocol walks all its members, and a lane builds a chain for every store.
        self.plain_ways = [(f, cast(PlainFlow, f).take_plain if hasattr(f, "take_plain") else None) for f in self.others]
        ways = [way for _, way in self.plain_ways if way is not None]
        self.takes_plain = ways if len(ways) == len(self.others) else []
        self.wants_changes = any(f.wants_changes for f in flows)
        self.due = self._due()
        self.changed = False

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

    def handle_plain(
        self, plain: Plain, entry: Device, arrival: int, place: int, payload: bytes, stamp: int, durable: int, out: Output
    ) -> None:
        """The same for a plain report, the short way where nothing stands against it. `arrival`: epoch ms."""
        now = arrival // 1000
        if now > self.now:
            if now >= self.due:
                self.advance(now, out)
            self.now = now
        ids = self.ingest.accept_plain(plain, entry, arrival, place, self.now, stamp, durable, out.rows)
        if ids is None:
            arrivals = [Arrival(*unplaced(place), arrival, plain.report())]
            self.handle(arrivals, entry, payload, stamp, durable, out)
            return
        self.changed = True
        if self.takes_plain:
            for take in self.takes_plain:
                take(plain, entry, arrival, self.now, None)
        elif self.others:
            self._take_at_length(plain, ids, entry, arrival, place, out)
            self.due = self._due()

    def _take_at_length(self, plain: Plain, ids: list[int], entry: Device, arrival: int, place: int, out: Output) -> None:
        """Hand on a plain report where not every flow takes it as it stands."""
        report, start, end = plain.report(), plain.start, plain.end
        a = Arrival(*unplaced(place), arrival, report)
        accepted = [
            Accepted(
                entry, event, event_id, start, end, "new", None, arrival, arrival // 1000 - end, "device", False, a, "", place
            )
            for event, event_id in zip(report.events, ids, strict=True)
        ]
        changes: list[Change] | None = [] if self.wants_changes else None
        m = Moment(self.now, max(arrival, self.now * 1000), a, out, accepted, changes, set(), {})
        for flow, way in self.plain_ways:
            if way is None:
                flow.take(m)
            else:
                way(plain, entry, arrival, self.now, changes)

    def advance(self, now: int, out: Output) -> None:
        """Fire all timers up to `now` (epoch s), in order of their time."""
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
        return self.traffic.closes_at() if self.traffic is not None else FOREVER

    def flush(self, force: bool, out: Output) -> None:
        """Write what changed, as of the store's time."""
        self.ingest.flush(self.now, force, out)
        for flow in self.others:
            flow.flush(self.now, force, out)
        self.changed = True

    def state(self) -> bytes:
        """Everything of the store, as bytes; flows that do not run now keep what they had."""
        return msgspec.msgpack.encode(_Saved(self.now, self.kept | {name: f.state() for name, f in self.built.items()}))
