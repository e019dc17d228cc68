"""Network cameras (fisheye and other IPC series): what a poller reads from them over HTTP, CSV, JSON or JavaScript text.

A first line `#camera <device> <zone> <query>` says whose answer follows and in which zone its times are (an IANA name such as
Europe/Berlin, `UTC+1:00`, or `-`: not known, taken as UTC and flagged `zone_missing`). Or a JSON object {`device`, `zone`,
`query`, `body` (text) or `body_json`}. Answers, told by what is in them:

- counts: StartTime, EndTime, total and Line1 to Line4, each In, Out, Sum: people over each line within the hour. The total
  (the header says `Tolal`) is their sum and is not counted again.
- regions: region1 to region4, Sum: people counted in a region within the hour, not people present: `class:all` of a zone.
- heat by time: `Value(s)`, one number per hour for the whole view. Some units send numbers ten times too large.
- space heat map: JSON with `max`, `min` and `data`, a list of points {x, y, value}; its time is `time_start` and `time_end`
  of the query.
- alarm status: `var current_in_count='2722';…`: running totals since the day's reset, of all lines together: line 0.

Times are wall-clock text, dates with slashes or dashes; EndTime ends on :59. The row of the running hour grows until the hour
ends, so each row is a report of its own whose time is its **start**, and a later answer corrects it. When clocks go back the
repeated hour is taken as the first.

Formats: public connectors (blipee-dev/retail-platform 86cc66e and others), as they met them; the vendor publishes none.
"""

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec

from schemas.events import Demographics, DeviceStatus, Event, Heat, LineCount, Refusal, Report
from schemas.sensors import _times
from schemas.sensors._json import COUNT_MOST, UNKNOWN_WINDOW_MINUTES, Bad, Budget, Draft, Object, brief, identity, words
from schemas.sensors._sample import Sample

DIALECT = "ipc_camera"
MODELS = ("fisheye and IPC series",)
ORDER = 40

MARK = "#camera "
CELLS_PER_ITEM = 16
COLUMNS_MOST = 64
HOURLY_MOST = 10_000 * UNKNOWN_WINDOW_MINUTES // 24
_HEADER = re.compile(r"(?:(?:tolal|total|line(\d{1,2})) - (in|out|sum)|region(\d{1,2})|sum|(value\(s\)))")
_VARIABLE = re.compile(r"var (current_[a-z_]{1,30})='(-?[0-9]{1,10})'")
_QUERY_TIME = re.compile(r"time_(start|end)=([0-9]{4}-[0-9]{2}-[0-9]{2})-([0-9:]{8})")

_Read = Callable[[list[str], int, int], list[Event]]
"""Events of one row: its cells, start and end."""


class _About(msgspec.Struct):
    """Whose answer it is."""

    device: str = ""
    zone: str = "-"
    query: str = ""


def reads_text(head: bytes) -> bool:
    """Whether bytes that begin like this are an answer of a camera."""
    return head[:8] == MARK.encode() or head[:9].lower() == b"starttime" or head[:12] == b"var current_"


def decode_text(value: bytes, budget: Budget) -> list[Report]:
    """The reports of an answer with or without its first line."""
    text = value.decode("utf-8", "replace").lstrip()
    about = _About()
    if text.startswith(MARK):
        first, _, text = text.partition("\n")
        parts = first.split(None, 3)
        about = _About(identity(parts[1]) if len(parts) > 1 else "", *parts[2:])
    return _answer(about, text.lstrip(), None, budget)


def accepts(message: Object) -> bool:
    return "query" in message and ("body" in message or "body_json" in message)


def decode_object(message: Object, draft: Draft) -> list[Report]:
    zone, query = words(message.get("zone")) or "-", words(message.get("query")) or ""
    about = _About(identity(message.get("device")), zone, query)
    body = message.get("body")
    if body is not None and not isinstance(body, str):
        raise Bad("bad_section", "body", f"expected a text, got {type(body).__name__}")
    return _answer(about, (body or "").lstrip(), message.get("body_json"), draft.budget)


def _answer(about: _About, text: str, value: object, budget: Budget) -> list[Report]:
    if about.zone != "-" and _times.zone(about.zone) is None and _place(about.zone) is None:
        raise Bad("bad_zone", "zone", f"{about.zone[:40]!r} is no time zone: give an IANA name")
    if value is not None or text.startswith("{"):
        return [_space_heat(about, text, value)]
    if text[:9].lower() == "starttime":
        return _rows(about, text, budget)
    found = {name: int(number) for name, number in _VARIABLE.findall(text[:4096])}
    if "current_in_count" in found and "current_out_count" in found:
        return [_status(about, found)]
    raise Bad("camera_answer", about.query[:40], brief(text))


def _rows(about: _About, text: str, budget: Budget) -> list[Report]:
    """One report for each row, in order; a row that is refused keeps its place and says why."""
    header, *rows = text.split("\n", budget.left + 1 if budget.left > 0 else 1)
    columns = [cell.strip().lower() for cell in header.split(",", COLUMNS_MOST)]
    if len(columns) > COLUMNS_MOST:
        raise Bad("too_many_items", "header", f"more than {COLUMNS_MOST} columns")
    read = _reader(columns)
    reports = []
    for number, row in enumerate(rows):
        if not row or row.isspace():
            continue
        if budget.left <= 0:
            reports.append(_report(about, [], "", None, [Refusal("too_many_items", f"row {number + 1}")]))
            break
        budget.left -= 1 + len(columns) // CELLS_PER_ITEM
        cells = row.strip().split(",", COLUMNS_MOST)
        try:
            reports.append(_row(about, columns, cells, read))
        except Bad as bad:
            where = f"row {number + 1} {bad.refusal.where}".rstrip()
            reports.append(
                _report(about, [], ",".join(cells[:2])[:64], None, [Refusal(bad.refusal.reason, where, bad.refusal.detail)])
            )
    return reports or [_report(about, [], "", None, [Refusal("empty_report", "", "no row")])]


def _row(about: _About, columns: list[str], cells: list[str], read: _Read) -> Report:
    if len(cells) != len(columns):
        raise Bad("bad_row", "", f"{len(cells)} cells under {len(columns)} columns")
    start, end = cells[0].strip(), cells[1].strip()
    span = _span(start, end, about.zone)
    if span is None:
        raise Bad("bad_time", "", f"{start[:24]} to {end[:24]}")
    return _report(about, read(cells, *span), f"{start}|{end}", span[0])


def _reader(columns: list[str]) -> _Read:
    """What the columns are. Raises Bad `camera_answer` for a table that nobody knows."""
    lines: dict[int, dict[str, int]] = {}
    zones: dict[int, int] = {}
    heat = 0
    for at, name in enumerate(columns[2:], 2):
        found = _HEADER.fullmatch(name)
        if found is None:
            raise Bad("camera_answer", "header", f"column {name[:40]!r} is not known")
        line, way, zone, value = found.groups()
        if line is not None:
            lines.setdefault(int(line), {})[way] = at
        elif zone is not None:
            zones[int(zone)] = at
        elif value is not None:
            heat = at
    if lines:
        return _line_reader([(line, ways["in"], ways["out"]) for line, ways in lines.items() if {"in", "out"} <= ways.keys()])
    if zones:
        return lambda cells, start, end: [
            Demographics(None, zone, start, end, {"class:all": _count(cells, at, f"region{zone}")})
            for zone, at in zones.items()
        ]
    if heat:
        return lambda cells, start, end: [Heat(0, start, end, _heat(cells, heat))]
    raise Bad("camera_answer", "header", "no line, region or value: ask for lines (linetype=31)")


def _line_reader(lines: list[tuple[int, int, int]]) -> _Read:
    def read(cells: list[str], start: int, end: int) -> list[Event]:
        return [
            LineCount(line, "window", start, end, _count(cells, into, f"line{line} in"), _count(cells, out, f"line{line} out"))
            for line, into, out in lines
        ]

    return read


def _count(cells: list[str], at: int, where: str) -> int:
    text = cells[at]
    try:
        people = int(text) if len(text) <= 12 else HOURLY_MOST + 1
    except ValueError:
        raise Bad("bad_number", where, text[:40]) from None
    if people < 0:
        raise Bad("negative_count", where, text)
    if people > HOURLY_MOST:
        raise Bad("absurd_count", where, text[:40])
    return people


def _heat(cells: list[str], at: int) -> float:
    try:
        value = float(cells[at])
    except ValueError:
        value = -1.0
    if not 0 <= value < 2**53:
        raise Bad("bad_number", "value", cells[at][:40])
    return value


@lru_cache(4096)
def _span(start: str, end: str, zone: str) -> tuple[int, int] | None:
    """Epoch seconds of a row's times; the last second belongs to the row."""
    since, until = _epoch(start, zone), _epoch(end, zone)
    if since is None or until is None:
        return None
    return _times.window(since, until + 1 if end.endswith(":59") else until)


def _epoch(text: str, zone: str) -> int | None:
    fixed = 0 if zone == "-" else _times.zone(zone)
    if fixed is not None:
        return _times.wall(text, fixed)
    place = _place(zone)
    if place is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace("/", "-"))
        seconds = int(moment.replace(tzinfo=place).timestamp()) if moment.tzinfo is None else -1
    except (ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds <= _times.LATEST else None


@lru_cache(1024)
def _place(zone: str) -> ZoneInfo | None:
    """The zone of an IANA name; None for a name that is none. Remembered, too: looking for it takes long."""
    try:
        return ZoneInfo(zone)
    except (ValueError, OSError, KeyError):  # a name that is none, or none that is installed
        return None


_Cell = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class _Point(msgspec.Struct, gc=False):
    x: _Cell
    y: _Cell
    value: Annotated[float, msgspec.Meta(ge=0, lt=2**53)]


class _Map(msgspec.Struct):
    data: list[_Point]
    max: float | None = None
    min: float | None = None


_map = msgspec.json.Decoder(_Map).decode


def _space_heat(about: _About, text: str, value: object) -> Report:
    try:
        found = _map(text) if value is None else msgspec.convert(value, _Map)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        raise Bad("bad_item", "body", str(error)[:200]) from None
    times = {name: f"{day} {clock}" for name, day, clock in _QUERY_TIME.findall(about.query)}
    start, end = times.get("start", ""), times.get("end", "")
    span = _span(start, end, about.zone) if start and end else None
    cells = [(point.x, point.y, point.value) for point in found.data]
    since, until = span or (None, None)
    return _report(about, [Heat(0, since, until, None, cells)], f"{start}|{end}" if span else "", since)


def _status(about: _About, found: dict[str, int]) -> Report:
    """Running totals of all lines together, and the alarm bits (1 in, 2 out, 4 capacity, 8 sum)."""
    into, out = found["current_in_count"], found["current_out_count"]
    if not 0 <= into <= COUNT_MOST or not 0 <= out <= COUNT_MOST:
        raise Bad("negative_count", "current_in_count", f"{into} in, {out} out")
    status: dict[str, float | int | str | bool] = {
        name: found[key]
        for key, name in (("current_capacity_count", "balance_line_0"), ("current_counter_alarm", "counter_alarm"))
        if key in found
    }
    events: list[Event] = [LineCount(0, "total", None, None, into, out)]
    return _report(about, events + ([DeviceStatus(status)] if status else []), "", None)


def _report(about: _About, events: list[Event], text: str, time: int | None, refusals: list[Refusal] | None = None) -> Report:
    flags = ("zone_missing",) if text and about.zone == "-" else ()
    return Report(about.device, DIALECT, text, time, events, refusals or [], flags=flags)


_H10, _H11 = 1753171200, 1753174800  # 2025-07-22 08:00 and 09:00 UTC: 10 and 11 o'clock in Berlin's summer
_TEN = "2025/07/22 10:00:00|2025/07/22 10:59:59"

SAMPLES = [
    Sample(
        b"""#camera cam-1 Europe/Berlin dw=vcalogcsv&linetype=31
StartTime, EndTime, Tolal - In, Tolal - Out, Tolal - Sum, Line1 - In, Line1 - Out, Line1 - Sum, Line4 - In, Line4 - Out
2025/07/22 10:00:00,2025/07/22 10:59:59,285,81,366,3,2,5,282,79
2025/07/22 11:00:00,2025/07/22 11:59:59,0,0,0,0,0,0,-1,0
""",
        [
            Report(
                "cam-1",
                DIALECT,
                _TEN,
                _H10,
                [LineCount(1, "window", _H10, _H11, 3, 2), LineCount(4, "window", _H10, _H11, 282, 79)],
            ),
            Report(
                "cam-1",
                DIALECT,
                "2025/07/22 11:00:00,2025/07/22 11:59:59",
                None,
                [],
                [Refusal("negative_count", "row 2 line4 in", "-1")],
            ),
        ],
        "counts of two lines; the total is not counted again; a broken row is refused alone",
    ),
    Sample(
        b"""{"device": "cam-1", "zone": "UTC+2:00", "query": "dw=regionalcountlogcsv", "body": "StartTime, EndTime, region1,\
 region2, Sum\\n2025/07/22 10:00:00,2025/07/22 10:59:59,201,0,201\\n"}""",
        [
            Report(
                "cam-1",
                DIALECT,
                _TEN,
                _H10,
                [
                    Demographics(None, 1, _H10, _H11, {"class:all": 201}),
                    Demographics(None, 2, _H10, _H11, {"class:all": 0}),
                ],
            )
        ],
        "people counted in regions",
    ),
    Sample(
        b"""#camera cam-1 - dw=heatmapcsv&sub_type=0\r
StartTime, EndTime, Value(s)\r
2025-07-22 08:00:00,2025-07-22 08:59:59,17151\r
""",
        [
            Report(
                "cam-1",
                DIALECT,
                "2025-07-22 08:00:00|2025-07-22 08:59:59",
                _H10,
                [Heat(0, _H10, _H11, 17151.0)],
                flags=("zone_missing",),
            )
        ],
        "heat by time; nobody knows the camera's zone",
    ),
    Sample(
        b"""#camera cam-1 Europe/Berlin dw=spaceheatmap&time_start=2025-07-22-10:00:00&time_end=2025-07-22-10:59:59
{"max": 940, "min": 0, "data": [{"x": 12, "y": 4, "value": 940}, {"x": 0, "y": 0, "value": 0}]}""",
        [
            Report(
                "cam-1",
                DIALECT,
                "2025-07-22 10:00:00|2025-07-22 10:59:59",
                _H10,
                [Heat(0, _H10, _H11, None, [(12, 4, 940.0), (0, 0, 0.0)])],
            )
        ],
        "space heat map: points, not a matrix",
    ),
    Sample(
        b"""{"device": "cam-1", "query": "action=get.vca.alarmstatus", "body": "var current_in_count='2722';\
var current_out_count='1008';var current_sum_count='3730';var current_capacity_count='1714';var current_counter_alarm='5';"}""",
        [
            Report(
                "cam-1",
                DIALECT,
                "",
                None,
                [
                    LineCount(0, "total", None, None, 2722, 1008),
                    DeviceStatus({"balance_line_0": 1714, "counter_alarm": 5}),
                ],
            )
        ],
        "running totals since the day's reset",
    ),
]
