"""Readers of LoRaWAN channels that several models share. Equal channels have one reader: so models are seen to agree."""

from functools import lru_cache
from struct import Struct

from schemas.events import Kind, LineCount, ZoneCount
from schemas.sensors._frame import Channel, Reader
from schemas.sensors._record import MISSING, Record

_PAIR = Struct("<HH").unpack_from
_U16 = Struct("<H").unpack_from
_I16 = Struct("<h").unpack_from
_U32 = Struct("<I").unpack_from

ALARMS = {
    0: "threshold_alarm_release",
    1: "threshold_alarm",
    3: "high_temperature_alarm",
    4: "high_temperature_alarm_release",
}
"""Alarm bytes, the vendor's words in small letters."""

_OCCUPIED = tuple(ZoneCount(0, "window", None, None, None, occupied=occupied) for occupied in (False, True))


def u16(frame: bytes, at: int) -> int:
    return frame[at] | frame[at + 1] << 8


def u24(frame: bytes, at: int) -> int:
    return frame[at] | frame[at + 1] << 8 | frame[at + 2] << 16


def word(words: dict[int, str], code: int) -> str:
    """The vendor's word for a code; one that is not published is shown as its number."""
    return words.get(code) or f"code_{code}"


@lru_cache
def line_pair(kind: Kind, line: int) -> Reader:
    """People in and out, 16 bit each."""
    key = kind, line

    def read(record: Record, frame: bytes, at: int) -> None:
        into, out = _PAIR(frame, at)
        if key in record.lines:
            record.part(key, (("people_in", into), ("people_out", out)))
        else:
            record.lines[key] = LineCount(line, kind, None, None, into, out)

    return read


@lru_cache
def line_children(kind: Kind, line: int) -> Reader:
    """Children in and out, 16 bit each."""

    def read(record: Record, frame: bytes, at: int) -> None:
        into, out = _PAIR(frame, at)
        record.part((kind, line), (("child_in", into), ("child_out", out)))

    return read


@lru_cache
def line_half(kind: Kind, line: int, name: str) -> Reader:
    """One direction of a running total, 32 bit."""
    key, into = (kind, line), name == "people_in"

    def read(record: Record, frame: bytes, at: int) -> None:
        people = _U32(frame, at)[0]
        found = record.lines.get(key)
        if into and found is None:  # the usual order, in one go
            record.lines[key] = LineCount(line, kind, None, None, people, MISSING)
        elif name == "people_out" and found is not None and found.people_out is None:
            found.people_out = people
        else:
            record.part(key, ((name, people),))

    return read


@lru_cache
def line_alarm(kind: Kind, line: int) -> Reader:
    """People in and out, 16 bit each, and an alarm byte: they count like any other."""
    pair, name = line_pair(kind, line), f"{'total' if kind == 'total' else 'period'}_count_alarm"

    def read(record: Record, frame: bytes, at: int) -> None:
        pair(record, frame, at)
        record.status[name] = word(ALARMS, frame[at + 4])

    return read


@lru_cache
def zone_bytes(first: int, most: int, field: str = "present") -> Reader:
    """People per region, one byte each, `most` of them, counted on from `first`."""

    def read(record: Record, frame: bytes, at: int) -> None:
        for number in range(most):
            record.zone(first + number, field, frame[at + number])

    return read


@lru_cache
def dwell_pair(child: bool = False) -> Reader:
    """Region (0: all), average and longest dwell in seconds."""

    def read(record: Record, frame: bytes, at: int) -> None:
        average, longest = _PAIR(frame, at + 1)
        record.dwelt(frame[at], child, avg_s=average, max_s=longest)

    return read


def occupied(record: Record, frame: bytes, at: int) -> None:
    """Whether the whole view is occupied: 1 or 0."""
    code = frame[at]
    if code > 1:
        raise ValueError(f"occupancy {code} is neither 0 nor 1")
    view_occupied(record, code == 1)


def view_occupied(record: Record, occupied: bool) -> None:
    if record.zones:
        record.zone(0, "occupied", occupied)
    else:
        record.zones[0] = _OCCUPIED[occupied]


def measured_at(record: Record, frame: bytes, at: int) -> None:
    """Epoch seconds; 0 from a clock that was never set."""
    record.time = _U32(frame, at)[0] or None


def battery(record: Record, frame: bytes, at: int) -> None:
    record.status["battery_pct"] = frame[at]


def temperature(record: Record, frame: bytes, at: int) -> None:
    """0.1 C, signed; FFFF: the sensor is broken."""
    (tenths,) = _I16(frame, at)
    if tenths == -1:
        record.status["temperature_fault"] = True
    else:
        record.status["temperature_C"] = tenths / 10


def temperature_alarm(record: Record, frame: bytes, at: int) -> None:
    temperature(record, frame, at)
    record.status["temperature_alarm"] = word(ALARMS, frame[at + 2])


def humidity(record: Record, frame: bytes, at: int) -> None:
    """Half percents; FF: the sensor is broken."""
    halves = frame[at]
    if halves == 0xFF:
        record.status["humidity_fault"] = True
    else:
        record.status["humidity_pct"] = halves / 2


def humidity_alarm(record: Record, frame: bytes, at: int) -> None:
    humidity(record, frame, at)
    record.status["humidity_alarm"] = word(ALARMS, frame[at + 1])


@lru_cache
def version(name: str, size: int) -> Reader:
    """Numbers with dots."""

    def read(record: Record, frame: bytes, at: int) -> None:
        record.status[name] = ".".join(map(str, frame[at : at + size]))

    return read


def _hardware(record: Record, frame: bytes, at: int) -> None:
    record.status["hardware_version"] = f"{frame[at]:x}.{frame[at + 1] >> 4}"


def _firmware(record: Record, frame: bytes, at: int) -> None:
    record.status["firmware_version"] = f"{frame[at]:x}.{frame[at + 1]:x}"


@lru_cache
def serial(size: int) -> Reader:
    def read(record: Record, frame: bytes, at: int) -> None:
        record.status["serial"] = frame[at : at + size].hex()

    return read


def _protocol(record: Record, frame: bytes, at: int) -> None:
    record.status["protocol_version"] = frame[at]


def ignore(record: Record, frame: bytes, at: int) -> None:
    """Known and of no use here (power-on marks, device class)."""


_COMMON: dict[int, Channel] = {
    0xFF01: (1, _protocol),
    0xFF0B: (1, ignore),
    0xFF0F: (1, ignore),
    0xFFFE: (1, ignore),
    0xFFFF: (2, ignore),
}

BASIC: dict[int, Channel] = _COMMON | {
    0xFF09: (2, version("hardware_version", 2)),
    0xFF1F: (4, version("firmware_version", 4)),
    0xFF0A: (2, version("firmware_version", 2)),
    0xFFCC: (1, ignore),
}
"""What counters (VS1xx) say of themselves on joining."""

BASIC_3XX: dict[int, Channel] = _COMMON | {
    0xFF09: (2, _hardware),
    0xFF0A: (2, _firmware),
    0xFF16: (8, serial(8)),
    0x0175: (1, battery),
}
"""What passage and room sensors (VS3xx) say of themselves. Versions in hexadecimal digits."""
