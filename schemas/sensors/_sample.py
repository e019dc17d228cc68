"""A published or composed message with the reports that were worked out for it by hand."""

import msgspec

from schemas.events import Report


class Sample(msgspec.Struct, frozen=True):
    """`payload`: the message; for a frame decoder the bytes of the LoRaWAN frame. `source`: where it stands or who made it
    up."""

    payload: bytes
    reports: list[Report]
    source: str = "composed"


DEVICE = "24e124785d0000aa"
"""devEUI under which the frame samples are decoded."""
