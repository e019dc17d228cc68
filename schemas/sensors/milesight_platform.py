"""Milesight Development Platform: a webhook's JSON around what a device reported.

`eventType` is DEVICE_DATA, `eventCreatedTime` epoch seconds **as text**; `data.deviceProfile` names the device by `devEUI` (for
LoRaWAN) or `sn`, `data.type` says what it is: PROPERTY and EVENT carry figures in `data.payload` (line crossings come as
EVENT), ONLINE, OFFLINE and SERVICE are notices. The keys within `payload` are not published; those of the vendor's codecs are
read.

Formats: Milesight Development Platform API reference, "Event: device data".
"""

from schemas.events import DeviceStatus, LineCount, Refusal, Report
from schemas.sensors._codec import names_quantities
from schemas.sensors._frame import Uplink
from schemas.sensors._frames import OLDEST_HISTORY
from schemas.sensors._json import Bad, Object, brief, fold, identity, integer, words
from schemas.sensors._sample import Sample
from schemas.sensors._times import LATEST
from schemas.sensors._uplink import says

DIALECT = "milesight_platform"
MODELS = ("Milesight Development Platform",)
ORDER = 5

_FIGURES = ("PROPERTY", "EVENT", "")


def accepts(message: Object) -> bool:
    return "eventtype" in message and "eventid" in message


def unwrap(message: Object) -> Uplink:
    """A codec's object and whose it is. Raises Bad: `gateway_notice`, `empty_report`, `no_frame`, `no_device`."""
    if message["eventtype"] != "DEVICE_DATA":
        raise Bad("gateway_notice", "eventType", brief(message["eventtype"]))
    data = fold(message.get("data"))
    profile = fold(data.get("deviceprofile"))
    device = identity(profile.get("deveui")) or identity(profile.get("sn"))
    if not device:
        raise Bad("no_device", "data.deviceProfile")
    kind = words(data.get("type")) or ""
    if kind.upper() not in _FIGURES:
        raise Bad("gateway_notice", "data.type", kind)
    payload = fold(data.get("payload"))
    if not payload:
        raise Bad("empty_report", "data.payload", "the message reports nothing")
    if not names_quantities(payload):
        raise Bad("no_known_section", "data.payload", ", ".join(sorted(key[:24] for key in payload)[:12]))
    text, time = _created(message.get("eventcreatedtime"))
    name = words(profile.get("name"))
    return Uplink(device, b"", None, time, text, name, says(name, profile.get("model")), payload)


def _created(value: object) -> tuple[str, int | None]:
    try:
        seconds = integer(value, "eventCreatedTime")
    except Bad:
        seconds = None
    return ("", None) if seconds is None or not OLDEST_HISTORY <= seconds <= LATEST else (str(value), seconds)


_HEAD = b"""{"eventID": "6167cb40", "eventCreatedTime": "1742872448", "eventVersion": "1.0", "eventType": "DEVICE_DATA",
"data": {"deviceProfile": {"deviceId": "1904", "sn": "6600B09409760000", "devEUI": "24E124785D0000BB", "name": "Door",
"model": "VS135"}, """

SAMPLES = [
    Sample(
        _HEAD + b'"type": "EVENT", "payload": {"line_1_period_in": 3, "line_1_period_out": 2, "battery": 90}}}',
        [
            Report(
                "24e124785d0000bb",
                "milesight_codec",
                "1742872448",
                1742872448,
                [LineCount(1, "window", None, None, 3, 2), DeviceStatus({"battery_pct": 90})],
                name="Door",
            )
        ],
        "a line's period",
    ),
    Sample(
        _HEAD + b'"type": "ONLINE", "payload": {}}}',
        [Report("24e124785d0000bb", DIALECT, "", None, [], [Refusal("gateway_notice", "data.type", "ONLINE")])],
        "a device is back",
    ),
    Sample(
        _HEAD + b'"type": "PROPERTY", "payload": {"hcho": 0.02}}}',
        [Report("24e124785d0000bb", DIALECT, "", None, [], [Refusal("no_known_section", "data.payload", "hcho")])],
        "an ambience sensor",
    ),
]
