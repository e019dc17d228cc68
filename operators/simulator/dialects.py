"""Payloads as the devices write them, byte for byte plausible.

Formats: Milesight's VS121-P communication protocol (dialect A), VS125 / VS133 / VS135 JSON in its nested and flat form
(dialect B), LoRaWAN channel bytes of VS121 and VS133/135 inside the JSON envelope of a UG65/67 gateway.
"""

import struct
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from hashlib import blake2b
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import orjson

from operators.simulator.sensing import Sensor, Tally
from operators.simulator.told import Level


class StaySaid(NamedTuple):
    """One finished stay as the device says it: epoch seconds, zone, a track number that is used again."""

    start: int
    end: int
    zone: int
    track: int
    child: bool


class Message(msgspec.Struct, gc=False):
    """What a device has to say at `end`: a window [start, end), or a trigger when `start` is None.

    `now`, `was`: per line the sums of this window (or trigger) and the running totals. `zone`: IANA zone of the store.
    `running_s`: seconds since boot. `present`, `peak`: people in view now and at most. `count`: frame counter (LoRaWAN).
    Of a device that watches zones: `people` present now, `dwell` average and longest in ms, by zone; `stays` that ended now.
    """

    sensor: Sensor
    site: str
    zone: str
    start: int | None
    end: int
    now: Mapping[int, Tally]
    was: Mapping[int, Tally]
    running_s: int
    count: int = 0
    present: int = 0
    peak: int = 0
    people: dict[int, int] = {}
    dwell: dict[int, tuple[int, int]] = {}
    stays: tuple[StaySaid, ...] = ()


def levels_of(m: Message) -> tuple[Level, ...]:
    """What a periodic message says of people present, by zone."""
    if m.start is None or m.sensor.dialect in ("vs121p", "lora13x"):
        return ()
    people = m.people if m.sensor.floor is not None else {_VIEW[m.sensor.dialect]: m.present}
    return tuple(Level(m.sensor.entry.id, zone, m.start, m.end, present) for zone, present in people.items())


_VIEW = {"vs125": 1, "vs13x": 1, "lora121": 0}
"""Zone in which a device at a door counts who is in its view."""


def payload(message: Message) -> bytes:
    """The bytes that the device publishes."""
    return _WRITERS[message.sensor.dialect](message)


def topic(sensor: Sensor, site: str) -> str:
    """The topic that the installer typed in."""
    if sensor.dialect.startswith("lora"):
        return f"milesight/ug65/uplink/{sensor.serial}"
    if sensor.dialect == "vs121p":
        return f"people/{site.replace('/', '-')}"
    return f"milesight/{site}/{sensor.entry.model}/{sensor.serial}"


def _mac(serial: str) -> str:
    tail = blake2b(serial.encode(), digest_size=3).hexdigest().upper()
    return f"24:E1:24:{tail[:2]}:{tail[2:4]}:{tail[4:]}"


def _uuid(serial: str, number: int) -> str:
    text = blake2b(f"{serial}/{number}".encode(), digest_size=16).hexdigest()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _address(serial: str) -> str:
    return f"192.168.1.{20 + blake2b(serial.encode(), digest_size=1).digest()[0] % 200}"


def _offset_text(offset: timedelta) -> str:
    minutes = int(offset.total_seconds()) // 60
    return f"UTC{'-' if minutes <= 0 else '+'}{abs(minutes) // 60}:{abs(minutes) % 60:02d}"


# --- dialect A: VS121-P ---


def _vs121p(m: Message) -> bytes:
    local = datetime.fromtimestamp(m.end, ZoneInfo(m.zone))
    saving = local.dst() or timedelta()
    offset = (local.utcoffset() or timedelta()) - saving
    stamps = {"timezone": _offset_text(offset), "dst_status": bool(saving)}

    def text(epoch: int) -> str:
        return datetime.fromtimestamp(epoch, timezone(offset + saving)).strftime("%Y/%m/%d %H:%M:%S")

    said: dict[str, Any] = {"event": "Line Crossing Counting"}
    line = m.sensor.eyes[0].line
    now, was = m.now[line], m.was[line]
    info = {
        "device": "Workplace Sensor",
        "device_sn": m.sensor.serial,
        "device_mac": _mac(m.sensor.serial),
        "ip_address": _address(m.sensor.serial),
    }
    if m.start is None:
        said |= {"device_info": info, "time_info": stamps | {"time": text(m.end)}}
        said["line_trigger_data"] = {"in": now.people_in, "out": now.people_out}
        return orjson.dumps(said)
    said |= {"report_type": "interval", "device_info": info}
    said["time_info"] = stamps | {"start_time": text(m.start), "end_time": text(m.end)}
    said |= {"in_counted": now.people_in, "out_counted": now.people_out, "capacity_counted": now.people_in - now.people_out}
    said["total_data"] = {
        "in_cumulative_counted": was.people_in,
        "out_cumulative_counted": was.people_out,
        "capacity_cumulative_counted": was.people_in - was.people_out,
    }
    return orjson.dumps(said)


# --- dialect B: VS125 (nested), VS133 and VS135 (flat) ---


def _info(m: Message) -> dict[str, Any]:
    model, serial = m.sensor.entry.model, m.sensor.serial
    tilt = _tilt(m)
    firmware = {"VS125": "V_125.1.0.3", "VS133": "V_133.1.0.9", "VS135": "V_135.1.0.7-r1"}.get(model, "V_135.1.0.7-r1")
    return {
        "cus_device_id": m.sensor.entry.name,
        "cus_site_id": m.site,
        "device_mac": _mac(serial),
        "device_name": "People Counter",
        "device_sn": serial,
        "firmware_version": firmware,
        "hardware_version": "V1.1",
        "ip_address": _address(serial),
        "running_time": m.running_s,
    } | ({"device_tilt_pitch_roll": tilt} if tilt else {})


def _tilt(m: Message) -> dict[str, float] | None:
    """Angles, in reports that end on ten minutes; a sensor that hangs askew has been turned by 12 degrees."""
    if m.sensor.angles is None or m.start is None or m.end % 600:
        return None
    pitch, roll = m.sensor.angles
    return {"pitch": pitch + (12.0 if m.sensor.trouble(m.end, "tilt") else 0.0), "roll": roll}


def _iso(m: Message) -> dict[str, Any]:
    local = datetime.fromtimestamp(m.end, ZoneInfo(m.zone))
    saving, offset = local.dst() or timedelta(), local.utcoffset() or timedelta()

    def text(epoch: int) -> str:
        return _iso_text(epoch, offset)

    stamps: dict[str, Any] = {"dst_status": bool(saving), "enable_dst": bool(saving)}
    stamps |= {"time": text(m.end)} if m.start is None else {"start_time": text(m.start), "end_time": text(m.end)}
    return stamps | {"time_zone": f"{_offset_text(offset - saving)} {local.tzname()}"}


def _iso_text(epoch: int, offset: timedelta) -> str:
    moment = datetime.fromtimestamp(epoch, timezone(offset)).isoformat()
    return moment.replace("+00:00", "-00:00")  # the devices write UTC this way


def _item(m: Message, line: int, numbers: dict[str, Any]) -> dict[str, Any]:
    name = m.sensor.entry.lines[line].name if line in m.sensor.entry.lines else f"Line{line}"
    return {"line": line, "line_name": name[:32], "line_uuid": _uuid(m.sensor.serial, line)} | numbers


def _block(sums: Tally, kind: str, suffix: str = "") -> dict[str, int]:
    return {f"in{suffix}": getattr(sums, f"{kind}_in"), f"out{suffix}": getattr(sums, f"{kind}_out")}


def _nested(sensor: Sensor, sums: Tally, suffix: str = "") -> dict[str, Any]:
    blocks: dict[str, Any] = {"total": _block(sums, "people", suffix)}
    if suffix:
        blocks["total"]["capacity_counted"] = sums.people_in - sums.people_out
    if sensor.groups:
        blocks["group"] = _block(sums, "group", suffix)
    if sensor.demography:
        blocks |= {"children": _block(sums, "child", suffix), "staff": _block(sums, "staff", suffix)}
    return blocks


def _flat(sensor: Sensor, sums: Tally, suffix: str = "") -> dict[str, Any]:
    balance = {"capacity_counted": sums.people_in - sums.people_out} if suffix else {}
    return _block(sums, "people", suffix) | balance


def _json(m: Message) -> bytes:
    if m.sensor.floor is not None:
        return _floor_json(m)
    nested = m.sensor.dialect == "vs125"
    shape = _nested if nested else _flat
    said: dict[str, Any] = {"device_info": _info(m)}
    lines = [eye.line for eye in m.sensor.eyes]
    if m.start is None:
        active = [n for n in lines if n in m.now]
        said["line_trigger_data"] = [_item(m, n, shape(m.sensor, m.now[n])) for n in active]
    else:
        said["line_periodic_data"] = [_item(m, n, shape(m.sensor, m.now[n])) for n in lines]
        said["line_total_data"] = [_item(m, n, shape(m.sensor, m.was[n], "_counted")) for n in lines]
        count = {"total": {"current_total": m.present}} if nested else {"current_total": m.present}
        said["region_data"] = {"region_count_data": [count | _region(m, 1)]}
    said["time_info"] = _iso(m)
    return orjson.dumps(said)


def _region(m: Message, zone: int) -> dict[str, Any]:
    entry = m.sensor.entry
    name = entry.zones[zone].name if zone in entry.zones else f"Region{zone}"
    return {"region": zone, "region_name": name[:32], "region_uuid": _uuid(m.sensor.serial, 100 + zone)}


def _floor_json(m: Message) -> bytes:
    """Regions only: people present and dwell of a window, or the stays that just ended."""
    said: dict[str, Any] = {"device_info": _info(m)}
    if m.start is None:
        said["region_trigger_data"] = {"dwell_time_data": [_stay(m, stay) for stay in m.stays]}
    else:
        nested = m.sensor.dialect == "vs125"
        counts = [
            ({"total": {"current_total": people}} if nested else {"current_total": people}) | _region(m, zone)
            for zone, people in m.people.items()
        ]
        dwell = [
            {"avg_dwell_time": average, "max_dwell_time": longest} | _region(m, zone)
            for zone, (average, longest) in sorted(m.dwell.items())
        ]
        said["region_data"] = {"region_count_data": counts} | ({"dwell_time_data": dwell} if dwell else {})
    said["time_info"] = _iso(m)
    return orjson.dumps(said)


def _stay(m: Message, stay: StaySaid) -> dict[str, Any]:
    offset = datetime.fromtimestamp(m.end, ZoneInfo(m.zone)).utcoffset() or timedelta()
    start, end = (_iso_text(at, offset) for at in (stay.start, stay.end))
    told = {
        "people_id": stay.track,
        "duration": 1000 * (stay.end - stay.start),
        "dwell_start_time": start,
        "dwell_end_time": end,
    }
    return told | _region(m, stay.zone) | {"children": stay.child, "staff": False}


# --- LoRaWAN: channel, type, value; little-endian ---

_TOTAL_IN, _TOTAL_OUT, _PERIOD = (0x03, 0x06, 0x09, 0x0C), (0x04, 0x07, 0x0A, 0x0D), (0x05, 0x08, 0x0B, 0x0E)


def _frame121(m: Message) -> bytes:
    line = m.sensor.eyes[0].line
    now, was = m.now[line], m.was[line]
    mask = 1 if m.present else 0
    return b"".join(
        (
            struct.pack("<BBBB", 0x04, 0xC9, min(m.present, 255), 1) + struct.pack(">H", mask),
            struct.pack("<BBHH", 0x05, 0xCC, now.people_in, now.people_out),
            struct.pack("<BBB", 0x06, 0xCD, min(m.peak, 255)),
            struct.pack("<BBHH", 0x0D, 0xCC, was.people_in & 0xFFFF, was.people_out & 0xFFFF),
            struct.pack("<BBI", 0x0F, 0x85, m.end),
        )
    )


def _frame13x(m: Message) -> bytes:
    parts = []
    for eye in m.sensor.eyes:
        i = eye.line - 1
        parts.append(struct.pack("<BBI", _TOTAL_IN[i], 0xD2, m.was[eye.line].people_in))
        parts.append(struct.pack("<BBI", _TOTAL_OUT[i], 0xD2, m.was[eye.line].people_out))
        parts.append(struct.pack("<BBHH", _PERIOD[i], 0xCC, m.now[eye.line].people_in, m.now[eye.line].people_out))
    return b"".join(parts)


def _envelope(m: Message, frame: bytes) -> bytes:
    """JSON of a UG65/67 gateway around one uplink: the application id is text, the devEUI lower case, `data` base64."""
    draw = blake2b(f"{m.sensor.serial}{m.count}".encode(), digest_size=4).digest()
    moment = datetime.fromtimestamp(m.end, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{draw[0] * 3:03d}Z"
    received = {
        "altitude": 0,
        "latitude": 0,
        "loRaSNR": 5 + draw[1] % 90 / 10,
        "longitude": 0,
        "mac": "24e124fffef54092",
        "name": "Local Gateway",
        "rssi": -60 - draw[2] % 50,
        "time": moment,
    }
    sent = {
        "adr": True,
        "codeRate": "4/5",
        "dataRate": {"bandwidth": 125, "modulation": "LORA", "spreadFactor": 7 + draw[3] % 4},
        "frequency": 868300000,
    }
    return orjson.dumps(
        {
            "applicationID": "1",
            "applicationName": "store",
            "data": b64encode(frame).decode(),
            "devEUI": m.sensor.serial,
            "deviceName": m.sensor.entry.name,
            "fCnt": m.count,
            "fPort": 85,
            "rxInfo": [received],
            "time": moment,
            "txInfo": sent,
        }
    )


_WRITERS: dict[str, Callable[[Message], bytes]] = {
    "vs121p": _vs121p,
    "vs125": _json,
    "vs13x": _json,
    "lora121": lambda m: _envelope(m, _frame121(m)),
    "lora13x": lambda m: _envelope(m, _frame13x(m)),
}

# --- what does not belong there but comes all the same ---

GARBAGE: tuple[tuple[str, bytes], ...] = (
    ("router position", b'{"data":{"latitude":52.51863,"longitude":13.40801,"speed":0.4,"status":53}}'),
    ("router NMEA", b"$GPRMC,091512.00,A,5231.1178,N,01324.4806,E,0.2,,010326,,,A*7C\r\n"),
    ("cut JSON", b'{"device_info":{"device_sn":"6384E16179950009","running_time":58},"line_periodic_data":[{"line":1,"to'),
    ("connection test", b'{"msg":"Connection Test"}'),
    ("words", b"hello from the installer"),
    ("nothing", b""),
    (
        "numbers that are none",
        b'{"device_info":{"device_sn":"6384E16179959999"},"line_periodic_data":[{"line":1,"in":NaN,"out":1e400}]}',
    ),
    ("foreign device", b'{"temperature":21.5,"humidity":48,"battery":97,"linkquality":120}'),
)
