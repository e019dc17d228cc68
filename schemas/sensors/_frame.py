"""LoRaWAN frames of Milesight sensors: channel (1 byte), type (1 byte), value, repeated.

Numbers are little-endian unless a channel says otherwise. A model is a table from (channel, type), matched together, to the
length of the value and its reader. The first unknown channel ends decoding, since its length is unknown; what came before is
kept. A channel that belongs to another product refuses the whole frame: the same channel numbers mean other things there.

Nothing in a frame names the model. The model reads it that understands most of it; of several that understand all, one that
the envelope names (in the device's name or profile), else the first.

Formats: vendor's public decoders (SensorDecoders) and protocol pages; their decoders check no length, this one does.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from schemas.events import Event, Refusal, Report
from schemas.sensors._record import Record
from schemas.sensors._times import LATEST

FRAME_MOST = 256
"""LoRaWAN payloads end at 242 bytes; more is something else."""
OLDEST_HISTORY = 946_684_800
"""Stored records before the year 2000 come from a device whose clock was never set."""

HISTORY = 0x20CE
_LONG_SERIAL = 0xFF08

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


class Frames:
    """All models' frames. Those that consist of live channels, nearly all, are read in one pass over one table."""

    def __init__(self, layouts: Iterable[Layout]) -> None:
        self.layouts = tuple(layouts)
        self.models = tuple(layout.models for layout in self.layouts)
        self.table: dict[bytes, tuple[int, Reader, int]] = {}
        """By channel and type: length, reader, and which models have it (bits); only where all models agree on the value."""
        disputed = {_LONG_SERIAL}
        for number, layout in enumerate(self.layouts):
            for key, (size, read) in layout.channels.items():
                known = self.table.get(key.to_bytes(2, "big"), (size, read, 0))
                if known[:2] != (size, read):
                    disputed.add(key)
                self.table[key.to_bytes(2, "big")] = (size, read, known[2] | 1 << number)
        for key in disputed:
            self.table.pop(key.to_bytes(2, "big"), None)

    def at_once(self, frame: bytes, named: int) -> tuple[Layout, Record] | None:
        """The model and its record when every channel is a live one of the table and one model has them all; else None.

        `named`: the models that the envelope names, as bits.
        """
        record = Record()
        models, at, end, table = -1, 0, len(frame), self.table
        while at < end:
            channel = table.get(frame[at : at + 2])
            if channel is None:
                return None
            size, read, having = channel
            models &= having
            at += 2 + size
            if at > end:
                return None
            try:
                read(record, frame, at - size)
            except ValueError:
                return None
        if models <= 0:
            return None
        models = models & named or models
        return self.layouts[(models & -models).bit_length() - 1], record

    def in_turn(self, frame: bytes, named: int) -> "_Walk":
        """The best of the models' readings of the frame, one after the other."""
        best: tuple[tuple[bool, int, bool, int], _Walk] | None = None
        for number, layout in enumerate(self.layouts):
            walk = _Walk(layout, frame)
            rank = walk.rank(bool(named >> number & 1))
            if best is None or rank > best[0]:
                best = rank, walk
            if walk.refusal is None and rank[2] == bool(named):
                break  # no other can be better
        assert best is not None, "there are layouts"
        return best[1]

    def named(self, words: str) -> int:
        """The models that a text names, as bits."""
        return _named(words, self.models) if words else 0


_MODEL = re.compile(r"vs[ _-]?([0-9]{3})", re.IGNORECASE)


@lru_cache(4096)
def _named(words: str, models: tuple[tuple[str, ...], ...]) -> int:
    found = {f"VS{number}" for number in _MODEL.findall(words[:256])}
    return sum(1 << number for number, names in enumerate(models) if found.intersection(names))


class _Walk:
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
        if channel is not None and key == _LONG_SERIAL and _long_serial(data[at + 2 :]):
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


def read_frame(uplink: Uplink, frames: Frames) -> list[Report]:
    """The live report of a frame, if any, and one report per stored moment (retransmission, own time, no frame identity, so
    that a moment sent again in another frame has the same ids)."""
    data = uplink.frame
    if not data or len(data) > FRAME_MOST:
        reason, detail = ("frame_too_long", f"{len(data)} bytes") if data else ("empty_frame", "")
        return [_live(uplink, "", [], [Refusal(reason, "data", detail)])]
    named = frames.named(uplink.says)
    plain = frames.at_once(data, named)
    if plain is None:
        return read_in_turn(uplink, frames)
    layout, record = plain
    refusals = [Refusal("repeated_channel", name) for name in record.repeated[:16]] if record.repeated else []
    return [_reported(uplink, layout.dialect, record, record.events(), refusals)]


def read_in_turn(uplink: Uplink, frames: Frames) -> list[Report]:
    """`read_frame` of any frame of a good length, without the table of all models: the oracle of the quick way."""
    walk = frames.in_turn(uplink.frame, frames.named(uplink.says))
    refusals = [] if walk.refusal is None else [walk.refusal]
    if walk.refusal is not None and walk.refusal.reason == "unsupported_model":
        return [_live(uplink, "", [], refusals)]
    dialect = walk.layout.dialect
    live = walk.live.events()
    refusals += [Refusal("repeated_channel", name) for name in walk.live.repeated[:16]]
    reports = [_stored(uplink, dialect, record) for record in walk.stored.values()]
    if live or refusals or not reports:
        reports.insert(0, _reported(uplink, dialect, walk.live, live, refusals))
    return reports


def _reported(uplink: Uplink, dialect: str, record: Record, events: list[Event], refusals: list[Refusal]) -> Report:
    if not events and not refusals:
        refusals = [Refusal("empty_report", "", "answers to downlinks only")]
    report = _live(uplink, dialect, events, refusals)
    if record.status:
        firmware = record.status.get("firmware_version")
        report.firmware = firmware if isinstance(firmware, str) else None
    if record.time is not None:
        report.time = record.time
    return report


def _live(uplink: Uplink, dialect: str, events: list[Event], refusals: list[Refusal]) -> Report:
    frame = None if uplink.count is None else f"{uplink.count}:{uplink.frame[:FRAME_MOST].hex()}"
    return Report(uplink.device, dialect, uplink.time_text, uplink.time, events, refusals, None, uplink.name, frame=frame)


def _stored(uplink: Uplink, dialect: str, record: Record) -> Report:
    report = Report(
        uplink.device, dialect, str(record.time), record.time, [], name=uplink.name, retransmission=True, flags=("history",)
    )
    if record.time is None or not OLDEST_HISTORY <= record.time <= LATEST:
        report.refusals = [Refusal("bad_time", "history", f"stored at {record.time}: the clock was not set")]
        return report
    report.events = record.events()
    report.refusals = [Refusal("repeated_channel", name) for name in record.repeated[:16]]
    return report
