"""One lane: a slice of the log's partitions, decoded once, through the flows of every store, into the store and the log.

source (batches and ticks) -> decode and spread over permanent slots -> chains of stores -> sink. Everything of a lane is in one
process (but see `infra/lane_reader.py`); the parts share a `Lane` object for stopping, progress and metrics.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from threading import Event
from typing import Any
from zlib import crc32

import msgspec

from connectors.log import RAW, Batch, Log
from flows.ingest import quarantined
from infra.wire import Headers, ReadBatch, Reader
from operators.ingest import Arrival
from operators.memory import place_of
from operators.moment import Rows
from schemas.events import Plain, Refusal, Report
from schemas.sites import UNASSIGNED, Device, Registry

SLOTS = 4
"""Slots per partition: permanent keys of the state. Changing the number is a migration."""
MOST_RECORDS = 8000
"""Of one poll. What there is comes at once: batches are small while traffic is small, and large ones cost less a record."""
TICK_S = 0.1
BEHIND_S, BEHIND_FLUSHES = 120, 4
"""A lane whose newest record is older than this catches up: rows that will change again soon are then written less often."""
WALL_LAG_S = 2
"""A wall-clock tick stays this far behind the clock, so that records on their way are not overtaken."""

Decode = Callable[[bytes, str], Plain | list[Report]]
Poison = Mapping[tuple[int, int], str]


class Work(msgspec.Struct, gc=False):
    """One record for one store that says more than a plain report: its reports, all of one device (nearly always one).

    `arrival`: epoch ms. `oldest`: smallest device time among the reports, epoch s.
    """

    position: int
    arrival: int
    oldest: int
    reports: list[Report]
    entry: Device
    payload: bytes

    def arrivals(self, partition: int) -> list[Arrival]:
        """The reports with where they came from."""
        return [Arrival(partition, self.position, self.arrival, report) for report in self.reports]


class Item(msgspec.Struct, gc=False):
    """What one batch of one partition, or a tick, brings to one slot. `work`: records by store, since each is on its own.

    A batch `seq` is spread over `fan` items; it covers the positions up to `end` and log time `log_ms`. `tick`: store time that
    all stores of the slot have reached (epoch s), 0 for none.
    """

    key: str
    partition: int
    seq: int = 0
    fan: int = 0
    first: int = 0
    end: int = 0
    log_ms: int = 0
    work: dict[str, list[Plain | Work]] = {}
    rows: Rows = {}
    tick: int = 0
    flush: bool = False
    force: bool = False


class Tick(msgspec.Struct, gc=False):
    """Time has come: per partition the log's time (epoch s). `flush`: write changed rows now. `force`: all of them."""

    times: dict[int, int]
    flush: bool
    force: bool


class Lane:
    """What the parts of a lane share. `hints`: when each slot next wants a tick (store time, epoch s; 0: at the next flush).
    `stored_ms`: newest log timestamp that is stored, by partition. `stored`: (end, log time in ms) that are stored for good.
    `storing`: rows of a flush are on their way into the store."""

    def __init__(self) -> None:
        self.stop = Event()
        self.hints: dict[str, int] = {}
        self.durable = 0
        self.seq = 0
        self.received = 0
        self.log_ms: dict[int, int] = {}
        self.caught_up = False
        self.handling: tuple[int, int] | None = None
        self.positions: dict[int, int] = {}
        self.polled_at = 0.0
        self.storing = False
        self.stored_ms: dict[int, int] = {}
        self.stored: dict[int, tuple[int, int]] = {}


class LogSource:
    """Batches of the lane's partitions, and ticks. `until_end`: stop at the ends as they were at the start.

    `begin`: where to begin without a saved position (`infra/rebuild_state.py`). `open`: reads from positions on.
    """

    def __init__(
        self, lane: Lane, log: Log, partitions: Sequence[int], flush_s: float, until_end: bool, now: Callable[[], float]
    ) -> None:
        self.lane, self.log, self.partitions = lane, log, partitions
        self.flush_s, self.now = flush_s, now
        self.ends = {p: end for p, (_, end) in log.bounds(RAW).items() if p in set(partitions)} if until_end else None
        self.positions = lane.positions
        self.times: dict[int, int] = {}
        self.begin: dict[str, dict[int, int]] = {"positions": {}, "times": {}}
        self.open: Callable[[dict[int, int]], Reader] = partial(log.slice_reader, RAW)
        self.reader: Reader | None = None
        self.ticked = self.flushed = 0.0
        self.ended = False

    def start(self, resume: Any) -> None:
        saved = resume or self.begin
        self.positions.update({p: saved["positions"].get(p, 0) for p in self.partitions})
        self.times = dict(saved["times"])
        self.lane.stored_ms.update({p: at * 1000 for p, at in self.times.items()})
        self.reader = self.open(self.positions)

    def close(self) -> None:
        """Stop reading."""
        if self.reader is not None:
            self.reader.close()
            self.reader = None

    def position(self) -> Any:
        return {"positions": dict(self.positions), "times": dict(self.times)}

    def poll(self) -> list[Any] | None:
        if self.lane.stop.is_set() or self.ended:
            self.close()
            return None
        self.lane.polled_at = time.monotonic()
        items: list[Any] = [] if self._at_ends() else self._read()
        tick = self._tick()
        if tick is not None:
            items.append(tick)
        return items

    def _at_ends(self) -> bool:
        """Also when the reader is through: a partition may end in positions without records (emptied, compacted, markers)."""
        return self.ends is not None and (self.lane.caught_up or all(self.positions[p] >= end for p, end in self.ends.items()))

    def _read(self) -> list[Any]:
        assert self.reader is not None
        out: list[Any] = []
        for batch in self.reader.poll(MOST_RECORDS, 0.02):
            last = batch.positions[-1] + 1
            if self.ends is not None and last > self.ends[batch.partition]:
                batch = _cut(batch, self.ends[batch.partition])
                if not batch.positions:
                    continue
                last = batch.positions[-1] + 1
            self.positions[batch.partition] = last
            newest = max(batch.timestamps) // 1000
            self.times[batch.partition] = max(self.times.get(batch.partition, 0), newest)
            self.lane.received += len(batch.positions)
            out.append(batch)
        self.lane.caught_up = not out and self.reader.caught_up
        return out

    def _behind(self) -> bool:
        return not self.lane.caught_up and max(self.times.values(), default=0) < self.now() - BEHIND_S

    def _tick(self) -> Tick | None:
        """A tick when it is time for one; the wall clock counts only when everything was read."""
        at = time.monotonic()
        if self._at_ends():
            self.ended = True
            return Tick(dict(self.times), True, True)
        if at - self.ticked < TICK_S:
            return None
        self.ticked = at
        times = dict(self.times)
        if self.ends is None and self.lane.caught_up:
            wall = int(self.now()) - WALL_LAG_S
            times = {p: max(times.get(p, 0), wall) for p in self.partitions}
        flush = flush_due(at - self.flushed, self.flush_s, self.lane.storing, self._behind())
        if flush:
            self.flushed = at
        return Tick(times, flush, False)


def flush_due(passed: float, flush_s: float, storing: bool, behind: bool) -> bool:
    """Whether changed rows are written now, `passed` seconds after the last time.

    A store that waits for rows gets them after half of `flush_s`: sooner to be read, and no more than it can do.
    """
    if behind:
        return passed >= flush_s * BEHIND_FLUSHES
    return passed >= (flush_s if storing else flush_s / 2)


def _cut(batch: Batch | ReadBatch, end: int) -> Batch | ReadBatch:
    n = sum(1 for p in batch.positions if p < end)
    return batch._replace(**{name: getattr(batch, name)[:n] for name in batch._fields[1:]})


class Spread:
    """Decodes batches and spreads them over the slots. `poison`: records that made an operator fail, with the reason."""

    def __init__(self, lane: Lane, registry: Registry, decode: Decode, poison: Poison) -> None:
        self.lane, self.registry, self.decode, self.poison = lane, registry, decode, poison
        self.keys: dict[tuple[int, str], str] = {}

    def key(self, partition: int, site: str) -> str:
        found = self.keys.get((partition, site))
        if found is None:
            found = self.keys[partition, site] = f"{partition:05d}.{crc32(site.encode()) % SLOTS}"
        return found

    def __call__(self, things: Iterable[Any]) -> list[tuple[str, Item]]:
        out: list[tuple[str, Item]] = []
        for thing in things:
            out += self._tick(thing) if isinstance(thing, Tick) else self._batch(thing)
        return out

    def _tick(self, tick: Tick) -> list[tuple[str, Item]]:
        out = []
        for partition, at in tick.times.items():
            for slot in range(SLOTS):
                key = f"{partition:05d}.{slot}"
                wanted = self.lane.hints.get(key, 0)
                if tick.force or (wanted <= at and (wanted > 0 or tick.flush)):
                    out.append((key, Item(key, partition, tick=at, flush=tick.flush, force=tick.force)))
        return out

    def _batch(self, batch: Batch | ReadBatch) -> list[tuple[str, Item]]:
        lane, partition = self.lane, batch.partition
        lane.seq += 1
        newest = max(batch.timestamps)
        lane.log_ms[partition] = max(lane.log_ms.get(partition, 0), newest)
        made = _Made(partition, lane.seq, batch.positions[0], batch.positions[-1] + 1, newest)
        self._records(made, batch)
        if made.refused or not made.items:
            made.item(self.key(partition, UNASSIGNED)).rows = {"quarantine": made.refused} if made.refused else {}
        for item in made.items.values():
            item.fan = len(made.items)
        return list(made.items.items())

    def _records(self, made: "_Made", batch: Batch | ReadBatch) -> None:
        """Decode the records that are not decoded yet and put each where its store's slot finds it."""
        decode, seq, first = self.decode, made.seq, place_of(made.partition, 0)
        poison = {at for at in self.poison if at[0] == made.partition}
        position = 0
        try:
            values: Sequence[Plain | bytes] = batch.values
            for position, stamp, value, headers in zip(batch.positions, batch.timestamps, values, batch.headers, strict=True):
                said: Plain | list[Report]
                if isinstance(value, Plain):
                    said = value
                elif poison and (made.partition, position) in poison:
                    said = [_poisoned(self.poison[made.partition, position])]
                else:
                    said = decode(value, _source(headers) if headers else "mqtt")
                if type(said) is not Plain:
                    self._reports(made, position, stamp, value, said)  # type: ignore[arg-type]  # what is left of the union
                    continue
                way = made.ways.get(said.device)
                if way is None:
                    way = self._way(made, said.device, stamp)
                said.site, work = way
                said.arrival, said.place, said.stamp = stamp, first | position, seq
                work.append(said)
        except BaseException:
            self.lane.handling = (made.partition, position)
            raise

    def _way(self, made: "_Made", device: str, stamp: int) -> tuple[str, list[Plain | Work]]:
        """The store of a device and its work, remembered for the batch where it is the same for all of it."""
        site, _ = self.registry.find(device, stamp / 1000)
        way = site.id, self._work(made, site.id)
        if self.registry.stays(device):
            made.ways[device] = way
        return way

    def _work(self, made: "_Made", site: str) -> list[Plain | Work]:
        """What the batch has for a store."""
        work = made.work.get(site)
        if work is None:
            item = made.item(self.key(made.partition, site))
            work = made.work[site] = item.work[site] = []
        return work

    def _reports(self, made: "_Made", position: int, stamp: int, value: bytes, said: list[Report]) -> None:
        """A record that is not a plain report."""
        said, device, oldest = _of_one_device(said)
        if not device:
            made.refused += quarantined(RAW, made.partition, position, stamp, "", "", _refusals(said), False, value)
            return
        site, entry = self.registry.find(device, stamp / 1000)
        self._work(made, site.id).append(Work(position, stamp, oldest, said, entry, value))


class _Made(msgspec.Struct):
    """What becomes of one batch: items by slot, their work by store, and the rows of records that no store can take.

    `ways`: device -> its store and that store's work.
    """

    partition: int
    seq: int
    first: int
    end: int
    newest: int
    items: dict[str, Item] = {}
    work: dict[str, list[Plain | Work]] = {}
    ways: dict[str, tuple[str, list[Plain | Work]]] = {}
    refused: list[tuple[Any, ...]] = []

    def item(self, key: str) -> Item:
        found = self.items.get(key)
        if found is None:
            found = self.items[key] = Item(key, self.partition, self.seq, 0, self.first, self.end, self.newest)
        return found


def _source(headers: Headers) -> str:
    for name, value in headers:
        if name == "source":
            return value.decode("utf-8", "replace")
    return "mqtt"


def _refusals(reports: list[Report]) -> list[Refusal]:
    return [r for report in reports for r in report.refusals] or [Refusal("unknown_message")]


def _poisoned(error: str) -> Report:
    return Report("", "", "", None, [], [Refusal("poison", "", error)])


def _of_one_device(reports: list[Report]) -> tuple[list[Report], str, int]:
    """The reports that belong to the first device named, that device ("" for none), and their smallest device time.

    Those of other devices become refusals: one record has one store.
    """
    first = next((r for r in reports if r.device), reports[0])
    oldest = min((r.time for r in reports if r.time is not None), default=1 << 40)
    if len(reports) == 1 or not first.device:
        return reports, first.device, oldest
    others = [r for r in reports if r.device != first.device]
    first.refusals = [
        *first.refusals,
        *(f for r in others for f in r.refusals),
        *(Refusal("several_devices", "", f"{r.device} stands in a message of {first.device}") for r in others if r.events),
    ]
    return [first, *(r for r in reports if r.device == first.device and r is not first)], first.device, oldest
