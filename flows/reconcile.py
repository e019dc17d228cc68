"""Reconciliation: running totals of lines against the sum of their periods; lost reports and their people, as imputed.

A gap is written when the next total shows it, and again whenever a late report fills some of it, however late. What is imputed
stands in a table of its own and in no measured figure (operators/totals.py). Lines that count by triggers are not looked at.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from operators.moment import FOREVER, Context, Flow, Moment, Output, SiteFlow
from operators.totals import Gap, LineTotals, imputed
from operators.traffic import GRACE_S, Change
from schemas.events import LineCount, Plain
from schemas.rows_zones import ImputedMinutes, LineGaps
from schemas.sites import Site
from schemas.tables import GENERATION

SCHEMA = 1


class _Saved(msgspec.Struct, array_like=True):
    """Lines that tell totals, by device and number."""

    schema: int
    lines: dict[str, dict[int, LineTotals]] = {}
    changed: list[tuple[str, int, int]] = []


class ReconcileFlow:
    """Totals of the lines of one store."""

    def __init__(self, site: Site, state: bytes | None, context: Context) -> None:
        self.site, self.base = site, context.generation * GENERATION
        self.saved = msgspec.msgpack.decode(state, type=_Saved) if state else _Saved(SCHEMA)
        self.close_after = max([60, *(d.interval_s for d in site.devices.values())]) + GRACE_S

    def take_plains(self, reports: Sequence[Plain], changes: list[Change] | None, now: int) -> None:
        known = self.saved.lines
        for plain in reports if known else ():
            lines = known.get(plain.device)
            if lines:
                for number, into, out in zip(plain.lines, plain.counts[::2], plain.counts[1::2], strict=True):
                    if number in lines:
                        gap = lines[number].counts(plain.start, plain.end, into, out, plain.arrival)
                        self._changed(plain.device, number, gap)

    def take(self, m: Moment) -> None:
        """Windows first: a message tells them beside the totals that hold them."""
        counts = [(a, a.event) for a in m.accepted if isinstance(a.event, LineCount)]
        for a, event in counts:
            device = a.from_.report.device
            line = self.saved.lines.get(device, {}).get(event.line)
            if line is not None and event.kind == "window" and a.verdict not in ("overlap", "earlier"):
                self._changed(device, event.line, line.window(a, event))
        for a, event in counts:
            if event.kind == "total" and a.verdict != "earlier" and a.device.source(event.line) == "window":
                device = a.from_.report.device
                line = self.saved.lines.setdefault(device, {}).setdefault(event.line, LineTotals())
                self._changed(device, event.line, line.total(a.end, event.people_in, event.people_out, a.arrival))

    def _changed(self, device: str, line: int, gap: Gap | None) -> None:
        if gap is not None and (device, line, gap.start) not in self.saved.changed:
            self.saved.changed.append((device, line, gap.start))

    def advance(self, m: Moment) -> None:
        """Nothing is timed here."""

    def due(self) -> int:
        return FOREVER

    def dirty(self) -> bool:
        return bool(self.saved.changed)

    def flush(self, now: int, force: bool, out: Output) -> None:
        gaps, minutes = out.rows.setdefault("line_gaps", []), out.rows.setdefault("imputed_minutes", [])
        for device, line, start in self.saved.changed:
            for gap in self.saved.lines[device][line].gaps:
                if gap.start == start:
                    self._write(device, line, gap, now, gaps, minutes)
        self.saved.changed.clear()

    def _write(self, device: str, line: int, gap: Gap, now: int, gaps: list[Any], minutes: list[Any]) -> None:
        way = -1 if self.site.entry(device).swapped(line) else 1
        people, counted, lost = (
            pair[::way] for pair in ((gap.people_in, gap.people_out), (gap.counted_in, gap.counted_out), gap.lost)
        )
        common = {
            "site": self.site.id,
            "device": device,
            "line": line,
            "complete": int(gap.end + self.close_after <= now),
            "revision": self.base + gap.n,
            "known_at_ms": gap.known,
        }
        gaps.append(
            LineGaps.row(
                **common,
                start=gap.start,
                end=gap.end,
                reason=gap.reason,
                missing_s=sum(b - a for a, b in gap.missing),
                people_in=people[0],
                people_out=people[1],
                counted_in=counted[0],
                counted_out=counted[1],
                lost_in=lost[0],
                lost_out=lost[1],
            )
        )
        for minute, seconds, *pair in imputed(gap):
            into, outof = pair[::way]
            minutes.append(
                ImputedMinutes.row(
                    **common, minute=minute, gap_start=gap.start, missing_s=seconds, people_in=into, people_out=outof
                )
            )

    def state(self) -> bytes:
        return msgspec.msgpack.encode(self.saved)


def _build(site: Site, state: bytes | None, upstream: Mapping[str, SiteFlow], context: Context) -> SiteFlow:
    return ReconcileFlow(site, state, context)


def _minute(minute: int, people: tuple[int, int] | None, total: tuple[int, int]) -> tuple[str, bytes]:
    """A message two seconds after a minute: its window (None: lost) and the totals."""
    times = f'"start_time": "2026-07-31T10:0{minute}:00+00:00", "end_time": "2026-07-31T10:0{minute + 1}:00+00:00"'
    parts = [f'"line_total_data": [{{"line": 1, "in_counted": {total[0]}, "out_counted": {total[1]}}}]']
    if people is not None:
        parts.append(f'"line_periodic_data": [{{"line": 1, "in": {people[0]}, "out": {people[1]}}}]')
    text = f'{{"device_info": {{"device_sn": "6537F28778010000"}}, "time_info": {{{times}}}, {", ".join(parts)}}}'
    return f"2026-07-31T10:0{minute + 1}:02Z", text.encode()


SAMPLE = [
    _minute(0, (3, 1), (103, 51)),
    _minute(1, (2, 2), (105, 53)),
    _minute(4, (4, 0), (114, 58)),  # the messages of two minutes are lost: five in, five out
    _minute(5, (1, 1), (115, 59)),
    (  # one of them comes after all
        "2026-07-31T10:09:02Z",
        _minute(2, (3, 1), (108, 54))[1],
    ),
]


EXPECTED: dict[str, list[dict[str, object]]] = {
    "line_gaps": [
        {
            "start": "2026-07-31T10:02:00Z",
            "end": "2026-07-31T10:05:00Z",
            "reason": "lost",
            "missing_s": 60,
            "people_in": 9,
            "counted_in": 7,
            "lost_in": 2,
            "lost_out": 4,
            "revision": 2,
        },
    ],
    "imputed_minutes": [
        {"minute": "2026-07-31T10:02:00Z", "missing_s": 0, "people_in": 0, "people_out": 0, "revision": 2},
        {"minute": "2026-07-31T10:03:00Z", "missing_s": 60, "people_in": 2, "people_out": 4, "revision": 2},
    ],
}

FLOW = Flow(
    name="reconcile",
    summary="totals against the sum of periods: lost reports, their size, their people as imputed",
    after=("ingest",),
    tables=(LineGaps, ImputedMinutes),
    build=_build,
)
