"""A morning of one store with every way in which devices speak, and what of it must be counted, once.

Six doors, each another dialect: running totals beside windows, with a reset and a 16-bit wrap; triggers beside windows, once to
be checked, once to count; history that a LoRaWAN counter sends hours later, of lost and of received periods; events sent again
in other messages; a camera whose row of the hour grows. Everything may come twice or hours late; between it come the samples
of all dialects, from devices that nobody assigned, and what is no report at all.
"""

import base64
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import NamedTuple

from schemas.sensors import SENSORS, decode

START = 1_772_438_400
"""2026-03-02 08:00 UTC, a Monday."""
MINUTE, HOUR = 60, 3600
HOURS = 3
LINES = [
    ("vs13x00001", 1),
    ("vs13x00001", 2),
    ("vs121p0001", 1),
    ("24e124aa00000001", 1),
    ("box-1", 1),
    ("cam00001", 2),
    ("vs12500001", 1),
]
"""Doors whose people are counted."""
SITE = f"""id = "mall"
zone = "UTC"
[[devices]]
id = "vs13x00001"
[[devices]]
id = "vs121p0001"
interval_s = 300
[[devices]]
id = "24e124aa00000001"
interval_s = 600
[[devices]]
id = "box-1"
interval_s = 300
[[devices]]
id = "cam00001"
interval_s = {HOUR}
[[devices]]
id = "vs12500001"
counting = "trigger"
"""
GARBAGE = [b"{", b"\x00\xff", b"hello", b"$GPGGA,1,2", b'{"latitude": 1, "longitude": 2}', b'{"x": 1}', b"[]"]

People = tuple[int, int]


class Message(NamedTuple):
    """What comes, and its outcome: stored, duplicate, quarantined, or "" for a sample, whose outcome its decoder decides."""

    at: int
    payload: bytes
    outcome: str


class Day(NamedTuple):
    """`people`: in and out by (device, line). `messages` in the order of arrival."""

    messages: list[Message]
    people: dict[tuple[str, int], People]

    def outcomes(self) -> Counter[str]:
        return Counter(message.outcome for message in self.messages)


def iso(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def mixed_day(seed: int) -> Day:
    """The same for the same seed."""
    rng = Random(seed)
    people: Counter[tuple[str, int, str]] = Counter()
    said = [*_vs13x(rng, people), *_vs121p(rng, people), *_vs350(rng, people), *_box(rng, people), *_vs125(rng, people)]
    messages = [copy for at, payload in said for copy in _delivered(rng, at, payload)]
    messages += [Message(at, payload, "stored") for at, payload in _camera(rng, people)]
    messages += [Message(at + 7200, payload, "duplicate") for at, payload in _again(said)]
    messages += [Message(START + n * 97, payload, "quarantined") for n, payload in enumerate(GARBAGE * 2)]
    for n, payload in enumerate(samples()):
        outcome = "" if any(report.events for report in decode(payload)) else "quarantined"
        messages += [Message(START + n * 60, payload, outcome)] * 2
    messages.sort(key=lambda message: message.at)
    return Day(messages, {(d, n): (people[d, n, "in"], people[d, n, "out"]) for d, n in LINES})


def _delivered(rng: Random, at: int, payload: bytes) -> Iterator[Message]:
    """A message once, sometimes hours late, sometimes again: of its copies the first one says something new."""
    first = at + 2 + (rng.randrange(HOUR, 5 * HOUR) if rng.random() < 0.05 else rng.randrange(30))
    yield Message(first, payload, "stored")
    while rng.random() < 0.2:
        yield Message(first + rng.randrange(1, 40) + (4 * HOUR if rng.random() < 0.1 else 0), payload, "duplicate")


def _count(rng: Random, people: Counter[tuple[str, int, str]], device: str, line: int, most: int = 6) -> People:
    into, out = rng.randrange(most), rng.randrange(most)
    people[device, line, "in"] += into
    people[device, line, "out"] += out
    return into, out


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


Said = Iterator[tuple[int, bytes]]


def _vs13x(rng: Random, people: Counter[tuple[str, int, str]]) -> Said:
    """Windows with running totals, which begin anew after an hour and a half; triggers report the same people once more."""
    device, totals = "vs13x00001", {1: [70_000, 300], 2: [12, 5]}
    about = {"device_sn": device.upper(), "device_name": "Door"}
    for minute in range(HOURS * 60):
        start = START + minute * MINUTE
        if minute == 90:
            totals = {1: [0, 0], 2: [0, 0]}
        lines, sums = [], []
        lost = minute % 50 == 49  # a report that never comes: only the totals know
        for line in (1, 2):
            into, out = (4, 4) if lost else _count(rng, people, device, line)
            totals[line][0] += into
            totals[line][1] += out
            lines.append({"line": line, "in": into, "out": out})
            sums.append({"line": line, "in_counted": totals[line][0], "out_counted": totals[line][1]})
            if into and not lost:
                at = start + rng.randrange(30) * 2 + line - 1
                trigger = {"line_trigger_data": [{"line": line, "in": 1, "out": 0}]}
                yield at, _json({"device_info": about, "time_info": {"time": iso(at)}} | trigger)
        times = {"start_time": iso(start), "end_time": iso(start + MINUTE)}
        if not lost:
            message = {"device_info": about, "time_info": times, "line_periodic_data": lines, "line_total_data": sums}
            yield start + MINUTE, _json(message)


def _vs121p(rng: Random, people: Counter[tuple[str, int, str]]) -> Said:
    total = [900, 800]
    for start in range(START, START + HOURS * HOUR, 300):
        if start == START + HOUR:
            total = [0, 0]
        into, out = _count(rng, people, "vs121p0001", 1, 40)
        total = [total[0] + into, total[1] + out]
        texts = (datetime.fromtimestamp(at + 8 * HOUR, UTC).strftime("%Y/%m/%d %H:%M:%S") for at in (start, start + 300))
        times = dict(zip(("start_time", "end_time"), texts, strict=True)) | {"timezone": "UTC+8:00", "dst_status": False}
        sums = {"in_cumulative_counted": total[0], "out_cumulative_counted": total[1]}
        about = {"device_info": {"device_sn": "VS121P0001"}, "time_info": times, "report_type": "interval"}
        yield start + 300, _json(about | {"in_counted": into, "out_counted": out, "total_data": sums})


def _uplink(device: str, count: int, at: int, frame: bytes) -> bytes:
    data = base64.b64encode(frame).decode()
    return _json({"applicationID": "1", "data": data, "devEUI": device, "fCnt": count, "fPort": 85, "time": iso(at)})


def _vs350(rng: Random, people: Counter[tuple[str, int, str]]) -> Said:
    """Every fifth frame is lost; two hours later it comes as history, with the period before it, which was received."""
    device, total, kept = "24e124aa00000001", [65_500, 65_000], []
    for count, end in enumerate(range(START + 600, START + HOURS * HOUR + 1, 600), 1):
        pair = _count(rng, people, device, 1, 90)
        total = [(one + more) % 65_536 for one, more in zip(total, pair, strict=True)]
        bytes_of = [b"".join(n.to_bytes(2, "little") for n in two) for two in (pair, total)]
        time = end.to_bytes(4, "little")
        kept.append((end, b"\x20\xce" + time + b"\x00" + bytes_of[0]))
        if count % 5:
            yield end, _uplink(device, count, end, b"\x0a\xef" + time + b"\x05\xcc" + bytes_of[0] + b"\x04\xcc" + bytes_of[1])
        else:
            at = end + 2 * HOUR
            yield at, _uplink(device, 1000 + count, at, kept[-2][1] + kept[-1][1])


def _box(rng: Random, people: Counter[tuple[str, int, str]]) -> Said:
    for start in range(START, START + HOURS * HOUR, 300):
        into, out = _count(rng, people, "box-1", 1, 30)
        events = [
            {"type": "line_count", "line": 1, "people_in": into, "people_out": out, "child_in": into // 2},
            {"type": "zone_count", "zone": 3, "present": rng.randrange(9)},
            {"type": "heat", "zone": 3, "value": into},
            {"type": "demographics", "line": 1, "groups": {"age:18-30": into // 3}},
            {"type": "queue_length", "zone": 9, "time": start + 200, "length": out},
            {"type": "stay", "zone": 3, "start": start + 10, "end": start + 70, "track": start % 1000},
            {"type": "detection", "what": "display_dwell", "time": start + 70, "zone": 3, "value": 60},
        ]
        span = {"start": iso(start), "end": iso(start + 300)}
        yield start + 300, _json({"format": "footstream/v1", "device": "box-1", **span, "events": events})


def _again(said: list[tuple[int, bytes]]) -> Said:
    """What the box had in its memory: the counts of two messages in one."""
    boxes = [(at, json.loads(payload)) for at, payload in said if b"footstream/v1" in payload]
    for (_, one), (at, two) in zip(boxes[::6], boxes[1::6], strict=True):
        events = [{**m["events"][0], "start": m["start"], "end": m["end"]} for m in (one, two)]
        yield (
            at + 5 * HOUR,
            _json({"format": "footstream/v1", "device": "box-1", "retransmission": True, "events": events}),
        )


def _camera(rng: Random, people: Counter[tuple[str, int, str]]) -> Said:
    """Asked every twenty minutes for the hours so far; line 2 only, whose row grows until its hour is over."""
    header = "StartTime, EndTime, Tolal - In, Tolal - Out, Tolal - Sum, Line2 - In, Line2 - Out, Line2 - Sum"
    hours: dict[int, People] = {}
    for at in range(START + 1200, START + HOURS * HOUR + 1, 1200):
        hour = (at - 1200) // HOUR * HOUR
        into, out = _count(rng, people, "cam00001", 2, 50)
        people["cam00001", 2, "in"] += 1  # so that no answer is like the one before
        before = hours.get(hour, (0, 0))
        hours[hour] = (before[0] + into + 1, before[1] + out)
        rows = []
        for hour, (into, out) in hours.items():
            texts = [datetime.fromtimestamp(t, UTC).strftime("%Y/%m/%d %H:%M:%S") for t in (hour, hour + HOUR - 1)]
            rows.append(",".join([*texts, *map(str, (into, out, into + out) * 2)]))
        yield at, "\r\n".join(["#camera cam00001 UTC dw=vcalogcsv", header, *rows, ""]).encode()


def _vs125(rng: Random, people: Counter[tuple[str, int, str]]) -> Said:
    """The registry says that its triggers count; the windows only check them."""
    device = "vs12500001"
    about = {"device_sn": device, "device_name": "Door", "firmware_version": "V_125.1.0.3"}
    for minute in range(HOURS * 60):
        start, into = START + minute * MINUTE, 0
        for at in sorted(rng.sample(range(start, start + MINUTE), rng.randrange(4))):
            into += 1
            people[device, 1, "in"] += 1
            line = {"line": 1, "total": {"in": 1, "out": 0}}
            yield at, _json({"device_info": about, "time_info": {"time": iso(at)}, "line_trigger_data": [line]})
        times = {"start_time": iso(start), "end_time": iso(start + MINUTE)}
        window = [{"line": 1, "total": {"in": into, "out": 2}}]
        yield start + MINUTE, _json({"device_info": about, "time_info": times, "line_periodic_data": window})


def samples() -> Iterator[bytes]:
    """The samples of every dialect; frames in the envelope of a gateway, each from a device of its own."""
    for module in SENSORS:
        for number, sample in enumerate(module.SAMPLES):
            if not hasattr(module, "LAYOUT"):
                yield sample.payload
                continue
            device = f"24e124{abs(hash_of(module.DIALECT)) % 10**8:08d}{number:02d}"
            yield _uplink(device, 1, START + HOUR, sample.payload)


def hash_of(text: str) -> int:
    """The same in every process."""
    return int.from_bytes(text.encode(), "big") % 1_000_003
