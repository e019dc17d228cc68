"""Uplinks straight from their bytes, and frames read in one pass, say exactly what the tolerant readers say."""

import base64
import json
import random
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from schemas.events import Report
from schemas.sensors import SENSORS, _codec, decode, decode_tolerant
from schemas.sensors._codec_keys import shape_of
from schemas.sensors._frame import Uplink
from schemas.sensors._frames import Frames, read_frame, read_in_turn
from schemas.sensors._json import Budget

LAYOUTS = [module.LAYOUT for module in SENSORS if hasattr(module, "LAYOUT")]
FRAMES = Frames(LAYOUTS)
QUICK = [module for module in SENSORS if hasattr(module, "unwrap_bytes")]
SEED = 20261125


def frames(rng: random.Random, number: int) -> Iterator[bytes]:
    """Frames of one model's channels, now and then with another's, an answer to a downlink, or an end within a value."""
    for _ in range(number):
        layout = rng.choice(LAYOUTS)
        parts = []
        for _ in range(rng.randint(1, 6)):
            source = layout if rng.random() < 0.9 else rng.choice(LAYOUTS)
            key = rng.choice(sorted(source.channels))
            value = bytes(rng.choice([0, 1, 2, rng.randrange(256)]) for _ in range(source.channels[key][0]))
            parts.append(key.to_bytes(2, "big") + value)
        if rng.random() < 0.1:
            parts.append(b"\xfe\x10\xff")
        frame = b"".join(parts)
        yield frame[: rng.randrange(1, len(frame))] if rng.random() < 0.1 else frame


def test_frames_read_in_one_pass_mean_the_same_to_every_model_in_turn() -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    at_once = 0
    for frame in frames(rng, 8_000):
        uplink = Uplink("24e1", frame, 7, says=rng.choice(["", "", "VS360 door", "vs-373", "VS121 VS133"]))
        at_once += FRAMES.at_once(uplink) is not None
        assert read_frame(uplink, FRAMES) == read_in_turn(uplink, FRAMES), (frame.hex(), uplink.says)
    assert at_once > 3_000, "many of them must be read in one pass, or nothing was compared"


def messages(module: ModuleType) -> Iterator[dict[str, Any]]:
    """Complete uplinks, then the same with one value replaced, removed or in another spelling, at every place."""
    data = base64.b64encode(bytes.fromhex("05CC03000200")).decode()
    time = "2025-03-01T08:15:02.318Z"
    bases: dict[str, dict[str, Any]] = {
        "ug65": {"devEUI": "24E124785D0000BB", "data": data, "fCnt": 7, "time": time, "deviceName": "VS350 door"},
        "chirpstack_v4": {
            "deviceInfo": {"devEui": "24e124785d0000bb", "deviceName": "Door", "deviceProfileName": "vs350"},
            "data": data,
            "fCnt": 7,
            "time": time,
        },
        "chirpstack_v3": {
            "devEUI": "JOEkeF0AALs=",
            "deviceName": "Door",
            "deviceProfileName": "vs350",
            "data": data,
            "fCnt": 7,
            "objectJSON": "{}",
        },
        "tts_v3": {
            "end_device_ids": {"device_id": "door", "dev_eui": "24E124785D0000BB"},
            "uplink_message": {"frm_payload": data, "f_cnt": 7, "received_at": time, "version_ids": {"model_id": "vs350"}},
        },
        "milesight_platform": {
            "eventID": "6167cb40",
            "eventType": "DEVICE_DATA",
            "eventCreatedTime": "1742872448",
            "data": {
                "deviceProfile": {"devEUI": "24E124785D0000BB", "sn": "6600", "name": "VS350 door", "model": "VS350"},
                "type": "PROPERTY",
                "payload": {
                    "line_1_period_in": 3,
                    "line_1_period_out": 2.0,
                    "battery": 90,
                    "temperature": 21.5,
                    "occupancy": "vacant",
                    "region_1": 1,
                    "region_1_count": 2,
                    "firmware_version": "v1.2",
                    "timestamp": 1742872440,
                },
            },
        },
    }
    base = bases[module.DIALECT]
    yield from changed({**base, "rxInfo": [{"rssi": -71, "time": time}], "received_at": time})


ODD: list[Any] = [
    None, True, 0, -1, 7.0, 2**32, "7", "", " a ", "a-b", "x" * 70, "x" * 200, "ü", [], {}, "BcwDAAIA", "Bcw", "***", "Bc wD",
    "2025-03-01T08:15:02", "2025-03-01 08:15:02+01:00", "VS133", "JOEkeF0AALs=",
    {"line_1_period_in": 3, "line_1_period_out": 2},
]  # fmt: skip


def changed(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for key, value in node.items():
        yield {k: v for k, v in node.items() if k != key}
        yield {**node, key.upper(): "odd"}
        yield {key.upper(): "odd", **node}
        yield from ({**node, key: odd} for odd in ODD)
        if isinstance(value, dict):
            yield from ({**node, key: inner} for inner in changed(value))


@pytest.mark.parametrize("module", QUICK, ids=lambda module: module.DIALECT)
def test_every_oddity_of_an_envelope_means_the_same_to_both_readers(module: ModuleType) -> None:
    taken = 0
    for message in messages(module):
        payload = json.dumps(message).encode()
        taken += quick(module, payload) is not None
        assert decode(payload) == decode_tolerant(payload), message
    assert taken > 20, "many of them must be read by the fast reader, or nothing was compared"


def quick(module: ModuleType, payload: bytes) -> Uplink | None:
    try:
        found: Uplink | None = module.unwrap_bytes(payload)
        return found
    except Exception as error:
        assert type(error).__name__ == "Bad", error
        return None


@pytest.mark.parametrize("module", QUICK, ids=lambda module: module.DIALECT)
def test_a_damaged_envelope_means_the_same_to_both_readers(module: ModuleType) -> None:
    """But for what is no JSON only in a part that the fast reader skips."""
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    base = json.dumps(next(messages(module))).encode()
    for _ in range(3_000):
        payload = bytearray(base)
        at = rng.randrange(len(payload))
        payload[at : at + rng.randrange(3)] = rng.choice(
            [b"", b'"', b"0", b" ", b"\\u0041", b"\xff", b"null", rng.randbytes(1)]
        )
        slow = decode_tolerant(bytes(payload))
        assert decode(bytes(payload)) == slow or skipped(slow), bytes(payload)


def skipped(reports: list[Report]) -> bool:
    return reports[0].flags == ("text_repaired",) or [r.reason for r in reports[0].refusals] == ["not_json"]


def objects(rng: random.Random) -> Iterator[dict[str, Any]]:
    """What codecs write, with values that are good, odd or missing, in any order."""
    pairs = [(f"line_{line}_{kind}_in", f"line_{line}_{kind}_out") for line in (1, 2) for kind in ("total", "period")]
    pairs += [("people_in", "people_out"), ("in", "out")]
    others = ["line_1_child_period_in", "line_1", "region_0", "region_1_count", "battery", "sn", "line_3_total_in"]
    good = [0, 3, 70_000, 2.0, "4", -1, 2**33, True, None, {"total_in": 4, "total_out": 5}, [1]]
    while True:
        keys = [key for pair in rng.sample(pairs, rng.randint(0, 3)) for key in pair] + rng.sample(others, rng.randint(0, 3))
        rng.shuffle(keys)
        yield {key: rng.choice(good[:2]) if rng.random() < 0.9 else rng.choice(good) for key in keys}


def test_lines_of_an_object_read_in_pairs_mean_the_same_as_key_by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    print(f"seed {SEED}")
    found = [(said, read_codec(said)) for said, _ in zip(objects(random.Random(SEED)), range(3_000), strict=False)]
    assert sum(bool(_codec._lines(shape_of(said).pairs, said)) for said, _ in found) > 300, "or nothing was compared"
    monkeypatch.setattr(_codec, "_lines", lambda pairs, message: None)
    for said, reports in found:
        assert reports == read_codec(said), said


def read_codec(message: dict[str, Any]) -> list[Report]:
    return _codec.read_object(Uplink("24e1", b"", 7), message, Budget())
