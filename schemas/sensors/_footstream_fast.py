"""The fast reader of footstream_v1.py: well-formed messages, straight from the bytes.

Anything that it does not know exactly (another spelling, a number out of bounds, a refused part) is left to the tolerant reader
by returning None; a property test holds that both say the same.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec

from schemas.events import (
    Demographics,
    Detection,
    DwellSummary,
    Event,
    FlowMatrix,
    Heat,
    Kind,
    LineCount,
    Plain,
    QueueLength,
    Report,
    Stay,
    ZoneCount,
)
from schemas.sensors import _times
from schemas.sensors._footstream_parts import CELLS_MOST, GROUP, GROUPS_MOST, LINK_MOST, WAY, is_link
from schemas.sensors._json import COUNT_MOST, PER_MINUTE_MOST, TEXT_MOST
from schemas.sensors._parts import DWELL_MOST_S

DIALECT = "footstream_v1"
EVENTS_MOST = 64

_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_MOST)]
_Text = Annotated[str, msgspec.Meta(max_length=TEXT_MOST)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=COUNT_MOST)]
_Window = Annotated[int, msgspec.Meta(ge=0, le=PER_MINUTE_MOST)]
_Place = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
_Zone = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=DWELL_MOST_S)]
_Warmth = Annotated[float, msgspec.Meta(ge=0, le=2**53)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Figure = Annotated[float, msgspec.Meta(ge=-(2**53), le=2**53)]
_Cells = Annotated[list[tuple[_Zone, _Zone, _Warmth]], msgspec.Meta(max_length=CELLS_MOST)]
_Stamp = Annotated[str, msgspec.Meta(min_length=1, max_length=_times.TEXT_MOST)]
_Time = Annotated[int, msgspec.Meta(ge=0, le=_times.LATEST)] | _Stamp | None
_Device = Annotated[str, msgspec.Meta(max_length=64)]


class _Timed(msgspec.Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    start: _Time = None
    end: _Time = None
    time: _Time = None


class _LineCount(_Timed, tag="line_count"):
    line: _Place
    people_in: _Window
    people_out: _Window
    kind: Kind = "window"
    child_in: _Window | None = None
    child_out: _Window | None = None
    staff_in: _Window | None = None
    staff_out: _Window | None = None
    group_in: _Window | None = None
    group_out: _Window | None = None


class _ZoneCount(_Timed, tag="zone_count"):
    zone: _Zone
    kind: Kind = "window"
    present: _Count | None = None
    peak: _Count | None = None
    child: _Count | None = None
    staff: _Count | None = None
    occupied: bool | None = None


class _Stay(_Timed, tag="stay"):
    zone: _Zone
    dwell_s: _Seconds | None = None
    track: _Count | None = None
    child: bool | None = None
    staff: bool | None = None


class _DwellSummary(_Timed, tag="dwell_summary"):
    zone: _Zone
    avg_s: _Seconds
    max_s: _Seconds
    child: bool = False


class _FlowMatrix(_Timed, tag="flow_matrix"):
    cells: Annotated[dict[str, _Count], msgspec.Meta(min_length=1, max_length=256)]


class _Heat(_Timed, tag="heat"):
    zone: _Zone = 0
    value: _Warmth | None = None
    cells: _Cells | None = None
    columns: _Place | None = None
    rows: _Place | None = None


class _QueueLength(_Timed, tag="queue_length"):
    zone: _Zone
    length: _Count
    wait_s: _Seconds | None = None
    served: _Count | None = None
    lanes_open: _Zone | None = None


class _Demographics(_Timed, tag="demographics"):
    groups: Annotated[dict[str, _Count], msgspec.Meta(min_length=1, max_length=GROUPS_MOST)]
    line: _Place | None = None
    zone: _Zone | None = None


class _Detection(_Timed, tag="detection"):
    what: Literal["security_incident", "product_interaction", "display_dwell", "sentiment"]
    zone: _Zone | None = None
    camera: _Text = ""
    label: _Text = ""
    confidence: _Share | None = None
    value: _Figure | None = None
    link: Annotated[str, msgspec.Meta(max_length=LINK_MOST)] = ""


_Any = _LineCount | _ZoneCount | _Stay | _DwellSummary | _FlowMatrix | _Heat | _QueueLength | _Demographics | _Detection


class _Message(_Timed):
    format: Literal["footstream/v1"]
    device: _Device
    events: Annotated[list[_Any], msgspec.Meta(min_length=1, max_length=EVENTS_MOST)]
    site: _Short | None = None
    name: _Short | None = None
    firmware: _Short | None = None
    retransmission: bool = False


class _PlainLine(msgspec.Struct, forbid_unknown_fields=True, gc=False, tag="line_count"):
    line: _Place
    people_in: _Window
    people_out: _Window


class _PlainMessage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What most messages are: lines over one window."""

    format: Literal["footstream/v1"]
    device: _Device
    start: _Stamp
    end: _Stamp
    events: Annotated[list[_PlainLine], msgspec.Meta(min_length=1, max_length=EVENTS_MOST)]
    site: _Short | None = None
    name: _Short | None = None
    firmware: _Short | None = None


_read_plain = msgspec.json.Decoder(_PlainMessage).decode
_read = msgspec.json.Decoder(_Message).decode
_Span = tuple[int | None, int | None, tuple[str, ...]]
"""Start, end, and how they were sent."""


class _NotSure(Exception):
    """For the tolerant reader."""


def decode_bytes(value: bytes) -> Plain | list[Report] | None:
    """A well-formed message straight from its bytes; None leaves it to `decode_object`."""
    if b'"line_count"' not in value:  # a try that fails costs as much as the reading
        return _decode_more(value)
    try:
        said = _read_plain(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_more(value)
    window, device = _window(said.start, said.end), _device(said.device)
    lines = tuple([item.line for item in said.events])
    if window is None or device is None or not all(map(int.__lt__, lines, lines[1:])):
        return None
    counts = tuple([people for item in said.events for people in (item.people_in, item.people_out)])
    return Plain(device, DIALECT, *window, lines, counts, said.site, said.name, said.firmware)


@lru_cache(16_384)
def _device(serial: str) -> str | None:
    """The device of a serial number; None for one that the tolerant reader has to judge."""
    return serial.lower() if serial.isalnum() and serial.isascii() else None


@lru_cache(4096)
def _window(start_text: str, end_text: str) -> tuple[str, int, int] | None:
    """The device time as sent, start and end of a window; kept, because many devices send the same few."""
    window = _times.window(_times.epoch(start_text), _times.epoch(end_text))
    return None if window is None else (f"{start_text}|{end_text}", *window)


def _decode_more(value: bytes) -> list[Report] | None:
    """A message that says more than people over lines."""
    try:
        said = _read(value)
        device = _device(said.device)
        if device is None:
            return None
        default = _span(said, (None, None, ()))
        groups: dict[_Span, list[Event]] = {}
        same, found = default, list[Event]()  # neighbours mostly have one time
        lines: set[tuple[_Span, int, Kind]] = set()
        left = CELLS_MOST
        for item in said.events:
            span = _span(item, default)
            event = _READ[type(item)](item, span)
            if type(event) is LineCount and event.kind != "trigger":
                key = (span, event.line, event.kind)
                if key in lines:
                    return None
                lines.add(key)
            elif type(event) is Heat:
                left -= len(event.cells)
            if not groups or span is not same:
                same, found = span, groups.setdefault(span, [])
            found.append(event)
        if left < 0:
            return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, _NotSure):
        return None
    site, name, firmware, again = said.site, said.name, said.firmware, said.retransmission
    return [
        Report(device, DIALECT, "|".join(texts), end, events, [], site, name, firmware, None, again)
        for (_, end, texts), events in groups.items()
    ]


def _span(said: _Timed, default: _Span) -> _Span:
    start, end, time = said.start, said.end, said.time
    if start is None and end is None and time is None:
        return default
    texts = tuple([str(one) for one in (start, end, time) if one is not None])
    last = _epoch(end if end is not None else time)
    if time is not None and end is not None:
        _epoch(time)
    if start is None:
        return last, last, texts
    first = _epoch(start)
    if first is None or last is None or first > last:
        raise _NotSure
    return first, last, texts


def _epoch(value: int | str | None) -> int | None:
    if type(value) is not str:
        return value  # type: ignore[return-value]  # a whole number or None
    found = _times.epoch(value)
    if found is None:
        raise _NotSure
    return found


def _period(span: _Span) -> tuple[int | None, int | None]:
    start, end, _ = span
    if start is not None and end is not None and not 0 < end - start <= _times.LONGEST_WINDOW_S:
        raise _NotSure
    return start, end


def _line(e: _LineCount, span: _Span) -> Event:
    start, end = _period(span) if e.kind == "window" else (span[1], span[1])
    into, out = e.people_in, e.people_out
    if max(e.child_in or 0, e.staff_in or 0) > into or max(e.child_out or 0, e.staff_out or 0) > out:
        raise _NotSure
    return LineCount(
        e.line, e.kind, start, end, into, out, e.child_in, e.child_out, e.staff_in, e.staff_out, e.group_in, e.group_out
    )


def _zone(e: _ZoneCount, span: _Span) -> Event:
    if e.present is None and e.peak is None and e.occupied is None:
        raise _NotSure
    start, end = _period(span) if e.kind == "window" else (span[1], span[1])
    return ZoneCount(e.zone, e.kind, start, end, e.present, e.peak, e.child, e.staff, e.occupied)


def _stay(e: _Stay, span: _Span) -> Event:
    start, end, dwell_s = span[0], span[1], e.dwell_s
    if dwell_s is None:
        if start is None or end is None or not 0 < end - start <= DWELL_MOST_S:
            raise _NotSure
        dwell_s = float(end - start)
    if start is not None and start == end:
        start = max(0, start - round(dwell_s))
    return Stay(e.zone, start, end, dwell_s, e.track, e.child, e.staff)


def _dwell(e: _DwellSummary, span: _Span) -> Event:
    return DwellSummary(e.zone, *_period(span), e.avg_s, e.max_s, e.child)


def _flow(e: _FlowMatrix, span: _Span) -> Event:
    if not all(map(WAY.fullmatch, e.cells)) or any(way != way.strip() for way in e.cells):
        raise _NotSure
    return FlowMatrix(*_period(span), dict(sorted(e.cells.items())))


def _heat(e: _Heat, span: _Span) -> Event:
    if (e.value is None) == (e.cells is None):
        raise _NotSure
    cells = e.cells or []
    if cells and (e.columns or e.rows):
        columns, rows = e.columns or 65_536, e.rows or 65_536
        if any(x >= columns or y >= rows for x, y, _ in cells):
            raise _NotSure
    return Heat(e.zone, *_period(span), e.value, cells, e.columns, e.rows)


def _queue(e: _QueueLength, span: _Span) -> Event:
    return QueueLength(e.zone, span[0], span[1], e.length, e.wait_s, e.served, e.lanes_open)


def _people(e: _Demographics, span: _Span) -> Event:
    if (e.line is None) == (e.zone is None) or not all(map(GROUP.fullmatch, e.groups)):
        raise _NotSure
    return Demographics(e.line, e.zone, *_period(span), dict(sorted(e.groups.items())))


def _detection(e: _Detection, span: _Span) -> Event:
    if e.link and not is_link(e.link):
        raise _NotSure
    return Detection(e.what, span[0], span[1], e.zone, e.camera, e.label, e.confidence, e.value, e.link)


_READ: dict[type[_Timed], Callable[[Any, _Span], Event]] = {
    _LineCount: _line,
    _ZoneCount: _zone,
    _Stay: _stay,
    _DwellSummary: _dwell,
    _FlowMatrix: _flow,
    _Heat: _heat,
    _QueueLength: _queue,
    _Demographics: _people,
    _Detection: _detection,
}

__all__ = ["decode_bytes"]
