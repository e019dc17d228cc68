"""Milesight Development Platform: a webhook's JSON around what a device reported.

`eventType` is DEVICE_DATA, `eventCreatedTime` epoch seconds **as text**; `data.deviceProfile` names the device by `devEUI` (for
LoRaWAN) or `sn`, `data.type` says what it is: PROPERTY and EVENT carry figures in `data.payload` (line crossings come as
EVENT), ONLINE, OFFLINE and SERVICE are notices. The keys within `payload` are not published; those of the vendor's codecs are
read.

Formats: Milesight Development Platform API reference, "Event: device data".
"""

from typing import Annotated, Literal

import msgspec

from schemas.events import DeviceStatus, LineCount, Refusal, Report
from schemas.sensors._codec_keys import names_by_key, names_quantities
from schemas.sensors._frame import Uplink
from schemas.sensors._frames import OLDEST_HISTORY
from schemas.sensors._json import KEYS_MOST, TEXT_MOST, Bad, Object, brief, fold, identity, integer, words
from schemas.sensors._sample import Sample
from schemas.sensors._times import LATEST
from schemas.sensors._uplink import known_device, says

DIALECT = "milesight_platform"
MODELS = ("Milesight Development Platform",)
ORDER = 5

PEEK = b'"DEVICE_DATA"'
SPELLINGS = ("eventID", "eventType", "eventCreatedTime", "data")
"""Where keys of several spellings stand in one message, these count."""
_DATA_SPELLINGS, _PROFILE_SPELLINGS = ("deviceProfile", "type", "payload"), ("devEUI", "name", "model")

_FIGURES = ("PROPERTY", "EVENT", "")
_WHOLE_MOST = 2**53


def accepts(message: Object) -> bool:
    return "eventtype" in message and "eventid" in message


def unwrap(message: Object) -> Uplink:
    """A codec's object and whose it is. Raises Bad: `gateway_notice`, `empty_report`, `no_frame`, `no_device`."""
    if message["eventtype"] != "DEVICE_DATA":
        raise Bad("gateway_notice", "eventType", brief(message["eventtype"]))
    data = fold(message.get("data"), _DATA_SPELLINGS)
    profile = fold(data.get("deviceprofile"), _PROFILE_SPELLINGS)
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


class _Profile(msgspec.Struct, gc=False, rename={"device": "devEUI"}):
    device: str
    name: str
    model: str


_Whole = Annotated[int, msgspec.Meta(ge=-_WHOLE_MOST, le=_WHOLE_MOST)]


class _Data(msgspec.Struct, gc=False, rename={"profile": "deviceProfile", "kind": "type"}):
    profile: _Profile
    kind: Literal["PROPERTY", "EVENT"]
    payload: dict[str, _Whole | float | str | bool | None]


class _Message(msgspec.Struct, gc=False, rename={"number": "eventID", "kind": "eventType", "created": "eventCreatedTime"}):
    number: str
    kind: Literal["DEVICE_DATA"]
    created: str
    data: _Data


_read = msgspec.json.Decoder(_Message).decode


def unwrap_bytes(value: bytes) -> Uplink | None:
    """A complete message with figures straight from its bytes; None leaves it to `unwrap`."""
    try:
        message = _read(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    profile, created = message.data.profile, message.created
    device, name, model = known_device(profile.device), profile.name, profile.model
    if not device or not 0 < len(name) <= TEXT_MOST or not 0 < len(model) <= TEXT_MOST:
        return None
    if not (created.isascii() and created.isdigit() and len(created) <= 10 and OLDEST_HISTORY <= int(created) <= LATEST):
        return None
    if len(message.data.payload) > KEYS_MOST or not names_by_key(message.data.payload):
        return None
    return Uplink(device, b"", None, int(created), created, name, f"{name} {model}", message.data.payload)


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
