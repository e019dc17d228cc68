"""UG65, UG67, UG56 and the building gateway: the JSON envelope around a LoRaWAN uplink, over MQTT or HTTP.

`devEUI` names the sensor, `data` is the frame in base64, `fCnt` counts its uplinks (from 0 again after each join), `time` is
when the gateway heard it (when it is missing, `gatewayTime` or `rxInfo[].time`). Decoded keys beside `data` or in an object
depend on the codec that somebody installed: the bytes win, and only without them the codec's object is read. The building
gateway sends `applicationID` as a number, adds `gatewaySN` and `gatewayTime`, leaves out what the user unticked, and sends
notices (online, offline, acknowledged, error) without `data`.

Formats: vendor's support article 73000600064 "payload codec on gateway"; building gateway application guide.
"""

from collections.abc import Iterator

import msgspec

from schemas.events import DeviceStatus, LineCount, Refusal, Report
from schemas.sensors import _times
from schemas.sensors._frame import Uplink
from schemas.sensors._json import COUNT_MOST, Object, words
from schemas.sensors._sample import Sample
from schemas.sensors._uplink import (
    count_of,
    device_of_eui,
    frame_of,
    frame_or_object,
    known_device,
    notice,
    receiver_times,
    says,
    time_of,
)

DIALECT = "ug65"
MODELS = ("UG65", "UG67", "UG56", "building IoT gateway")
ORDER = 2
"""Envelopes come first: a message with a devEUI is never a sensor's own JSON."""
PEEK = b'"devEUI"'
SPELLINGS = ("devEUI", "data", "fCnt", "time", "deviceName")
"""Where keys of several spellings stand in one message, these count."""

_NOTICES = ("status", "acknowledged", "error")
_OWN = {"applicationid", "applicationname", "deveui", "devicename", "fcnt", "fport", "rxinfo", "time", "txinfo", "metadata"}


def accepts(message: Object) -> bool:
    return "deveui" in message


def unwrap(message: Object) -> Uplink:
    """The frame and what the envelope says of it. Raises Bad: `gateway_notice`, `no_frame`, `bad_base64`, `no_device`."""
    data = message.get("data")
    if data is None:
        notice(message, _NOTICES)
    device = device_of_eui(message["deveui"], "devEUI")
    frame, decoded = frame_or_object(data, "data", _objects(message))
    text, time = time_of(_times_of(message))
    name = words(message.get("devicename"))
    return Uplink(device, frame, count_of(message.get("fcnt")), time, text, name, says(name), decoded)


def _objects(message: Object) -> Iterator[object]:
    """Where a codec's object may stand: at the top, or under a name of the user's."""
    yield {key: value for key, value in message.items() if key not in _OWN}
    yield from [value for key, value in message.items() if key not in _OWN and isinstance(value, dict)][:8]


def _times_of(message: Object) -> Iterator[object]:
    yield message.get("time")
    yield message.get("gatewaytime")
    yield from receiver_times(message.get("rxinfo"))


class _Message(msgspec.Struct, gc=False, rename={"device": "devEUI", "count": "fCnt", "name": "deviceName"}):
    device: str
    data: str
    time: str
    count: int
    name: str
    objectJSON: str | msgspec.UnsetType = msgspec.UNSET
    deviceProfileName: str | msgspec.UnsetType = msgspec.UNSET
    deviceInfo: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_OTHERS = (msgspec.UNSET, msgspec.UNSET, msgspec.UNSET)
"""What ChirpStack would say beside."""
_read = msgspec.json.Decoder(_Message).decode


def unwrap_bytes(value: bytes) -> Uplink | None:
    """A complete uplink straight from its bytes; None leaves the message to `unwrap`."""
    try:
        message = _read(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    device, name, count = known_device(message.device), message.name, message.count
    time = _times.epoch(message.time)
    if (message.objectJSON, message.deviceProfileName, message.deviceInfo) != _OTHERS:
        return None
    if device is None or time is None or not 0 <= count <= COUNT_MOST or not 0 < len(name) <= 128:
        return None
    return Uplink(device, frame_of(message.data, "data"), count, time, message.time, name, name)


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
