"""ChirpStack 3 application server: the JSON envelope around a LoRaWAN uplink, over MQTT or HTTP.

`devEUI` names the sensor, in hexadecimal digits or (in one of its encodings) in base64; `data` is the frame in base64, `fCnt`
counts its uplinks. `objectJSON` is a codec's object as text, `object` the same in the older encoding: the bytes win. The time
is the first that a receiving gateway tells (`rxInfo[].time`).

Formats: docs.rs chirpstack_api (integration of version 3); ChirpStack 3 documentation, "Event types".
"""

from collections.abc import Iterator
from typing import Annotated

import msgspec
import orjson

from schemas.events import LineCount, Refusal, Report
from schemas.sensors import _times
from schemas.sensors._frame import Uplink
from schemas.sensors._json import COUNT_MOST, TEXT_MOST, Object, words
from schemas.sensors._sample import Sample
from schemas.sensors._uplink import (
    count_of,
    device_of_eui,
    frame_of,
    frame_or_object,
    known_eui,
    notice,
    receiver_times,
    says,
    time_of,
)

DIALECT = "chirpstack_v3"
MODELS = ("ChirpStack 3",)
ORDER = 1
"""Before UG65, whose keys it shares."""

PEEK = b'"objectJSON"'
SPELLINGS = ("devEUI", "data", "fCnt", "deviceName", "rxInfo", "objectJSON", "deviceProfileName")

_OBJECT_MOST = 16_384
_NOTICES = ("acknowledged", "error", "battery", "margin", "devaddr", "location")


def accepts(message: Object) -> bool:
    """`objectJSON` or `object`, `tags`, or a device in base64."""
    if "deveui" not in message or "deviceinfo" in message:
        return False
    eui = message["deveui"]
    return "objectjson" in message or "deviceprofilename" in message or (isinstance(eui, str) and eui.endswith("="))


def unwrap(message: Object) -> Uplink:
    """The frame and what the envelope says of it. Raises Bad: `gateway_notice`, `no_frame`, `bad_base64`, `no_device`."""
    data = message.get("data")
    if data is None and message.get("objectjson") is None:
        notice(message, _NOTICES)
    device = device_of_eui(message["deveui"], "devEUI")
    frame, decoded = frame_or_object(data, "data", _objects(message))
    text, time = time_of(receiver_times(message.get("rxinfo")))
    name = words(message.get("devicename"))
    about = says(name, message.get("deviceprofilename"))
    return Uplink(device, frame, count_of(message.get("fcnt")), time, text, name, about, decoded)


def _objects(message: Object) -> Iterator[object]:
    yield message.get("object")
    text = message.get("objectjson")
    if isinstance(text, str) and len(text) <= _OBJECT_MOST:
        try:
            yield orjson.loads(text)
        except orjson.JSONDecodeError:
            return


class _Receiver(msgspec.Struct, gc=False):
    time: str


class _Message(
    msgspec.Struct, gc=False, rename={"device": "devEUI", "count": "fCnt", "name": "deviceName", "receivers": "rxInfo"}
):
    device: str
    data: str
    count: int
    name: str
    receivers: Annotated[list[_Receiver], msgspec.Meta(min_length=1)]
    objectJSON: str
    deviceProfileName: str
    deviceInfo: msgspec.UnsetType | None = msgspec.UNSET


_read = msgspec.json.Decoder(_Message).decode


def unwrap_bytes(value: bytes) -> Uplink | None:
    """A complete uplink straight from its bytes; None leaves the message to `unwrap`."""
    try:
        message = _read(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    name, count, profile, text = message.name, message.count, message.deviceProfileName, message.receivers[0].time
    device, time = known_eui(message.device), _times.epoch(text)
    if device is None or time is None or message.deviceInfo is None or not 0 <= count <= COUNT_MOST:
        return None
    if not 0 < len(name) <= TEXT_MOST or not 0 < len(profile) <= TEXT_MOST:
        return None
    return Uplink(device, frame_of(message.data, "data"), count, time, text, name, f"{name} {profile}")


_TIME = 1740816902  # 2025-03-01 08:15:02 UTC

SAMPLES = [
    Sample(
        b"""{"applicationID": "1", "applicationName": "store", "deviceName": "Door", "deviceProfileName": "VS133",
"devEUI": "JOEkeF0AALs=", "rxInfo": [{"gatewayID": "JOEk//71QJI=", "time": "2025-03-01T08:15:02Z", "loRaSNR": 9.5}],
"fCnt": 7, "fPort": 85, "data": "BcwDAAIA", "objectJSON": "{\\"line_1_period_in\\":9,\\"line_1_period_out\\":9}"}""",
        [
            Report(
                "24e124785d0000bb",
                "lorawan_vs13x",
                "2025-03-01T08:15:02Z",
                _TIME,
                [LineCount(1, "window", None, None, 3, 2)],
                name="Door",
                frame="7:05cc03000200",
            )
        ],
        "device in base64; the bytes count, the codec's object does not",
    ),
    Sample(
        b"""{"deviceName": "Door", "devEUI": "24e124785d0000bb", "rxInfo": [{"time": "2025-03-01T08:15:02Z"}], "fPort": 85,
"objectJSON": "{\\"line_1_period_in\\":3,\\"line_1_period_out\\":2}"}""",
        [
            Report(
                "24e124785d0000bb",
                "milesight_codec",
                "2025-03-01T08:15:02Z",
                _TIME,
                [LineCount(1, "window", None, None, 3, 2)],
                name="Door",
            )
        ],
        "no bytes: the codec's object is read",
    ),
    Sample(
        b"""{"deviceName": "Door", "deviceProfileName": "VS133", "devEUI": "24e124785d0000bb", "battery": 100, "margin": 10}""",
        [Report("24e124785d0000bb", DIALECT, "", None, [], [Refusal("gateway_notice", "", "battery")])],
        "a notice of the network's state",
    ),
]
