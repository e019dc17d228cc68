"""VS121-P (AI occupancy sensor) over HTTP or MQTT: JSON.

One object per message. Times are wall-clock text without offset (`2022/12/20 18:15:52`) beside `timezone` (`UTC+8:00`) and
`dst_status`; whether the text includes the hour is not published, so an hour is added to the zone when it is true and
`Report.dst_added_s` says so. Regions come as parallel arrays; of arrays of unequal length the common part is used.
`in_counted`, `out_counted` add over the window (line 1); `total_data` are running totals since a reset. Dwell is taken as
milliseconds unless a stay's own start and end prove seconds. `snapshot` (base64 JPEG) never leaves the message.

Formats: vendor's "VS121-P Communication Protocol" page; the key list of a public dashboard script for lines, flows, dwell.
"""

import re
from functools import partial

from schemas.events import DeviceStatus, DwellSummary, FlowMatrix, Kind, LineCount, Refusal, Report, Stay, ZoneCount
from schemas.sensors import _times
from schemas.sensors._json import (
    COUNT_MOST,
    PER_MINUTE_MOST,
    UNKNOWN_WINDOW_MINUTES,
    Bad,
    Clock,
    Draft,
    Object,
    count,
    fold,
    identity,
    integer,
    needed,
    place,
    truth,
    words,
)
from schemas.sensors._parts import Span, dwell
from schemas.sensors._sample import Sample
from schemas.sensors._vs121p_fast import decode_bytes

DIALECT = "vs121p"
MODELS = ("VS121-P",)
ORDER = 10
PEEK = b'"timezone"'

_OWN = {
    "report_type", "current_total", "max_counted", "total_mapped_regions", "regions_name", "numbering_regions", "occupancy",
    "current_counted", "in_counted", "out_counted", "capacity_counted", "total_data", "flow_data",
}  # fmt: skip
_KNOWN = _OWN | {"event", "device_info", "time_info", "snapshot", "dwell_time_data", "line_trigger_data", "isretransmission"}
_EDGES = re.compile(r"[a-d]-[a-d]")


def accepts(message: Object) -> bool:
    """`time_info.timezone` (dialect B writes `time_zone`), or keys that only this product has."""
    times = message.get("time_info")
    if isinstance(times, dict):
        return "timezone" in fold(times)
    return isinstance(message.get("device_info"), dict) and not _OWN.isdisjoint(message)


def decode_object(message: Object, draft: Draft) -> Report:
    info, times = fold(message.get("device_info")), fold(message.get("time_info"))
    clock = Clock(draft, times.get("timezone"), times.get("dst_status"))
    start = clock.read(times.get("start_time"), "time_info.start_time")
    end = clock.read(times.get("end_time"), "time_info.end_time")
    at = clock.read(times.get("time"), "time_info.time")
    span: Span = _times.window(start, end) or (None, None)
    if span[0] is None and None not in (start, end):
        draft.flag("bad_window")
    moment = at if at is not None else end
    device = identity(info.get("device_sn")) or identity((words(info.get("device_mac")) or "").replace(":", ""))
    if not device:
        raise Bad("no_device", "device_info.device_sn", "neither serial number nor MAC")
    draft.part("in_counted", lambda: _window(draft, message, span))
    draft.part("line_trigger_data", lambda: _trigger(draft, message.get("line_trigger_data"), moment))
    draft.part("total_data", lambda: _totals(draft, message.get("total_data"), moment))
    periodic = end is not None or at is None
    draft.part("current_total", lambda: _zones(draft, message, span if periodic else (moment, moment), periodic))
    dwell(draft, message.get("dwell_time_data"), "dwell_time_data", span, clock)
    draft.part("flow_data", lambda: _flow(draft, message.get("flow_data"), span))
    for name in sorted(message.keys() - _KNOWN):
        draft.flag(f"unknown:{name[:40]}")
    draft.finish()
    return Report(
        device,
        DIALECT,
        "|".join(clock.texts),
        end if end is not None else at,
        draft.events,
        draft.refusals,
        retransmission=truth(message.get("isretransmission")) is True,
        dst_added_s=clock.added_s,
        flags=tuple(draft.flags),
    )


def _window(draft: Draft, message: Object, span: Span) -> None:
    start, end = span
    minutes = UNKNOWN_WINDOW_MINUTES if start is None or end is None else max(1, -(-(end - start) // 60))
    most = PER_MINUTE_MOST * minutes
    people_in, people_out = (
        count(message.get("in_counted"), "in_counted", most),
        count(message.get("out_counted"), "out_counted", most),
    )
    if people_in is None and people_out is None:
        return
    draft.events.append(LineCount(1, "window", start, end, needed(people_in, "in_counted"), needed(people_out, "out_counted")))


def _trigger(draft: Draft, value: object, moment: int | None) -> None:
    """Line trigger: an object here, an array in the other dialect; only line 1 exists."""
    for path, item in draft.items(value, "line_trigger_data"):
        people_in, people_out = (needed(count(item.get(way), f"{path}.{way}"), f"{path}.{way}") for way in ("in", "out"))
        draft.events.append(LineCount(1, "trigger", moment, moment, people_in, people_out))
        return


def _totals(draft: Draft, value: object, moment: int | None) -> None:
    block = fold(value)
    people_in, people_out = (
        count(block.get(f"{way}_cumulative_counted"), f"total_data.{way}_cumulative_counted") for way in ("in", "out")
    )
    if people_in is None and people_out is None:
        return
    people_in, people_out = (
        needed(people_in, "total_data.in_cumulative_counted"),
        needed(people_out, "total_data.out_cumulative_counted"),
    )
    draft.events.append(LineCount(1, "total", moment, moment, people_in, people_out))
    balance = integer(block.get("capacity_cumulative_counted"), "total_data.capacity_cumulative_counted")
    if balance is not None and abs(balance) <= COUNT_MOST:
        draft.status["balance_line_1"] = balance


def _zones(draft: Draft, message: Object, span: Span, periodic: bool) -> None:
    """Zone 0 is the whole view; the regions follow with what their parallel arrays say."""
    kind: Kind = "window" if periodic else "trigger"
    present, peak = count(message.get("current_total"), "current_total"), count(message.get("max_counted"), "max_counted")
    if present is not None or peak is not None:
        draft.events.append(ZoneCount(0, kind, *span, present, peak))
    arrays = {name: message.get(name) for name in ("numbering_regions", "current_counted", "occupancy")}
    for name, values in arrays.items():
        if values is not None and not isinstance(values, list):
            draft.refuse("bad_section", name, f"expected a list, got {type(values).__name__}")
            return
    numbers = arrays["numbering_regions"]
    given = [values for name, values in arrays.items() if values is not None and (name != "numbering_regions" or values)]
    if arrays["current_counted"] is None and arrays["occupancy"] is None:
        return
    if len({len(values) for values in given if isinstance(values, list)}) > 1:
        draft.flag("unequal_arrays")
    for number in range(min((len(values) for values in given if isinstance(values, list)), default=0)):
        if draft.budget.left <= 0:
            draft.refuse("too_many_items", f"numbering_regions[{number}]")
            return
        draft.budget.left -= 1
        draft.part(f"numbering_regions[{number}]", partial(_zone, draft, arrays, numbers, number, kind, span))


def _zone(draft: Draft, arrays: Object, numbers: object, number: int, kind: Kind, span: Span) -> None:
    zone = place(numbers[number], f"numbering_regions[{number}]") if isinstance(numbers, list) and numbers else number + 1
    people, occupied = arrays["current_counted"], arrays["occupancy"]
    draft.events.append(
        ZoneCount(
            zone,
            kind,
            *span,
            None if people is None else count(people[number], f"current_counted[{number}]"),
            occupied=None if occupied is None else truth(occupied[number]),
        )
    )


def _flow(draft: Draft, value: object, span: Span) -> None:
    """Edge-to-edge counts; a triangle has only A to C."""
    if value is None:
        return
    if not isinstance(value, dict):
        raise Bad("bad_section", "flow_data", f"expected an object, got {type(value).__name__}")
    cells = {}
    for edges, people in fold(value).items():
        if not _EDGES.fullmatch(edges):
            draft.refuse("bad_item", "flow_data", f"no pair of edges A to D: {edges[:20]!r}")
            continue
        found = count(people, f"flow_data.{edges.upper()}")
        if found is not None:
            cells[edges.upper()] = found
    if cells:
        draft.events.append(FlowMatrix(*span, dict(sorted(cells.items()))))


_HEAD = b"""{"event": "any text", "report_type": "interval", "device_info": {"device": "Workplace Sensor",
"device_sn": "369300000001", "device_mac": "00:16:28:00:00:01"}, "time_info": {"timezone": "UTC+5:45", "dst_status": %s,
"start_time": "2022/12/20 18:15:00",
"end_time": "2022/12/20 19:15:00"}, """
_SPAN = (1671539400, 1671543000)  # 2022-12-20 12:30 and 13:30 UTC
_SUMMER = (1671535800, 1671539400)  # an hour less
_TEXT = "2022/12/20 18:15:00|2022/12/20 19:15:00"
_AT = 1671531607  # 2022-12-20 10:20:07 UTC

SAMPLES = [
    Sample(
        _HEAD % b"false"
        + b"""
"current_total": 10, "Max_counted": 12, "total_mapped_regions": 2, "numbering_regions": [1, 4], "current_counted": [5, 4, 9],
"occupancy": [1, 0], "snapshot": "/9j/4AAQ...(Image code)", "numbering_regions": [1, 4]}""",
        [
            Report(
                "369300000001",
                DIALECT,
                _TEXT,
                _SPAN[1],
                [
                    ZoneCount(0, "window", *_SPAN, 10, 12),
                    ZoneCount(1, "window", *_SPAN, 5, occupied=True),
                    ZoneCount(4, "window", *_SPAN, 4, occupied=False),
                ],
                flags=("unequal_arrays",),
            )
        ],
        "regions: capital Max_counted, a key twice, arrays of unequal length, an image",
    ),
    Sample(
        _HEAD % b"true"
        + b"""
"in_counted": 14, "out_counted": 9, "capacity_counted": 5, "total_data": {"in_cumulative_counted": 1204,
"out_cumulative_counted": 1221, "capacity_cumulative_counted": -17}, "flow_data": {"A-B": 4, "B-A": 3, "C-C": 0},
"dwell_time_data": [{"region": 1, "max_dwell_time": 5200, "avg_dwell_time": 1800}]}""",
        [
            Report(
                "369300000001",
                DIALECT,
                _TEXT,
                _SUMMER[1],
                [
                    LineCount(1, "window", *_SUMMER, 14, 9),
                    LineCount(1, "total", _SUMMER[1], _SUMMER[1], 1204, 1221),
                    DwellSummary(1, *_SUMMER, 1.8, 5.2),
                    FlowMatrix(*_SUMMER, {"A-B": 4, "B-A": 3, "C-C": 0}),
                    DeviceStatus({"balance_line_1": -17}),
                ],
                dst_added_s=3600,
            )
        ],
        "line, totals with a negative balance, flows of a triangle, dwell; daylight saving in force",
    ),
    Sample(
        b"""{"event": "Line Crossing Counting", "device_info": {"device_sn": "369300000001"},
"time_info": {"timezone": "UTC+8:00", "dst_status": false, "time": "2022/12/20 18:20:07"},
"line_trigger_data": {"in": "1", "out": 0},
"dwell_time_data": [{"people_id": 3, "region": 2, "dwell_start_time": "2022/12/20 18:18:07",
"dwell_end_time": "2022/12/20 18:20:07", "duration": 120}]}""",
        [
            Report(
                "369300000001",
                DIALECT,
                "2022/12/20 18:20:07",
                _AT,
                [LineCount(1, "trigger", _AT, _AT, 1, 0), Stay(2, _AT - 120, _AT, 120.0, 3)],
                flags=("dwell_in_seconds",),
            )
        ],
        "triggers: the line as an object, digits as text, a stay whose duration is proved to be in seconds",
    ),
    Sample(
        b"""{"device_info": {"device_sn": "369300000001"}, "report_type": "interval", "in_counted": -3, "out_counted": 2}""",
        [Report("369300000001", DIALECT, "", None, [], [Refusal("negative_count", "in_counted", "-3")])],
        "a negative count is refused, not taken as zero",
    ),
]

__all__ = ["DIALECT", "MODELS", "ORDER", "PEEK", "SAMPLES", "accepts", "decode_bytes", "decode_object"]
