"""Copies of a whole deployment while it runs, and a deployment made from one.

Order makes a copy consistent, not a standstill. First how far the lanes are; then the tables, observations last; then the
outbox; then the embedded log. So the copy holds everything before its positions, and its log everything after them: the lanes
of the restored deployment build their state from the observations, read on from those positions and write the same rows again.
A copy is a folder: `manifest.json` with a checksum of each file, tables in ClickHouse's Native format, gzipped, and SQLite
files. Registry, receivers, settings and secrets are not in it.
"""

import gzip
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote
from zlib import crc32

import msgspec

from connectors.clickhouse import Store
from connectors.log import RAW, TRANSITIONS
from flows import discovered
from infra import ddl
from infra.errors import Problem
from infra.logs import open_settings_log
from infra.migrate import migrate
from infra.settings import Settings
from infra.stores import open_store, program_version
from schemas.rows import TABLES, Duplicates, Lanes, Observations, Progress, Quarantine
from schemas.tables import Table

FORMAT = 1
MOST_ROWS = 200_000
"""Of one file: some 30 MB of observations before compression."""
FIRST, LAST = (Progress, Lanes), (Quarantine, Duplicates, Observations)
OUTBOX = "notify.sqlite"

Say = Callable[[str], None]


class Part(msgspec.Struct):
    """One file of a copy. `path` is relative to its folder; `crc`: CRC-32 of the file as it stands there."""

    path: str
    crc: int
    rows: int = 0


class Copied(msgspec.Struct):
    """One table: its plain name, columns as they stand in the files, and the files."""

    name: str
    columns: list[str]
    parts: list[Part]


class Manifest(msgspec.Struct):
    """What a copy holds. `log`: the topics of the embedded log, by name without prefix; empty with Kafka.

    `positions`: by partition of `raw`, what the tables hold at least.
    """

    format: int
    program: str
    schema: int
    began_s: int
    prefix: str
    positions: dict[int, int]
    tables: list[Copied]
    log: dict[str, Part]
    outbox: Part | None = None


def ordered_tables() -> list[type[Table]]:
    """All tables in the order in which they must be copied."""
    discovered()  # a flow may bring a table of its own
    middle = [t for t in TABLES.values() if t not in FIRST and t not in LAST]
    return [*FIRST, *middle, *LAST]


def outbox_of(settings: Settings) -> Path:
    return settings.data / OUTBOX


def backup(settings: Settings, folder: Path, say: Say) -> Manifest:
    """Write a copy into a folder that does not exist yet. Raises Problem, StoreDown, LogError."""
    if folder.exists():
        raise Problem(f"backup: {folder} exists; name a folder that does not, each copy has its own")
    draft = folder.with_name(folder.name + ".partial")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        made = _backup(settings, draft, say)
        _write(draft / "manifest.json", msgspec.json.format(msgspec.json.encode(made), indent=1))
        draft.rename(folder)
    except OSError as error:
        raise Problem(f"backup: {draft}: {error.strerror}; make room, or name another folder") from None
    return made


def _backup(settings: Settings, draft: Path, say: Say) -> Manifest:
    store = open_store(settings)
    try:
        rows = store.query("SELECT partition_no, position FROM progress AS t WHERE t.topic = {topic:String}", {"topic": RAW})
        positions = {int(r["partition_no"]): int(r["position"]) for r in rows}
        made = Manifest(FORMAT, program_version(), ddl.SCHEMA, int(time.time()), settings.topic_prefix, positions, [], {})
        there = {
            r["table"]: r["columns"]
            for r in store.query(
                "SELECT table, groupArray(name) AS columns FROM (SELECT table, name FROM system.columns"
                " WHERE database = {database:String} ORDER BY table, position) GROUP BY table",
                {"database": store.database},
            )
        }
        for table in ordered_tables():
            if table.stored() in there:
                copied = Copied(table.name, [c for c in table.columns if c in there[table.stored()]], [])
                copied.parts = list(_copy_table(store, table, copied.columns, draft))
                made.tables.append(copied)
                say(f"{table.name}: {sum(p.rows for p in copied.parts)} rows")
    finally:
        store.close()
    if outbox_of(settings).exists():
        made.outbox = _copy_sqlite(outbox_of(settings), draft, OUTBOX)
        say("outbox")
    if settings.log().startswith("sqlite:"):
        for topic in (TRANSITIONS, RAW):
            path = topic_file(settings, topic)
            if path.exists():
                made.log[topic] = _copy_sqlite(path, draft, f"log/{topic}.sqlite")
                say(f"log, topic {topic}: {(draft / made.log[topic].path).stat().st_size >> 20} MiB")
    return made


def topic_file(settings: Settings, topic: str) -> Path:
    """A topic's file of the embedded log."""
    return Path(settings.log().removeprefix("sqlite:///")) / f"{quote(settings.topic_prefix + topic, safe='')}.sqlite"


def _copy_table(store: Store, table: type[Table], columns: list[str], draft: Path) -> Iterator[Part]:
    """The stored rows in files: by month, and by key where a month is large. A merge meanwhile drops copies only."""
    stored, names = ddl.quoted(table.stored()), ", ".join(ddl.quoted(c) for c in columns)
    key = ", ".join(ddl.quoted(c) for c in table.key)
    number = 0
    for r in store.query(f"SELECT _partition_id AS id, count() AS n FROM {stored} GROUP BY id ORDER BY id"):
        pieces = -(-int(r["n"]) // MOST_ROWS)
        for piece in range(pieces):
            where = f"_partition_id = {ddl.text(r['id'])} AND cityHash64({key}) % {pieces} = {piece}"
            body = store.native(f"SELECT {names} FROM {stored} WHERE {where}")
            (count,) = store.query(f"SELECT count() AS n FROM {stored} WHERE {where}") if pieces > 1 else (r,)
            path = f"tables/{table.name}/{number:05d}.native.gz"
            yield Part(path, _write(draft / path, gzip.compress(body, 1, mtime=0)), int(count["n"]))
            number += 1


def _write(path: Path, data: bytes) -> int:
    """Write a file that survives a power cut; its checksum."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return crc32(data)


def _copy_sqlite(source: Path, draft: Path, name: str) -> Part:
    """A consistent copy of a SQLite file that others write to."""
    target = draft / name
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(source, timeout=30)) as a, closing(sqlite3.connect(target)) as b:
            a.backup(b)
            b.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise Problem(f"backup: {source}: {error}; look at the disk, then say it again") from None
    return Part(name, checksum(target))


def checksum(path: Path) -> int:
    """CRC-32 of a file."""
    found = 0
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            found = crc32(piece, found)
    return found


def read_manifest(folder: Path) -> Manifest:
    """The description of a copy whose files are all as they were written. Raises Problem."""
    path = folder / "manifest.json"
    try:
        made = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise Problem(f"restore: {path}: {error}; name a folder that `footstream backup` made") from None
    if made.format > FORMAT or made.schema > ddl.SCHEMA:
        raise Problem(f"restore: {folder} was made by footstream {made.program}, which is newer; install that one")
    everything = [p for t in made.tables for p in t.parts] + list(made.log.values()) + ([made.outbox] if made.outbox else [])
    for part in everything:
        try:
            same = checksum(folder / part.path) == part.crc
        except OSError as error:
            raise Problem(f"restore: {folder / part.path}: {error.strerror}; take another copy") from None
        if not same:
            raise Problem(f"restore: {folder / part.path} is not what was written; take another copy")
    return made


_NOBODY = f"""
INSERT INTO {Lanes.stored()} (flows, holder, state, lane, of, partitions, host, pid, positions, started_ms, seen_ms)
SELECT flows, holder, if(holder = 'request', 'none', 'stopped'), lane, of, partitions, host, pid, positions, started_ms,
  seen_ms + 1
FROM lanes AS t WHERE t.holder != 'layout'
"""
"""The lanes that ran when the copy was made do not run here."""


def restore(settings: Settings, folder: Path, say: Say) -> Manifest:
    """Fill an empty deployment from a copy. Raises Problem before anything is written when that cannot be."""
    made = read_manifest(folder)
    embedded = settings.log().startswith("sqlite:")
    _check_log(settings, made, embedded)
    if outbox_of(settings).exists():
        raise Problem(f"restore: {outbox_of(settings)} exists; restore into an empty deployment, with another FOOTSTREAM_DATA")
    migrate(settings)
    store = open_store(settings)
    try:
        known = {t.name: t for t in ordered_tables()}
        _check_tables(store, made, known)
        for copied in made.tables:
            for part in copied.parts:
                body = gzip.decompress((folder / part.path).read_bytes())
                if part.rows:
                    store.insert_native(known[copied.name], copied.columns, body)
            say(f"{copied.name}: {sum(p.rows for p in copied.parts)} rows")
        store.command(_NOBODY)
    finally:
        store.close()
    for topic, part in made.log.items():
        if embedded:
            target = topic_file(settings, topic)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / part.path, target)
            with closing(sqlite3.connect(target)) as db:
                db.execute("PRAGMA journal_mode = WAL")
            say(f"log, topic {topic}")
    if made.outbox is not None:
        settings.data.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / made.outbox.path, outbox_of(settings))
        say("outbox")
    return made


def _check_log(settings: Settings, made: Manifest, embedded: bool) -> None:
    """The log must be the one of the copy: positions name records in it."""
    if embedded and made.log:
        if settings.topic_prefix != made.prefix:
            raise Problem(f"restore: the copy's topics begin with {made.prefix!r}; set FOOTSTREAM_TOPIC_PREFIX to that")
        there = [p for p in (topic_file(settings, t) for t in (RAW, TRANSITIONS)) if p.exists()]
        if there:
            raise Problem(f"restore: {there[0]} exists; restore into an empty deployment, with another FOOTSTREAM_DATA")
        return
    log = open_settings_log(settings)
    try:
        count = log.partitions(RAW)
        ends = {p: end for p, (_, end) in log.bounds(RAW).items()} if count else {}
    finally:
        log.close()
    short = [p for p, at in made.positions.items() if ends.get(p, 0) < at]
    if short:
        raise Problem(
            f"restore: partition {short[0]} of the log ends at {ends.get(short[0], 0)}, the copy was at "
            f"{made.positions[short[0]]}: this is not its log; bring back the topics first, or name them in FOOTSTREAM_LOG and "
            f"FOOTSTREAM_TOPIC_PREFIX"
        )


def _check_tables(store: Store, made: Manifest, known: dict[str, type[Table]]) -> None:
    """Empty tables that have the columns of the copy."""
    for copied in made.tables:
        table = known.get(copied.name)
        lost = sorted(set(copied.columns) - set(table.columns)) if table is not None else ["the table itself"]
        if table is None or lost:
            raise Problem(
                f"restore: table {copied.name}: this program does not know {', '.join(lost)}; install footstream {made.program}"
            )
        if store.query(f"SELECT count() AS n FROM {ddl.quoted(table.stored())}")[0]["n"]:
            raise Problem(
                f"restore: table {copied.name} of database {store.database} is not empty; name an empty one in "
                f"FOOTSTREAM_STORE_DATABASE"
            )


__all__ = ["Manifest", "backup", "read_manifest", "restore"]
