"""Names for what is not decoded: other products, other envelopes, position reports, texts. A named reason is counted."""

from schemas.events import Report
from schemas.sensors._json import Bad, Object, brief, fold, identity, refused

_CODEC_KEYS = ("line_1", "people_count_all", "people_counter_all", "region_1", "region_0", "total_counter_in", "history")


def text_reason(value: bytes) -> tuple[str, str] | None:
    """Why bytes that begin like this are no JSON of ours: reason and detail; None when they might be."""
    head = value[:256].lstrip()
    if not head:
        return "empty", ""
    if head[:2] in (b"$G", b"!A"):
        return "nmea", "position of a router"
    if head[:9].lower() == b"starttime":
        return "camera_csv", "counts of a network camera"
    return None


def unknown_object(message: Object) -> Report:
    """A refusal that says what the message is, as far as its keys tell."""
    device = fold(message.get("device_info"))
    if "trigger_data" in message or "device_model" in device or "trigger_data" in device:
        return refused(
            "not_a_people_counter",
            "device_info",
            brief(device.get("device_model", "")),
            device=_device(device.get("device_sn")),
        )
    if message.keys() == {"oversize", "head"}:  # what the bridge leaves of a message that is too large
        return refused(
            "oversize", "", f"{brief(fold(message['oversize']).get('size', '?'))} bytes, the bridge kept the first 4 kB"
        )
    if _position(message) or _position(fold(message.get("data"))) or _position(fold(message.get("gps"))):
        return refused("router_position")
    if "deviceinfo" in message:
        return refused(
            "unsupported_envelope", "deviceInfo", "ChirpStack", device=_device(fold(message["deviceinfo"]).get("deveui"))
        )
    if "uplink_message" in message or "end_device_ids" in message:
        ids = fold(message.get("end_device_ids"))
        return refused("unsupported_envelope", "uplink_message", "The Things Stack", device=_device(ids.get("dev_eui")))
    if "eventtype" in message and "eventid" in message:
        return refused("unsupported_envelope", "eventType", "Milesight Development Platform")
    if {"query", "body"} <= message.keys() or {"query", "body_json"} <= message.keys():
        return refused("camera_answer", "query", "answer of a network camera")
    if any(key.startswith(_CODEC_KEYS) for key in message):
        return refused("decoded_object", "", "a codec's output: send the frame's bytes")
    if "event" in message and isinstance(message["event"], list):
        return refused("decoded_object", "event", "a codec's output: send the frame's bytes")
    return refused("unknown_message", "", ", ".join(sorted(key[:24] for key in message)[:12]))


def _position(block: Object) -> bool:
    return "latitude" in block and ("longitude" in block or "longtitude" in block)


def device_of(message: Object) -> str:
    """The device that a refused message names; empty when it names none."""
    try:
        info = fold(message.get("device_info"))
    except Bad:
        info = {}
    return _device(message.get("deveui")) or _device(info.get("device_sn"))


def _device(value: object) -> str:
    try:
        return identity(value)
    except Bad:
        return ""
