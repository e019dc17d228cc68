"""Brings the store to this program's layout: database, tables, missing columns, retention, views. Again changes nothing.

What is to do is told from what is there, each statement may run twice, and the layout is noted last: a run that ended
halfway is finished by the next.
"""

import hashlib
import time
from dataclasses import replace

from connectors.clickhouse import Store
from flows import discovered
from infra import ddl
from infra.errors import Problem
from infra.settings import Settings
from infra.stores import open_store, program_version
from schemas.rows import TABLES, Table


def layout(keep: dict[str, int | None]) -> str:
    """Hash of everything that migrate would make."""
    texts = [ddl.create_versions()]
    for name, table in TABLES.items():
        texts += [ddl.create_table(table, keep[name]), *ddl.views(table)]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def check_version(store: Store) -> str:
    """Layout of the store, empty when it has none yet. Raises Problem when a newer program made it."""
    there = store.query(
        "SELECT count() AS n FROM system.tables WHERE database = {database:String} AND name = {name:String}",
        {"database": store.database, "name": ddl.VERSIONS},
    )
    if not there[0]["n"]:
        return ""
    found = store.query(f"SELECT max(version) AS version, argMax(layout, applied_ms) AS layout FROM {ddl.VERSIONS}")[0]
    if found["version"] > ddl.SCHEMA:
        raise Problem(
            f"store {store.url}: database {store.database} has layout {found['version']}, this program knows {ddl.SCHEMA}; "
            "install the newer footstream"
        )
    return str(found["layout"])


def migrate(settings: Settings, only_plan: bool = False) -> list[str]:
    """Make what is missing; returns the statements that changed something, or with `only_plan` would change it.

    Raises Problem, StoreDown, StoreError.
    """
    discovered()  # a flow may declare a table of its own, in its file
    keep = ddl.keep_of(settings.keep_days)
    database = _create_database(settings, only_plan)
    if database and only_plan:
        return [database, *(s for n, table in TABLES.items() for s in (ddl.create_table(table, keep[n]), *ddl.views(table)))]
    store = open_store(settings)
    try:
        wanted = layout(keep)
        if check_version(store) == wanted and _complete(store):
            return []
        return _planned(store, keep) if only_plan else _apply(store, keep, wanted)
    finally:
        store.close()


def _create_database(settings: Settings, only_plan: bool) -> str:
    """The statement, empty when the database is there."""
    server = open_store(replace(settings, store_database="default"))
    try:
        name = {"name": settings.store_database}
        if server.query("SELECT count() AS n FROM system.databases WHERE name = {name:String}", name)[0]["n"]:
            return ""
        statement = f"CREATE DATABASE IF NOT EXISTS {ddl.quoted(settings.store_database)}"
        if not only_plan:
            server.command(statement)
        return statement
    finally:
        server.close()


def _complete(store: Store) -> bool:
    """Whether every table and view is there (somebody may have dropped one)."""
    wanted = {t.stored() for t in TABLES.values()} | set(TABLES) | {f"{n}_as_of" for n, t in TABLES.items() if t.revised}
    found = store.query("SELECT name FROM system.tables WHERE database = {database:String}", {"database": store.database})
    return wanted <= {row["name"] for row in found}


def _planned(store: Store, keep: dict[str, int | None]) -> list[str]:
    there = _columns(store)
    return [statement for name, table in TABLES.items() for statement in _statements(store, table, keep[name], there)]


def _apply(store: Store, keep: dict[str, int | None], wanted: str) -> list[str]:
    store.command(ddl.create_versions())
    done = _planned(store, keep)
    for statement in done:
        # Rows of an old retention go as months pass, not in one rewrite of everything.
        store.command(statement, settings={"materialize_ttl_after_modify": 0} if " TTL" in statement[:200] else None)
    now = int(time.time() * 1000)
    store.command(
        f"INSERT INTO {ddl.VERSIONS} (version, program, layout, applied_ms) VALUES "
        f"({ddl.SCHEMA}, {ddl.text(program_version())}, {ddl.text(wanted)}, {now})"
    )
    return done


def _statements(store: Store, table: type[Table], days: int | None, there: dict[str, dict[str, str]]) -> list[str]:
    columns = there.get(table.stored())
    if columns is None:
        return [ddl.create_table(table, days), *ddl.views(table)]
    engine = store.query(
        "SELECT engine_full FROM system.tables WHERE database = {database:String} AND name = {name:String}",
        {"database": store.database, "name": table.stored()},
    )[0]["engine_full"]
    return [*ddl.add_columns(table, columns), *ddl.change_ttl(table, engine, days), *ddl.views(table)]


def _columns(store: Store) -> dict[str, dict[str, str]]:
    """Columns and types of all tables that are there."""
    found: dict[str, dict[str, str]] = {}
    for row in store.query(
        "SELECT table, name, type FROM system.columns WHERE database = {database:String}", {"database": store.database}
    ):
        found.setdefault(row["table"], {})[row["name"]] = row["type"]
    return found
