"""Names for what is not decoded: other products, other envelopes, position reports, texts. A named reason is counted."""

from schemas.events import Report
from schemas.sensors._json import Bad, Object, brief, fold, identity, refused

_DEVICES = (("device_info", "device_sn"), ("deviceinfo", "deveui"), ("end_device_ids", "dev_eui"))


def text_reason(value: bytes) -> tuple[str, str] | None:
    """Why bytes that begin like this are no JSON of ours: reason and detail; None when they might be."""
    head = value[:256].lstrip()
    if not head:
        return "empty", ""
    if head[:2] in (b"$G", b"!A"):
        return "nmea", "position of a router"
    return None


def unknown_object(message: Object) -> Report:
    """A refusal that says what the message is, as far as its keys tell."""
    if message.keys() == {"oversize", "head"}:  # what the bridge leaves of a message that is too large
        return refused(
            "oversize", "", f"{brief(fold(message['oversize']).get('size', '?'))} bytes, the bridge kept the first 4 kB"
        )
    if _position(message) or _position(fold(message.get("data"))) or _position(fold(message.get("gps"))):
        return refused("router_position")
    return refused("unknown_message", "", ", ".join(sorted(key[:24] for key in message)[:12]))


def _position(block: Object) -> bool:
    return "latitude" in block and ("longitude" in block or "longtitude" in block)


def device_of(message: Object) -> str:
    """The device that a refused message names; empty when it names none."""
    found = _device(message.get("deveui"))
    for block, key in _DEVICES:
        found = found or _device(_within(message, block).get(key))
    return found or _device(_within(_within(message, "data"), "deviceprofile").get("deveui"))


def _within(message: Object, block: str) -> Object:
    try:
        return fold(message.get(block))
    except Bad:
        return {}


def _device(value: object) -> str:
    try:
        return identity(value)
    except Bad:
        return ""
