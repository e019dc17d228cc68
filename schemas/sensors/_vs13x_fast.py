"""The fast reader of vs13x.py: well-formed line reports, straight from the bytes.

Anything that it does not know exactly (an unknown key, another spelling, a broken number, a class above its total) is left to
the tolerant reader by returning None; a property test holds that both say the same.
"""

from functools import lru_cache
from typing import Annotated

import msgspec

from schemas.events import DeviceStatus, Event, Kind, LineCount, Plain, Report
from schemas.sensors import _times
from schemas.sensors._json import COUNT_MOST, PER_MINUTE_MOST
from schemas.sensors._parts import BLOCKS, Status, health

_DIALECT = "vs13x"

_Window = Annotated[int, msgspec.Meta(ge=0, le=PER_MINUTE_MOST)]
_Total = Annotated[int, msgspec.Meta(ge=0, le=COUNT_MOST)]
_Place = Annotated[int, msgspec.Meta(ge=1, le=65535)]
_Block = dict[str, float | int | str | bool | None]
_Short = Annotated[str, msgspec.Meta(max_length=128)]


class _Pair(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    in_: _Window = msgspec.field(name="in")
    out: _Window


class _Line(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    line: _Place
    in_: _Window | None = msgspec.field(name="in", default=None)
    out: _Window | None = None
    total: _Pair | None = None
    children: _Pair | None = None
    staff: _Pair | None = None
    group: _Pair | None = None
    line_name: str | None = None
    line_uuid: str | None = None


class _TotalPair(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    in_counted: _Total
    out_counted: _Total
    capacity_counted: int | None = None


class _TotalLine(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    line: _Place
    in_counted: _Total | None = None
    out_counted: _Total | None = None
    capacity_counted: int | None = None
    total: _TotalPair | None = None
    children: _TotalPair | None = None
    staff: _TotalPair | None = None
    group: _TotalPair | None = None
    line_name: str | None = None
    line_uuid: str | None = None


_Serial = Annotated[str, msgspec.Meta(max_length=64)]
_Stamp = Annotated[str, msgspec.Meta(max_length=64)]


class _PlainDevice(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    device_sn: _Serial
    device_mac: str | None = None
    wlan_mac: str | None = None
    device_name: _Short | None = None
    firmware_version: _Short | None = None
    hardware_version: str | None = None
    ip_address: str | None = None
    running_time: _Total | None = None
    cus_site_id: _Short | None = None
    cus_device_id: str | None = None


class _Device(_PlainDevice, forbid_unknown_fields=True, gc=False):
    cpu: _Block | None = None
    ram: _Block | None = None
    storage: _Block | None = None
    device_tilt_pitch_roll: _Block | None = None


class _Times(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    start_time: _Stamp | None = None
    end_time: _Stamp | None = None
    time: str | None = None
    time_zone: str | None = None
    enable_dst: bool = False
    dst_status: bool = False


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    device_info: _Device
    time_info: _Times
    line_periodic_data: list[_Line] | None = None
    line_trigger_data: list[_Line] | None = None
    line_total_data: list[_TotalLine] | None = None
    network_info: _Block | None = None
    retransmission: bool = msgspec.field(name="isRetransmission", default=False)


class _PlainLine(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    line: _Place
    in_: _Window = msgspec.field(name="in")
    out: _Window
    line_name: str | None = None
    line_uuid: str | None = None


class _PlainTimes(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    start_time: _Stamp
    end_time: _Stamp
    time_zone: str | None = None
    enable_dst: bool = False
    dst_status: bool = False


class _PlainMessage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What nearly every message is; a key beside these makes it a message that says more."""

    device_info: _PlainDevice
    time_info: _PlainTimes
    line_periodic_data: Annotated[list[_PlainLine], msgspec.Meta(min_length=1, max_length=64)]


_read_plain = msgspec.json.Decoder(_PlainMessage).decode
_read = msgspec.json.Decoder(_Message).decode
_epoch = _times.epoch


def decode_bytes(value: bytes) -> Plain | Report | None:
    """A well-formed line report straight from its bytes; None leaves the message to `decode_object`."""
    try:
        plain = _read_plain(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_more(value)
    info, times, said = plain.device_info, plain.time_info, plain.line_periodic_data
    device, window = _device(info.device_sn), _window(times.start_time, times.end_time)
    if device is None or window is None:
        return None
    if len(said) == 2:  # the common device, in one go
        one, two = said
        lines: tuple[int, ...] = (one.line, two.line)
        counts: tuple[int, ...] = (one.in_, one.out, two.in_, two.out)
        ascending = one.line < two.line
    else:
        lines = tuple([item.line for item in said])
        counts = tuple([number for item in said for number in (item.in_, item.out)])
        ascending = all(map(int.__lt__, lines, lines[1:]))
    if not ascending:
        return None
    text, start, end = window
    return Plain(
        device, _DIALECT, text, start, end, lines, counts,
        info.cus_site_id or None, info.device_name or None, info.firmware_version or None, info.running_time,
    )  # fmt: skip


def _decode_more(value: bytes) -> Report | None:
    """A line report that says more than in and out."""
    try:
        message = _read(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    info, times = message.device_info, message.time_info
    start_text, end_text = times.start_time, times.end_time
    device = _device(info.device_sn)
    if device is None:
        return None
    events: list[Event] = []
    if message.line_trigger_data is None and start_text and end_text and not times.time:
        start, end = _epoch(start_text), _epoch(end_text)
        if start is None or end is None or not 0 < end - start <= _times.LONGEST_WINDOW_S:
            return None
        text = f"{start_text}|{end_text}"
        if message.line_periodic_data is not None and not _fast_lines(events, message.line_periodic_data, "window", start, end):
            return None
    elif message.line_periodic_data is None and times.time and not start_text and not end_text:
        text = times.time
        end = _epoch(text)
        if end is None or (
            message.line_trigger_data is not None and not _fast_lines(events, message.line_trigger_data, "trigger", end, end)
        ):
            return None
    else:
        return None
    status: Status = {}
    if message.line_total_data is not None and not _fast_totals(events, status, message.line_total_data, end):
        return None
    if not events:
        return None
    if info.cpu or info.ram or info.storage or info.device_tilt_pitch_roll or message.network_info:
        blocks = {name: getattr(info, name) for name in BLOCKS if getattr(info, name) is not None}
        health(status, blocks, message.network_info)
    if status:
        events.append(DeviceStatus(status))
    return Report(
        device, _DIALECT, text, end, events, [],
        info.cus_site_id or None, info.device_name or None, info.firmware_version or None, info.running_time,
        message.retransmission,
    )  # fmt: skip


@lru_cache(16_384)
def _device(serial: str) -> str | None:
    """The device of a serial number; None for one that the tolerant reader has to judge."""
    return serial.lower() if serial.isalnum() and serial.isascii() else None


@lru_cache(4096)
def _window(start_text: str, end_text: str) -> tuple[str, int, int] | None:
    """The device time as sent, start and end of a window; kept, because all devices of a zone send the same few."""
    start, end = _epoch(start_text), _epoch(end_text)
    if start is None or end is None or not 0 < end - start <= _times.LONGEST_WINDOW_S:
        return None
    return f"{start_text}|{end_text}", start, end


def _fast_lines(events: list[Event], items: list[_Line], kind: Kind, start: int, end: int) -> bool:
    last = 0
    for item in items:
        line, total = item.line, item.total
        people_in, people_out = (item.in_, item.out) if total is None else (total.in_, total.out)
        if line <= last or people_in is None or people_out is None:
            return False
        last = line
        event = LineCount(line, kind, start, end, people_in, people_out)
        if item.children is not None:
            event.child_in, event.child_out = item.children.in_, item.children.out
            if event.child_in > people_in or event.child_out > people_out:
                return False
        if item.staff is not None:
            event.staff_in, event.staff_out = item.staff.in_, item.staff.out
            if event.staff_in > people_in or event.staff_out > people_out:
                return False
        if item.group is not None:
            event.group_in, event.group_out = item.group.in_, item.group.out
        events.append(event)
    return len(events) <= 64


def _fast_totals(events: list[Event], status: Status, items: list[_TotalLine], end: int) -> bool:
    last = 0
    for item in items:
        line, total = item.line, item.total or item
        people_in, people_out, balance = total.in_counted, total.out_counted, total.capacity_counted
        if line <= last or people_in is None or people_out is None:
            return False
        last = line
        event = LineCount(line, "total", end, end, people_in, people_out)
        if item.children is not None:
            event.child_in, event.child_out = item.children.in_counted, item.children.out_counted
            if event.child_in > people_in or event.child_out > people_out:
                return False
        if item.staff is not None:
            event.staff_in, event.staff_out = item.staff.in_counted, item.staff.out_counted
            if event.staff_in > people_in or event.staff_out > people_out:
                return False
        if item.group is not None:
            event.group_in, event.group_out = item.group.in_counted, item.group.out_counted
        events.append(event)
        if balance is not None:
            if abs(balance) > COUNT_MOST:
                return False
            status[f"balance_line_{line}"] = balance
    return len(events) <= 64
