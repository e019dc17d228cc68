"""The notifier's SQLite file: schema, transactions, errors that a person can act on."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

VERSION = 2
BUSY_S = 10.0

_SCHEMA = """
CREATE TABLE cursor (topic TEXT, partition INTEGER, position INTEGER NOT NULL, PRIMARY KEY (topic, partition));
CREATE TABLE alert (
    fingerprint TEXT PRIMARY KEY, episode_id TEXT NOT NULL, transition_id TEXT NOT NULL, kind TEXT NOT NULL,
    onset_ms INTEGER NOT NULL, ordinal INTEGER NOT NULL, happened_ms INTEGER NOT NULL, backfilled INTEGER NOT NULL,
    site TEXT NOT NULL, rule TEXT NOT NULL, family TEXT NOT NULL, subject TEXT NOT NULL, severity TEXT NOT NULL,
    acked_by TEXT, acked_ms INTEGER, acked_until_ms INTEGER, version INTEGER NOT NULL DEFAULT 1);
CREATE TABLE transition (
    seq INTEGER PRIMARY KEY, transition_id TEXT NOT NULL UNIQUE, fingerprint TEXT NOT NULL, received_ms INTEGER NOT NULL,
    value BLOB NOT NULL);
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, notification_id TEXT NOT NULL UNIQUE, receiver TEXT NOT NULL,
    dedup_key TEXT NOT NULL, what TEXT NOT NULL, transition_id TEXT NOT NULL, repeat INTEGER NOT NULL DEFAULT 0,
    grp TEXT NOT NULL, text TEXT NOT NULL DEFAULT '', created_ms INTEGER NOT NULL,
    hold_ms INTEGER NOT NULL, retry_ms INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT 'waiting',
    attempts INTEGER NOT NULL DEFAULT 0, refusals INTEGER NOT NULL DEFAULT 0, doubt INTEGER NOT NULL DEFAULT 0,
    plain INTEGER NOT NULL DEFAULT 0, silence INTEGER, digest INTEGER, lease TEXT, lease_ms INTEGER, ended_ms INTEGER,
    detail TEXT NOT NULL DEFAULT '');
CREATE INDEX outbox_open ON outbox (receiver, seq) WHERE state IN ('waiting', 'leased');
CREATE INDEX outbox_key ON outbox (receiver, dedup_key, seq) WHERE state IN ('waiting', 'leased');
CREATE INDEX outbox_digest ON outbox (receiver, digest) WHERE state = 'digest';
CREATE INDEX outbox_lease ON outbox (lease) WHERE state = 'leased';
CREATE TABLE attempt (
    id INTEGER PRIMARY KEY, lease TEXT NOT NULL, outbox_seq INTEGER NOT NULL, started_ms INTEGER NOT NULL,
    ended_ms INTEGER, outcome TEXT, detail TEXT);
CREATE INDEX attempt_open ON attempt (lease) WHERE ended_ms IS NULL;
CREATE TABLE receiver (
    name TEXT PRIMARY KEY, failures INTEGER NOT NULL DEFAULT 0, failing_since_ms INTEGER, next_ms INTEGER NOT NULL DEFAULT 0,
    disabled TEXT, disabled_ms INTEGER, adopt INTEGER NOT NULL DEFAULT 1, sent INTEGER NOT NULL DEFAULT 0);
CREATE TABLE told (
    receiver TEXT, fingerprint TEXT, episode_id TEXT NOT NULL, kind TEXT NOT NULL, transition_id TEXT NOT NULL,
    at_ms INTEGER NOT NULL, repeat_ms INTEGER, repeats INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (receiver, fingerprint));
CREATE INDEX told_repeat ON told (receiver, repeat_ms) WHERE repeat_ms IS NOT NULL;
CREATE TABLE grp (receiver TEXT, grp TEXT, next_ms INTEGER NOT NULL, PRIMARY KEY (receiver, grp));
CREATE TABLE silence (
    id INTEGER PRIMARY KEY AUTOINCREMENT, matchers TEXT NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
    author TEXT NOT NULL, comment TEXT NOT NULL, created_ms INTEGER NOT NULL);
CREATE TABLE action (
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, author TEXT NOT NULL, what TEXT NOT NULL, detail TEXT NOT NULL);
"""

encode = msgspec.json.Encoder().encode


class OutboxError(Exception):
    """The outbox cannot be used: the message says what, where and what to do."""

    footstream_problem = True


class OutboxFile:
    """One connection to the file; one for each thread. Made when it is missing. Durable: WAL and a full sync at each commit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            self.db.row_factory = sqlite3.Row
            self.db.execute("PRAGMA journal_mode = WAL")
            self.db.execute("PRAGMA synchronous = FULL")
            self._migrate()
        except (sqlite3.Error, OSError) as error:
            raise OutboxError(f"outbox {path}: {error}; check the file and its rights, or move it away to begin anew") from None

    def _migrate(self) -> None:
        with self.transaction() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise OutboxError(f"outbox {self.path}: version {version}, this program knows {VERSION}; use the newer release")
            if version == 0:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    db.execute(statement)
            if version == 1:
                db.execute("ALTER TABLE outbox ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0")
            if version < VERSION:
                db.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside becomes durable at once, or not at all."""
        try:
            self.db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise OutboxError(f"outbox {self.path}: {error}; another process holds it or the disk is gone") from None
        try:
            yield self.db
            self.db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._roll_back()
            raise OutboxError(f"outbox {self.path}: {error}; free space on its disk, nothing was lost") from None
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")

    def changes(self) -> int:
        """A number that changes whenever another connection has committed; costs microseconds."""
        return int(self.db.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        self.db.close()
