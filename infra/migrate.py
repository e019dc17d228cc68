"""Brings the store to this program's layout: database, tables, keys, columns, codecs, retention, views. Again changes nothing.

What is to do is told from what is there (`infra/changes.py`), each statement may run twice, and the layout is noted last: a run
that ended halfway is finished by the next. In a cluster every statement runs on all servers, and what one server lacks is
missing.
"""

import hashlib
import time
from dataclasses import replace

from connectors.clickhouse import Store
from flows import discovered
from infra import ddl
from infra.changes import changes
from infra.errors import Problem
from infra.inventory import Inventory
from infra.lanes import Board
from infra.settings import Settings
from infra.stores import open_store, program_version
from schemas.rows import TABLES, Lanes


def cluster_of(settings: Settings) -> ddl.Cluster | None:
    """The cluster that holds the tables; None: one server."""
    return ddl.Cluster(settings.store_cluster, settings.store_database) if settings.store_cluster else None


def layout(keep: dict[str, ddl.Keep], cluster: ddl.Cluster | None = None) -> str:
    """Hash of everything that migrate would make."""
    texts = [ddl.create_versions(cluster)]
    for name, table in TABLES.items():
        texts += ddl.create_all(table, keep[name], cluster)
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
    keep, cluster = ddl.keep_of(settings.keep_days), cluster_of(settings)
    database = _create_database(settings, cluster, only_plan)
    if database and only_plan:
        return [database, *(s for n, table in TABLES.items() for s in ddl.create_all(table, keep[n], cluster))]
    store = open_store(settings)
    try:
        there, wanted = Inventory(store, cluster), layout(keep, cluster)
        if check_version(store) == wanted and _complete(there, cluster):
            return []
        planned = [s for name, table in TABLES.items() for s in changes(table, keep[name], there, cluster)]
        return planned if only_plan else _apply(store, planned, cluster, wanted)
    finally:
        store.close()


def _create_database(settings: Settings, cluster: ddl.Cluster | None, only_plan: bool) -> str:
    """The statement, empty when the database is there."""
    server = open_store(replace(settings, store_database="default"))
    try:
        # Asked in `default`, because nothing can be asked in a database that is not there.
        found = Inventory(server, cluster)
        server.database = settings.store_database
        if found.has_database():
            return ""
        statement = ddl.create_database(settings.store_database, cluster)
        if not only_plan:
            server.database = "default"
            server.command(statement)
        return statement
    finally:
        server.close()


def _complete(there: Inventory, cluster: ddl.Cluster | None) -> bool:
    """Whether every table and view is there (somebody may have dropped one)."""
    wanted = {t.stored() for t in TABLES.values()} | set(TABLES) | {f"{n}_as_of" for n, t in TABLES.items() if t.revised}
    return wanted | {ddl.held(t, cluster) for t in TABLES.values()} <= there.tables.keys()


def _apply(store: Store, planned: list[str], cluster: ddl.Cluster | None, wanted: str) -> list[str]:
    if any(s.startswith("EXCHANGE") for s in planned):
        _check_no_lane(store)
    store.command(ddl.create_versions(cluster))
    for statement in planned:
        # Rows of an old retention go as months pass, not in one rewrite of everything.
        store.command(statement, settings={"materialize_ttl_after_modify": 0} if " TTL" in statement[:200] else None)
    now = int(time.time() * 1000)
    store.command(
        f"INSERT INTO {ddl.VERSIONS} (version, program, layout, applied_ms) VALUES "
        f"({ddl.SCHEMA}, {ddl.text(program_version())}, {ddl.text(wanted)}, {now})"
    )
    return planned


def _check_no_lane(store: Store) -> None:
    """Rows that a lane writes while a table is copied would be left behind."""
    there = {"database": store.database, "name": Lanes.name}
    sql = "SELECT count() AS n FROM system.tables WHERE database = {database:String} AND name = {name:String}"
    if not store.query(sql, there)[0]["n"]:
        return
    for row in store.query("SELECT DISTINCT flows FROM lanes AS t"):
        alive = [s for s in Board(store, row["flows"]).seats() if s.alive]
        if alive:
            raise Problem(
                f"migrate: tables are to be built anew, but lane {alive[0].lane}/{alive[0].of} writes to them"
                f" ({alive[0].place}); stop the lanes, migrate, start them"
            )
