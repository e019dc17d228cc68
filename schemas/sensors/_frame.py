"""LoRaWAN frames of Milesight sensors: channel (1 byte), type (1 byte), value, repeated.

Numbers are little-endian unless a channel says otherwise. A model is a table from (channel, type), matched together, to the
length of the value and its reader. The first unknown channel ends decoding, since its length is unknown; what came before is
kept. A channel that belongs to another product refuses the whole frame: the same channel numbers mean other things there.

Formats: vendor's public decoders (SensorDecoders) and protocol pages; their decoders check no length, this one does.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from schemas.events import DeviceStatus, DwellSummary, Event, FlowMatrix, Kind, LineCount, Refusal, Report, ZoneCount
from schemas.sensors._times import LATEST

FRAME_MOST = 256
"""LoRaWAN payloads end at 242 bytes; more is something else."""
OLDEST_HISTORY = 946_684_800
"""Stored records before the year 2000 come from a device whose clock was never set."""

HISTORY = 0x20CE

_FOREIGN = frozenset(
    (
        0x0175, 0x0275, 0x0367, 0x8367, 0x0468, 0x8468, 0x04CC, 0x84CC, 0x85CC, 0x0AEF, 0x81EE, 0x03F4, 0x08F4, 0x05FD, 0x06FE,
        0x07FF, 0x0282, 0x038E, 0x048E, 0x0300, 0x0400, 0x0500, 0x03F8, 0x04F9, 0x05FA, 0x06FB, 0x07B0, 0x08B1, 0x09B2, 0x0AB3,
        0x0BB4, 0x0CB4, 0x06CB, 0x077D, 0x087D, 0x08E6, 0x0973, 0x0A7D, 0x0B7D, 0x0C7D,
    )
)  # fmt: skip
"""Channels of VS3xx passage and room sensors and of AM / EM ambience sensors."""


class Record:
    """What one report (the live one, or one stored moment) says; quantities that only together make an event wait here."""

    __slots__ = ("cells", "dwell", "lines", "repeated", "status", "time", "zones")

    def __init__(self, time: int | None = None) -> None:
        self.time = time
        self.lines: dict[tuple[Kind, int], dict[str, int]] = {}
        self.zones: dict[int, dict[str, Any]] = {}
        self.dwell: dict[tuple[int, bool], dict[str, int]] = {}
        self.cells: dict[str, int] = {}
        self.status: dict[str, float | int | str | bool] = {}
        self.repeated: list[str] = []

    def line(self, kind: Kind, line: int, **values: int) -> None:
        self._put(self.lines.setdefault((kind, line), {}), f"line {line} {kind}", values)

    def zone(self, zone: int, **values: int | bool) -> None:
        self._put(self.zones.setdefault(zone, {}), f"zone {zone}", values)

    def dwelt(self, zone: int, child: bool, **values: int) -> None:
        self._put(self.dwell.setdefault((zone, child), {}), f"dwell {zone}", values)

    def _put(self, into: dict[str, Any], name: str, values: Mapping[str, Any]) -> None:
        """The first value of a quantity stands; another one in the same frame is reported."""
        for key, value in values.items():
            if into.setdefault(key, value) != value:
                self.repeated.append(f"{name} {key}")

    def events(self) -> list[Event]:
        """Events without times: the report's time is the end of their window. Halves of an event become status figures."""
        found: list[Event] = []
        status = dict(self.status)
        for (kind, line), c in self.lines.items():
            if "people_in" in c and "people_out" in c:
                found.append(LineCount(line, kind, None, None, **c))
            else:
                status |= {f"line_{line}_{kind}_{key}": value for key, value in c.items()}
        found += [ZoneCount(zone, "window", None, None, z.pop("present", None), **z) for zone, z in self.zones.items()]
        for (zone, child), d in self.dwell.items():
            if len(d) == 2:
                found.append(DwellSummary(zone, None, None, float(d["avg_s"]), float(d["max_s"]), child))
            else:
                status |= {f"zone_{zone}{'_child' if child else ''}_dwell_{key}": value for key, value in d.items()}
        if self.cells:
            found.append(FlowMatrix(None, None, self.cells))
        if status:
            found.append(DeviceStatus(status))
        return found


Reader = Callable[[Record, bytes], None]
"""Puts a value of the right length into a record. Raises ValueError when it cannot be what the channel says."""
Channel = tuple[int, Reader]


class Layout(msgspec.Struct, frozen=True):
    """A model's frame. Keys are channel x 256 + type; `history` by entry type. `answers` (FE, FF) and `extended` (F8, F9):
    lengths of the answers to downlinks by type."""

    dialect: str
    channels: Mapping[int, Channel]
    history: Mapping[int, Channel]
    answers: Mapping[int, int]
    extended: Mapping[int, int]


class Uplink(msgspec.Struct):
    """A frame with what its envelope says. `time` in epoch seconds, `time_text` as sent, `count` the fCnt."""

    device: str
    frame: bytes
    count: int | None = None
    time: int | None = None
    time_text: str = ""
    name: str | None = None


class _Walk:
    """One layout's reading of a frame."""

    def __init__(self, layout: Layout, data: bytes) -> None:
        self.layout, self.data = layout, data
        self.live = Record()
        self.stored: dict[int, Record] = {}
        self.refusal: Refusal | None = None
        self.at = 0
        self.doubtful: int | None = None
        while self.refusal is None and self.at < len(data):
            self.refusal = self._step()

    def rank(self) -> tuple[bool, int, bool]:
        """How much of the frame it understands; of two that stop at one place, the one that knows the channel there."""
        knows = self.refusal is not None and not self.refusal.reason.startswith("unknown")
        return self.refusal is None, self.at, knows

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
        if channel is not None and key == 0xFF08 and _long_serial(data[at + 2 :]):
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
        head = self.data[at + 2 : at + 7]
        if len(head) < 5:
            return Refusal("truncated_frame", f"byte {at}", "a stored record without time and type")
        entry = self.layout.history.get(head[4])
        if entry is None:
            return Refusal("unknown_history", f"byte {at}", f"stored record of type {head[4]:02x}")
        size, read = entry
        value = self.data[at + 7 : at + 7 + size]
        if len(value) < size:
            return Refusal(
                "truncated_frame", f"byte {at}", f"stored record of type {head[4]:02x} needs {size} bytes, has {len(value)}"
            )
        time = int.from_bytes(head[:4], "little")
        record = self.stored.get(time) or Record(time)
        bad = _bad(read, record, value)
        if bad is not None:
            return Refusal("bad_value", f"byte {at}", bad)
        self.stored[time] = record
        self.doubtful = time
        self.at = at + 7 + size
        return None


def _long_serial(rest: bytes) -> bool:
    """Newer firmware sends 16 digits under the type of the old serial numbers: the next channel, FF, tells them apart."""
    return len(rest) >= 8 and rest[6] != 0xFF and rest[8:9] in (b"", b"\xff")


def _bad(read: Reader, record: Record, value: bytes) -> str | None:
    try:
        read(record, value)
    except ValueError as error:
        return str(error)
    return None


def read_frame(uplink: Uplink, layouts: tuple[Layout, ...]) -> list[Report]:
    """The live report of a frame, if any, and one report per stored moment (retransmission, own time, no frame identity, so
    that a moment sent again in another frame has the same ids). The layout that understands most of the frame reads it."""
    data = uplink.frame
    if not data or len(data) > FRAME_MOST:
        reason, detail = ("frame_too_long", f"{len(data)} bytes") if data else ("empty_frame", "")
        return [_live(uplink, "", [], [Refusal(reason, "data", detail)])]
    walk = _Walk(layouts[0], data)
    for layout in layouts[1:]:
        if walk.refusal is None:
            break
        other = _Walk(layout, data)
        if other.rank() > walk.rank():
            walk = other
    refusals = [] if walk.refusal is None else [walk.refusal]
    if walk.refusal is not None and walk.refusal.reason == "unsupported_model":
        return [_live(uplink, "", [], refusals)]
    dialect = walk.layout.dialect
    live = walk.live.events()
    refusals += [Refusal("repeated_channel", name) for name in walk.live.repeated[:16]]
    reports = [_stored(uplink, dialect, record) for record in walk.stored.values()]
    if live or refusals or not reports:
        if not live and not refusals:
            refusals.append(Refusal("empty_report", "", "answers to downlinks only"))
        report = _live(uplink, dialect, live, refusals)
        report.firmware = _text(walk.live.status.get("firmware_version"))
        if walk.live.time is not None:
            report.time = walk.live.time
        reports.insert(0, report)
    return reports


def _live(uplink: Uplink, dialect: str, events: list[Event], refusals: list[Refusal]) -> Report:
    frame = None if uplink.count is None else f"{uplink.count}:{uplink.frame[:FRAME_MOST].hex()}"
    return Report(uplink.device, dialect, uplink.time_text, uplink.time, events, refusals, name=uplink.name, frame=frame)


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


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


# --- readers that the tables share ---


def u16(value: bytes, at: int = 0) -> int:
    return value[at] | value[at + 1] << 8


def line_pair(kind: Kind, line: int, who: str = "people") -> Reader:
    """In and out, 16 bit each."""
    names = f"{who}_in", f"{who}_out"

    def read(record: Record, value: bytes) -> None:
        record.line(kind, line, **{names[0]: u16(value), names[1]: u16(value, 2)})

    return read


def line_half(kind: Kind, line: int, name: str) -> Reader:
    """One direction of a running total, 32 bit."""

    def read(record: Record, value: bytes) -> None:
        record.line(kind, line, **{name: int.from_bytes(value, "little")})

    return read


def zone_bytes(first: int, field: str = "present") -> Reader:
    """People per region, one byte each, counted on from `first`."""

    def read(record: Record, value: bytes) -> None:
        for number, people in enumerate(value):
            record.zone(first + number, **{field: people})

    return read


def dwell_pair(child: bool = False) -> Reader:
    """Region (0: all), average and longest dwell in seconds."""

    def read(record: Record, value: bytes) -> None:
        record.dwelt(value[0], child, avg_s=u16(value, 1), max_s=u16(value, 3))

    return read


def version(name: str) -> Reader:
    def read(record: Record, value: bytes) -> None:
        record.status[name] = ".".join(map(str, value))

    return read


def serial(record: Record, value: bytes) -> None:
    record.status["serial"] = value.hex()


def protocol(record: Record, value: bytes) -> None:
    record.status["protocol_version"] = value[0]


def ignore(record: Record, value: bytes) -> None:
    """Known and of no use here (power-on marks, device class)."""


BASIC: dict[int, Channel] = {
    0xFF01: (1, protocol),
    0xFF09: (2, version("hardware_version")),
    0xFF1F: (4, version("firmware_version")),
    0xFF0A: (2, version("firmware_version")),
    0xFF0B: (1, ignore),
    0xFF0F: (1, ignore),
    0xFFFE: (1, ignore),
    0xFFFF: (2, ignore),
    0xFFCC: (1, ignore),
}
"""What all models say of themselves on joining."""
