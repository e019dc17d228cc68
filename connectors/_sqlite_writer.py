"""The writer of the embedded log: one thread that commits everything handed over meanwhile in one transaction a topic.

Delivery: `done(None)` runs after the commit, which has reached the disk (WAL, synchronous = FULL). Parallelism: one thread a
writer; several writers, also in other processes, take turns. Back pressure: `append` blocks while 32 MiB or 50,000 records
wait. Lost: nothing that was reported as done; what was refused is reported as refused, in order.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from connectors._sqlite_file import BUSY_S, CHUNK_BYTES, CHUNK_RECORDS, ChunkRow, Columns, TopicFile, pack
from connectors._sqlite_retention import Keeper
from connectors.log import LogError, LogFull, NewRecord, partition_of, refusal

QUEUE_RECORDS, QUEUE_BYTES = 50_000, 32 << 20
COMMIT_BYTES = 8 << 20  # of one transaction: bounds the write-ahead file, and what a full disk refuses at once
FULL_S = 0.2  # a full disk is tried again this often at most: each try deletes what is due

Done = Callable[[Exception | None], None]


class _Waiting(NamedTuple):
    topic: str
    record: NewRecord
    done: Done | None
    size: int


class SqliteWriter:
    """See `connectors.log.Writer`. `path_of` gives the file of a topic."""

    def __init__(self, path_of: Callable[[str], Path], keeper: Keeper, busy_s: float = BUSY_S) -> None:
        self._path_of, self._keeper, self._busy_s = path_of, keeper, busy_s
        self._changed = threading.Condition()
        self._queue: list[_Waiting] = []
        self._bytes = 0  # of records not yet durable
        self._records = 0
        self._closing = False
        self._failure: Exception | None = None
        self._full: LogFull | None = None
        self._full_until = 0.0
        self._files: dict[str, TopicFile] = {}
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def append(self, topic: str, record: NewRecord, done: Done | None = None) -> None:
        """See `Writer.append`. Raises LogError when the writer is closed."""
        refused, size = refusal(record)
        if refused is not None:
            self._answer(done, refused)
            return
        with self._changed:
            while not self._closing and (self._records >= QUEUE_RECORDS or self._bytes >= QUEUE_BYTES):
                if threading.current_thread() is self._thread:
                    break  # a callback that appends: nobody else could make room
                self._changed.wait()
            if self._closing:
                raise LogError(f"log topic {topic}: its writer is closed; nothing was taken")
            self._queue.append(_Waiting(topic, record, done, size))
            self._bytes += size
            self._records += 1
            if len(self._queue) == 1:
                self._changed.notify_all()

    def poll(self, seconds: float) -> None:
        """Wait up to `seconds` for records to become durable; callbacks run in the writer's thread.

        Raises what a callback raised.
        """
        with self._changed:
            if self._failure is None and seconds > 0:
                self._changed.wait(seconds)
        self._raise_failure()

    def flush(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        with self._changed:
            empty = self._changed.wait_for(lambda: not self._records, max(0.0, end - time.monotonic()))
        self._raise_failure()
        return empty

    def append_many(self, topic: str, records: Sequence[NewRecord]) -> None:
        errors: list[Exception] = []
        left = threading.Semaphore(0)

        def done(error: Exception | None) -> None:
            if error is not None:
                errors.append(error)
            left.release()

        for record in records:
            self.append(topic, record, done)
        for _ in records:
            left.acquire()
        if errors:
            raise errors[0]

    def close(self) -> None:
        """Make everything durable and end the thread. Raises nothing."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _answer(self, done: Done | None, error: Exception | None) -> None:
        try:
            if done is not None:
                done(error)
            elif error is not None:
                self._failure = self._failure or error
        except Exception as failure:  # a callback's bug must not end the thread: the caller gets it at the next poll or flush
            self._failure = self._failure or failure

    def _run(self) -> None:
        try:
            while taken := self._take():
                if taken[0] is not None:
                    self._commit_all([w for w in taken if w is not None])
                self._keeper.now_and_then()
        finally:
            with self._changed:
                self._closing, left, self._queue = True, self._queue, []
            self._finish(left, LogError("log: its writer thread ended; nothing of this was written; start this part again"))
            for file in self._files.values():
                file.close()

    def _take(self) -> list[_Waiting] | list[None]:
        """Everything that waits, up to one transaction's worth; [None] when it is only time to look around; [] at the end."""
        with self._changed:
            if not self._queue and not self._closing:
                self._changed.wait(self._keeper.every_s)
            if not self._queue:
                return [] if self._closing else [None]
            size = count = 0
            for waiting in self._queue:
                size += waiting.size
                count += 1
                if size >= COMMIT_BYTES:
                    break
            taken, self._queue = self._queue[:count], self._queue[count:]
            return taken

    def _commit_all(self, taken: Sequence[_Waiting]) -> None:
        by_topic: dict[str, list[_Waiting]] = {}
        for waiting in taken:
            by_topic.setdefault(waiting.topic, []).append(waiting)
        for topic, group in by_topic.items():
            error = self._try(topic, group)
            if isinstance(error, LogFull):
                # Those behind are refused as well: were they taken after room came back, order would be lost.
                with self._changed:
                    group += [w for w in self._queue if w.topic == topic]
                    self._queue = [w for w in self._queue if w.topic != topic]
            self._finish(group, error)

    def _finish(self, group: Sequence[_Waiting], error: Exception | None) -> None:
        for waiting in group:
            self._answer(waiting.done, error)
        with self._changed:
            self._records -= len(group)
            self._bytes -= sum(w.size for w in group)
            self._changed.notify_all()

    def _try(self, topic: str, group: Sequence[_Waiting]) -> Exception | None:
        """Commit; make room and try once more when the disk is full. The error when nothing was written."""
        if self._full is not None and time.monotonic() < self._full_until:
            return self._full
        try:
            self._keeper.check_room()
            try:
                self._commit(topic, group)
            except LogFull:
                self._drop(topic)
                self._keeper.make_room()
                self._commit(topic, group)
            self._keeper.written(sum(w.size for w in group))
            self._full = None
            return None
        except LogError as error:
            self._drop(topic)
            if isinstance(error, LogFull):
                self._full, self._full_until = error, time.monotonic() + FULL_S
            return error
        except Exception as error:  # a bug of ours: the callers learn that their records were not written
            self._drop(topic)
            return LogError(f"log topic {topic}: {type(error).__name__}: {error}; nothing of this batch was written")

    def _drop(self, topic: str) -> None:
        file = self._files.pop(topic, None)
        if file is not None:
            file.close()

    def _commit(self, topic: str, group: Sequence[_Waiting]) -> None:
        file = self._files.get(topic)
        if file is None:
            file = self._files[topic] = TopicFile(self._path_of(topic), self._busy_s)
        file.check_place()
        with file.transaction() as db:
            ends = dict(db.execute("SELECT partition, next FROM partitions"))
            rows, ends = _rows(ends, group, file.partitions)
            file.store(rows, ends)


def _rows(ends: dict[int, int], group: Iterable[_Waiting], partitions: int) -> tuple[list[ChunkRow], dict[int, int]]:
    """Chunks for these records, and the new ends of the partitions that got any."""
    columns: dict[int, list[tuple[Columns, list[int]]]] = {}
    for _, record, _, size in group:
        partition = partition_of(record.key, partitions)
        chunks = columns.setdefault(partition, [])
        if not chunks or chunks[-1][1][0] >= CHUNK_BYTES or len(chunks[-1][0].keys) >= CHUNK_RECORDS:
            chunks.append((Columns([], [], [], []), [0]))
        (timestamps, keys, values, headers), total = chunks[-1]
        timestamps.append(record.timestamp)
        keys.append(record.key)
        values.append(record.value)
        headers.append(record.headers)
        total[0] += size
    rows, moved = [], {}
    for partition, chunks in columns.items():
        position = ends[partition]
        for packed, _ in chunks:
            rows.append(pack(partition, position, packed))
            position += len(packed.keys)
        moved[partition] = position
    return rows, moved
