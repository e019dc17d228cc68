"""footstream/v1: JSON for anything else that counts (another vendor's box, camera analytics, a terminal, a spreadsheet).

`{"format": "footstream/v1", "device": "cam-7", "start": …, "end": …, "events": [{"type": "line_count", …}, …]}`. Types and
fields are the canonical events of `schemas/events.py`, with the same units. Times are ISO 8601 with offset or epoch seconds;
an event without times of its own has those of the message. Counts add over their window unless `kind` says `total`. Events of
one message may have different times: each time becomes a report of its own, so that it is judged (late, copy) by itself.

Formats: docs/footstream-v1.md and schemas/footstream-v1.schema.json of this project.
"""

from functools import partial

from schemas.events import (
    Demographics,
    Detection,
    DeviceStatus,
    DwellSummary,
    Event,
    FlowMatrix,
    Heat,
    LineCount,
    QueueLength,
    Refusal,
    Report,
    Stay,
    ZoneCount,
)
from schemas.sensors._footstream_fast import decode_bytes
from schemas.sensors._footstream_parts import Span, read_event, span_of
from schemas.sensors._json import Bad, Draft, Object, brief, identity, truth, words
from schemas.sensors._sample import Sample

DIALECT = "footstream_v1"
PEEK = b'"footstream/v1"'
MODELS = ("anything that sends JSON",)
ORDER = 3
FORMAT = "footstream/v1"

_KNOWN = {"format", "device", "events", "start", "end", "time", "site", "name", "firmware", "retransmission"}

_Groups = dict[tuple[int | None, int | None, tuple[str, ...]], list[Event]]
"""Events by their time: start, end, and how it was sent."""


def accepts(message: Object) -> bool:
    said = message.get("format")
    return isinstance(said, str) and said.startswith("footstream/")


def decode_object(message: Object, draft: Draft) -> list[Report]:
    """One report for each time that the events say, in the order in which they first stand; refusals are in the first one."""
    if message["format"] != FORMAT:
        raise Bad("unsupported_version", "format", f"{brief(message['format'])}; this release reads {FORMAT}")
    device = identity(message.get("device"))
    if not device:
        raise Bad("no_device", "device")
    default = span_of(message, "", Span())
    groups: _Groups = {}
    for path, item in draft.items(message.get("events"), "events"):
        draft.part(path, partial(_event, draft, path, item, default, groups))
    for name in sorted(message.keys() - _KNOWN):
        draft.flag(f"unknown:{name[:40]}")
    if not groups and not draft.refusals:
        draft.refuse("empty_report", "events", "the message reports nothing")
    about = words(message.get("site")), words(message.get("name")), words(message.get("firmware"))
    again, flags = truth(message.get("retransmission")) is True, tuple(draft.flags)
    found = [
        Report(device, DIALECT, "|".join(texts), end, events, [], *about, retransmission=again, flags=flags)
        for (_, end, texts), events in groups.items()
    ]
    if not found:
        found = [Report(device, DIALECT, "", None, [], [], *about, retransmission=again, flags=flags)]
    found[0].refusals = draft.refusals
    return found


def _event(draft: Draft, path: str, item: Object, default: Span, groups: _Groups) -> None:
    event, span = read_event(draft, path, item, default)
    same = groups.get((span.start, span.end, span.texts), [])
    if isinstance(event, LineCount) and event.kind != "trigger" and any(_same_line(event, other) for other in same):
        raise Bad("duplicate_line", path, f"line {event.line} stands twice over the same time")
    groups.setdefault((span.start, span.end, span.texts), same).append(event)


def _same_line(one: LineCount, other: Event) -> bool:
    return isinstance(other, LineCount) and (one.line, one.kind) == (other.line, other.kind)


_T0, _T1 = 1785492000, 1785492900  # 2026-07-31 10:00 and 10:15 UTC
_TEXT = "2026-07-31T12:00:00+02:00|2026-07-31T12:15:00+02:00"
_HEAD = b"""{"format": "footstream/v1", "device": "Box-7", "name": "North door", "firmware": "2.1", "site": "shop",
"start": "2026-07-31T12:00:00+02:00", "end": "2026-07-31T12:15:00+02:00", "events": ["""


def _report(events: list[Event], text: str = _TEXT, time: int | None = _T1, refusals: list[Refusal] | None = None) -> Report:
    return Report("box-7", DIALECT, text, time, events, refusals or [], "shop", "North door", "2.1")


SAMPLES = [
    Sample(
        _HEAD
        + b"""{"type": "line_count", "line": 1, "people_in": 12, "people_out": 9, "child_in": 2, "group_in": 13},
{"type": "line_count", "line": 2, "kind": "total", "people_in": 70000, "people_out": 69000},
{"type": "zone_count", "zone": 3, "present": 4, "peak": 6, "occupied": true},
{"type": "dwell_summary", "zone": 3, "avg_s": 41.25, "max_s": 187.4},
{"type": "flow_matrix", "cells": {"entry-checkout": 4, "A-B": 0}},
{"type": "demographics", "line": 1, "groups": {"gender:female": 7, "age:18-30": 3}},
{"type": "device_status", "fields": {"temperature_C": 41.5}}]}""",
        [
            _report(
                [
                    LineCount(1, "window", _T0, _T1, 12, 9, child_in=2, group_in=13),
                    LineCount(2, "total", _T1, _T1, 70000, 69000),
                    ZoneCount(3, "window", _T0, _T1, 4, 6, occupied=True),
                    DwellSummary(3, _T0, _T1, 41.25, 187.4),
                    FlowMatrix(_T0, _T1, {"A-B": 0, "entry-checkout": 4}),
                    Demographics(1, None, _T0, _T1, {"age:18-30": 3, "gender:female": 7}),
                    DeviceStatus({"temperature_C": 41.5}),
                ]
            )
        ],
        "a quarter of an hour, all events over the same time",
    ),
    Sample(
        _HEAD
        + b"""{"type": "stay", "zone": 2, "start": 1785492100, "end": 1785492160.9, "track": 17, "staff": false},
{"type": "queue_length", "zone": 9, "time": "2026-07-31T10:07:00Z", "length": 5, "wait_s": 95, "served": 11, "lanes_open": 2},
{"type": "heat", "cells": [[3, 4, 0.5], [3, 5, 1]], "columns": 20, "rows": 10}, {"type": "heat", "zone": 4, "value": 17.5},
{"type": "detection", "what": "display_dwell", "start": 1785492100, "end": 1785492160, "zone": 2, "camera": "cam-3",
"label": "loiter", "confidence": 0.87, "value": 41, "link": "https://nvr.example/e/1"},
{"type": "detection", "what": "sentiment", "time": 1785492300, "value": -1, "label": "sad button"}]}""",
        [
            _report([Stay(2, 1785492100, 1785492160, 60.0, 17, staff=False)], "1785492100|1785492160.9", 1785492160),
            _report([QueueLength(9, 1785492420, 1785492420, 5, 95.0, 11, 2)], "2026-07-31T10:07:00Z", 1785492420),
            _report([Heat(0, _T0, _T1, None, [(3, 4, 0.5), (3, 5, 1.0)], 20, 10), Heat(4, _T0, _T1, 17.5)]),
            _report(
                [
                    Detection(
                        "display_dwell", 1785492100, 1785492160, 2, "cam-3", "loiter", 0.87, 41.0, "https://nvr.example/e/1"
                    )
                ],
                "1785492100|1785492160",
                1785492160,
            ),
            _report([Detection("sentiment", 1785492300, 1785492300, label="sad button", value=-1.0)], "1785492300", 1785492300),
        ],
        "events with times of their own",
    ),
    Sample(
        b"""{"format": "footstream/v1", "device": "till-3", "events": [{"type": "queue_length", "zone": 1, "length": 2},
{"type": "stay", "zone": 1, "time": 1785492160, "dwell_s": 30}]}""",
        [
            Report("till-3", DIALECT, "", None, [QueueLength(1, None, None, 2)]),
            Report("till-3", DIALECT, "1785492160", 1785492160, [Stay(1, 1785492130, 1785492160, 30.0)]),
        ],
        "without a clock: the arrival is the time",
    ),
    Sample(
        b"""{"format": "footstream/v1", "device": "box-8", "time": 1785492900, "events": [
{"type": "line_count", "line": 1, "people_in": 3, "people_out": 1},
{"type": "line_count", "line": 1, "start": "2026-07-31 12:00", "end": 1785492900, "people_in": 3, "people_out": 1},
{"type": "line_count", "line": 1, "kind": "trigger", "people_in": 1, "people_out": 0},
{"type": "zone_count", "zone": 1, "kind": "trigger", "present": -4}, {"type": "face", "id": 4},
{"type": "detection", "what": "security_incident", "link": "data:image/png;base64,AAAA", "label": "fight"}]}""",
        [
            Report(
                "box-8",
                DIALECT,
                "1785492900",
                _T1,
                [LineCount(1, "trigger", _T1, _T1, 1, 0), Detection("security_incident", _T1, _T1, label="fight")],
                [
                    Refusal("bad_window", "events[0]", "a sum over a time needs start and end"),
                    Refusal("zone_missing", "events[1].start", "2026-07-31 12:00 has no offset; add Z or +02:00"),
                    Refusal("negative_count", "events[3].present", "-4"),
                    Refusal(
                        "unknown_type",
                        "events[4].type",
                        "expected one of line_count, zone_count, stay, dwell_summary, flow_matrix, heat, queue_length,"
                        " demographics, detection, device_status, got face",
                    ),
                    Refusal("bad_link", "events[5].link", "expected http(s)://, no login, at most 512 characters; left out"),
                ],
            )
        ],
        "bad parts are refused alone",
    ),
    Sample(
        b"""{"format": "footstream/v2", "device": "box-8", "events": []}""",
        [
            Report(
                "",
                DIALECT,
                "",
                None,
                [],
                [Refusal("unsupported_version", "format", "footstream/v2; this release reads footstream/v1")],
            )
        ],
        "a version of tomorrow",
    ),
]

__all__ = ["DIALECT", "FORMAT", "MODELS", "ORDER", "PEEK", "SAMPLES", "accepts", "decode_bytes", "decode_object"]
