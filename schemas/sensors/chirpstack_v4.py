"""ChirpStack 4: the JSON envelope around a LoRaWAN uplink, over MQTT or HTTP.

`deviceInfo.devEui` names the sensor, `data` is the frame in base64, `fCnt` counts its uplinks, `time` is when a gateway heard
it. `object` is a codec's, with all numbers as floats: the bytes win. Joins, acknowledgements, status and log events have no
`data`.

Formats: docs.rs chirpstack_api, integration UplinkEvent; ChirpStack documentation, "Event types".
"""

import msgspec

from schemas.events import DeviceStatus, LineCount, Refusal, Report, ZoneCount
from schemas.sensors import _times
from schemas.sensors._frame import Uplink
from schemas.sensors._json import COUNT_MOST, Object, fold, words
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

DIALECT = "chirpstack_v4"
MODELS = ("ChirpStack 4",)
ORDER = 0
PEEK = b'"deviceInfo"'
SPELLINGS = ("deviceInfo", "data", "fCnt", "time")
_INFO_SPELLINGS = ("devEui", "deviceName", "deviceProfileName")

_NOTICES = ("acknowledged", "margin", "batterylevel", "level", "code", "location", "queueitemid", "devaddr")


def accepts(message: Object) -> bool:
    return isinstance(message.get("deviceinfo"), dict)


def unwrap(message: Object) -> Uplink:
    """The frame and what the envelope says of it. Raises Bad: `gateway_notice`, `no_frame`, `bad_base64`, `no_device`."""
    info = fold(message["deviceinfo"], _INFO_SPELLINGS)
    data = message.get("data")
    if data is None and message.get("object") is None:
        notice(message, _NOTICES)
    device = device_of_eui(info.get("deveui"), "deviceInfo.devEui")
    frame, decoded = frame_or_object(data, "data", [message.get("object")])
    text, time = time_of([message.get("time"), *receiver_times(message.get("rxinfo"), "gwtime")])
    name = words(info.get("devicename"))
    about = says(name, info.get("deviceprofilename"))
    return Uplink(device, frame, count_of(message.get("fcnt")), time, text, name, about, decoded)


class _Info(msgspec.Struct, gc=False, rename={"device": "devEui", "name": "deviceName", "profile": "deviceProfileName"}):
    device: str
    name: str
    profile: str


class _Message(msgspec.Struct, gc=False, rename={"info": "deviceInfo", "count": "fCnt"}):
    info: _Info
    data: str
    time: str
    count: int


_read = msgspec.json.Decoder(_Message).decode


def unwrap_bytes(value: bytes) -> Uplink | None:
    """A complete uplink straight from its bytes; None leaves the message to `unwrap`."""
    try:
        message = _read(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    info, count = message.info, message.count
    device, name, time = known_device(info.device), info.name, _times.epoch(message.time)
    if (
        device is None
        or time is None
        or not 0 <= count <= COUNT_MOST
        or not 0 < len(name) <= 128
        or not 0 < len(info.profile) <= 128
    ):
        return None
    return Uplink(device, frame_of(message.data, "data"), count, time, message.time, name, f"{name} {info.profile}")


_TIME = 1740816902  # 2025-03-01 08:15:02 UTC

SAMPLES = [
    Sample(
        b"""{"deduplicationId": "3ac7e3c4", "time": "2025-03-01T08:15:02.318+00:00", "deviceInfo": {"deviceName": "Door",
"deviceProfileName": "vs350", "devEui": "24e124785d0000bb", "tags": {}}, "fCnt": 12, "fPort": 85, "confirmed": false,
"data": "BcwDAAIA", "object": {"period_in": 9.0, "period_out": 9.0}, "rxInfo": [{"rssi": -71}]}""",
        [
            Report(
                "24e124785d0000bb",
                "lorawan_vs35x",
                "2025-03-01T08:15:02.318+00:00",
                _TIME,
                [LineCount(1, "window", None, None, 3, 2)],
                name="Door",
                frame="12:05cc03000200",
            )
        ],
        "a period that several models could have sent: the profile names one",
    ),
    Sample(
        b"""{"time": "2025-03-01T08:15:02Z", "deviceInfo": {"deviceName": "Desk", "devEui": "24e124785d0000bc"}, "fPort": 85,
"object": {"battery": 90.0, "occupancy": "occupied"}}""",
        [
            Report(
                "24e124785d0000bc",
                "milesight_codec",
                "2025-03-01T08:15:02Z",
                _TIME,
                [ZoneCount(0, "window", None, None, None, occupied=True), DeviceStatus({"battery_pct": 90.0})],
                name="Desk",
            )
        ],
        "no bytes: the codec's object is read",
    ),
    Sample(
        b"""{"time": "2025-03-01T08:15:02Z", "deviceInfo": {"deviceName": "Door", "devEui": "24e124785d0000bb"}, "margin": 9,
"externalPowerSource": false, "batteryLevel": 80.0}""",
        [Report("24e124785d0000bb", DIALECT, "", None, [], [Refusal("gateway_notice", "", "margin")])],
        "a status event of the network",
    ),
]
