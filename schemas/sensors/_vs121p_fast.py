"""The fast reader of vs121p.py: well-formed periodic reports, straight from the bytes.

Anything that it does not know exactly (a trigger, an unknown key, arrays of unequal length, another spelling, a time with an
offset) is left to the tolerant reader by returning None; a property test holds that both say the same.
"""

from functools import lru_cache
from typing import Annotated

import msgspec

from schemas.events import DeviceStatus, DwellSummary, Event, FlowMatrix, LineCount, Report, ZoneCount
from schemas.sensors import _times
from schemas.sensors._json import COUNT_MOST, PER_MINUTE_MOST
from schemas.sensors._parts import DWELL_MOST_S
from schemas.sensors._uplink import known_device

_DIALECT = "vs121p"
_CELLS = frozenset(f"{one}-{two}" for one in "ABCD" for two in "ABCD")

_Window = Annotated[int, msgspec.Meta(ge=0, le=PER_MINUTE_MOST)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=COUNT_MOST)]
_Balance = Annotated[int, msgspec.Meta(ge=-COUNT_MOST, le=COUNT_MOST)]
_Place = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
_Dwelt = Annotated[int, msgspec.Meta(ge=0, le=DWELL_MOST_S * 1000)]
_Flag = Annotated[int, msgspec.Meta(ge=0, le=1)]
_Short = Annotated[str, msgspec.Meta(max_length=64)]
_MOST = msgspec.Meta(max_length=64)
"""Of regions and rooms: far below what a message may hold in all."""


class _Device(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    device_sn: _Short
    device: str | None = None
    device_mac: str | None = None
    ip_address: str | None = None


class _Times(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    timezone: _Short
    start_time: _Short
    end_time: _Short
    dst_status: bool = False


class _Totals(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    in_cumulative_counted: _Count
    out_cumulative_counted: _Count
    capacity_cumulative_counted: _Balance | None = None


class _Dwell(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    region: _Place
    avg_dwell_time: _Dwelt
    max_dwell_time: _Dwelt


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    device_info: _Device
    time_info: _Times
    event: str | None = None
    report_type: str | None = None
    current_total: _Count | None = None
    max_counted: _Count | msgspec.UnsetType | None = msgspec.UNSET
    Max_counted: _Count | msgspec.UnsetType | None = msgspec.UNSET
    total_mapped_regions: int | None = None
    regions_name: list[str] | None = None
    numbering_regions: Annotated[list[_Place], _MOST] | None = None
    occupancy: Annotated[list[_Flag], _MOST] | None = None
    current_counted: Annotated[list[_Count], _MOST] | None = None
    snapshot: str | None = None
    in_counted: _Window | None = None
    out_counted: _Window | None = None
    capacity_counted: int | None = None
    total_data: _Totals | None = None
    dwell_time_data: Annotated[list[_Dwell], _MOST] | None = None
    flow_data: dict[str, _Count] | None = None


_read = msgspec.json.Decoder(_Message).decode


def decode_bytes(value: bytes) -> Report | None:
    """A well-formed periodic report straight from its bytes; None leaves the message to `decode_object`."""
    try:
        message = _read(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    times = message.time_info
    device = known_device(message.device_info.device_sn)
    window = _window(times.start_time, times.end_time, times.timezone, times.dst_status)
    if device is None or window is None:
        return None
    text, start, end, added = window
    events: list[Event] = []
    into, out, totals = message.in_counted, message.out_counted, message.total_data
    if into is not None and out is not None:
        events.append(LineCount(1, "window", start, end, into, out))
    elif into is not None or out is not None:
        return None
    if totals is not None:
        events.append(LineCount(1, "total", end, end, totals.in_cumulative_counted, totals.out_cumulative_counted))
    if not _zones(events, message, start, end):
        return None
    for item in message.dwell_time_data or ():
        events.append(DwellSummary(item.region, start, end, item.avg_dwell_time / 1000, item.max_dwell_time / 1000))
    if message.flow_data:
        if not _CELLS.issuperset(message.flow_data):
            return None
        events.append(FlowMatrix(start, end, dict(sorted(message.flow_data.items()))))
    if totals is not None and totals.capacity_cumulative_counted is not None:
        events.append(DeviceStatus({"balance_line_1": totals.capacity_cumulative_counted}))
    return Report(device, _DIALECT, text, end, events, [], dst_added_s=added) if events else None


def _zones(events: list[Event], message: _Message, start: int, end: int) -> bool:
    """The whole view and its regions; False leaves the message to the tolerant reader."""
    present, peak = message.current_total, message.max_counted
    if peak is msgspec.UNSET:
        peak = message.Max_counted
    elif message.Max_counted is not msgspec.UNSET:
        return False
    if peak is msgspec.UNSET:
        peak = None
    if present is not None or peak is not None:
        events.append(ZoneCount(0, "window", start, end, present, peak))
    people, occupied = message.current_counted, message.occupancy
    given = people if people is not None else occupied
    if given is None:
        return True
    numbers = message.numbering_regions or range(1, len(given) + 1)
    if len(numbers) != len(given) or (occupied is not None and len(occupied) != len(given)):
        return False
    for at, zone in enumerate(numbers):
        count, flag = None if people is None else people[at], None if occupied is None else occupied[at] == 1
        events.append(ZoneCount(zone, "window", start, end, count, None, None, None, flag))
    return True


@lru_cache(4096)
def _window(start_text: str, end_text: str, label: str, dst: bool) -> tuple[str, int, int, int] | None:
    """Device time as sent, start, end, and the seconds added for daylight saving; all devices of a zone send the same few."""
    zone, added = _times.zone(label), 3600 if dst else 0
    if zone is None or _times.epoch(start_text) is not None or _times.epoch(end_text) is not None:
        return None
    window = _times.window(_times.wall(start_text, zone + added), _times.wall(end_text, zone + added))
    return None if window is None else (f"{start_text}|{end_text}", *window, added)
