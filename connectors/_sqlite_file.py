"""One topic of the embedded log: a SQLite file with its schema, its checks, and errors that a person can act on.

Records are packed: a row of `chunks` holds what one commit brought to one partition (msgpack columns with a checksum), so that
reading is one C call for hundreds of records. The row id is `partition << 44 | position of the first record`: a single b-tree.
Measured (2 cores, 700-byte values): chunks of 125 are read at a million records a second, one row a record at 0.3 million.
"""

import os
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from connectors.log import LogError, LogFull

APPLICATION_ID = 0x466F6F74  # "Foot": `file` and a second program can tell whose file this is
VERSION = 1
SHIFT = 44  # positions per partition: 17 million million
BUSY_S = 10.0  # how long another process's commit is waited for
CHUNK_RECORDS, CHUNK_BYTES = 1000, 512 * 1024  # a reader decodes whole chunks

_SCHEMA = """
CREATE TABLE topic (name TEXT NOT NULL, retention_ms INTEGER);
CREATE TABLE partitions (partition INTEGER PRIMARY KEY, first INTEGER NOT NULL, next INTEGER NOT NULL);
CREATE TABLE chunks (id INTEGER PRIMARY KEY, records INTEGER, newest_ms INTEGER, crc INTEGER, data BLOB);
"""

Header = tuple[str, bytes]


class Columns(NamedTuple):
    """The records of one chunk, as parallel lists in order of position."""

    timestamps: list[int]
    keys: list[str]
    values: list[bytes]
    headers: list[tuple[Header, ...]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[list[int], list[str], list[bytes], list[tuple[Header, ...]], list[int]]).decode

ChunkRow = tuple[int, int, int, int, bytes]


def pack(partition: int, first: int, columns: Columns) -> ChunkRow:
    """The row of `chunks` for these records."""
    timestamps, keys, values, headers = columns
    distinct = {h: i for i, h in enumerate(dict.fromkeys(headers))}  # a device's headers are always the same: kept once a chunk
    data = _encode((timestamps, keys, values, list(distinct), [distinct[h] for h in headers]))
    return partition << SHIFT | first, len(columns.timestamps), max(columns.timestamps), zlib.crc32(data), data


def unpack(path: Path, row_id: int, crc: int, data: bytes) -> Columns:
    """The records of a row. Raises LogError when its bytes are not those that were written."""
    if zlib.crc32(data) != crc:
        raise LogError(
            f"log file {path}: partition {row_id >> SHIFT}, position {row_id & (1 << SHIFT) - 1} is damaged; {_RESTORE}"
        )
    timestamps, keys, values, distinct, which = _decode(data)
    return Columns(timestamps, keys, values, [distinct[i] for i in which])


_RESTORE = "check the disk, then restore the file from a backup, or move it away and start with an empty log"
_CODE = 0xFF  # the primary result code is the low byte of an extended one


def room(path: Path) -> int:
    """Free bytes of the file system that holds `path`."""
    stat = os.statvfs(path if path.exists() else path.parent)
    return stat.f_bavail * stat.f_frsize


def problem(error: sqlite3.Error, path: Path) -> LogError:
    """What SQLite says, as what failed, where and what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & _CODE
    no_room = code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and room(path) < 1 << 20
    if code == sqlite3.SQLITE_FULL or no_room:
        return LogFull(f"log file {path}: the disk is full; free some space: writing goes on by itself, nothing taken is lost")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LogError(f"log file {path}: locked by another process ({error}); end the one that holds it (`fuser {path}`)")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return LogError(f"log file {path}: damaged or no log ({error}); {_RESTORE}")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_CANTOPEN):
        return LogError(
            f"log file {path}: {error}; check that it exists and that this user may read and write it and its folder"
        )
    return LogError(f"log file {path}: {error}; check the disk and the file")


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into LogError."""
    try:
        yield
    except sqlite3.Error as error:
        raise problem(error, path) from error


class TopicFile:
    """An open topic. Not for two threads at once. Raises LogError when the file is missing, no log, or of a newer version."""

    def __init__(self, path: Path, busy_s: float = BUSY_S) -> None:
        self.path = path
        if not os.access(path, os.F_OK):  # not Path.exists: it raises where this user may not look
            raise LogError(f"log file {path}: missing; the part that writes it creates it (`footstream bridge`)")
        with told(path):
            self.db = _connect(path, busy_s)
            try:
                _check(self.db, path)
                self.db.execute("PRAGMA synchronous = FULL")
                self.db.execute(f"PRAGMA journal_size_limit = {16 << 20}")
                self.partitions = int(self.db.execute("SELECT count(*) FROM partitions").fetchone()[0])
            except BaseException:
                self.db.close()
                raise
        self._inode = path.stat().st_ino

    def check_place(self) -> None:
        """Raises LogError when the file was removed or replaced meanwhile: what is written to it would be lost."""
        try:
            same = self.path.stat().st_ino == self._inode
        except OSError:
            same = False
        if not same:
            raise LogError(f"log file {self.path}: removed or replaced while it was in use; start this part again")

    def bounds(self) -> dict[int, tuple[int, int]]:
        """Per partition (first kept position, end)."""
        return {p: (first, end) for p, first, end in self.db.execute("SELECT partition, first, next FROM partitions")}

    def used_bytes(self) -> int:
        """Bytes that records take, without pages that are free to be used again."""
        pages, free, size = (
            self.db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: durable on leaving, undone on an error. Raises LogError, LogFull."""
        try:
            self.db.execute("BEGIN IMMEDIATE")
            yield self.db
            self.db.execute("COMMIT")
        except BaseException as error:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise problem(error, self.path) from error
            raise

    def store(self, rows: Sequence[ChunkRow], ends: dict[int, int]) -> None:
        """Inside a transaction: add chunks, move the ends of their partitions."""
        self.db.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?, ?)", rows)
        self.db.executemany("UPDATE partitions SET next = ? WHERE partition = ?", [(end, p) for p, end in ends.items()])

    def close(self) -> None:
        self.db.close()


def _connect(path: Path, busy_s: float, mode: str = "rw") -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=busy_s, isolation_level=None, check_same_thread=False)


def _check(db: sqlite3.Connection, path: Path) -> None:
    application, version = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if application != APPLICATION_ID:
        raise LogError(f"log file {path}: a database, but not a log of ours; move it away or set another folder")
    if version != VERSION:
        raise LogError(
            f"log file {path}: format {version}, this footstream knows {VERSION}; install the newer one, or set another folder"
        )


def create(path: Path, name: str, partitions: int, retention_ms: int | None, busy_s: float = BUSY_S) -> None:
    """Make the file of a topic; the caller holds the folder's lock, and the file appears whole or not at all."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with told(draft):
        db = _connect(draft, busy_s, "rwc")
        try:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute("BEGIN")
            for statement in _SCHEMA.strip().splitlines():
                db.execute(statement)
            db.execute("INSERT INTO topic VALUES (?, ?)", (name, retention_ms))
            db.executemany("INSERT INTO partitions VALUES (?, 0, 0)", [(p,) for p in range(partitions)])
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {VERSION}")
            db.execute("COMMIT")
            db.execute("PRAGMA journal_mode = WAL")
        finally:
            db.close()
    draft.rename(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power loss."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
