"""Rows of a table, or loose events, as footstream/v1 messages: one message for each device and time.

A column is a field of footstream/v1 (docs/footstream-v1.md). Beside them: `device`; `gender:…`, `age:…` and `class:…` are
groups of `demographics`, and a column with one hyphen (`entry-checkout`) is a cell of a `flow_matrix`. Without a column `type`
the columns tell it. A time without offset is civil time of the given zone. An empty field was not measured.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from operators.series import SeriesError, Told, epoch_of, stamp_of

_BY_COLUMN = {
    "people_in": "line_count",
    "length": "queue_length",
    "dwell_s": "stay",
    "avg_s": "dwell_summary",
    "what": "detection",
    "present": "zone_count",
    "peak": "zone_count",
    "occupied": "zone_count",
}
"""The type that a column tells, in the order in which they are asked."""
_TIMES = ("start", "end", "time")
_TEXTS = {"type", "kind", "what", "camera", "label", "link", "device"}
_GROUP, _WAY = re.compile(r"(?:gender|age|class):.+"), re.compile(r"[^-]+-[^-]+")


def is_events(names: Sequence[str]) -> bool:
    """Whether a header has columns of events; else it is a count series of one sensor."""
    known = {name.strip().lower() for name in names}
    figures = known & {*_BY_COLUMN, "type", "value", "cells"}
    figures |= {name for name in known if _GROUP.fullmatch(name) or _WAY.fullmatch(name)}
    return bool(known & {"type", "device", "line", "zone"}) and bool(figures)


def read_events(rows: Sequence[Sequence[str]]) -> Iterator[dict[str, Any]]:
    """Rows below their header as events. Raises SeriesError with the row and column that cannot be read."""
    names = [name.strip().lower() for name in rows[0]]
    told = next((kind for column, kind in _BY_COLUMN.items() if column in names), "heat")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(names):
            raise SeriesError(f"row {number}: {len(row)} fields, the header has {len(names)}")
        event: dict[str, Any] = {"type": told}
        for name, value in zip(names, row, strict=True):
            if value.strip():
                _put(event, name, value.strip(), f"row {number}, column {name}")
        if event["type"] == "line_count":
            event.setdefault("line", 1)
        yield event


def _put(event: dict[str, Any], name: str, value: str, where: str) -> None:
    if name in _TEXTS:
        event[name] = value
    elif name in _TIMES:
        event[name] = _number(value) if value.replace(".", "", 1).isdigit() else value
    elif _GROUP.fullmatch(name):
        event.setdefault("groups", {})[name] = _number(value)
        event["type"] = "demographics"
    elif _WAY.fullmatch(name):
        event.setdefault("cells", {})[name] = _number(value)
        event["type"] = "flow_matrix"
    elif value[0] in "[{":
        try:
            event[name] = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise SeriesError(f"{where}: {error}") from None
    else:
        event[name] = value.lower() == "true" if value.lower() in ("true", "false") else _number(value)


def _number(value: str) -> float | int | str:
    """A number where it is one; what it should be is the decoder's to say."""
    try:
        found = float(value)
    except ValueError:
        return value
    return int(found) if found.is_integer() else found


def messages(events: Iterable[Mapping[str, Any]], device: str, zone: str) -> Iterator[Told]:
    """Events as footstream/v1 messages, with the end of what each tells (epoch s), in the order of the rows.

    Neighbours of one device and time go into one message, at most 500. `device`: of events that name none; `zone`: IANA zone of
    times without offset. Raises SeriesError for a time that cannot be read or does not exist there.
    """
    head: dict[str, Any] = {}
    held: list[dict[str, Any]] = []
    for number, event in enumerate(events, 1):
        times = {key: _time(event[key], zone, number) for key in _TIMES if event.get(key) not in (None, "")}
        own = {"device": str(event.get("device") or device), **times}
        if held and (own != head or len(held) == 500):
            yield _told(head, held)
            held = []
        head = own
        held.append({key: value for key, value in event.items() if key != "device" and key not in _TIMES})
    if held:
        yield _told(head, held)


def _time(value: Any, zone: str, number: int) -> Any:
    """As it was sent when it says its offset; else the civil time with the offset of the zone."""
    if not isinstance(value, str):
        return value
    try:
        stamp = datetime.fromisoformat(value)
    except ValueError:
        stamp = stamp_of(value)
    if stamp.tzinfo is not None:
        return value
    epoch = epoch_of(stamp, zone)
    if epoch is None:
        raise SeriesError(f"event {number}: time {value!r} does not exist in {zone}")
    return epoch


def _told(head: Mapping[str, Any], events: list[dict[str, Any]]) -> Told:
    ends = [head[key] for key in _TIMES if key in head]
    end = max(
        (moment if isinstance(moment, int | float) else datetime.fromisoformat(moment).timestamp() for moment in ends),
        default=0,
    )
    return Told(int(end), orjson.dumps({"format": "footstream/v1", **head, "events": events}))


__all__ = ["is_events", "messages", "read_events"]
