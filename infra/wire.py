"""What a reader process writes and its lane reads: frames of msgpack, plain reports short, everything else as its bytes.

Nearly everything in a plain report is said again and again: who says it, and of which window. Both stand in tables that grow
with the frames, so a report is two numbers, its counts and the running time, and the lane keeps one object of each text.
"""

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple, Protocol

import msgspec

from connectors.log import Batch, LogError, PositionGone
from schemas.events import Plain
from schemas.sensors import read_plain

TABLE_MOST = 1 << 16
"""Entries of a table at which both begin anew: a backlog of years has more windows than anybody wants to remember."""

Poison = Mapping[int, Set[int]]
"""Positions by partition that are left as bytes, because the lane puts them into quarantine with their payload."""


Headers = tuple[tuple[str, bytes], ...]


class ReadBatch(NamedTuple):
    """A batch as it comes out of frames: plain reports in place of their bytes; see `connectors.log.Batch`."""

    partition: int
    positions: list[int]
    timestamps: list[int]
    values: list[Plain | bytes]
    headers: list[Headers]


class Reader(Protocol):
    """What a lane reads with, see `connectors.log.SliceReader`: the log itself, or a process (`infra/reader.py`)."""

    def poll(self, most: int, seconds: float) -> Sequence[Batch | ReadBatch]: ...
    @property
    def caught_up(self) -> bool: ...
    def close(self) -> None: ...


class _Who(msgspec.Struct, frozen=True, array_like=True):
    """What all plain reports of a device have in common."""

    device: str
    dialect: str
    lines: tuple[int, ...]
    site_claim: str | None
    name: str | None
    firmware: str | None


class _Window(msgspec.Struct, frozen=True, array_like=True):
    text: str
    start: int
    end: int


class _Short(msgspec.Struct, array_like=True, gc=False):
    """A plain report. `who`, `window`: numbers in the tables."""

    who: int
    window: int
    counts: tuple[int, ...]
    running_time: int | None


class _Part(msgspec.Struct, array_like=True, gc=False):
    """Records of one partition. `headers`: by index, of records that are bytes and have some."""

    partition: int
    positions: list[int] = []
    timestamps: list[int] = []
    records: list[_Short | bytes] = []
    headers: dict[int, list[tuple[str, bytes]]] = {}


class _Frame(msgspec.Struct, array_like=True, gc=False):
    """`anew`: forget the tables before. `problem`: why reading ended, and whether it is a `PositionGone`."""

    anew: bool = False
    whos: list[_Who] = []
    windows: list[_Window] = []
    parts: list[_Part] = []
    caught_up: bool = False
    problem: tuple[str, bool] | None = None


_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(_Frame).decode


def problem_frame(error: Exception) -> bytes:
    """The frame for an error that a person must decide about."""
    return _encode(_Frame(problem=(str(error), isinstance(error, PositionGone))))


class Packer:
    """Makes frames of batches, decoding what is plain."""

    def __init__(self, poison: Poison) -> None:
        self.poison = poison
        self.whos: dict[tuple[object, ...], int] = {}
        self.windows: dict[tuple[str, int, int], int] = {}
        self.frame = _Frame()
        self.parts: dict[int, _Part] = {}

    def add(self, batch: Batch) -> None:
        """Take the records of a batch into the frame that is being made."""
        part = self.parts.get(batch.partition)
        if part is None:
            part = self.parts[batch.partition] = _Part(batch.partition)
        poison = self.poison.get(batch.partition, frozenset())
        part.positions += batch.positions
        part.timestamps += batch.timestamps
        records, short = part.records, self._short
        for position, value, headers in zip(batch.positions, batch.values, batch.headers, strict=True):
            plain = None if position in poison else read_plain(value)
            if plain is not None:
                records.append(short(plain))
                continue
            if headers:
                part.headers[len(records)] = list(headers)
            records.append(value)

    def done(self, caught_up: bool) -> bytes:
        """The frame with everything that was added since the last one."""
        frame, self.frame = self.frame, _Frame()
        frame.parts, frame.caught_up = list(self.parts.values()), caught_up
        self.parts.clear()
        if len(self.whos) > TABLE_MOST or len(self.windows) > TABLE_MOST:
            self.whos.clear()
            self.windows.clear()
            self.frame.anew = True
        return _encode(frame)

    def _short(self, plain: Plain) -> _Short:
        who = (plain.device, plain.lines, plain.name, plain.firmware, plain.site_claim, plain.dialect)
        number = self.whos.get(who)
        if number is None:
            number = self.whos[who] = len(self.whos)
            self.frame.whos.append(_Who(plain.device, plain.dialect, plain.lines, plain.site_claim, plain.name, plain.firmware))
        said = (plain.time_text, plain.start, plain.end)
        window = self.windows.get(said)
        if window is None:
            window = self.windows[said] = len(self.windows)
            self.frame.windows.append(_Window(*said))
        return _Short(number, window, plain.counts, plain.running_time)


class Unpacker:
    """Makes batches of frames."""

    def __init__(self) -> None:
        self.whos: list[_Who] = []
        self.windows: list[_Window] = []

    def take(self, data: bytes) -> tuple[list[ReadBatch], bool]:
        """The batches of a frame and whether the reader had caught up then. Raises PositionGone, LogError of the other side."""
        frame = _decode(data)
        if frame.problem is not None:
            raise (PositionGone if frame.problem[1] else LogError)(frame.problem[0])
        if frame.anew:
            self.whos, self.windows = [], []
        self.whos += frame.whos
        self.windows += frame.windows
        return [self._batch(part) for part in frame.parts], frame.caught_up

    def _batch(self, part: _Part) -> ReadBatch:
        whos, windows = self.whos, self.windows
        values: list[Plain | bytes] = []
        for said in part.records:
            if isinstance(said, bytes):
                values.append(said)
                continue
            who, window = whos[said.who], windows[said.window]
            values.append(
                Plain(
                    who.device, who.dialect, window.text, window.start, window.end, who.lines, said.counts,
                    who.site_claim, who.name, who.firmware, said.running_time,
                )
            )  # fmt: skip
        headers: list[Headers] = [()] * len(values)
        for index, pairs in part.headers.items():
            headers[index] = tuple(pairs)
        return ReadBatch(part.partition, part.positions, part.timestamps, values, headers)
