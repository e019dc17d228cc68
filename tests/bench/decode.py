"""Microseconds per message of `decode`, by dialect, beside plain `json.loads` and picking the same fields out of the dicts.

`ratio` = decode / plain: below 1 the whole of Footstream's decoding (typed, checked, times in epoch seconds) costs less than
parsing the JSON with the standard library. `worst_ms` is the dearest of the messages that are made to cost time (256 KiB).
"""

import base64
import json
import random
import struct
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from schemas.sensors import MAX_BYTES, decode
from tests.bench._decode_more import PlainFrame, cases

RUNS = 9
MESSAGES = 2000
_START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
_ZONE = timezone(timedelta(hours=1))

Plain = Callable[[bytes], object]


def run() -> list[dict[str, Any]]:
    """One row per dialect, over 2,000 different messages: the best of nine turns of each, which neighbours disturbed least."""
    rows = []
    for name, make, plain in _dialects():
        payloads = [make(number) for number in range(MESSAGES)]
        ours, theirs = [], []
        for _ in range(RUNS):
            ours.append(_microseconds(decode, payloads))
            theirs.append(_microseconds(plain, payloads))
        rows.append(
            {
                "bench": "decode",
                "dialect": name,
                "bytes": len(payloads[0]),
                "decode_us": round(min(ours), 2),
                "plain_us": round(min(theirs), 2),
                "ratio": round(min(ours) / min(theirs), 2),
            }
        )
    worst = max(min(_microseconds(decode, [payload]) for _ in range(5)) for payload in _heavy())
    rows.append({"bench": "decode", "dialect": "worst of 256 KiB", "worst_ms": round(worst / 1000, 2)})
    return rows


def _microseconds(function: Callable[[bytes], object], payloads: list[bytes]) -> float:
    """Of the processor, in this thread: what else runs on the machine counts less."""
    began = time.thread_time()
    for payload in payloads:
        function(payload)
    return (time.thread_time() - began) / len(payloads) * 1e6


def _dialects() -> Iterator[tuple[str, Callable[[int], bytes], Plain]]:
    yield "vs13x flat", _flat, _plain_lines
    yield "vs125 nested with totals", _nested, _plain_lines
    yield "vs125 with health", _cellular, _plain_lines
    yield "vs121p regions", _regions, _plain_regions
    yield "vs121p line", _vs121p_line, _plain_vs121p
    yield (
        "lorawan vs13x in ug65",
        lambda n: _uplink(n, bytes.fromhex("03D2D915000004D255140000") + _period(5, n)),
        lambda payload: _plain_uplink(payload, _plain_vs13x),
    )
    yield (
        "lorawan vs121 in ug65",
        lambda n: _uplink(n, bytes([4, 0xC9, n % 20, 8, 0, n % 256, 6, 0xCD, n % 30]) + _period(5, n)),
        lambda payload: _plain_uplink(payload, _plain_vs121),
    )
    yield from cases(_uplink, _plain_uplink)
    yield "footstream/v1 lines", _footstream_lines, _plain_footstream
    yield "footstream/v1 zones, queue, heat", _footstream_more, _plain_footstream


def _times(number: int) -> dict[str, Any]:
    start = (_START + timedelta(minutes=number // 100)).astimezone(_ZONE)
    end = start + timedelta(minutes=1)
    return {
        "start_time": start.isoformat(timespec="seconds"),
        "end_time": end.isoformat(timespec="seconds"),
        "time_zone": "UTC+1:00 Central European Time (CET)",
        "enable_dst": False,
        "dst_status": False,
    }


def _device(number: int) -> dict[str, Any]:
    return {
        "device_sn": f"6384E{number % 100:011d}",
        "device_mac": "24:E1:24:FA:0C:70",
        "device_name": "People Counter",
        "firmware_version": "V_135.1.0.7-r1",
        "hardware_version": "V1.1",
        "ip_address": "192.168.1.70",
        "running_time": 7200 + number,
        "cus_site_id": f"site-{number % 100 // 4:05d}",
        "cus_device_id": str(number % 100),
    }


def _line(line: int) -> dict[str, Any]:
    return {"line": line, "line_name": f"Line{line}", "line_uuid": f"{line:08d}-0000-4000-8000-000000000001"}


def _flat(number: int) -> bytes:
    lines = [_line(line) | {"in": (number * 7 + line) % 11, "out": number % 7} for line in (1, 2)]
    return json.dumps({"device_info": _device(number), "time_info": _times(number), "line_periodic_data": lines}).encode()


def _nested_message(number: int) -> dict[str, Any]:
    pair = {"in": 4 + number % 7, "out": 4 + number % 5}
    small = {"in": number % 3, "out": 1}
    lines = [_line(line) | {"total": pair, "children": small, "staff": small, "group": small} for line in (1, 2)]
    totals = [
        _line(line) | {"total": {"in_counted": 500 + number, "out_counted": 480 + number, "capacity_counted": 20}}
        for line in (1, 2)
    ]
    return {"device_info": _device(number), "time_info": _times(number), "line_periodic_data": lines, "line_total_data": totals}


def _nested(number: int) -> bytes:
    return json.dumps(_nested_message(number)).encode()


def _cellular(number: int) -> bytes:
    message = _nested_message(number) | {"network_info": {"network_status": "true", "cell_id": "340db80", "lac": "5299"}}
    message["device_info"] |= {"cpu": {"cpu_temperature": 61, "cpu_usage": 37}}
    return json.dumps(message).encode()


def _vs121p(number: int) -> dict[str, Any]:
    start = _START + timedelta(minutes=number // 100)
    texts = [(start + timedelta(minutes=m)).strftime("%Y/%m/%d %H:%M:%S") for m in (0, 1)]
    return {
        "event": "Region People Counting",
        "report_type": "interval",
        "device_info": {"device": "Workplace Sensor", "device_sn": f"{number % 100:012d}", "device_mac": "00:16:28:FA:8E:68"},
        "time_info": {"timezone": "UTC+8:00", "dst_status": False, "start_time": texts[0], "end_time": texts[1]},
    }


def _regions(number: int) -> bytes:
    people = {
        "current_total": 10,
        "max_counted": 12,
        "numbering_regions": [1, 2, 3, 4],
        "current_counted": [number % 9, 5, 0, 1],
    }
    return json.dumps(_vs121p(number) | people | {"occupancy": [1, 1, 0, 1]}).encode()


def _vs121p_line(number: int) -> bytes:
    totals = {"in_cumulative_counted": 1204, "out_cumulative_counted": 1187, "capacity_cumulative_counted": 17}
    return json.dumps(_vs121p(number) | {"in_counted": number % 9, "out_counted": 3, "total_data": totals}).encode()


def _footstream(number: int, events: list[dict[str, Any]]) -> bytes:
    start = (_START + timedelta(minutes=number // 100)).astimezone(_ZONE)
    span = {"start": start.isoformat(), "end": (start + timedelta(minutes=1)).isoformat()}
    head = {"format": "footstream/v1", "device": f"box{number % 100:05d}", "name": "North door", "firmware": "2.1"}
    return json.dumps(head | span | {"events": events}).encode()


def _footstream_lines(number: int) -> bytes:
    return _footstream(
        number,
        [{"type": "line_count", "line": n, "people_in": (number * 7 + n) % 11, "people_out": number % 7} for n in (1, 2)],
    )


def _footstream_more(number: int) -> bytes:
    zones = [{"type": "zone_count", "zone": zone, "present": (number + zone) % 9, "peak": 9} for zone in (1, 2, 3)]
    queue = {"type": "queue_length", "zone": 9, "length": number % 12, "wait_s": 95.5, "lanes_open": 2}
    heat = {"type": "heat", "cells": [[x, number % 10, x * 0.5] for x in range(20)], "columns": 20, "rows": 10}
    return _footstream(number, [*zones, queue, heat])


def _period(channel: int, number: int) -> bytes:
    return bytes([channel, 0xCC]) + (number % 9).to_bytes(2, "little") + (number % 7).to_bytes(2, "little")


def _uplink(number: int, frame: bytes) -> bytes:
    time_text = (_START + timedelta(minutes=number // 100)).isoformat(timespec="milliseconds")
    receiver = {"mac": "24e124fffef54092", "name": "Local Gateway", "rssi": -71, "loRaSNR": 9.5, "time": time_text}
    return json.dumps(
        {
            "applicationID": "1",
            "applicationName": "store",
            "data": base64.b64encode(frame).decode(),
            "devEUI": f"24e124785d{number % 100:06x}",
            "deviceName": "door",
            "fCnt": number,
            "fPort": 85,
            "rxInfo": [receiver],
            "time": time_text,
            "txInfo": {"adr": True, "codeRate": "4/5", "frequency": 868300000},
        }
    ).encode()


# --- what somebody would write with the standard library, without any check ---


def _plain_lines(payload: bytes) -> object:
    message = json.loads(payload)
    times = message["time_info"]
    found = [
        message["device_info"]["device_sn"],
        datetime.fromisoformat(times["start_time"]),
        datetime.fromisoformat(times["end_time"]),
    ]
    for item in message["line_periodic_data"]:
        block = item.get("total", item)
        found += [item["line"], block["in"], block["out"]]
        for name in ("children", "staff", "group"):
            if name in item:
                found += [item[name]["in"], item[name]["out"]]
    for item in message.get("line_total_data", ()):
        found += [item["line"], item["total"]["in_counted"], item["total"]["out_counted"]]
    return found


def _plain_vs121p_head(message: dict[str, Any]) -> list[object]:
    times = message["time_info"]
    stamps = [datetime.strptime(times[key], "%Y/%m/%d %H:%M:%S") for key in ("start_time", "end_time")]
    return [message["device_info"]["device_sn"], times["timezone"], *stamps]


def _plain_regions(payload: bytes) -> object:
    message = json.loads(payload)
    found = _plain_vs121p_head(message)
    found += zip(message["numbering_regions"], message["current_counted"], message["occupancy"], strict=True)
    return [*found, message["current_total"], message["max_counted"]]


def _plain_vs121p(payload: bytes) -> object:
    message = json.loads(payload)
    totals = message["total_data"]
    counts = [message["in_counted"], message["out_counted"], totals["in_cumulative_counted"], totals["out_cumulative_counted"]]
    return _plain_vs121p_head(message) + counts


def _plain_uplink(payload: bytes, plain_frame: PlainFrame) -> object:
    message = json.loads(payload)
    figures = plain_frame(base64.b64decode(message["data"]))
    return [message["devEUI"], message["deviceName"], message["fCnt"], datetime.fromisoformat(message["time"]), figures]


_vs13x, _vs121 = struct.Struct("<2xI2xI2xHH"), struct.Struct(">2xBBH2xB2x4s")


def _plain_vs13x(frame: bytes) -> object:
    return _vs13x.unpack(frame)


def _plain_vs121(frame: bytes) -> object:
    present, regions, mask, peak, period = _vs121.unpack(frame)
    occupied = {region + 1: bool(mask >> region & 1) for region in range(regions)}
    return present, occupied, peak, *struct.unpack("<HH", period)


def _plain_footstream(payload: bytes) -> object:
    message = json.loads(payload)
    found = [message["device"], datetime.fromisoformat(message["start"]), datetime.fromisoformat(message["end"])]
    for item in message["events"]:
        found += [item[key] for key in item if key != "type"]
    return found


def _heavy() -> list[bytes]:
    head = b'{"device_info":{"device_sn":"A1"},"line_periodic_data":['
    lines = b",".join(b'{"line":%d,"in":1,"out":2,"children":{"in":-1},"staff":7}' % n for n in range(1, 700))
    return [
        b"[" * MAX_BYTES,
        b"[" + b"1," * (MAX_BYTES // 2 - 2) + b"1]",
        b"[" + b"{}," * 19_000 + b"{}]",
        b'{"a":"' + b"\xff" * (MAX_BYTES - 8) + b'"}',
        random.Random(1).randbytes(MAX_BYTES),
        head + lines + b"]}",
        b"[" + b",".join([head + b'{"line":1,"in":1,"out":2}]}'] * 500) + b"]",
        b"[" + b",".join([b'{"devEUI":"24e1","data":"' + b"IM6A1ploBQEAAgAg" * 21 + b'"}'] * 350) + b"]",
    ]


if __name__ == "__main__":
    for row in run():
        print(json.dumps(row))
