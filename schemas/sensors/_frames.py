"""Reports of LoRaWAN frames of all models together.

Nothing in a frame names the model. The model reads it that understands most of it; of several that understand all, one that
the envelope names (in the device's name or profile), else the first.
"""

import re
from collections.abc import Callable, Iterable
from struct import Struct
from typing import Any, NamedTuple

from schemas.events import Event, Refusal, Report
from schemas.sensors._frame import FRAME_MOST, LONG_SERIAL, Layout, Reader, Uplink, Walk
from schemas.sensors._record import Record
from schemas.sensors._times import LATEST

NAMES_MOST = 16_384
"""Names of devices that are remembered with the models that they name."""
SHAPES_MOST = 1024
"""Sequences of channels that are remembered."""
OLDEST_HISTORY = 946_684_800
"""Stored records before the year 2000 come from a device whose clock was never set."""
_MODEL = re.compile(r"vs[ _-]?([0-9]{3})", re.IGNORECASE)


class _Shape(NamedTuple):
    """Frames with the same channels in the same order: a device sends hardly any others."""

    keys: tuple[bytes, ...]
    keys_of: Callable[[bytes], tuple[Any, ...]]
    reads: tuple[tuple[Reader, int], ...]
    """Each channel's reader and where its value begins."""
    models: int
    """Which have all the channels, as bits."""


_NO_SHAPE = _Shape((), lambda frame: (frame,), (), 0)
"""Of no frame."""


class Frames:
    """All models' frames. Those that consist of live channels, nearly all, are read in one pass over one table."""

    def __init__(self, layouts: Iterable[Layout]) -> None:
        self.layouts = tuple(layouts)
        self.names: dict[str, int] = {}
        self.firsts: dict[int, str] = {}
        """Of several models, as bits, the dialect of the first; as they were met."""
        self.shapes: dict[tuple[int, bytes], _Shape] = {}
        """By length and first channel, as they were met."""
        self.table: dict[bytes, tuple[int, Reader, int]] = {}
        """By channel and type: length, reader, and which models have it (bits); only where all models agree on the value."""
        disputed = {LONG_SERIAL}
        for number, layout in enumerate(self.layouts):
            for key, (size, read) in layout.channels.items():
                known = self.table.get(key.to_bytes(2, "big"), (size, read, 0))
                if known[:2] != (size, read):
                    disputed.add(key)
                self.table[key.to_bytes(2, "big")] = (size, read, known[2] | 1 << number)
        for key in disputed:
            self.table.pop(key.to_bytes(2, "big"), None)

    def at_once(self, uplink: Uplink) -> list[Report] | None:
        """The report when every channel of the frame is a live one of the table and one model has them all; else None."""
        frame = uplink.frame
        head = len(frame), frame[:2]
        shape = self.shapes.get(head, _NO_SHAPE)
        keys, keys_of, reads, models = shape
        if keys_of(frame) != keys:
            found = self._shape_of(frame)
            if found is None:
                return None
            _, _, reads, models = found
            if len(self.shapes) < SHAPES_MOST:
                self.shapes.setdefault(head, found)
        record = Record()
        try:
            for read, at in reads:
                read(record, frame, at)
        except ValueError:
            return None
        if uplink.says:
            named = self.names.get(uplink.says)
            models = models & (self.named(uplink.says) if named is None else named) or models
        dialect = self.firsts.get(models)
        if dialect is None:
            dialect = self.firsts[models] = self.layouts[(models & -models).bit_length() - 1].dialect
        events = record.events()
        if record.repeated or not events:
            return [_reported(uplink, dialect, record, events, _repeated(record))]
        report = _live(uplink, dialect, events, [])
        if record.status:
            report.firmware = _text(record.status.get("firmware_version"))
        if record.time is not None:
            report.time = record.time
        return [report]

    def _shape_of(self, frame: bytes) -> _Shape | None:
        """None when a channel is not in the table, ends too soon, or when no model has them all."""
        keys, reads, form = [], [], ""
        models, at, end = -1, 0, len(frame)
        while at < end:
            key = frame[at : at + 2]
            channel = self.table.get(key)
            if channel is None or at + 2 + channel[0] > end:
                return None
            size, read, having = channel
            models &= having
            at += 2
            keys.append(key)
            reads.append((read, at))
            form += f"2s{size}x"
            at += size
        return _Shape(tuple(keys), Struct(form).unpack, tuple(reads), models) if models > 0 else None

    def in_turn(self, frame: bytes, named: int) -> Walk:
        """The best of the models' readings of the frame, one after the other."""
        best: tuple[tuple[bool, int, bool, int], Walk] | None = None
        for number, layout in enumerate(self.layouts):
            walk = Walk(layout, frame)
            rank = walk.rank(bool(named >> number & 1))
            if best is None or rank > best[0]:
                best = rank, walk
            if walk.refusal is None and rank[2] == bool(named):
                break  # no other can be better
        assert best is not None, "there are layouts"
        return best[1]

    def named(self, words: str) -> int:
        """The models that a text names, as bits."""
        found = self.names.get(words)
        if found is None:
            models = {f"VS{number}" for number in _MODEL.findall(words[:256])}
            found = sum(1 << number for number, layout in enumerate(self.layouts) if models.intersection(layout.models))
            if len(self.names) < NAMES_MOST:
                self.names[words] = found
        return found


def read_frame(uplink: Uplink, frames: Frames) -> list[Report]:
    """The live report of a frame, if any, and one report per stored moment (retransmission, own time, no frame identity, so
    that a moment sent again in another frame has the same ids)."""
    data = uplink.frame
    if not 0 < len(data) <= FRAME_MOST:
        reason, detail = ("frame_too_long", f"{len(data)} bytes") if data else ("empty_frame", "")
        return [_live(uplink, "", [], [Refusal(reason, "data", detail)])]
    return frames.at_once(uplink) or read_in_turn(uplink, frames)


def read_in_turn(uplink: Uplink, frames: Frames) -> list[Report]:
    """`read_frame` of any frame of a good length, without the table of all models: the oracle of the quick way."""
    walk = frames.in_turn(uplink.frame, frames.named(uplink.says))
    refusals = [] if walk.refusal is None else [walk.refusal]
    if walk.refusal is not None and walk.refusal.reason == "unsupported_model":
        return [_live(uplink, "", [], refusals)]
    dialect = walk.layout.dialect
    live = walk.live.events()
    refusals += _repeated(walk.live)
    reports = [_stored(uplink, dialect, record) for record in walk.stored.values()]
    if live or refusals or not reports:
        reports.insert(0, _reported(uplink, dialect, walk.live, live, refusals))
    return reports


def _reported(uplink: Uplink, dialect: str, record: Record, events: list[Event], refusals: list[Refusal]) -> Report:
    if not events and not refusals:
        refusals = [_nothing()]
    report = _live(uplink, dialect, events, refusals)
    if record.status:
        report.firmware = _text(record.status.get("firmware_version"))
    if record.time is not None:
        report.time = record.time
    return report


def _live(uplink: Uplink, dialect: str, events: list[Event], refusals: list[Refusal]) -> Report:
    count, data = uplink.count, uplink.frame
    if len(data) > FRAME_MOST:
        data = data[:FRAME_MOST]
    frame = None if count is None else f"{count}:{data.hex()}"
    return Report(
        uplink.device, dialect, uplink.time_text, uplink.time, events, refusals, None, uplink.name, None, None, False, 0, frame
    )


def _stored(uplink: Uplink, dialect: str, record: Record) -> Report:
    report = Report(
        uplink.device, dialect, str(record.time), record.time, [], name=uplink.name, retransmission=True, flags=("history",)
    )
    if record.time is None or not OLDEST_HISTORY <= record.time <= LATEST:
        report.refusals = [Refusal("bad_time", "history", f"stored at {record.time}: the clock was not set")]
        return report
    report.events = record.events()
    report.refusals = _repeated(record)
    return report


def _repeated(record: Record) -> list[Refusal]:
    return [Refusal("repeated_channel", name) for name in record.repeated[:16]]


def _nothing() -> Refusal:
    return Refusal("empty_report", "", "answers to downlinks only")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
