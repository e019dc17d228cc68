"""The Things Stack 3 (The Things Network): the JSON envelope around a LoRaWAN uplink, over MQTT or as a webhook.

`end_device_ids.dev_eui` names the sensor, `uplink_message.frm_payload` is the frame in base64, `f_cnt` counts its uplinks and
is **left out when it is 0**, as all empty fields are. `received_at` is when the network heard it. `decoded_payload` is a
codec's object: the bytes win. Joins and downlink events have no `uplink_message`.

Formats: thethingsindustries.com documentation, "Data formats".
"""

import msgspec

from schemas.events import LineCount, Refusal, Report
from schemas.sensors import _times
from schemas.sensors._frame import Uplink
from schemas.sensors._json import COUNT_MOST, Bad, Object, fold, words
from schemas.sensors._sample import Sample
from schemas.sensors._uplink import (
    count_of,
    device_of_eui,
    frame_of,
    frame_or_object,
    known_device,
    receiver_times,
    says,
    time_of,
)

DIALECT = "tts_v3"
MODELS = ("The Things Stack 3",)
ORDER = 4
PEEK = b'"uplink_message"'
SPELLINGS = ("end_device_ids", "uplink_message")
_IDS_SPELLINGS = ("device_id", "dev_eui")


def accepts(message: Object) -> bool:
    return "end_device_ids" in message or "uplink_message" in message


def unwrap(message: Object) -> Uplink:
    """The frame and what the envelope says of it. Raises Bad: `gateway_notice`, `no_frame`, `bad_base64`, `no_device`."""
    ids, uplink = fold(message.get("end_device_ids"), _IDS_SPELLINGS), fold(message.get("uplink_message"))
    if not uplink:
        raise Bad("gateway_notice", "", next((key[:40] for key in message if key.startswith(("join", "down"))), "no uplink"))
    device = device_of_eui(ids.get("dev_eui"), "end_device_ids.dev_eui")
    frame, decoded = frame_or_object(uplink.get("frm_payload"), "frm_payload", [uplink.get("decoded_payload")])
    receivers = receiver_times(uplink.get("rx_metadata"))
    text, time = time_of([uplink.get("received_at"), message.get("received_at"), *receivers])
    name = words(ids.get("device_id"))
    model = fold(uplink.get("version_ids")).get("model_id")
    return Uplink(device, frame, count_of(uplink.get("f_cnt", 0)), time, text, name, says(name, model), decoded)


class _Ids(msgspec.Struct, gc=False, rename={"device": "dev_eui", "name": "device_id"}):
    device: str
    name: str


class _Version(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    model_id: str
    brand_id: str = ""
    hardware_version: str = ""
    firmware_version: str = ""
    band_id: str = ""


_NOTHING = msgspec.Raw(b"")


class _Inner(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """All fields are named: one that is missing here means 0, and must not only be spelled otherwise."""

    frm_payload: str
    received_at: str
    f_cnt: int = 0
    version_ids: _Version | None = None
    session_key_id: msgspec.Raw = _NOTHING
    f_port: msgspec.Raw = _NOTHING
    decoded_payload: msgspec.Raw = _NOTHING
    decoded_payload_warnings: msgspec.Raw = _NOTHING
    normalized_payload: msgspec.Raw = _NOTHING
    normalized_payload_warnings: msgspec.Raw = _NOTHING
    rx_metadata: msgspec.Raw = _NOTHING
    settings: msgspec.Raw = _NOTHING
    confirmed: msgspec.Raw = _NOTHING
    consumed_airtime: msgspec.Raw = _NOTHING
    locations: msgspec.Raw = _NOTHING
    network_ids: msgspec.Raw = _NOTHING
    packet_error_rate: msgspec.Raw = _NOTHING
    last_battery_percentage: msgspec.Raw = _NOTHING


class _Message(msgspec.Struct, gc=False, rename={"ids": "end_device_ids", "uplink": "uplink_message"}):
    ids: _Ids
    uplink: _Inner


_read = msgspec.json.Decoder(_Message).decode


def unwrap_bytes(value: bytes) -> Uplink | None:
    """A complete uplink straight from its bytes; None leaves the message to `unwrap`."""
    try:
        message = _read(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    uplink, name = message.uplink, message.ids.name
    text, count = uplink.received_at, uplink.f_cnt
    device, time = known_device(message.ids.device), _times.epoch(text)
    if device is None or time is None or not 0 <= count <= COUNT_MOST or not 0 < len(name) <= 128:
        return None
    model = uplink.version_ids.model_id[:128] if uplink.version_ids is not None else ""
    about = f"{name} {model}" if model else name
    return Uplink(device, frame_of(uplink.frm_payload, "frm_payload"), count, time, text, name, about)


_TIME = 1740816902  # 2025-03-01 08:15:02 UTC

SAMPLES = [
    Sample(
        b"""{"end_device_ids": {"device_id": "door", "application_ids": {"application_id": "store"},
"dev_eui": "24E124785D0000BB"}, "received_at": "2025-03-01T08:15:02.512Z", "uplink_message": {"f_port": 85,
"frm_payload": "BcwDAAIA", "decoded_payload": {"line_1_period_in": 9, "line_1_period_out": 9},
"rx_metadata": [{"time": "2025-03-01T08:15:01Z"}], "received_at": "2025-03-01T08:15:02.330Z"}}""",
        [
            Report(
                "24e124785d0000bb",
                "lorawan_vs13x",
                "2025-03-01T08:15:02.330Z",
                _TIME,
                [LineCount(1, "window", None, None, 3, 2)],
                name="door",
                frame="0:05cc03000200",
            )
        ],
        "the first frame: its count is 0 and therefore missing; the bytes count, the codec's object does not",
    ),
    Sample(
        b"""{"end_device_ids": {"device_id": "door", "dev_eui": "24E124785D0000BB"}, "received_at": "2025-03-01T08:15:02Z",
"join_accept": {"session_key_id": "AXBSH1Pk"}}""",
        [Report("24e124785d0000bb", DIALECT, "", None, [], [Refusal("gateway_notice", "", "join_accept")])],
        "a join is no measurement",
    ),
]
