"""What the envelopes of LoRaWAN frames share."""

import binascii
from collections.abc import Iterable
from functools import lru_cache

from schemas.sensors import _times
from schemas.sensors._codec_keys import names_quantities
from schemas.sensors._json import COUNT_MOST, Bad, Object, fold, identity, integer, words

DATA_MOST = 4096
"""Longest text of a frame that is looked at; LoRaWAN ends at 324 characters."""
_EUI_BASE64 = 12


def device_of_eui(value: object, where: str) -> str:
    """A devEUI in hexadecimal, lower case; also from base64, as some encodings of ChirpStack send it. Raises `no_device`."""
    if isinstance(value, str) and len(value) == _EUI_BASE64 and value.endswith("="):
        return frame_of(value, where).hex()
    device = identity(value).replace("-", "")
    if not device:
        raise Bad("no_device", where)
    return device


def frame_of(value: object, where: str) -> bytes:
    """The bytes of a text in base64. Raises Bad `bad_base64`."""
    if not isinstance(value, str):
        raise Bad("bad_base64", where, type(value).__name__)
    if len(value) > DATA_MOST:
        raise Bad("bad_base64", where, f"str of {len(value)}")
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise Bad("bad_base64", where, str(error)) from None


def count_of(value: object) -> int | None:
    """A frame counter; None when it is none."""
    try:
        number = integer(value, "fCnt")
    except Bad:
        return None
    return number if number is not None and 0 <= number <= COUNT_MOST else None


def time_of(texts: Iterable[object]) -> tuple[str, int | None]:
    """The first usable time as sent and in epoch seconds."""
    for text in texts:
        if isinstance(text, str):
            seconds = _times.epoch(text)
            if seconds is not None:
                return text, seconds
    return "", None


def receiver_times(receivers: object, key: str = "time") -> Iterable[object]:
    """When each of the gateways heard a frame."""
    if isinstance(receivers, list):
        for receiver in receivers[:16]:
            yield fold(receiver).get(key)


def frame_or_object(data: object, where: str, objects: Iterable[object]) -> tuple[bytes, Object | None]:
    """The frame's bytes; without them the first of the objects in which a codec names quantities. Bytes win. Raises Bad."""
    if data is not None:
        return frame_of(data, where), None
    for found in objects:
        if isinstance(found, dict) and names_quantities(folded := fold(found)):
            return b"", folded
    raise Bad("no_frame", where, "neither bytes nor a known codec's object: send the frame's bytes")


def says(*found: object) -> str:
    """Words of an envelope that may name the model."""
    return " ".join(text for value in found if (text := words(value)))


def notice(message: Object, names: Iterable[str]) -> None:
    """Refuse a notice of the gateway, which says nothing about people. Raises Bad `gateway_notice`."""
    for name in names:
        if message.get(name) is not None:
            raise Bad("gateway_notice", "", name)


@lru_cache(16_384)
def known_device(eui: str) -> str | None:
    """The device of a devEUI in hexadecimal digits; None for a text that the tolerant reader has to judge."""
    return eui.lower() if eui.isalnum() and eui.isascii() and len(eui) <= 64 else None


@lru_cache(16_384)
def known_eui(eui: str) -> str | None:
    """The same, also for one in base64."""
    if not (len(eui) == _EUI_BASE64 and eui.endswith("=")):
        return known_device(eui)
    try:
        return frame_of(eui, "devEUI").hex()
    except Bad:
        return None
