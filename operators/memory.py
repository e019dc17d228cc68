"""What ingest remembers of each device, so that nothing is counted twice: the windows and ids of the last while, and which
minutes were ever covered. Plain, versioned, msgpack-able state; the same code serves the lane and every recomputation.

Times are epoch seconds, arrivals epoch milliseconds. `stamp` is the number of the batch that brought an entry: an entry may
only be forgotten once that batch is stored for good, because a later copy is then looked up in the store. `place` names the
record that brought it: partition x 2^48 + position.
"""

from bisect import bisect_right
from operator import attrgetter
from typing import Literal

import msgspec

from schemas.events import Plain

Values = tuple[int, int, int | None, int | None, int | None, int | None, int | None, int | None]
"""people in, out; children in, out; staff in, out; groups in, out."""

Verdict = Literal["new", "correction", "superseded", "overlap", "duplicate", "earlier"]
"""new; correction: same window, other values, newer arrival; superseded: the same but older than what we have; overlap: crosses
another window, kept but not counted; duplicate; earlier: a duplicate whose arrival is before the copy that we have."""

Judged = tuple[Verdict, Values | None, int]
"""Verdict, the values that it replaces, and the place of the observation: of this record, or of the copy that we have."""

DAY = 86_400
_END = attrgetter("end")
_KEEP_COVERAGE_DAYS = 40


class Window(msgspec.Struct, array_like=True, gc=False):
    """One counted window: the values in force, and every distinct observation of it as [id, arrival, place]."""

    end: int
    values: Values
    arrival: int
    ids: list[tuple[int, int, int]]
    stamp: int


class LineMemory(msgspec.Struct, array_like=True):
    """Windows of one line by their start, and the covered minutes of each UTC day as a bitmap.

    `stored`: the bitmaps as bytes, filled only while the state is encoded, because msgpack ends at 64 bits.
    """

    windows: dict[int, Window] = {}
    covered: dict[int, int] = {}
    stored: dict[int, bytes] = {}

    def cover(self, start: int, end: int) -> None:
        """Remember that a window touched these minutes."""
        for day, mask in minute_mask(start, end):
            self.covered[day] = self.covered.get(day, 0) | mask


Fresh = tuple[str, int, int, tuple[int, ...], tuple[int, ...], int, int, int]
"""A plain report as it stands in encoded state: device time, start, end, lines, counts, arrival, place, stamp."""


class DeviceMemory(msgspec.Struct, array_like=True):
    """What is remembered of one device. `ids`: other events by id -> (time, arrival, stamp, place).

    Reports come in order nearly always. One that begins at `frontier` (the end of the newest window of any line) or later is
    surely new, so it is only noted in `fresh`; `settle` enters what was noted before anything is looked up, and the ids are
    made only then. `noted`: the same while the state is encoded.

    `run_lines`, `run_start`, `run_end`: what noted reports cover without a gap since minutes were last entered as covered.
    """

    lines: dict[int, LineMemory] = {}
    ids: dict[int, tuple[int, int, int, int]] = {}
    last_arrival: int = 0
    messages: int = 0
    last_time_text: str = ""
    last_running: int = -1
    standing_still: bool = False
    prune_at: int = 64
    dialect: str = ""
    firmware: str = ""
    name: str = ""
    skew_s: int = 0
    clock: str = "device"
    fresh: list[Plain] = []
    frontier: int = 0
    device: str = ""
    noted: list[Fresh] = []
    run_lines: tuple[int, ...] = ()
    run_start: int = 0
    run_end: int = 0

    def line(self, number: int) -> LineMemory:
        """The memory of a line, with everything entered."""
        if self.fresh:
            self.settle()
        return self._line(number)

    def settle(self) -> None:
        """Enter the windows of `fresh`."""
        for plain in self.fresh:
            counts = plain.counts
            for number, into, out, event_id in zip(plain.lines, counts[::2], counts[1::2], plain.ids(), strict=True):
                values = (into, out, None, None, None, None, None, None)
                ids = [(event_id, plain.arrival, plain.place)]
                self._line(number).windows[plain.start] = Window(plain.end, values, plain.arrival, ids, plain.stamp)
        self.fresh.clear()
        self.cover_run()

    def _line(self, number: int) -> LineMemory:
        found = self.lines.get(number)
        if found is None:
            found = self.lines[number] = LineMemory()
        return found

    def begin_run(self, plain: Plain) -> None:
        """A plain report that does not begin where the one before ended, or has other lines."""
        self.cover_run()
        self.run_lines, self.run_start, self.run_end = plain.lines, plain.start, plain.end

    def cover_run(self) -> None:
        """Enter the minutes of noted reports as covered: neighbours as one long window."""
        if self.run_start < self.run_end:
            for number in self.run_lines:
                self._line(number).cover(self.run_start, self.run_end)
            self.run_start = self.run_end


def packed(devices: dict[str, DeviceMemory]) -> bytes:
    """Devices as msgpack."""
    return _ENCODER.encode(
        {
            name: msgspec.structs.replace(
                memory,
                fresh=[],
                noted=[(p.time_text, p.start, p.end, p.lines, p.counts, p.arrival, p.place, p.stamp) for p in memory.fresh],
                lines={
                    number: LineMemory(line.windows, {}, {d: bits.to_bytes(180, "little") for d, bits in line.covered.items()})
                    for number, line in memory.lines.items()
                },
            )
            for name, memory in devices.items()
        }
    )


def unpacked(data: bytes) -> dict[str, DeviceMemory]:
    """What `packed` wrote."""
    devices = _DECODER.decode(data)
    for name, memory in devices.items():
        memory.device = name
        memory.fresh = [_plain(name, *noted) for noted in memory.noted]
        memory.noted = []
        for line in memory.lines.values():
            line.covered = {day: int.from_bytes(bits, "little") for day, bits in line.stored.items()}
            line.stored = {}
    return devices


_ENCODER, _DECODER = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(dict[str, DeviceMemory])


def _plain(
    device: str,
    text: str,
    start: int,
    end: int,
    lines: tuple[int, ...],
    counts: tuple[int, ...],
    arrival: int,
    place: int,
    stamp: int,
) -> Plain:
    return Plain(device, "", text, start, end, lines, counts, arrival=arrival, place=place, stamp=stamp)


def minute_mask(start: int, end: int) -> list[tuple[int, int]]:
    """The minutes that a window touches, as (UTC day, bitmap of its minutes)."""
    if end - start == 60 and not start % 60:  # nearly all of them
        return [(start // DAY, 1 << start % DAY // 60)]
    day, last = start // DAY, (max(end, start + 1) - 1) // DAY
    if day == last:
        first = start % DAY // 60
        return [(day, (1 << ((max(end, start + 1) - 1) % DAY // 60 + 1)) - (1 << first))]
    out = []
    for d in range(day, last + 1):
        low, high = max(start, d * DAY), min(end, (d + 1) * DAY)
        out += minute_mask(low, high)
    return out


def covered_share(line: LineMemory, start: int, end: int) -> float:
    """Share of a window's minutes that other windows have covered already, 0 to 1."""
    hit = total = 0
    for day, mask in minute_mask(start, end):
        total += mask.bit_count()
        hit += (line.covered.get(day, 0) & mask).bit_count()
    return hit / total


def place_of(partition: int, position: int) -> int:
    """One number for a record."""
    return partition << 48 | position


def unplaced(place: int) -> tuple[int, int]:
    """Partition and position of a place."""
    return place >> 48, place & (1 << 48) - 1


def accept_window(
    line: LineMemory,
    event_id: int,
    start: int,
    end: int,
    values: Values,
    arrival: int,
    place: int,
    stamp: int,
    stated: bool,
    replayed: bool,
) -> Judged:
    """Judge one report over [start, end) and remember it.

    `stated`: the device said the bounds itself; a window that was derived from the arrival of a frame is told apart by its
    id only, because its bounds jitter. `replayed`: a stored record sent again; it counts only where less than half is covered.
    """
    known = line.windows.get(start)
    if known is not None and (known.end == end or not stated):
        return _again(known, event_id, values, arrival, place, stamp)
    for day, mask in minute_mask(start, end):
        if line.covered.get(day, 0) & mask:
            if replayed and covered_share(line, start, end) > 0.5:
                return "overlap", None, place
            if stated and any(s < end and start < w.end for s, w in line.windows.items()):
                return "overlap", None, place
            break
    line.cover(start, end)
    line.windows[start] = Window(end, values, arrival, [(event_id, arrival, place)], stamp)
    return "new", None, place


def _again(known: Window, event_id: int, values: Values, arrival: int, place: int, stamp: int) -> Judged:
    """The same window once more: the newest arrival is in force, every distinct id counts as knowledge."""
    for i, (seen, at, first) in enumerate(known.ids):
        if seen == event_id:
            if arrival >= at:
                return "duplicate", None, first
            known.ids[i] = (seen, arrival, first)
            return "earlier", None, first
    known.ids.append((event_id, arrival, place))
    known.stamp = stamp
    if (arrival, event_id) < (known.arrival, max((i for i, a, _ in known.ids if a == known.arrival), default=0)):
        return "superseded", None, place
    before, known.values, known.arrival = known.values, values, arrival
    return "correction", before, place


def accept_id(memory: DeviceMemory, event_id: int, time: int, arrival: int, place: int, stamp: int) -> Judged:
    """Judge an event that is told apart by its id alone, and remember it."""
    known = memory.ids.get(event_id)
    if known is None:
        memory.ids[event_id] = (time, arrival, stamp, place)
        return "new", None, place
    if arrival >= known[1]:
        return "duplicate", None, known[3]
    memory.ids[event_id] = (known[0], arrival, known[2], known[3])
    return "earlier", None, known[3]


def prune(memory: DeviceMemory, now: int, horizon: int, durable: int, keep_ids: int) -> None:
    """Forget what is older than the horizon and stored for good. `keep_ids`: seconds that ids stay (longer for bad clocks)."""
    limit = now - horizon
    _prune_fresh(memory, limit, durable)
    for line in memory.lines.values():
        gone = [s for s, w in line.windows.items() if w.end <= limit and w.stamp <= durable and w.arrival < limit * 1000]
        for start in gone:
            del line.windows[start]
        oldest = now // DAY - _KEEP_COVERAGE_DAYS
        for day in [d for d in line.covered if d < oldest]:
            del line.covered[day]
    limit = now - keep_ids
    old = [i for i, (t, a, s, _) in memory.ids.items() if t < limit and a < limit * 1000 and s <= durable]
    for event_id in old:
        del memory.ids[event_id]
    held = len(memory.ids) + len(memory.fresh) + sum(len(line.windows) for line in memory.lines.values())
    memory.prune_at = memory.messages + max(64, held // 4)


def _prune_fresh(memory: DeviceMemory, limit: int, durable: int) -> None:
    """Of plain reports that nobody asked about only the covered minutes stay. They are in order of time, arrival and stamp."""
    fresh = memory.fresh
    n = bisect_right(fresh, limit, key=_END)
    while n and (fresh[n - 1].stamp > durable or fresh[n - 1].arrival >= limit * 1000):
        n -= 1
    if n:
        memory.cover_run()
        del fresh[:n]
