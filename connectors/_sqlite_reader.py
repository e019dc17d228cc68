"""The reader of the embedded log: partitions of one topic by position, from any process.

Waiting costs little: `PRAGMA data_version` (4 us) tells whether anybody has committed since; partitions are asked only then.
Delivery: what has been committed, in order of position; reading takes no lock that a writer would wait for.
"""

import time
from typing import Any, NamedTuple

from connectors._sqlite_file import SHIFT, Columns, TopicFile, told, unpack
from connectors.log import Batch, LogError, PositionGone

_STEP_S, _IDLE_STEP_S = 0.02, 0.05  # between looks while waiting: a look and its sleep cost 0.1 to 0.2 ms of CPU
_IDLE_S = 0.25  # without a commit: from then on it is looked for less often
_LOOK_S = 1.0  # between looks at the file's name: it may have been removed or replaced
_POSITION = (1 << SHIFT) - 1


class _Chunk(NamedTuple):
    first: int
    columns: Columns


class SqliteSliceReader:
    """See `connectors.log.SliceReader`. Owns `file`."""

    def __init__(self, file: TopicFile, positions: dict[int, int]) -> None:
        unknown = [p for p in positions if not 0 <= p < file.partitions]
        if unknown:
            file.close()
            raise LogError(
                f"log file {file.path}: partition {unknown[0]} asked for, it has 0 to {file.partitions - 1}; check the lane"
            )
        self._file = file
        self._positions = dict(positions)
        self._fresh = {p for p, position in positions.items() if position == 0}  # nothing was ever read of these
        self._chunks: dict[int, _Chunk] = {}  # the one that is being handed out
        self._version = -1
        self._caught_up = False
        self._turn = 0
        self._looked = self._changed = time.monotonic()
        self._next_look = 0.0

    @property
    def caught_up(self) -> bool:
        return self._caught_up

    def poll(self, most: int, seconds: float) -> list[Batch]:
        """See `SliceReader.poll`."""
        with told(self._file.path):
            now = time.monotonic()
            end = now + seconds
            while True:
                pause = self._next_look - now
                if seconds > 0 and self._caught_up and pause > 0:  # many short polls must not cost more than a long one
                    if now >= end:
                        return []
                    time.sleep(min(pause, end - now))
                    now = time.monotonic()
                    if now < self._next_look:
                        return []
                if batches := self._read(most, now):
                    return batches
                if now >= end:
                    return []
                now = time.monotonic()

    def close(self) -> None:
        self._file.close()

    def _read(self, most: int, now: float) -> list[Batch]:
        self._next_look = now + (_STEP_S if now - self._changed < _IDLE_S else _IDLE_STEP_S)
        version = self._file.db.execute("PRAGMA data_version").fetchone()[0]
        if version == self._version and self._caught_up:
            self._look(now)
            return []
        self._version, self._changed = version, now
        behind = self._behind()
        batches: list[Batch] = []
        positions = dict(self._positions)
        for i, (partition, _) in enumerate(behind):
            share = (most - sum(len(b.positions) for b in batches)) // (len(behind) - i)
            if most <= i:
                break
            batch = self._batch(partition, max(1, share))
            positions[partition] = batch.positions[-1] + 1
            batches.append(batch)
        self._fresh.difference_update(b.partition for b in batches)
        self._positions = positions
        self._caught_up = all(positions[p] >= end for p, end in behind)
        return batches

    def _look(self, now: float) -> None:
        if now - self._looked >= _LOOK_S:
            self._looked = now
            self._file.check_place()

    def _behind(self) -> list[tuple[int, int]]:
        """Partitions that have more, with their ends: the one with the smallest backlog first, so that shares fill up."""
        behind = []
        for partition, (first, end) in self._file.bounds().items():
            position = self._positions.get(partition)
            if position is None:
                continue
            if partition in self._fresh:
                position = self._positions[partition] = max(position, first)
            if position > end or (position < first and not self._holds(partition, position)):
                raise self._gone(partition, position)
            if position < end:
                behind.append((partition, end))
        self._turn += 1
        turn = self._turn % max(1, len(behind))
        return sorted(behind[turn:] + behind[:turn], key=lambda b: (b[1] - self._positions[b[0]]) >> 8)

    def _gone(self, partition: int, position: int) -> PositionGone:
        first, end = self._file.bounds()[partition]
        return PositionGone(
            f"log file {self._file.path}: position {position} of partition {partition} is gone, it keeps {first} to {end}:"
            " retention was shorter than the pause, or the file was replaced;"
            " start the lane again: it says what is lost and what can be done"
        )

    def _holds(self, partition: int, position: int) -> bool:
        chunk = self._chunks.get(partition)
        return chunk is not None and chunk.first <= position < chunk.first + len(chunk.columns.keys)

    def _batch(self, partition: int, most: int) -> Batch:
        """At least one and up to `most` records of a partition that has some."""
        batch = Batch(partition, [], [], [], [], [])
        position = self._positions[partition]
        if self._holds(partition, position):
            position = _move(batch, self._chunks[partition], position, most)
        if len(batch.positions) < most:
            self._extend(batch, position, most)
        if not batch.positions:
            raise self._gone(partition, position)
        return batch

    def _extend(self, batch: Batch, position: int, most: int) -> None:
        """Chunks from the one that holds `position` on, until the batch is full or the partition ends."""
        partition = batch.partition
        low = partition << SHIFT
        start = self._file.db.execute("SELECT max(id) FROM chunks WHERE id >= ? AND id <= ?", (low, low | position)).fetchone()[
            0
        ]
        rows = self._file.db.execute(
            "SELECT id, crc, data FROM chunks WHERE id >= ? AND id < ? ORDER BY id", (start or low, (partition + 1) << SHIFT)
        )
        try:
            for row_id, crc, data in rows:
                chunk = _Chunk(row_id & _POSITION, unpack(self._file.path, row_id, crc, data))
                if not chunk.first <= position < chunk.first + len(chunk.columns.keys):
                    break  # deleted meanwhile: what was read stands, the next poll says that the rest is gone
                self._chunks[partition] = chunk
                position = _move(batch, chunk, position, most - len(batch.positions))
                if len(batch.positions) >= most:
                    break
        finally:
            rows.close()  # an open statement would keep the write-ahead file from being reused


def _move(batch: Batch, chunk: _Chunk, position: int, most: int) -> int:
    """Append up to `most` records of a chunk from `position` on; returns the position after them."""
    start = position - chunk.first
    stop = min(start + most, len(chunk.columns.keys))
    batch.positions.extend(range(position, chunk.first + stop))
    pairs: Any = zip(batch[2:], chunk.columns, strict=True)  # lists of equal length, each of another type
    for column, source in pairs:
        column.extend(source if stop - start == len(source) else source[start:stop])
    return chunk.first + stop
