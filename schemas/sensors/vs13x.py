"""VS125, VS133 and VS135 over MQTT or HTTP: JSON, in the nested dialect (VS125) and the flat one (VS133, VS135).

One object per message. Sections are chosen by the user, so any may be missing: `line_trigger_data` (one moment),
`line_periodic_data` (adds over start_time to end_time), `line_total_data` (running totals since a reset that nobody announces),
`region_trigger_data`, `region_data`. Times are ISO 8601 with offset; UTC is written `-00:00`. Dwell is in milliseconds.
`total` includes children and staff; `group` counts groups. `capacity_counted` is a signed balance, not an occupancy.

Formats: vendor's VS125 guide "Communication Protocol"; published test payloads of the akenza device type library (VS125);
public subscribers of VS133-P and VS135-P; a bus operator's protocol document (`V_125-LW`).
"""

from functools import partial

from schemas.events import DeviceStatus, DwellSummary, Kind, LineCount, Refusal, Report, Stay, ZoneCount
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
from schemas.sensors._parts import Span, dwell, health, zone_counts
from schemas.sensors._sample import Sample
from schemas.sensors._vs13x_fast import decode_bytes

DIALECT = "vs13x"
MODELS = ("VS125", "VS133", "VS135")
ORDER = 20
"""After VS121-P, whose keys are more special; its messages have none of the sections below in this shape."""
PEEK = b'"line_'

_LINES: tuple[tuple[str, Kind], ...] = (
    ("line_periodic_data", "window"),
    ("line_trigger_data", "trigger"),
    ("line_total_data", "total"),
)
_REGIONS: tuple[tuple[str, Kind], ...] = (
    ("region_data", "window"),
    ("region_periodic_data", "window"),
    ("region_trigger_data", "trigger"),
)
_PLAIN = {"device_info", "time_info", "network_info", "isretransmission", "di_trigger_data", "snapshot", "event", "report_type"}
_ZONES = {name for name, _ in _REGIONS} | {"region_count_data", "dwell_time_data"}
_SECTIONS = {name for name, _ in _LINES} | _ZONES
_KNOWN = _SECTIONS | _PLAIN
_CLASSES = (("children", "child"), ("staff", "staff"), ("group", "group"))


def accepts(message: Object) -> bool:
    """Any section of this dialect, or at least its envelope with a serial number and nothing of another product in it."""
    if not _SECTIONS.isdisjoint(message):
        return True
    device = message.get("device_info")
    if not isinstance(device, dict) or "trigger_data" in message:
        return False
    folded = fold(device)
    return "device_model" not in folded and "trigger_data" not in folded and "device_name" in folded


def decode_object(message: Object, draft: Draft) -> Report:
    """The tolerant reader: any spelling, any missing or broken part. Also the oracle of the fast reader below."""
    info = fold(message.get("device_info"))
    times = fold(message.get("time_info"))
    clock = Clock(draft, times.get("time_zone"), times.get("dst_status"))
    start = clock.read(times.get("start_time"), "time_info.start_time")
    end = clock.read(times.get("end_time"), "time_info.end_time")
    at = clock.read(times.get("time") or times.get("trigger_time"), "time_info.time")
    span: Span = _times.window(start, end) or (None, None)
    if span[0] is None and None not in (start, end):
        draft.flag("bad_window")
    moment = at if at is not None else end
    device = identity(info.get("device_sn")) or _from_mac(info, draft)
    last = end if end is not None else at
    for name, kind in _LINES:
        if name in message:
            _lines(draft, message[name], name, kind, {"window": span, "trigger": (moment, moment), "total": (last, last)}[kind])
    if not _ZONES.isdisjoint(message):
        _zones(draft, message, span, moment, clock)
    draft.part("device_info", lambda: health(draft.status, info, message.get("network_info")))
    if "di_trigger_data" in message:
        draft.part("di_trigger_data", lambda: _wired_input(draft, message["di_trigger_data"]))
    for name in sorted(message.keys() - _KNOWN):
        draft.flag(f"unknown:{name[:40]}")
    draft.finish()
    return Report(
        device,
        DIALECT,
        "|".join(clock.texts),
        last,
        draft.events,
        draft.refusals,
        words(info.get("cus_site_id")) or words(info.get("custom_site_id")),
        words(info.get("device_name")),
        words(info.get("firmware_version")),
        _running(info.get("running_time")),
        truth(message.get("isretransmission")) is True,
        clock.added_s,
        None,
        tuple(draft.flags),
    )


def _zones(draft: Draft, message: Object, span: Span, moment: int | None, clock: Clock) -> None:
    for name, kind in _REGIONS:

        def read(name: str = name, kind: Kind = kind) -> None:
            region = fold(message.get(name))
            covers = span if kind == "window" else (moment, moment)
            zone_counts(draft, region.get("region_count_data"), f"{name}.region_count_data", kind, covers)
            dwell(draft, region.get("dwell_time_data"), f"{name}.dwell_time_data", span, clock)

        draft.part(name, read)
    zone_counts(draft, message.get("region_count_data"), "region_count_data", "window", span)
    dwell(draft, message.get("dwell_time_data"), "dwell_time_data", span, clock)


def _from_mac(info: Object, draft: Draft) -> str:
    """The MAC when the user has unticked the serial number. Raises Bad `no_device`."""
    for name in ("device_mac", "wlan_mac"):
        mac = identity((words(info.get(name)) or "").replace(":", ""))
        if mac:
            draft.flag("device_from_mac")
            return mac
    raise Bad("no_device", "device_info.device_sn", "neither serial number nor MAC")


def _running(value: object) -> int | None:
    try:
        seconds = integer(value, "running_time")
    except Bad:
        return None
    return seconds if seconds is not None and 0 <= seconds <= COUNT_MOST else None


def _most(kind: Kind, span: Span) -> int:
    if kind != "window":
        return COUNT_MOST
    minutes = UNKNOWN_WINDOW_MINUTES if span[0] is None or span[1] is None else max(1, -(-(span[1] - span[0]) // 60))
    return PER_MINUTE_MOST * minutes


def _lines(draft: Draft, value: object, where: str, kind: Kind, span: Span) -> None:
    seen: set[int] = set()
    most = _most(kind, span)
    suffix = "_counted" if kind == "total" else ""
    for path, item in draft.items(value, where):

        def read(path: str = path, item: Object = item) -> None:
            line = place(item.get("line"), f"{path}.line")
            if line in seen:
                raise Bad("duplicate_line", path, f"line {line} stands twice in {where}")
            nested = item.get("total") is not None
            if nested and not isinstance(item["total"], dict):
                raise Bad("bad_item", f"{path}.total", f"expected an object, got {type(item['total']).__name__}")
            block = fold(item["total"]) if nested else item
            prefix = f"{path}.total" if nested else path
            event = LineCount(line, kind, *span, *_pair(block, prefix, suffix, most))
            seen.add(line)
            for name, attribute in _CLASSES:
                if item.get(name) is None:
                    continue
                where_class = f"{path}.{name}"
                draft.part(where_class, partial(_class, event, item.get(name), where_class, attribute, suffix, most))
            draft.events.append(event)
            if kind == "total":
                balance = integer(block.get("capacity_counted"), f"{prefix}.capacity_counted")
                if balance is not None and abs(balance) <= COUNT_MOST:
                    draft.status[f"balance_line_{line}"] = balance

        draft.part(path, read)


def _pair(block: Object, where: str, suffix: str, most: int) -> tuple[int, int]:
    keys = (f"in{suffix}", f"out{suffix}")
    one, two = (needed(count(block.get(key), f"{where}.{key}", most), f"{where}.{key}") for key in keys)
    return one, two


def _class(event: LineCount, value: object, where: str, attribute: str, suffix: str, most: int) -> None:
    """Put a class block into the event. Raises Bad, and leaves the class unmeasured, when it holds more than all people."""
    if not isinstance(value, dict):
        raise Bad("bad_item", where, f"expected an object, got {type(value).__name__}")
    block = fold(value)
    people_in, people_out = (count(block.get(f"{way}{suffix}"), f"{where}.{way}{suffix}", most) for way in ("in", "out"))
    if attribute != "group" and ((people_in or 0) > event.people_in or (people_out or 0) > event.people_out):
        raise Bad("class_exceeds_total", where, f"{people_in}/{people_out} of {event.people_in}/{event.people_out}")
    setattr(event, f"{attribute}_in", people_in)
    setattr(event, f"{attribute}_out", people_out)


def _wired_input(draft: Draft, value: object) -> None:
    block = fold(value)
    for key in ("di_trigger_count", "di_trigger_event_name"):
        found = block.get(key)
        if isinstance(found, str):
            draft.status[key] = found[:64]
        elif type(found) is int and abs(found) <= COUNT_MOST:
            draft.status[key] = found


_NESTED = b"""{"device_info": {"device_sn": "6384E16179950001", "device_name": "Door", "running_time": 7200,
"firmware_version": "V_125.1.0.3", "cus_site_id": "shop-1", "cpu": {"cpu_temperature": 61}},
"time_info": {"start_time": "2025-03-01T09:00:00+01:00", "end_time": "2025-03-01T09:15:00+01:00", "time_zone": "UTC+1:00 CET",
"enable_dst": false, "dst_status": false},
"line_periodic_data": [{"line": 1, "total": {"in": 12, "out": 9}, "children": {"in": 3, "out": 2}, "staff": {"in": 1, "out": 1},
"group": {"in": 2, "out": 1}}, {"line": 3, "total": {"in": 0, "out": 0}}],
"line_total_data": [{"line": 1, "total": {"in_counted": 512, "out_counted": 600, "capacity_counted": -88}}],
"region_data": {"region_count_data": [{"region": 2, "total": {"current_total": 3}, "staff": {"current_total": 1}}],
"dwell_time_data": [{"region": 2, "avg_dwell_time": 41250, "max_dwell_time": 187400}]},
"heatmap": {"cells": [1, 2]}}"""

_FLAT = b"""{"device_info": {"device_sn": "6600B09409760001", "device_name": "People Counter",
"firmware_version": "V_133.1.0.9"},
"time_info": {"time": "2024-05-30T20:11:32+08:00", "time_zone": "UTC+8:00", "enable_dst": false, "dst_status": false},
"line_trigger_data": [{"line": 1, "line_name": "Line1", "in": 1, "out": 0}], "isRetransmission": true}"""

_STAY = b"""{"device_info": {"device_mac": "24:E1:24:FA:0C:6C", "device_name": "Aisle"},
"time_info": {"time": "2026-07-31T20:31:00-00:00"},
"region_trigger_data": {"dwell_time_data": [{"region": 1, "people_id": 5, "duration": 96799, "staff": "false",
"dwell_start_time": "2026-07-31T20:29:23-00:00", "dwell_end_time": "2026-07-31T20:31:00-00:00"},
{"region": 1, "duration": -5}]}}"""

_MAR_0800, _MAR_0815 = 1740816000, 1740816900  # 2025-03-01 08:00 and 08:15 UTC
_MAY_30 = 1717071092  # 2024-05-30 12:11:32 UTC
_JUL_31 = 1785529860  # 2026-07-31 20:31 UTC

SAMPLES = [
    Sample(
        _NESTED,
        [
            Report(
                "6384e16179950001",
                DIALECT,
                "2025-03-01T09:00:00+01:00|2025-03-01T09:15:00+01:00",
                _MAR_0815,
                [
                    LineCount(1, "window", _MAR_0800, _MAR_0815, 12, 9, 3, 2, 1, 1, 2, 1),
                    LineCount(3, "window", _MAR_0800, _MAR_0815, 0, 0),
                    LineCount(1, "total", _MAR_0815, _MAR_0815, 512, 600),
                    ZoneCount(2, "window", _MAR_0800, _MAR_0815, 3, staff=1),
                    DwellSummary(2, _MAR_0800, _MAR_0815, 41.25, 187.4),
                    DeviceStatus({"balance_line_1": -88, "cpu_temperature_C": 61}),
                ],
                site_claim="shop-1",
                name="Door",
                firmware="V_125.1.0.3",
                running_time=7200,
                flags=("unknown:heatmap",),
            )
        ],
        "nested dialect with all sections, a line without class blocks and a section that nobody knows",
    ),
    Sample(
        _FLAT,
        [
            Report(
                "6600b09409760001",
                DIALECT,
                "2024-05-30T20:11:32+08:00",
                _MAY_30,
                [LineCount(1, "trigger", _MAY_30, _MAY_30, 1, 0)],
                name="People Counter",
                firmware="V_133.1.0.9",
                retransmission=True,
            )
        ],
        "flat dialect, trigger, sent again",
    ),
    Sample(
        _STAY,
        [
            Report(
                "24e124fa0c6c",
                DIALECT,
                "2026-07-31T20:31:00-00:00",
                _JUL_31,
                [Stay(1, _JUL_31 - 97, _JUL_31, 96.799, 5, staff=False)],
                [Refusal("negative_count", "region_trigger_data.dwell_time_data[1].duration", "-5")],
                name="Aisle",
                flags=("device_from_mac",),
            )
        ],
        "a finished stay in milliseconds, UTC as -00:00, serial number unticked, one broken item",
    ),
]

__all__ = ["DIALECT", "MODELS", "ORDER", "PEEK", "SAMPLES", "accepts", "decode_bytes", "decode_object"]
