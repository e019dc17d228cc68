"""Figures of zones and queues: whatever comes, however late, lane and repairs together show what the observations give.

The truth is the same flow played once, in order of arrival, with an endless horizon: what `footstream repair` writes.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows import discovered, ordered
from infra.chain import Chain
from infra.recompute import _played
from operators.calendar import day_bounds
from operators.ingest import Accepted, Arrival
from operators.moment import Context, Flow, Moment, Output
from schemas.events import DwellSummary, Event, LineCount, QueueLength, Report, Stay, ZoneCount
from schemas.sites import Device, Line, Site, Zone

NOON = 1_785_240_000
"""2026-07-28 12:00 UTC."""
ZONES = {1: Zone(1, "Shelf", capacity=4), 2: Zone(2, "Queue", "checkout"), 3: Zone(3, "Till", "service")}
LINES = {1: Line(1, "Join", "checkout"), 2: Line(2, "Served", "service"), 3: Line(3, "Door", "entrance")}
SITE = Site("shop", "Shop", "Asia/Kathmandu", devices={"a": Device("a", "Camera", lines=LINES, zones=ZONES)})
FLOWS = sorted(name for name, flow in discovered().items() if flow.sections)


class Sent(NamedTuple):
    """A report, its arrival (epoch s), and what happens before it: nothing, a flush, a stop and a start, repairs."""

    report: Report
    arrival: int
    before: str


@st.composite
def events(draw: st.DrawFn, at: int) -> Event:
    """Something about a zone or a line of a queue at about a time."""
    zone, people = draw(st.integers(1, 3)), draw(st.integers(0, 6))
    end = at if draw(st.booleans()) else at // 60 * 60
    start = end - draw(st.sampled_from([60, 60, 60, 30, 150, 900]))
    kind = draw(st.sampled_from(["window", "window", "trigger", "stay", "dwell", "line", "line", "queue"]))
    if kind == "window":
        return ZoneCount(zone, "window", start, end, people, draw(st.sampled_from([None, people + 1])))
    if kind == "trigger":
        return ZoneCount(zone, "trigger", end, end, people)
    if kind == "stay":
        return Stay(zone, start, end, float(end - start), staff=draw(st.sampled_from([None, False, True])))
    if kind == "dwell":
        return DwellSummary(zone, start, end, 10.0 + people, 60.0 + people)
    if kind == "line":
        return LineCount(draw(st.integers(1, 3)), "window", end // 60 * 60 - 60, end // 60 * 60, people, 1)
    return QueueLength(2, start, end, people, draw(st.sampled_from([None, 30.0 + people])), people, 2)


@st.composite
def histories(draw: st.DrawFn) -> list[Sent]:
    """Mostly in order; now and then late, very late, again, or corrected."""
    sent: list[Sent] = []
    clock = NOON
    for _ in range(draw(st.integers(1, 30))):
        clock += draw(st.sampled_from([0, 1, 20, 60, 60, 60, 300, 1500, 4000, 40_000]))
        before = draw(st.sampled_from(["", "", "flush", "force", "restart", "repair"]))
        if sent and draw(st.integers(0, 5)) == 0:
            sent.append(Sent(draw(st.sampled_from(sent)).report, clock, before))
            continue
        off = draw(st.sampled_from([0, 0, 0, 0, 30, 60, 600, 1000, 2000, 5000, 30_000]))
        found = [draw(events(clock - off)) for _ in range(draw(st.integers(1, 3)))]
        sent.append(Sent(Report("a", "made_up", str(clock - off), clock - off, found), clock, before))
    return sent


class Seen:
    """The tables as their readers see them: of each key the row with the highest revision."""

    def __init__(self, flow: Flow) -> None:
        self.tables = [t for t in flow.tables if t.revised]
        self.rows: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {t.name: {} for t in self.tables}

    def write(self, rows: Mapping[str, Sequence[tuple[Any, ...]]], days: Sequence[tuple[int, int]] | None = None) -> None:
        """Two rows of one key and one revision must say the same."""
        for table in self.tables:
            held = self.rows[table.name]
            for row in rows.get(table.name, ()):
                named = dict(zip(table.columns, row, strict=True))
                if days is not None and not any(a <= named[table.time] < b for a, b in days):
                    continue
                key = tuple(named[k] for k in table.key)
                before = held.get(key)
                if before is not None and before["revision"] == named["revision"]:
                    assert comparable(before) == comparable(named), key
                if before is None or before["revision"] <= named["revision"]:
                    held[key] = named


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    return {n: round(v, 9) if isinstance(v, float) else v for n, v in row.items() if n != "complete"}


class Lane:
    """A lane that runs one flow, and what repairs make of the days that it asks for."""

    def __init__(self, flow: Flow) -> None:
        self.flow, self.seen = flow, Seen(flow)
        self.accepted: list[Accepted] = []
        self.done: dict[str, int] = {}
        self.chain = Chain(SITE, ordered([flow.name]), None, Context())

    def take(self, position: int, sent: Sent) -> None:
        if sent.before in ("flush", "force"):
            self.flush(sent.before == "force")
        elif sent.before == "restart":
            self.chain = Chain(SITE, ordered([self.flow.name]), self.chain.state(), Context())
        elif sent.before == "repair":
            self.repair()
        report = sent.report
        entry, durable = SITE.devices["a"], position - 2
        out, there = Output({}, []), len(self.accepted)
        arrivals = [Arrival(0, position, sent.arrival * 1000, report)]
        flow = self.chain.built[self.flow.name]
        vars(flow)["take"] = self._look(flow.take)
        self.chain.handle(arrivals, entry, b"", position, durable, out)
        del vars(flow)["take"]
        assert len(self.accepted) - there <= len(report.events)

    def _look(self, take: Callable[[Moment], None]) -> Callable[[Moment], None]:
        def look(m: Moment) -> None:
            self.accepted += [a for a in m.accepted if a.verdict != "earlier"]
            take(m)

        return look

    def flush(self, force: bool) -> None:
        out = Output({}, [])
        self.chain.flush(force, out)
        self.seen.write(out.rows)

    def truth(self) -> dict[str, list[Any]]:
        return _played(self.flow, SITE, self.accepted, self.chain.now, 0)

    def repair(self) -> None:
        """Do what is asked for and not done yet."""
        asked = {day: mark for day, mark in self.chain.ingest.asked.items() if self.done.get(day) != mark}
        self.done |= asked
        if asked:
            self.seen.write(self.truth(), [day_bounds(SITE.zone, date.fromisoformat(day)) for day in asked])


@pytest.mark.parametrize("flow", FLOWS)
@settings(max_examples=60)
@given(history=histories())
def test_lane_and_repairs_together_show_what_the_observations_give(flow: str, history: list[Sent]) -> None:
    compare(flow, history)


def test_a_bucket_left_to_the_repair_is_not_written_once_more_when_it_is_over() -> None:
    at = NOON + 125_982
    twice = [ZoneCount(1, "window", at - 960, at - 60, 4, 5), ZoneCount(1, "window", at - 960, at - 60, 0)]
    later = at + 40_001
    compare(
        "zones",
        [
            Sent(Report("a", "made_up", "twice", at - 60, list[Event](twice)), at, ""),
            Sent(Report("a", "made_up", "after", at, [ZoneCount(1, "window", at - 102, at - 42, 0, 1)]), at, "repair"),
            Sent(Report("a", "made_up", "later", later, [LineCount(2, "window", later - 60, later, 1, 1)]), later, ""),
        ],
    )


def compare(flow: str, history: list[Sent]) -> None:
    """Play a history to a lane and to a recomputation. Raises AssertionError where their tables differ."""
    lane = Lane(discovered()[flow])
    for position, sent in enumerate(history):
        lane.take(position, sent)
    days_later = history[-1].arrival + 3 * 86_400
    said: list[Event] = [ZoneCount(1, "trigger", days_later, days_later, 0)]
    lane.take(len(history), Sent(Report("a", "made_up", "end", days_later, said), days_later, "force"))
    lane.flush(True)
    lane.repair()
    wanted = Seen(lane.flow)
    wanted.write(lane.truth())
    for table in lane.seen.tables:
        shown, right = ({k: comparable(r) for k, r in of.rows[table.name].items()} for of in (lane.seen, wanted))
        assert shown == right
