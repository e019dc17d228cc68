"""More messages for the decode bench: the other envelopes, passage and room sensors, the fall radar, cameras."""

import base64
import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

_START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
_FRAME = bytes.fromhex("03D2D915000004D255140000")

Case = tuple[str, Callable[[int], bytes], Callable[[bytes], object]]


def cases(uplink: Callable[[int, bytes], bytes], plain_uplink: Callable[[bytes], object]) -> Iterator[Case]:
    """Name, message number n, and the plain reading of it. `uplink` puts a frame into the envelope of a UG65."""
    frames = {
        "vs35x": bytes.fromhex("01756403670C0104CC12001600"),
        "vs360": bytes.fromhex("01756402756404CC12001600"),
        "vs321": bytes.fromhex("0175640367100104680A05FD2C0106FE0300030007FF01"),
        "vs330": bytes.fromhex("01756202820F00038E01048E01"),
        "vs34x": bytes.fromhex("017564030000"),
        "vs370": bytes.fromhex("017564030001040000"),
        "vs373": bytes.fromhex("07B00100000000800101"),
    }
    for name, frame in frames.items():
        yield f"lorawan {name} in ug65", lambda n, frame=frame: uplink(n, frame), plain_uplink  # type: ignore[misc]  # a default
    yield "lorawan vs13x in chirpstack v4", _chirpstack_4, _plain_chirpstack_4
    yield "lorawan vs13x in chirpstack v3", _chirpstack_3, _plain_chirpstack_3
    yield "lorawan vs13x in tts v3", _tts, _plain_tts
    yield "codec's object in milesight platform", _platform, _plain_platform
    yield "vs373 json", _radar, _plain_radar
    yield "camera lines, a day", lambda n: _table(n, _lines), _plain_table
    yield "camera regions, a day", lambda n: _table(n, _regions), _plain_table
    yield "camera heat, a day", lambda n: _table(n, _heat), _plain_table
    yield "camera space heat map", _space, _plain_space


def _data(number: int) -> str:
    period = (number % 9).to_bytes(2, "little") + (number % 7).to_bytes(2, "little")
    return base64.b64encode(_FRAME + b"\x05\xcc" + period).decode()


def _time(number: int) -> str:
    return (_START + timedelta(minutes=number // 100)).isoformat(timespec="milliseconds")


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
        "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
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
    return [info["devEui"], info["deviceName"], message["fCnt"], time, *base64.b64decode(message["data"])]


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
    return [device, message["deviceName"], message["fCnt"], time, *base64.b64decode(message["data"])]


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
    return [ids["dev_eui"], ids["device_id"], uplink["f_cnt"], time, *base64.b64decode(uplink["frm_payload"])]


def _platform(number: int) -> bytes:
    profile = {"deviceId": "1904", "sn": "6600B09409760000", "devEUI": _eui(number).upper(), "name": "Door", "model": "VS135"}
    payload = {"line_1_period_in": number % 9, "line_1_period_out": number % 7, "line_2_period_in": 0, "line_2_period_out": 0}
    data = {"deviceProfile": profile, "type": "EVENT", "tslID": "", "payload": payload}
    head = {"eventID": "6167cb40-8e5e", "eventCreatedTime": str(1742872448 + number), "eventVersion": "1.0"}
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
