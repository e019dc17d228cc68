"""No byte of an image gets past `strip`, wherever it stands; nothing else is touched."""

import base64
import json
import random
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.images import LARGEST, RUN, strip

SEED = 20260302
REPORT = {
    "event": "Region People Counting",
    "device_info": {"device_sn": "6384E16179950009", "device_mac": "24:E1:24:FA:0C:6C", "note": 'quote " and \\ slash / é'},
    "line_periodic_data": [{"line": 1, "line_uuid": "bd1e6ce2-e113-4ce4-a9b6-0633f7083cac", "in": 3, "out": 1}],
    "time_info": {"time": "2024-05-30T20:12:20+08:00"},
}
Place = Callable[[random.Random, bytes], tuple[bytes, str]]


def _jpeg(rnd: random.Random, least: int, most: int) -> bytes:
    return b"\xff\xd8\xff\xe0\x00\x10JFIF" + rnd.randbytes(rnd.randint(least, most)) + b"\xff\xd9"


def _with(value: object, key: str) -> bytes:
    return json.dumps({"device_info": REPORT["device_info"], key: value, "time_info": REPORT["time_info"]}).encode()


def _lines(text: str, width: int = 76) -> list[str]:
    return [text[i : i + width] for i in range(0, len(text), width)]


def _b64(image: bytes) -> str:
    return base64.b64encode(image).decode()


KEYS = ("snapshot", "Snapshot", "image", "imageData", "picture", "img", "photo", "device_image", "IMG_BASE64", "snap_shot_jpg")
PLACES: dict[str, Place] = {
    "known key, small": lambda r, i: (_with(_b64(i[:400]), r.choice(KEYS)), _b64(i[:400])),
    "known key": lambda r, i: (_with(_b64(i), r.choice(KEYS)), _b64(i)),
    "unknown key": lambda r, i: (_with(_b64(i), "extra"), _b64(i)),
    "data URI": lambda r, i: (_with("data:image/jpeg;base64," + _b64(i), "extra"), _b64(i)),
    "small data URI": lambda r, i: (_with("data:image/png;base64," + _b64(i[:300]), "extra"), _b64(i[:300])),
    "escaped slashes": lambda r, i: (_with(_b64(i), "extra").replace(b"/", b"\\/"), _b64(i).replace("/", "\\/")),
    "escaped to the last": lambda r, i: (_with(_b64(i), "x").replace(b"+", b"\\u002b"), _b64(i).replace("+", "\\u002b")),
    "url-safe": lambda r, i: (_with(base64.urlsafe_b64encode(i).decode(), "extra"), base64.urlsafe_b64encode(i).decode()),
    "escaped line ends": lambda r, i: (_with("\r\n".join(_lines(_b64(i))), "extra"), "\\r\\n".join(_lines(_b64(i)))),
    "array of lines": lambda r, i: (_with(_lines(_b64(i), r.choice((60, 64, 76))), "extra"), _b64(i)),
    "array under a known key": lambda r, i: (_with([_b64(i[:500]), _b64(i[500:900])], "images"), _b64(i[:900])),
    "object under a known key": lambda r, i: (_with({"type": "jpg", "data": _b64(i[:600])}, "photo"), _b64(i[:600])),
    "hex": lambda r, i: (_with(i.hex(), "extra"), i.hex()),
    "spaced hex": lambda r, i: (_with(i.hex(" ").upper(), "extra"), i.hex(" ").upper()),
    "byte values": lambda r, i: (_with(list(i), "extra"), ", ".join(map(str, i))),
    "byte values under a known key": lambda r, i: (_with(list(i[4:300]), "image"), ", ".join(map(str, i[4:300]))),
    "signed byte values": lambda r, i: (_with([b - 256 * (b > 127) for b in i], "x"), ", ".join(map(str, i[200:]))),
    "JSON in JSON": lambda r, i: (_with(_with(_b64(i[:700]), "snapshot").decode(), "data"), _b64(i[:700])),
    "characters": lambda r, i: (_with(i.decode("latin-1"), "extra"), json.dumps(i.decode("latin-1"))[1:-1]),
}
BROKEN: dict[str, Place] = {
    "real line ends": lambda r, i: (_with("L", "x").replace(b"L", base64.encodebytes(i)), base64.encodebytes(i).decode()),
    "a bare text": lambda r, i: (base64.b64encode(i), _b64(i)),
    "percent": lambda r, i: (b"device=1&x=" + quote(_b64(i)).encode(), quote(_b64(i))),
    "spaces for plus": lambda r, i: (b"a=" + _b64(i).replace("+", " ").encode(), _b64(i).replace("+", " ")),
    "UTF-16": lambda r, i: (_with(_b64(i), "extra").decode().encode("utf-16"), _b64(i)),
    "the front is missing": lambda r, i: (_with(_b64(i), "zz")[r.randint(180, 300) :], _b64(i)),
    "the end is missing": lambda r, i: (_with(_b64(i), "snapshot")[: -r.randint(100, 2000)], _b64(i)),
    "short tail is left": lambda r, i: (_with(_b64(i), "snapshot")[: r.randint(260, 700)], _b64(i)),
    "multipart": lambda r, i: (b"--b\r\nContent-Type: image/jpeg\r\n\r\n" + i + b"\r\n--b--\r\n", i.decode("latin-1")),
    "a bare picture": lambda r, i: (i, i.decode("latin-1")),
}


def _traces(out: bytes, secret: str) -> list[str]:
    """Windows of 12 characters of the image that can still be found."""
    text = out.decode("latin-1") if not out.startswith((b"\xff\xfe", b"\xfe\xff")) else out.decode("utf-16", "replace")
    text = text.replace(", ", ",")
    secret = secret.replace(", ", ",")
    return [secret[i : i + 12] for i in range(24, len(secret) - 12) if secret[i : i + 12] in text]


@pytest.mark.parametrize("place", [*PLACES, *BROKEN])
def test_nothing_is_found_of_images_in_any_place(place: str) -> None:
    rnd = random.Random(SEED)
    for number in range(10):
        image = _jpeg(rnd, 2000, 9000)
        payload, secret = (PLACES | BROKEN)[place](rnd, image)
        out, images = strip(payload)
        assert images >= 1, f"seed {SEED}, image {number}: not seen"
        assert _traces(out, secret) == [], f"seed {SEED}, image {number}"
        assert b"[image removed: " in out
        assert strip(out) == (out, 0)
        if place in PLACES:
            said = json.loads(out)
            assert said["device_info"] == REPORT["device_info"] and said["time_info"] == REPORT["time_info"]


def test_a_hundred_images_in_one_payload_leave_nothing() -> None:
    rnd = random.Random(SEED)
    images = [_jpeg(rnd, 100, 1700) for _ in range(100)]
    payload = json.dumps([{KEYS[n % len(KEYS)]: _b64(image), "line": n} for n, image in enumerate(images)]).encode()
    assert len(payload) < LARGEST
    out, removed = strip(payload)
    assert removed == 100 and [part["line"] for part in json.loads(out)] == list(range(100))
    assert all(_traces(out, _b64(image)) == [] for image in images)


@pytest.mark.parametrize("size", [LARGEST + 1, 1 << 20])
def test_an_oversize_payload_keeps_its_head_without_images_and_its_hash(size: int) -> None:
    rnd = random.Random(size)
    image, other = _b64(rnd.randbytes(150_000)), _b64(rnd.randbytes(900_000))
    start = json.dumps({"device": "d1", "snapshot": image, "more": [1, 2, 3]})[:-1]
    payload = f'{start}, "x": "{other}"}}'.encode()[: size - 1] + b"}"
    out, images = strip(payload)
    said = json.loads(out)
    assert said["oversize"]["size"] == len(payload) and len(said["oversize"]["blake2b"]) == 32
    assert said["head"].startswith('{"device": "d1", "snapshot": "[image removed: 200000 bytes]", "more": [1, 2, 3]')
    assert images == 2 and _traces(out, image[:3000]) == [] and _traces(out, other[:3000]) == []
    assert len(out) < 8192


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=12), inner, max_size=12),
    max_leaves=200,
)


@given(json_values, st.booleans(), st.booleans())
def test_ordinary_json_is_never_touched(value: object, pretty: bool, ascii_only: bool) -> None:
    payload = json.dumps(value, indent=4 if pretty else None, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert strip(payload) == (payload, 0)


@given(st.binary(max_size=242), st.integers(0, 30))
def test_lorawan_frames_are_never_touched(frame: bytes, devices: int) -> None:
    envelope = {"devEUI": "24e124707c481000", "applicationID": 1, "fPort": 85, "data": base64.b64encode(frame).decode()}
    for payload in (frame, json.dumps(envelope).encode(), json.dumps([envelope] * devices).encode(), frame.hex().encode()):
        assert strip(payload) == (payload, 0)


@given(st.binary(max_size=5000) | st.text(max_size=3000).map(lambda t: t.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_stripped_once_and_for_all(payload: bytes) -> None:
    out, _ = strip(payload)
    assert strip(out) == (out, 0)


def test_long_rows_of_counts_names_and_numbers_stay() -> None:
    for value in (
        [n % 7 for n in range(9000)],  # a heat map
        [f"{n:08d}-0000-4000-8000-000000000000" for n in range(500)],  # line uuids
        {"a": 10**4000},
        "a shop window with many words and not one stop " * 100,
        [[0.125, -1, 1e9]] * 3000,
        {"snapshot_enable": "true", "image_quality": "high", "topic": "milesight/berlin/door-1/" + "x" * 60, "pad": "y" * 1900},
    ):
        payload = json.dumps({"value": value}).encode() if value != {"a": 10**4000} else b'{"a":' + b"7" * 4000 + b"}"
        assert strip(payload) == (payload, 0)


def _fill(unit: bytes) -> bytes:
    return (unit * (LARGEST // len(unit) + 1))[:LARGEST]


HOSTILE = [
    b'"', b"[", b"img", b'img"', b'"img":', b'"img":"', b'"img":[', b'"img":["a",', b'\\"img\\":\\"a\\",', b"a" * 47 + b".",
    b'"' + b"a" * 48 + b'",', b"a" * (RUN - 1) + b'"', b"255,216,", b"255" + b" " * 39, b"data:", b"data:image/" + b"a" * 119,
    b"data:image/png," + b"a" * 40 + b" ", b" ", b'img"' + b" " * 60, b"a\n", b'"img":[1,1', b'"topic":"a",', b"\\", b"7",
    b'{"line":1,"line_name":"Line1","in":3,"out":4},', b"\xff\xd8\xff", b"abc+/def",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE, ids=repr)
def test_the_largest_payload_costs_milliseconds_however_it_is_made(unit: bytes) -> None:
    """Measured 3 to 10 ms on two slow cores; a search that goes back over the same bytes would take seconds."""
    payload = _fill(unit)
    best = 1.0
    for _ in range(5):
        began = time.process_time()
        strip(payload)
        best = min(best, time.process_time() - began)
    assert best < 0.030
