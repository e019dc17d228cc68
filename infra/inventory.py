"""What a store has: tables with their columns, codecs, keys, indexes; in a cluster what every one of its servers has."""

import re
from typing import Any

import msgspec

from connectors.clickhouse import Store
from infra import ddl
from infra.ddl import Cluster

_SETTING = re.compile(r"(\w+) = (\d+)")


class Found(msgspec.Struct):
    """A table or view as it is. `columns`: name -> (type, codec, empty: the default); `engine`: with partition, key, TTL,
    settings, in the server's own words; `order`: columns of the sorting key; `indexes`: names."""

    engine: str
    order: str
    columns: dict[str, tuple[str, str]]
    indexes: set[str]

    def settings(self) -> dict[str, int]:
        """Settings of the table that are whole numbers."""
        return {name: int(value) for name, value in _SETTING.findall(self.engine.partition(" SETTINGS ")[2])}


class Inventory:
    """The tables of one database, as they were when this was made. Raises StoreDown, StoreError."""

    def __init__(self, store: Store, cluster: Cluster | None) -> None:
        self.store, self.cluster, self.hosts = store, cluster, 1
        if cluster:
            self.hosts = int(store.command(f"SELECT count() FROM {self._of('one')}"))
        self.tables = {
            r["name"]: Found(r["engine"], r["sorting"], {}, set())
            for r in self._read("tables", "name", "any(engine_full) AS engine, any(sorting_key) AS sorting", "database")
        }
        columns = "any(type) AS kind, any(compression_codec) AS codec, min(position) AS place"
        for r in sorted(self._read("columns", "table, name", columns, "database"), key=lambda r: r["place"]):
            if r["table"] in self.tables:
                codec = r["codec"].removeprefix("CODEC(").removesuffix(")") if r["codec"] else ""
                self.tables[r["table"]].columns[r["name"]] = r["kind"], codec
        for r in self._read("data_skipping_indices", "table, name", "count() AS n", "database"):
            if r["table"] in self.tables:
                self.tables[r["table"]].indexes.add(r["name"])

    def _of(self, table: str) -> str:
        return f"clusterAllReplicas({ddl.text(self.cluster.name)}, system.{table})" if self.cluster else f"system.{table}"

    def _read(self, table: str, key: str, values: str, database: str) -> list[dict[str, Any]]:
        """Rows of a system table by a key that all servers have."""
        sql = f"SELECT {key}, {values} FROM {self._of(table)} WHERE {database} = {{database:String}}"
        return self.store.query(
            f"{sql} GROUP BY {key} HAVING count() = {{hosts:UInt32}}", {"database": self.store.database, "hosts": self.hosts}
        )

    def has_database(self) -> bool:
        """Whether all servers have the database."""
        return bool(self._read("databases", "name", "count() AS n", "name"))

    def parts(self, table: str) -> list[tuple[str, int]]:
        """Partitions of a table by id, with their stored rows."""
        found = self.store.query(
            "SELECT partition_id AS id, sum(rows) AS n FROM system.parts WHERE active AND database = {database:String}"
            " AND table = {table:String} GROUP BY id ORDER BY id",
            {"database": self.store.database, "table": table},
        )
        return [(r["id"], int(r["n"])) for r in found]
