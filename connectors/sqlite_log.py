"""The embedded log: a folder with one SQLite file a topic, for several processes of one machine.

Delivery: an append is done when its transaction is on the disk (WAL, synchronous = FULL): it survives kill -9 and power loss.
A topic has its own file, so that the writers of different topics never wait for each other and readers wake for their own only.
Positions of a partition start at 0, grow by one and are never used again, whatever was deleted. A torn tail (a crash in the
middle of a write, a cut write-ahead file) is dropped when the file is opened. A full disk refuses with LogFull and keeps what
it has; a ballast file keeps room for deleting (`_sqlite_retention.py`). The folder must be on a local disk: SQLite's
write-ahead log needs shared memory, which network file systems have not.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from connectors._sqlite_file import BUSY_S, TopicFile, create, told
from connectors._sqlite_reader import SqliteSliceReader
from connectors._sqlite_retention import BALLAST_BYTES, SUFFIX, Keeper
from connectors._sqlite_writer import SqliteWriter
from connectors.log import LogError, OneReader, Reader, SliceReader, Writer

_SCHEME = "sqlite:///"
_PROGRESS = "CREATE TABLE IF NOT EXISTS progress (topic, grp, partition, position, PRIMARY KEY (topic, grp, partition))"


class SqliteLog:
    """See `connectors.log.Log`. URL: `sqlite:///FOLDER`; an absolute path has four slashes. Made when a topic is created.

    `max_mib`: size of all topics together at which the oldest records go. `clock`: epoch seconds, decides what is too old.
    `ballast_bytes`: kept free to be able to delete on a full disk. `busy_s`: how long another process's commit is waited for.
    """

    def __init__(
        self,
        url: str,
        prefix: str = "footstream.",
        max_mib: int = 8192,
        *,
        clock: Callable[[], float] = time.time,
        ballast_bytes: int = BALLAST_BYTES,
        busy_s: float = BUSY_S,
    ) -> None:
        if not url.startswith(_SCHEME) or url == _SCHEME:
            raise LogError(f"log URL {url!r}: no folder; use sqlite:///FOLDER or sqlite:////ABSOLUTE/FOLDER")
        if max_mib < 1:
            raise LogError(f"log_max_mib {max_mib!r}: must be at least 1 MiB; set FOOTSTREAM_LOG_MAX_MIB")
        self.folder = Path(url.removeprefix(_SCHEME))
        if os.access(self.folder, os.F_OK) and not self.folder.is_dir():
            raise LogError(f"log folder {self.folder}: it is a file; name a folder, one is made when it is missing")
        self._prefix, self._busy_s = prefix, busy_s
        self._max_bytes, self._clock, self._ballast_bytes = max_mib << 20, clock, ballast_bytes

    def ensure_topic(self, topic: str, partitions: int, retention_s: int | None = None) -> int:
        """Create the topic when missing; returns its real number of partitions. A given retention counts for old ones, too."""
        if partitions < 1:
            raise LogError(f"log topic {topic}: {partitions} partitions; it needs at least 1; set FOOTSTREAM_LOG_PARTITIONS")
        keep_ms = None if retention_s is None else retention_s * 1000
        path = self._path(topic)
        with self._folder_lock():
            if not path.exists():
                create(path, self._prefix + topic, partitions, keep_ms, self._busy_s)
        with closing(TopicFile(path, self._busy_s)) as file:
            if keep_ms is not None and file.db.execute("SELECT retention_ms FROM topic").fetchone()[0] != keep_ms:
                with file.transaction() as db:
                    db.execute("UPDATE topic SET retention_ms = ?", (keep_ms,))
            return file.partitions

    def grow_topic(self, topic: str, partitions: int) -> None:
        """See `Log.grow_topic`."""
        with self._folder_lock(), closing(self._open(topic)) as file:
            if partitions < file.partitions:
                raise LogError(f"log file {file.path}: has {file.partitions} partitions; their number can only grow")
            with file.transaction() as db:
                fresh = [(p, 0, 0) for p in range(file.partitions, partitions)]
                db.executemany("INSERT INTO partitions VALUES (?, ?, ?)", fresh)

    def differences(self, topic: str, partitions: int, retention_s: int | None = None) -> list[str]:
        """See `Log.differences`. A retention is taken over when a role starts, so it is none."""
        there = self.partitions(topic)
        if there in (None, partitions):
            return []
        return [
            f"{self._prefix + topic} has {there} partitions, the settings say {partitions}; a topic keeps its number:"
            f" set FOOTSTREAM_LOG_PARTITIONS={there}"
        ]

    def partitions(self, topic: str) -> int | None:
        if not os.access(self._path(topic), os.F_OK):
            return None
        with closing(self._open(topic)) as file:
            return file.partitions

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        with closing(self._open(topic)) as file, told(file.path):
            return file.bounds()

    def writer(self) -> Writer:
        return SqliteWriter(self._path, self.keeper(), self._busy_s)

    def reader(self, topic: str, partition: int, position: int) -> Reader:
        return OneReader(self.slice_reader(topic, {partition: position}))

    def slice_reader(self, topic: str, positions: dict[int, int]) -> SliceReader:
        return SqliteSliceReader(self._open(topic), positions)

    def keeper(self) -> Keeper:
        """Retention of this folder; every writer has its own and runs it now and then."""
        return Keeper(self.folder, self._max_bytes, self._clock, self._busy_s, self._ballast_bytes)

    def commit_progress(self, topic: str, group: str, positions: dict[int, int]) -> None:
        rows = [(topic, group, partition, position) for partition, position in positions.items()]
        with suppress(sqlite3.Error), closing(self._progress(0.05)) as db:
            db.execute(_PROGRESS)
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?)", rows)
            db.execute("COMMIT")

    def progress(self, topic: str, group: str) -> dict[int, int]:
        if not (self.folder / "progress.db").exists():
            return {}
        with told(self.folder / "progress.db"), closing(self._progress(self._busy_s)) as db:
            db.execute(_PROGRESS)
            return dict(db.execute("SELECT partition, position FROM progress WHERE topic = ? AND grp = ?", (topic, group)))

    def close(self) -> None:
        """Nothing to do: writers and readers own what they opened."""

    def _progress(self, busy_s: float) -> sqlite3.Connection:
        """A file of its own: progress is written often and must not wake the readers of a topic. Not synced: it may be old."""
        db = sqlite3.connect(self.folder / "progress.db", timeout=busy_s, isolation_level=None)
        db.execute("PRAGMA synchronous = OFF")
        return db

    def _path(self, topic: str) -> Path:
        return self.folder / f"{quote(self._prefix + topic, safe='')}{SUFFIX}"

    def _open(self, topic: str) -> TopicFile:
        return TopicFile(self._path(topic), self._busy_s)

    @contextmanager
    def _folder_lock(self) -> Iterator[None]:
        """Only one process at a time creates topics."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("wb")
        except OSError as error:
            raise LogError(
                f"log folder {self.folder}: {error.strerror}; check the path and its rights, or set FOOTSTREAM_DATA"
            ) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
