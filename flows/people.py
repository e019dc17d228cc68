"""People by class and hour, per line and zone: child, staff and groups; gender and age bands only where a device sends them.

Only where the registry says `demographics = true` for the store. An hour is written once, when it is over and the horizon has
passed, with small groups hidden (operators/people.py), and never again: versions of an hour, or a day beside its hours, could
be subtracted. What comes later is not counted. Where single zones are told the whole view (zone 0) is left out, for it holds
them. What single reports said by class stands in no table (`flows.ingest.observation`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from operators.calendar import bucket, local_start, utc_offset
from operators.ingest import Accepted, horizon_of
from operators.moment import FOREVER, Context, Flow, Moment, Output, SiteFlow
from operators.people import by_kind, shown
from operators.traffic import Change, counted
from operators.zones import minute_of_end
from schemas.events import Demographics, LineCount, Plain, Stay
from schemas.rows_zones import PeopleHours
from schemas.sites import Site

SCHEMA = 1
STEP = "1h"
LONGEST_S = 3600
"""A report counts in the hour in which it ends; one that is longer tells no hour."""


class _Cell(msgspec.Struct, array_like=True):
    """One hour of one place: what the device told by class, what follows from counts and stays. `whole`: nothing is missing."""

    told: dict[str, int] = {}
    counted: dict[str, int] = {}
    whole: bool = True


class _Saved(msgspec.Struct, array_like=True):
    """Cells by device, place ("line 3") and start of the hour. `since`: an hour that began before it is not known whole."""

    schema: int
    since: int = 0
    cells: dict[str, dict[str, dict[int, _Cell]]] = {}


class PeopleFlow:
    """People by class of one store."""

    def __init__(self, site: Site, state: bytes | None, context: Context) -> None:
        self.site = site
        self.horizon = context.horizon if context.horizon is not None else horizon_of(site)
        self.saved = msgspec.msgpack.decode(state, type=_Saved) if state else _Saved(SCHEMA)

    def take_plains(self, reports: Sequence[Plain], changes: list[Change] | None, now: int) -> None:
        """Plain reports tell no classes, but that we were there."""
        self.saved.since = self.saved.since or reports[0].arrival // 1000

    def take(self, m: Moment) -> None:
        if not self.site.demographics:
            return
        self.saved.since = self.saved.since or m.now
        for a in m.accepted:
            if a.verdict in ("earlier", "overlap"):
                continue
            if isinstance(a.event, Demographics):
                self._told(a, a.event, m.now)
            elif isinstance(a.event, LineCount):
                self._line(a, a.event, m.now)
            elif isinstance(a.event, Stay):
                self._stay(a, a.event, m.now)

    def _cell(self, a: Accepted, place: str, minute: int, now: int) -> _Cell | None:
        """The cell of a minute's hour; None when the hour is written already, or began before we did."""
        start, end = bucket(self.site.zone, minute, STEP)
        if start < self.saved.since or end + self.horizon <= now:
            return None
        return self.saved.cells.setdefault(a.from_.report.device, {}).setdefault(place, {}).setdefault(start, _Cell())

    def _told(self, a: Accepted, e: Demographics, now: int) -> None:
        place = f"line {e.line}" if e.line is not None else f"zone {e.zone}"
        cell = self._cell(a, place, minute_of_end(a), now)
        if cell is None:
            return
        if not e.groups or a.end - a.start > LONGEST_S:
            cell.whole = False  # played again after a loss of state, without its classes; or of more than an hour
        _add(cell.told, e.groups)

    def _line(self, a: Accepted, e: LineCount, now: int) -> None:
        if e.kind != a.device.source(e.line):
            return
        for minute, _, v in counted(a, e, a.device.swapped(e.line)):
            groups = _classes(v[0], v[2], v[4])
            if v[6] is not None:
                groups["group:group"] = v[6]
            cell = self._cell(a, f"line {e.line}", minute, now) if groups else None
            if cell is not None:
                _add(cell.counted, groups)

    def _stay(self, a: Accepted, e: Stay, now: int) -> None:
        child, staff = (None if said is None else int(said) for said in (e.child, e.staff))
        groups = _classes(1, child, staff)
        cell = self._cell(a, f"zone {e.zone}", minute_of_end(a), now) if groups else None
        if cell is not None:
            _add(cell.counted, groups)

    # -- out -------------------------------------------------------------------------------------------------------------

    def due(self) -> int:
        starts = [s for places in self.saved.cells.values() for hours in places.values() for s in hours]
        return bucket(self.site.zone, min(starts), STEP)[1] + self.horizon if starts else FOREVER

    def advance(self, m: Moment) -> None:
        """Write the hours that nothing can change any more."""
        for device, places in self.saved.cells.items():
            over: dict[int, dict[str, _Cell]] = {}
            for place, hours in places.items():
                for start in [s for s in hours if bucket(self.site.zone, s, STEP)[1] + self.horizon <= m.now]:
                    over.setdefault(start, {})[place] = hours.pop(start)
            for start, cells in sorted(over.items()):
                if any(place.startswith("zone ") and place != "zone 0" for place in cells):
                    cells.pop("zone 0", None)
                for place, cell in sorted(cells.items()):
                    m.out.rows.setdefault("people_hours", []).extend(self._rows(device, place, start, cell, m.now_ms))

    def _rows(self, device: str, place: str, start: int, cell: _Cell, now_ms: int) -> list[tuple[Any, ...]]:
        section, _, part = place.partition(" ")
        kinds = by_kind(cell.counted) | by_kind(cell.told)
        return [
            PeopleHours.row(
                site=self.site.id,
                device=device,
                section=section,
                part=int(part),
                start=start,
                end=bucket(self.site.zone, start, STEP)[1],
                local_start=local_start(self.site.zone, start),
                utc_offset_s=utc_offset(self.site.zone, start // 900),
                kind=kind,
                class_name=name,
                people=people,
                said_ms=now_ms,
            )
            for kind, classes in sorted(kinds.items())
            for name, people in shown(classes).items()
            if cell.whole
        ]

    def dirty(self) -> bool:
        return False

    def flush(self, now: int, force: bool, out: Output) -> None:
        """Everything is written by `advance`."""

    def state(self) -> bytes:
        return msgspec.msgpack.encode(self.saved)


def _add(to: dict[str, int], more: Mapping[str, int]) -> None:
    for name, people in more.items():
        to[name] = to.get(name, 0) + people


def _classes(people: int, child: int | None, staff: int | None) -> dict[str, int]:
    """Children, staff and the others; nothing where the device tells neither."""
    told = {f"class:{name}": n for name, n in (("child", child), ("staff", staff)) if n is not None}
    return told | {"class:other": people - sum(told.values())} if told else {}


def _build(site: Site, state: bytes | None, upstream: Mapping[str, SiteFlow], context: Context) -> SiteFlow:
    return PeopleFlow(site, state, context)


def _said(start: str, end: str, events: str) -> bytes:
    times = f'"start": "2026-07-31T{start}:00Z", "end": "2026-07-31T{end}:00Z"'
    return f'{{"format": "footstream/v1", "device": "6537F28778010000", {times}, "events": [{events}]}}'.encode()


SAMPLE = [
    ("2026-07-31T09:59:30Z", _said("09:58", "09:59", '{"type": "line_count", "line": 1, "people_in": 1, "people_out": 1}')),
    (
        "2026-07-31T10:15:02Z",
        _said(
            "10:00",
            "10:15",
            """{"type": "line_count", "line": 1, "people_in": 30, "people_out": 2, "child_in": 12, "group_in": 9},
{"type": "demographics", "line": 1, "groups": {"gender:female": 14, "gender:male": 9, "age:0-17": 12, "age:18+": 11}},
{"type": "demographics", "zone": 0, "groups": {"gender:female": 52, "gender:male": 30}},
{"type": "demographics", "zone": 2, "groups": {"gender:female": 40, "gender:male": 27}},
{"type": "demographics", "zone": 3, "groups": {"gender:female": 12, "gender:male": 3}}""",
        ),
    ),
    (
        "2026-07-31T10:30:02Z",
        _said(
            "10:15",
            "10:30",
            """{"type": "line_count", "line": 1, "people_in": 4, "people_out": 20, "child_in": 1},
{"type": "demographics", "line": 1, "groups": {"gender:female": 4, "gender:male": 2}}""",
        ),
    ),
    ("2026-07-31T11:20:02Z", _said("11:15", "11:20", '{"type": "line_count", "line": 1, "people_in": 1, "people_out": 1}')),
    (
        "2026-07-31T11:30:02Z",
        _said("10:30", "10:45", '{"type": "demographics", "line": 1, "groups": {"gender:female": 90, "gender:male": 80}}'),
    ),
]


EXPECTED: dict[str, list[dict[str, object]]] = {
    "people_hours": [
        {"section": "line", "start": "2026-07-31T10:00:00Z", "kind": "age", "class_name": "0-17", "people": 10},
        {"section": "line", "end": "2026-07-31T11:00:00Z", "kind": "age", "class_name": "18+", "people": 10},
        {"section": "line", "part": 1, "kind": "class", "class_name": "child", "people": 15},
        {"section": "line", "part": 1, "kind": "class", "class_name": "other", "people": 20},
        {"section": "line", "part": 1, "kind": "gender", "class_name": "female", "people": 20},
        {"section": "line", "part": 1, "kind": "gender", "class_name": "male", "people": 10},
        {"section": "line", "part": 1, "kind": "group", "class_name": "group", "people": None},
        {"section": "zone", "part": 2, "kind": "gender", "class_name": "female", "people": 40},
        {"section": "zone", "part": 2, "kind": "gender", "class_name": "male", "people": 25},
        {"section": "zone", "part": 3, "kind": "gender", "class_name": "female", "people": None},
        {"section": "zone", "part": 3, "kind": "gender", "class_name": "male", "people": None},
    ],
}

FLOW = Flow(
    name="people",
    summary="people by class and hour per line and zone, small groups hidden; off unless the registry says so",
    after=("ingest",),
    tables=(PeopleHours,),
    build=_build,
)
