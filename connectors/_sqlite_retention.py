"""What the embedded log deletes, and how it keeps going at the edge of a full disk.

Oldest records go first, whole chunks at a time: those older than their topic's retention (by their own timestamps, like Kafka),
then, while the folder holds more than `max_bytes`, the oldest of its largest topic. SQLite needs room to delete, too. So a
ballast file reserves some: it is given up when the disk is full, what is due is deleted, and nothing is written until the
ballast could be reserved again. Its presence is the sign for all processes that there is room.
"""

import errno
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from heapq import merge
from itertools import islice
from math import inf
from pathlib import Path

from connectors._sqlite_file import BUSY_S, SHIFT, TopicFile, room, told
from connectors.log import LogError, LogFull

SUFFIX = ".sqlite"
BALLAST_BYTES = 16 << 20
_SLICE = 2000  # chunks deleted in one transaction: writers wait milliseconds
_VACUUM_PAGES, _VACUUM_STEPS = 500, 64


class Keeper:
    """Retention and room of one folder, for one writer. `clock`: epoch seconds; `max_bytes` of all topics together."""

    def __init__(
        self,
        folder: Path,
        max_bytes: int,
        clock: Callable[[], float] = time.time,
        busy_s: float = BUSY_S,
        ballast_bytes: int = BALLAST_BYTES,
        every_s: float = 60.0,
    ) -> None:
        self.folder, self.max_bytes, self.every_s = folder, max_bytes, every_s
        self._clock, self._busy_s, self._ballast_bytes = clock, busy_s, ballast_bytes
        self._slice_bytes = ballast_bytes // 4  # of one transaction: what it writes must fit where the ballast was
        self._every_bytes = min(16 << 20, max_bytes // 16)
        self._since, self._next = 0, 0.0

    def written(self, size: int) -> None:
        self._since += size

    def now_and_then(self) -> None:
        """Delete what is due when a minute or a share of the limit has passed. A failure waits for the next time."""
        if self._since >= self._every_bytes or time.monotonic() >= self._next:
            self._since, self._next = 0, time.monotonic() + self.every_s
            with suppress(LogError, OSError):  # busy, or full: the next commit says so
                self.retain()

    def retain(self) -> int:
        """Delete what is due; returns how many records. Raises LogError."""
        now = int(self._clock() * 1000)
        gone = sum(self._by_age(path, now) for path in self._paths())
        return gone + self._by_size()

    def check_room(self) -> None:
        """Raises LogFull while there is no room for the ballast; reserves it when there is."""
        if not self._ballast().exists():
            self.make_room()

    def make_room(self) -> None:
        """Give up the ballast, delete what is due, reserve it again. Raises LogFull when that was not enough."""
        self._ballast().unlink(missing_ok=True)
        for draft in self.folder.glob("ballast.*"):  # of a process that died while it reserved
            draft.unlink(missing_ok=True)
        self._shrink_all()
        with suppress(LogError):
            self.retain()
        self._shrink_all()
        self._reserve()

    def _shrink_all(self) -> None:
        for path in self._paths():
            with suppress(LogError):
                self._shrink(path)

    def _ballast(self) -> Path:
        return self.folder / "ballast"

    def _reserve(self) -> None:
        draft = self.folder / f"ballast.{os.getpid()}"
        try:
            with draft.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._ballast_bytes)
            draft.rename(self._ballast())
        except OSError as error:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise LogError(
                    f"log folder {self.folder}: {error.strerror}; check that it exists and that this user may write it"
                ) from error
            raise LogFull(
                f"log folder {self.folder}: the disk is full ({error.strerror}; {self._ballast_bytes >> 20} MiB of reserve);"
                " free some space: writing goes on by itself, nothing taken is lost"
            ) from error

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{SUFFIX}"))

    def _open(self, path: Path) -> "closing[TopicFile]":
        return closing(TopicFile(path, self._busy_s))

    def _by_age(self, path: Path, now_ms: int) -> int:
        gone = 0
        with self._open(path) as file, told(path):
            (keep_ms,) = file.db.execute("SELECT retention_ms FROM topic").fetchone()
            while keep_ms is not None and (chosen := _oldest(file, now_ms - keep_ms, self._slice_bytes)):
                gone += _delete(file, chosen)
        return gone

    def _by_size(self) -> int:
        """Delete the oldest chunks of the largest topic until the folder is within its limit."""
        sizes: dict[Path, int] = {}
        for path in self._paths():
            with self._open(path) as file, told(path):
                sizes[path] = file.used_bytes()
        gone = 0
        while sizes and (excess := sum(sizes.values()) - self.max_bytes) > 0:
            path = max(sizes, key=lambda p: sizes[p])
            with self._open(path) as file, told(path):
                chosen = _oldest(file, inf, min(excess, self._slice_bytes))
                gone += _delete(file, chosen)
                sizes[path] = file.used_bytes()
            if not chosen:
                break
        return gone

    def _shrink(self, path: Path) -> None:
        """Give room back to the disk, in steps that need little themselves: the write-ahead file, then unused pages."""
        with self._open(path) as file, told(path):
            for _ in range(_VACUUM_STEPS):
                file.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                free = file.db.execute("PRAGMA freelist_count").fetchone()[0]
                if not free or room(self.folder) > 2 * self._ballast_bytes:
                    return
                file.db.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()


Head = tuple[int, int, int]  # row id, records, bytes


def _heads(db: sqlite3.Connection, partition: int) -> list[tuple[int, Head]]:
    """The oldest chunks of a partition in order of position, each with the newest timestamp up to it."""
    low, high = partition << SHIFT, (partition + 1) << SHIFT
    rows = db.execute(
        "SELECT id, records, newest_ms, length(data) FROM chunks WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
        (low, high, _SLICE),
    )
    newest, heads = 0, []
    for row_id, records, newest_ms, size in rows:
        newest = max(newest, newest_ms)
        heads.append((newest, (row_id, records, size)))
    return heads


def _oldest(file: TopicFile, before_ms: float, excess: float) -> dict[int, list[Head]]:
    """Chunks at the heads of the partitions, oldest first, that are older than `before_ms`, about `excess` bytes of them."""
    runs = [[(newest, p, head) for newest, head in _heads(file.db, p)] for p in range(file.partitions)]
    chosen: dict[int, list[Head]] = {}
    for newest, partition, head in islice(merge(*runs), _SLICE):
        if newest >= before_ms or excess <= 0:
            break
        chosen.setdefault(partition, []).append(head)
        excess -= head[2]
    return chosen


def _delete(file: TopicFile, chosen: dict[int, list[Head]]) -> int:
    """Delete runs of chunks at the heads of partitions in one transaction; returns how many records."""
    with file.transaction() as db:
        for partition, heads in chosen.items():
            last, records, _ = heads[-1]
            end = (last & (1 << SHIFT) - 1) + records
            db.execute("DELETE FROM chunks WHERE id >= ? AND id <= ?", (heads[0][0], last))
            db.execute("UPDATE partitions SET first = max(first, ?) WHERE partition = ?", (end, partition))
    file.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # the next one needs the room again
    return sum(records for heads in chosen.values() for _, records, _ in heads)
