"""Merges what the store has written, month by month, and gives free pages of the embedded log back to the disk."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from connectors.clickhouse import Store
from infra import ddl
from infra.backup import ordered_tables
from infra.errors import Problem


def compact(store: Store, say: Callable[[str], None]) -> tuple[int, int]:
    """Merge every month of every table that has more than one part; rows before and after. Lanes may run meanwhile."""
    before = _rows(store)
    for table in ordered_tables():
        asked = {"database": store.database, "table": table.stored()}
        parts = store.query(
            "SELECT partition, partition_id AS id, count() AS n FROM system.parts WHERE active AND database = {database:String}"
            " AND table = {table:String} GROUP BY partition, id HAVING n > 1 ORDER BY id",
            asked,
        )
        for r in parts:
            say(f"{table.name} {r['partition']}: {r['n']} parts")
            store.command(f"OPTIMIZE TABLE {ddl.quoted(table.stored())} PARTITION ID {ddl.text(r['id'])} FINAL")
    return before, _rows(store)


def _rows(store: Store) -> int:
    """Stored rows of our tables, older copies of a key included."""
    found = store.query(
        "SELECT sum(rows) AS n FROM system.parts WHERE active AND database = {database:String}", {"database": store.database}
    )
    return int(found[0]["n"] or 0)


def shrink(folder: Path) -> int:
    """Give free pages of the log's files back; bytes. Others may write meanwhile."""
    freed = 0
    for path in sorted(folder.glob("*.sqlite")):
        before = path.stat().st_size
        try:
            with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as db:
                db.executescript("PRAGMA incremental_vacuum;")  # `execute` would step it once: one page
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            raise Problem(f"compact: {path}: {error}; look at the disk, then say it again") from None
        freed += max(0, before - path.stat().st_size)
    return freed
