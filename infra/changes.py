"""What an older store lacks, as statements: columns, codecs, indexes, settings, retention, and tables with another key.

All of it follows from what is there, so that it goes forward from any released layout, may run twice, and goes on where an
earlier run was cut. A table with another key is copied into a new one by month, then the two change names at once.
"""

from collections.abc import Mapping

from infra.codecs import codec_of
from infra.ddl import (
    Cluster,
    Keep,
    column_text,
    create_all,
    create_table,
    held,
    on,
    order_of,
    quoted,
    settings_of,
    text,
    ttl_of,
    views,
)
from infra.errors import Problem
from infra.inventory import Found, Inventory
from schemas.tables import Table

COPIED = "_new"
"""Put after the name of the table that takes the rows of one with another key."""
MOST_COPIED = 20_000_000
"""Rows of one statement: a minute or two, so that no connection is given up meanwhile."""


def changes(table: type[Table], keep: Keep, there: Inventory, cluster: Cluster | None) -> list[str]:
    """Every statement that brings one table up to date. Raises Problem when that cannot be done by statements."""
    found = there.tables.get(held(table, cluster))
    if found is None:
        return create_all(table, keep, cluster)
    check_types(table, found)
    name = held(table, cluster)
    if found.order.strip("()") != ", ".join(order_of(table)):
        if cluster:
            raise Problem(
                f"store: {name} is ordered by {found.order}, not {', '.join(order_of(table))}; `footstream backup`, then"
                " migrate and restore into a new FOOTSTREAM_STORE_DATABASE"
            )
        return [*copy_over(table, keep, found, there.parts(name)), *views(table)]
    left = [drop(name + COPIED)] if name + COPIED in there.tables else []
    alter = f"ALTER TABLE {quoted(name)}{on(cluster)}"
    done = [*left, *add_columns(table, found.columns, alter)]
    over = there.tables.get(table.stored())
    if cluster and over is not None:
        done += add_columns(table, over.columns, f"ALTER TABLE {quoted(table.stored())}{on(cluster)}")
    for part in (change_codecs, add_indexes):
        done += part(table, found, alter)
    done += [*change_settings(settings_of(table, keep, cluster), found, alter), *change_ttl(table, found.engine, keep, alter)]
    missing = [s for s in create_all(table, keep, cluster)[1:2] if cluster and over is None]
    return [*done, *missing, *views(table, cluster)]


def drop(name: str) -> str:
    """DROP of a table that only a migration made."""
    return f"DROP TABLE IF EXISTS {quoted(name)} SYNC"


def copy_over(table: type[Table], keep: Keep, found: Found, parts: list[tuple[str, int]]) -> list[str]:
    """The rows of a table with another key go into a new one. Cut anywhere before the exchange it begins anew, after it only
    the old table is left to be dropped."""
    old, new = table.stored(), table.stored() + COPIED
    names = ", ".join(quoted(c) for c in table.columns if c in found.columns)
    done = [drop(new), create_table(table, keep, name=new)]
    for part, rows in parts:
        pieces = max(1, -(-rows // MOST_COPIED))
        for piece in range(pieces):
            where = f"_partition_id = {text(part)}"
            if pieces > 1:
                where += f" AND cityHash64({', '.join(table.key)}) % {pieces} = {piece}"
            done.append(f"INSERT INTO {quoted(new)} ({names}) SELECT {names} FROM {quoted(old)} WHERE {where}")
    return [*done, f"EXCHANGE TABLES {quoted(old)} AND {quoted(new)}", drop(new)]


def check_types(table: type[Table], found: Found) -> None:
    """Refuse a column of another type, which no statement here changes. Raises Problem."""
    for name, column in table.columns.items():
        kind = found.columns.get(name, (column.type, ""))[0]
        if kind != column.type:
            raise Problem(
                f"store: column {table.stored()}.{name} is {kind}, not {column.type}; "
                "rename the table, migrate, and fill it again with `footstream rebuild`"
            )


def add_columns(table: type[Table], there: Mapping[str, object], alter: str) -> list[str]:
    """ALTERs that add what a table lacks; `there`: its columns; `alter`: how the statement begins."""
    statements, before = [], ""
    for name, column in table.columns.items():
        if name not in there:
            place = f"AFTER {quoted(before)}" if before else "FIRST"
            statements.append(f"{alter} ADD COLUMN IF NOT EXISTS {column_text(table, name, column)} {place}")
        before = name
    return statements


def change_codecs(table: type[Table], found: Found, alter: str) -> list[str]:
    """One ALTER for all columns with another codec; what is stored is packed anew as it is merged."""
    wrong = [
        f"MODIFY COLUMN {column_text(table, name, column)}"
        for name, column in table.columns.items()
        if name in found.columns and found.columns[name][1] != codec_of(table, name)
    ]
    return [f"{alter} {', '.join(wrong)}"] if wrong else []


def add_indexes(table: type[Table], found: Found, alter: str) -> list[str]:
    """ALTERs that add an index and make it for what is stored; both at once, or a cut between them would leave half of it."""
    return [
        f"{alter} {index.replace('INDEX', 'ADD INDEX IF NOT EXISTS', 1)}, MATERIALIZE INDEX {index.split()[1]}"
        for index in table.indexes
        if index.split()[1] not in found.indexes
    ]


def change_settings(wanted: Mapping[str, int], found: Found, alter: str) -> list[str]:
    """ALTER for settings of the table that differ."""
    there = found.settings()
    wrong = [f"{name} = {value}" for name, value in wanted.items() if there.get(name) != value]
    return [f"{alter} MODIFY SETTING {', '.join(wrong)}"] if wrong else []


def change_ttl(table: type[Table], engine: str, keep: Keep, alter: str) -> list[str]:
    """ALTER that makes the TTL what is wanted; `engine`: the server's `engine_full` of the table."""
    wanted = ttl_of(table, keep)
    if wanted:
        return [] if f" TTL {wanted} " in f"{engine} " else [f"{alter} MODIFY TTL {wanted}"]
    return [f"{alter} REMOVE TTL"] if " TTL " in engine else []
