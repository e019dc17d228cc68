"""UG65, UG67 and UG56 gateways: the JSON envelope around a LoRaWAN uplink, over MQTT or HTTP.

`devEUI` names the sensor, `data` is the frame in base64, `fCnt` counts its uplinks (from 0 again after each join), `time` is
when the gateway heard it (`rxInfo[].time` when it is missing). Decoded keys beside `data` depend on the codec that somebody
installed: only the bytes are read. The newer building gateway sends the same keys (`applicationID` as a number) and notices
without `data`.

Formats: vendor's support article 73000600064 "payload codec on gateway"; building gateway application guide, "Notification".
"""

import base64
import binascii
from collections.abc import Iterator

from schemas.events import DeviceStatus, LineCount, Refusal, Report
from schemas.sensors import _times
from schemas.sensors._frame import Uplink
from schemas.sensors._json import COUNT_MOST, Bad, Object, fold, identity, integer, words
from schemas.sensors._sample import Sample

DIALECT = "ug65"
MODELS = ("UG65", "UG67", "UG56")
ORDER = 0
"""Envelopes come first: a message with a devEUI is never a sensor's own JSON."""

_NOTICES = ("status", "acknowledged", "error")


def accepts(message: Object) -> bool:
    return "deveui" in message


def unwrap(message: Object) -> Uplink:
    """The frame and what the envelope says of it. Raises Bad: `gateway_notice`, `no_frame`, `bad_base64`, `no_device`."""
    data = message.get("data")
    if data is None:
        if not all(message.get(name) is None for name in _NOTICES):
            raise Bad("gateway_notice", "", next(name for name in _NOTICES if message.get(name) is not None))
        raise Bad("no_frame", "data", "decoded objects are not read: switch the raw bytes on")
    device = identity(message["deveui"]).replace("-", "")
    if not device:
        raise Bad("no_device", "devEUI")
    text, time = _time(message)
    return Uplink(device, _frame(data), _count(message.get("fcnt")), time, text, words(message.get("devicename")))


def _frame(data: object) -> bytes:
    if not isinstance(data, str) or len(data) > 4096:
        raise Bad(
            "bad_base64", "data", f"{type(data).__name__} of {len(str(data))}" if isinstance(data, str) else type(data).__name__
        )
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Bad("bad_base64", "data", str(error)) from None


def _count(value: object) -> int | None:
    try:
        number = integer(value, "fCnt")
    except Bad:
        return None
    return number if number is not None and 0 <= number <= COUNT_MOST else None


def _time(message: Object) -> tuple[str, int | None]:
    """Time as sent and in epoch seconds: the envelope's, else the first that a receiving gateway tells."""
    for text in _time_texts(message):
        if isinstance(text, str):
            seconds = _times.epoch(text)
            if seconds is not None:
                return text, seconds
    return "", None


def _time_texts(message: Object) -> Iterator[object]:
    yield message.get("time")
    receivers = message.get("rxinfo")
    if isinstance(receivers, list):
        for receiver in receivers[:16]:
            yield fold(receiver).get("time")


_TIME = 1740816902  # 2025-03-01 08:15:02 UTC

SAMPLES = [
    Sample(
        b"""{"applicationID": "1", "data": "A9J9AAAABNJ8AAAABcwDAAIA", "devEUI": "24E124785D0000BB", "deviceName": "Door",
"fCnt": 1207, "fPort": 85,
"rxInfo": [{"mac": "24e124fffef54092", "time": "2025-03-01T08:15:01Z"}], "time": "2025-03-01T08:15:02.318Z",
"line_1_total_in": 999}""",
        [
            Report(
                "24e124785d0000bb",
                "lorawan_vs13x",
                "2025-03-01T08:15:02.318Z",
                _TIME,
                [LineCount(1, "total", None, None, 125, 124), LineCount(1, "window", None, None, 3, 2)],
                name="Door",
                frame="1207:03d27d00000004d27c00000005cc03000200",
            )
        ],
        "the frame's bytes count, the decoded keys beside them do not",
    ),
    Sample(
        b"""{"applicationID": 1, "data": "/wgSNFZ4kBI=", "devEUI": "24e124785d0000bb", "fPort": 85,
"rxInfo": [{}, {"time": "2025-03-01T09:15:02+01:00"}]}""",
        [
            Report(
                "24e124785d0000bb",
                "lorawan_vs121",
                "2025-03-01T09:15:02+01:00",
                _TIME,
                [DeviceStatus({"serial": "123456789012"})],
            )
        ],
        "no time of its own and no count: the time of a receiving gateway, no frame identity",
    ),
    Sample(
        b"""{"applicationID": "1", "data": "A2fqAARoTwUAAA==", "devEUI": "24e124136b500001", "deviceName": "EM300-TH",
"fCnt": 128, "time": "2025-03-01T08:15:02Z"}""",
        [
            Report(
                "24e124136b500001",
                "",
                "2025-03-01T08:15:02Z",
                _TIME,
                [],
                [Refusal("unsupported_model", "byte 7", "channel 05 00 belongs to another product")],
                name="EM300-TH",
                frame="128:0367ea0004684f050000",
            )
        ],
        "an ambience sensor: temperature and humidity as a VS321 sends them, then what no counter has",
    ),
    Sample(
        b"""{"acknowledged": true, "devEUI": "24e124527f418093", "fcnt": 4996, "time": "2026-03-12T06:10:30Z"}""",
        [Report("24e124527f418093", DIALECT, "", None, [], [Refusal("gateway_notice", "", "acknowledged")])],
        "a notice of the gateway",
    ),
]
