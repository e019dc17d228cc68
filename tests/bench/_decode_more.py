"""More messages for the decode bench: the other envelopes, passage and room sensors, the fall radar, cameras."""

import base64
import csv
import io
import json
import struct
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

_START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
PlainFrame = Callable[[bytes], object]
"""The figures of a frame whose channels are known to stand where they stand."""
_FRAME = bytes.fromhex("03D2D915000004D255140000")

Case = tuple[str, Callable[[int], bytes], Callable[[bytes], object]]


def cases(uplink: Callable[[int, bytes], bytes], plain_uplink: Callable[[bytes, PlainFrame], object]) -> Iterator[Case]:
    """Name, message number n, and the plain reading of it. `uplink` puts a frame into the envelope of a UG65."""
    for name, (frame, plain_frame) in FRAMES.items():
        yield (
            f"lorawan {name} in ug65",
            lambda n, frame=frame: uplink(n, frame(n)),  # type: ignore[misc]  # a default
            lambda payload, plain=plain_frame: plain_uplink(payload, plain),  # type: ignore[misc]  # a default
        )
    yield "lorawan vs13x in chirpstack v4", _chirpstack_4, _plain_chirpstack_4
    yield "lorawan vs13x in chirpstack v3", _chirpstack_3, _plain_chirpstack_3
    yield "lorawan vs13x in tts v3", _tts, _plain_tts
    yield "codec's object in milesight platform", _platform, _plain_platform
    yield "vs373 json", _radar, _plain_radar
    yield "camera lines, a day", lambda n: _table(n, _lines), _plain_table
    yield "camera regions, a day", lambda n: _table(n, _regions), _plain_table
    yield "camera heat, a day", lambda n: _table(n, _heat), _plain_table
    yield "camera space heat map", _space, _plain_space


def _frames(hexadecimal: str, form: str) -> Callable[[int], bytes]:
    """Frames whose figures change from one to the next. `hexadecimal`: what stands before each of the figures of `form`."""
    heads = [bytes.fromhex(head) for head in hexadecimal.split(",")]
    sizes = form.split()

    def frame(number: int) -> bytes:
        figures = [(number * (place + 3) % 89).to_bytes(int(size), "little") for place, size in enumerate(sizes)]
        return b"".join(head + figure for head, figure in zip(heads, figures, strict=True))

    return frame


def _reader(form: str) -> PlainFrame:
    return struct.Struct(form).unpack


_vs35x, _vs321, _vs330 = struct.Struct("<2xB2xh2xHH2xHH"), struct.Struct("<2xB2xh2xB2xH2xHH2xB"), struct.Struct("<2xB2xH2xB2xB")


def _plain_vs35x(frame: bytes) -> object:
    battery, tenths, total_in, total_out, into, out = _vs35x.unpack(frame)
    return battery, tenths / 10, total_in, total_out, into, out


def _plain_vs321(frame: bytes) -> object:
    battery, tenths, halves, people, used, occupied, light = _vs321.unpack(frame)
    regions = {region + 1: bool(occupied >> region & 1) for region in range(10) if used >> region & 1}
    return battery, tenths / 10, halves / 2, people, regions, light == 1


def _plain_vs330(frame: bytes) -> object:
    battery, distance, occupied, calibrated = _vs330.unpack(frame)
    return battery, distance, occupied == 1, calibrated == 1


def _vs321_frame(number: int) -> bytes:
    climate = bytes([1, 0x75, number % 100, 3, 0x67, number % 250, 0, 4, 0x68, number % 180, 5, 0xFD, number % 40, 0])
    return climate + bytes([6, 0xFE, 0x0F, 0, number % 16, 0, 7, 0xFF, number % 2])


def _vs330_frame(number: int) -> bytes:
    return bytes([1, 0x75, number % 100, 2, 0x82, number % 250, 4, 3, 0x8E, number % 2, 4, 0x8E, 1])


FRAMES: dict[str, tuple[Callable[[int], bytes], PlainFrame]] = {
    "vs35x": (_frames("0175,0367,04CC,,05CC,", "1 2 2 2 2 2"), _plain_vs35x),
    "vs360": (_frames("0175,0275,04CC,,05CC,", "1 1 2 2 2 2"), _reader("<2xB2xB2xHH2xHH")),
    "vs321": (_vs321_frame, _plain_vs321),
    "vs330": (_vs330_frame, _plain_vs330),
    "vs34x": (lambda n: bytes([1, 0x75, n % 100, 3, 0, n % 2]), _reader("<2xB2xB")),
    "vs370": (lambda n: bytes([1, 0x75, n % 100, 3, 0, n % 2, 4, 0, n // 2 % 2]), _reader("<2xB2xB2xB")),
    "vs373": (lambda n: bytes([7, 0xB0, n % 2, n % 3, n % 250, 1, 0, n % 240, 8, 1]), _reader("<2xBBHxHx")),
}
"""Frame number n of a model, and a plain reading of it: no table of channels, no check."""


def _data(number: int) -> str:
    period = (number % 9).to_bytes(2, "little") + (number % 7).to_bytes(2, "little")
    return base64.b64encode(_FRAME + b"\x05\xcc" + period).decode()


_plain_frame = struct.Struct("<2xI2xI2xHH").unpack
"""Of a VS13x: totals and period of its first line."""


def _time(number: int) -> str:
    return (_START + timedelta(minutes=number // 100)).isoformat(timespec="milliseconds")


def _uuid(number: int) -> str:
    return str(uuid.UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128))


def _eui(number: int) -> str:
    return f"24e124785d{number % 100:06x}"


def _chirpstack_4(number: int) -> bytes:
    info = {
        "tenantId": "52f14cd4-c6f1-4fbd-8f87-4025e1d49242",
        "tenantName": "ChirpStack",
        "applicationName": "store",
        "deviceProfileName": "vs133",
        "deviceName": "VS133-door",
        "devEui": _eui(number),
        "tags": {"site": "store-7"},
    }
    message = {
        "deduplicationId": _uuid(number),
        "time": _time(number),
        "deviceInfo": info,
        "devAddr": "0189440f",
        "adr": True,
        "dr": 3,
        "fCnt": number,
        "fPort": 85,
        "data": _data(number),
        "object": {"line_1_total_in": 5593.0, "line_1_total_out": 5205.0, "line_1_period_in": 0.0, "line_1_period_out": 0.0},
        "rxInfo": [{"gatewayId": "24e124fffef54092", "uplinkId": 4217106255, "rssi": -71, "snr": 9.5}],
    }
    return json.dumps(message).encode()


def _plain_chirpstack_4(payload: bytes) -> object:
    message = json.loads(payload)
    info = message["deviceInfo"]
    time = datetime.fromisoformat(message["time"])
    return [info["devEui"], info["deviceName"], message["fCnt"], time, *_plain_frame(base64.b64decode(message["data"]))]


def _chirpstack_3(number: int) -> bytes:
    message = {
        "applicationID": "1",
        "applicationName": "store",
        "deviceName": "door",
        "deviceProfileName": "vs133",
        "devEUI": base64.b64encode(bytes.fromhex(_eui(number))).decode(),
        "rxInfo": [{"gatewayID": "JOEk//71QJI=", "time": _time(number), "rssi": -71, "loRaSNR": 9.5}],
        "txInfo": {"frequency": 868300000, "dr": 3},
        "adr": True,
        "fCnt": number,
        "fPort": 85,
        "data": _data(number),
        "objectJSON": '{"line_1_period_in":0,"line_1_period_out":0}',
    }
    return json.dumps(message).encode()


def _plain_chirpstack_3(payload: bytes) -> object:
    message = json.loads(payload)
    device = base64.b64decode(message["devEUI"]).hex()
    time = datetime.fromisoformat(message["rxInfo"][0]["time"])
    return [device, message["deviceName"], message["fCnt"], time, *_plain_frame(base64.b64decode(message["data"]))]


def _tts(number: int) -> bytes:
    received = {"gateway_ids": {"gateway_id": "store-gw"}, "time": _time(number), "rssi": -71, "snr": 9.5}
    uplink = {
        "f_port": 85,
        "f_cnt": number + 1,
        "frm_payload": _data(number),
        "decoded_payload": {"line_1_total_in": 5593, "line_1_total_out": 5205, "line_1_period_in": 0, "line_1_period_out": 0},
        "rx_metadata": [received],
        "received_at": _time(number),
    }
    ids = {"device_id": "vs133-door", "application_ids": {"application_id": "store"}, "dev_eui": _eui(number).upper()}
    return json.dumps({"end_device_ids": ids, "received_at": _time(number), "uplink_message": uplink}).encode()


def _plain_tts(payload: bytes) -> object:
    message = json.loads(payload)
    ids, uplink = message["end_device_ids"], message["uplink_message"]
    time = datetime.fromisoformat(uplink["received_at"])
    return [ids["dev_eui"], ids["device_id"], uplink["f_cnt"], time, *_plain_frame(base64.b64decode(uplink["frm_payload"]))]


def _platform(number: int) -> bytes:
    profile = {"deviceId": "1904", "sn": "6600B09409760000", "devEUI": _eui(number).upper(), "name": "Door", "model": "VS135"}
    payload = {"line_1_period_in": number % 9, "line_1_period_out": number % 7, "line_2_period_in": 0, "line_2_period_out": 0}
    data = {"deviceProfile": profile, "type": "EVENT", "tslID": "", "payload": payload}
    head = {"eventID": _uuid(number), "eventCreatedTime": str(1742872448 + number), "eventVersion": "1.0"}
    return json.dumps(head | {"eventType": "DEVICE_DATA", "data": data}).encode()


def _plain_platform(payload: bytes) -> object:
    message = json.loads(payload)
    data = message["data"]
    profile, said = data["deviceProfile"], data["payload"]
    time = datetime.fromtimestamp(int(message["eventCreatedTime"]), UTC)
    counts = [said[f"line_{line}_period_{way}"] for line in (1, 2) for way in ("in", "out")]
    return [profile["devEUI"], profile["name"], data["type"], time, *counts]


def _radar(number: int) -> bytes:
    info: dict[str, Any] = {
        "device_model": "VS373-915M",
        "device_sn": f"6806E515{number % 100:08d}",
        "device_mac": "d8:3b:da:9e:6e:a4",
        "ipAddress": "192.168.130.157",
        "time": f"{_START + timedelta(minutes=number // 100):%Y-%m-%d %H:%M:%S}",
    }
    return json.dumps({"device_info": info, "trigger_data": {"type": 0, "event": 4 + number % 2, "status": 1}}).encode()


def _plain_radar(payload: bytes) -> object:
    message = json.loads(payload)
    info, trigger = message["device_info"], message["trigger_data"]
    return [info["device_sn"], datetime.fromisoformat(info["time"]), trigger["event"], trigger["status"], trigger.get("sub_no")]


def _lines(number: int) -> tuple[str, str]:
    names = [f"{line} - {way}" for line in ("Tolal", "Line1", "Line2", "Line3", "Line4") for way in ("In", "Out", "Sum")]
    return ", ".join(names), ",".join([str(number % 90), "7", str(number % 90 + 7)] * 5)


def _regions(number: int) -> tuple[str, str]:
    return "region1, region2, region3, region4, Sum", f"{number % 90},0,3,4,{number % 90 + 7}"


def _heat(number: int) -> tuple[str, str]:
    return "Value(s)", str(number)


def _table(number: int, columns: Callable[[int], tuple[str, str]]) -> bytes:
    day = datetime(2026, 3, 2) + timedelta(days=number % 28)
    rows = [f"#camera cam{number % 100} UTC+1:00 dw=x", f"StartTime, EndTime, {columns(0)[0]}"]
    for hour in range(24):
        start = day + timedelta(hours=hour)
        rows.append(f"{start:%Y/%m/%d %H:%M:%S},{start:%Y/%m/%d %H}:59:59,{columns(number + hour)[1]}")
    return "\n".join([*rows, ""]).encode()


def _plain_table(payload: bytes) -> object:
    first, _, rest = payload.decode().partition("\n")
    found: list[object] = [first.split(" ", 3)]
    rows = csv.reader(io.StringIO(rest))
    next(rows)
    for start, end, *cells in rows:
        times = [datetime.strptime(text, "%Y/%m/%d %H:%M:%S") for text in (start, end)]
        found.append((*times, *map(int, cells)))
    return found


def _space(number: int) -> bytes:
    points = [{"x": x, "y": y, "value": (number + x * y) % 940} for x in range(20) for y in range(10)]
    head = f"#camera cam{number % 100} UTC+1:00 dw=spaceheatmap&time_start=2026-03-02-10:00:00&time_end=2026-03-02-10:59:59\n"
    return head.encode() + json.dumps({"max": 940, "min": 0, "data": points}).encode()


def _plain_space(payload: bytes) -> object:
    first, _, rest = payload.partition(b"\n")
    return [first.split(b" ", 3), [(point["x"], point["y"], point["value"]) for point in json.loads(rest)["data"]]]
