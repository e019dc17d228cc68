"""LoRaWAN frames of Milesight sensors: channel (1 byte), type (1 byte), value, repeated.

Numbers are little-endian unless a channel says otherwise. A model is a table from (channel, type), matched together, to the
length of the value and its reader. The first unknown channel ends decoding, since its length is unknown; what came before is
kept. A channel that belongs to another product refuses the whole frame: the same channel numbers mean other things there.

Formats: vendor's public decoders (SensorDecoders) and protocol pages; their decoders check no length, this one does.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from schemas.events import Refusal
from schemas.sensors._record import Record

FRAME_MOST = 256
"""LoRaWAN payloads end at 242 bytes; more is something else."""
HISTORY = 0x20CE
LONG_SERIAL = 0xFF08

_FOREIGN = frozenset(
    (
        0x0175, 0x0275, 0x0367, 0x8367, 0x0468, 0x8468, 0x04CC, 0x84CC, 0x85CC, 0x0AEF, 0x81EE, 0x03F4, 0x08F4, 0x05FD, 0x06FE,
        0x07FF, 0x0282, 0x038E, 0x048E, 0x0300, 0x0400, 0x0500, 0x03F8, 0x04F9, 0x05FA, 0x06FB, 0x07B0, 0x08B1, 0x09B2, 0x0AB3,
        0x0BB4, 0x0CB4, 0x06CB, 0x077D, 0x087D, 0x08E6, 0x0973, 0x0A7D, 0x0B7D, 0x0C7D,
    )
)  # fmt: skip
"""Channels of passage and room sensors (VS3xx) and of AM / EM ambience sensors: a model without one did not send the frame."""

Reader = Callable[[Record, bytes, int], None]
"""Puts the value that stands at a place of a frame into a record. Raises ValueError when it cannot be what the channel says."""
Channel = tuple[int, Reader]
"""Length of the value in bytes, and its reader."""


class Layout(msgspec.Struct, frozen=True):
    """A model's frame. Keys are channel x 256 + type; `history` by entry type. `answers` (FE, FF) and `extended` (F8, F9):
    lengths of the answers to downlinks by type. `record`: all that stands after the time of a stored record without a type."""

    dialect: str
    models: tuple[str, ...]
    channels: Mapping[int, Channel]
    history: Mapping[int, Channel] = {}
    answers: Mapping[int, int] = {}
    extended: Mapping[int, int] = {}
    record: Channel | None = None


class Uplink(msgspec.Struct, gc=False):
    """A frame with what its envelope says. `time` in epoch seconds, `time_text` as sent, `count` the fCnt. `says`: words in
    which the envelope may name the model. `decoded`: what a codec made of a frame whose bytes are not there."""

    device: str
    frame: bytes
    count: int | None = None
    time: int | None = None
    time_text: str = ""
    name: str | None = None
    says: str = ""
    decoded: dict[str, Any] | None = None


class Walk:
    """One layout's reading of a frame, channel by channel."""

    def __init__(self, layout: Layout, data: bytes) -> None:
        self.layout, self.data = layout, data
        self.live = Record()
        self.stored: dict[int, Record] = {}
        self.refusal: Refusal | None = None
        self.at = 0
        self.doubtful: int | None = None
        while self.refusal is None and self.at < len(data):
            self.refusal = self._step()

    def rank(self, named: bool) -> tuple[bool, int, bool, int]:
        """How much of the frame it understands; of two that stop at one place, the one that knows the channel there."""
        reason = "" if self.refusal is None else self.refusal.reason
        knows = 0 if reason.startswith("unknown") else 1 if reason == "unsupported_model" else 2
        return self.refusal is None, self.at, named, knows

    def _step(self) -> Refusal | None:
        at, data = self.at, self.data
        if at + 2 > len(data):
            return Refusal("truncated_frame", f"byte {at}", "a channel without type")
        key = data[at] << 8 | data[at + 1]
        if key == HISTORY:
            return self._history(at)
        doubtful, self.doubtful = self.doubtful, None
        channel = self.layout.channels.get(key)
        size = channel[0] if channel is not None else self._answer(key)
        if channel is not None and key == LONG_SERIAL and _long_serial(data[at + 2 :]):
            size = 8
        if size is None:
            if doubtful is not None:  # other products store records of other lengths: what follows one proves its length
                self.stored.pop(doubtful, None)
            if key in _FOREIGN:
                return Refusal(
                    "unsupported_model", f"byte {at}", f"channel {key >> 8:02x} {key & 255:02x} belongs to another product"
                )
            return Refusal("unknown_channel", f"byte {at}", f"channel {key >> 8:02x} {key & 255:02x}")
        value = data[at + 2 : at + 2 + size]
        if len(value) < size:
            return Refusal(
                "truncated_frame", f"byte {at}", f"channel {key >> 8:02x} {key & 255:02x} needs {size} bytes, has {len(value)}"
            )
        if channel is not None and (bad := _bad(channel[1], self.live, value)) is not None:
            return Refusal("bad_value", f"byte {at}", bad)
        self.at = at + 2 + size
        return None

    def _answer(self, key: int) -> int | None:
        """Length of an answer to a downlink; these stand among the data. F8 adds a result byte."""
        channel, kind = key >> 8, key & 255
        if channel in (0xFE, 0xFF):
            return self.layout.answers.get(kind)
        if channel in (0xF8, 0xF9):
            size = self.layout.extended.get(kind)
            return size if size is None or channel == 0xF9 else size + 1
        return None

    def _history(self, at: int) -> Refusal | None:
        whole = self.layout.record
        begin = at + (6 if whole is not None else 7)
        head = self.data[at + 2 : begin]
        if len(head) < begin - at - 2:
            return Refusal("truncated_frame", f"byte {at}", "a stored record without time and type")
        entry = whole if whole is not None else self.layout.history.get(head[4])
        kind = "" if whole is not None else f" of type {head[4]:02x}"
        if entry is None:
            return Refusal("unknown_history", f"byte {at}", f"stored record{kind}")
        size, read = entry
        value = self.data[begin : begin + size]
        if len(value) < size:
            return Refusal("truncated_frame", f"byte {at}", f"stored record{kind} needs {size} bytes, has {len(value)}")
        time = int.from_bytes(head[:4], "little")
        record = self.stored.get(time) or Record(time)
        bad = _bad(read, record, value)
        if bad is not None:
            return Refusal("bad_value", f"byte {at}", bad)
        self.stored[time] = record
        self.doubtful = time
        self.at = begin + size
        return None


def _long_serial(rest: bytes) -> bool:
    """Newer firmware sends 16 digits under the type of the old serial numbers: the next channel, FF, tells them apart."""
    return len(rest) >= 8 and rest[6] != 0xFF and rest[8:9] in (b"", b"\xff")


def _bad(read: Reader, record: Record, value: bytes) -> str | None:
    try:
        read(record, value, 0)
    except ValueError as error:
        return str(error)
    return None
