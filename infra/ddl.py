"""Tables and views from `schemas/rows.py`: DDL texts, nothing else. What an older store lacks: `infra/changes.py`.

Every table is stored under `Table.stored()` and read through a view of its plain name, so that nobody has to know FINAL. For
revisions there is a second view, `<name>_as_of(at_ms = ...)`. In a cluster `<stored>_local` holds the rows of a server, and the
stored name is a Distributed table over them: whoever writes or reads knows no difference.
"""

from typing import NamedTuple

from infra.codecs import codec_of
from infra.errors import Problem
from schemas.rows import TABLES
from schemas.tables import Column, Table

SCHEMA = 2
"""Number of this layout; a store with a higher one was written by a newer program and is refused.

2: `site` in the keys of `line_minutes` and `line_buckets`, codecs, an index by arrival.
"""

VERSIONS = "schema_version"
TOKENS = 1000  # inserts whose tokens are remembered; a retry comes within seconds, many lanes share a table
OPEN = "open"
"""Name in FOOTSTREAM_KEEP_DAYS of the rows of minutes and buckets that were not complete yet. For ever unless somebody asks: no
TTL can tell a row that was superseded from the last word on a minute that never closed, such as the end of an old recording."""
TTL_PAUSE_S = 86_400
"""Rows that go one by one are looked for once a day: each look writes the parts of a month anew."""


class Cluster(NamedTuple):
    """Servers that hold the tables together: `name` in their `remote_servers`, `database` on each of them.

    Each server has the macros `shard` and `replica`, and Keeper.
    """

    name: str
    database: str


class Keep(NamedTuple):
    """How long rows of a table are kept, in days; None or 0: for ever. `open`: those not complete yet."""

    days: int | None
    open: int | None = None


def quoted(name: str) -> str:
    """An identifier, quoted."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def text(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def on(cluster: Cluster | None) -> str:
    """What makes a statement run on all servers."""
    return f" ON CLUSTER {quoted(cluster.name)}" if cluster else ""


def held(table: type[Table], cluster: Cluster | None) -> str:
    """Name of the table that holds the rows on a server."""
    return f"{table.stored()}_local" if cluster else table.stored()


def shard_key(table: type[Table]) -> str:
    """Which shard a row belongs to. All rows of one key must be on one shard, or a view would show two of them."""
    by = next((name for name in ("site", "device") if name in table.key), ", ".join(table.key))
    return f"cityHash64({by})"


def order_of(table: type[Table]) -> tuple[str, ...]:
    """Columns that identify a stored row."""
    return (*table.key, "revision") if table.revised else table.key


def column_text(table: type[Table], name: str, column: Column) -> str:
    """A column of a stored table: name, type, comment, codec."""
    codec = codec_of(table, name)
    return f"{quoted(name)} {column.type} COMMENT {text(column.comment)}" + (f" CODEC({codec})" if codec else "")


def ttl_of(table: type[Table], keep: Keep) -> str:
    """TTL expression as the server prints it; empty: kept for ever."""
    if not table.time:
        return ""
    all_of = f"{table.time} + toIntervalDay({keep.days})" if keep.days else ""
    unfinished = f"{table.time} + toIntervalDay({keep.open}) WHERE complete = 0" if table.revised and keep.open else ""
    return ", ".join(filter(None, (all_of, unfinished)))


def settings_of(table: type[Table], keep: Keep, cluster: Cluster | None = None) -> dict[str, int]:
    """Settings of the table that holds the rows. Replicas remember tokens in Keeper by themselves."""
    by_row = "WHERE" in ttl_of(table, keep)
    return {
        **({} if cluster else {"non_replicated_deduplication_window": TOKENS}),
        # Whole months go at once, no part is rewritten for it; but not where single rows go as well.
        **({"ttl_only_drop_parts": int(not by_row)} if table.partition else {}),
        **({"merge_with_ttl_timeout": TTL_PAUSE_S} if by_row else {}),
    }


def _engine(table: type[Table], cluster: Cluster | None) -> str:
    version = (table.version,) if table.version else ()
    if cluster is None:
        return f"ReplacingMergeTree({table.version})" if version else "ReplacingMergeTree"
    place = f"/clickhouse/tables/{{shard}}/{cluster.database}/{held(table, cluster)}"
    return f"ReplicatedReplacingMergeTree({', '.join((text(place), text('{replica}'), *version))})"


def create_table(table: type[Table], keep: Keep, cluster: Cluster | None = None, name: str = "") -> str:
    """CREATE TABLE of the table that holds the rows; `name`: another name than its own."""
    columns = (column_text(table, n, c) for n, c in table.columns.items())
    inside = ",\n    ".join((*columns, *table.indexes))
    settings = ", ".join(f"{n} = {v}" for n, v in settings_of(table, keep, cluster).items())
    lines = [
        f"CREATE TABLE IF NOT EXISTS {quoted(name or held(table, cluster))}{on(cluster)} (\n    {inside}\n)",
        f"ENGINE = {_engine(table, cluster)}",
        f"PARTITION BY {table.partition}" if table.partition else "",
        f"ORDER BY ({', '.join(order_of(table))})",
        f"TTL {ttl_of(table, keep)}" if ttl_of(table, keep) else "",
        f"SETTINGS {settings}" if settings else "",
        f"COMMENT {text(table.comment)}",
    ]
    return "\n".join(filter(None, lines))


def create_distributed(table: type[Table], cluster: Cluster) -> str:
    """CREATE TABLE of the stored name over what all shards hold."""
    columns = ",\n    ".join(f"{quoted(n)} {c.type} COMMENT {text(c.comment)}" for n, c in table.columns.items())
    place = f"{text(cluster.name)}, {text(cluster.database)}, {text(held(table, cluster))}"
    return (
        f"CREATE TABLE IF NOT EXISTS {quoted(table.stored())}{on(cluster)} (\n    {columns}\n)\n"
        f"ENGINE = Distributed({place}, {shard_key(table)})\nCOMMENT {text(table.comment)}"
    )


def _newest(table: type[Table], where: str) -> str:
    # Measured on 1.6 million rows (3 stores, a year of minutes, 3 revisions each; 2 cores, engine 26.9), sum over the year of
    # one store: LIMIT 1 BY in reverse key order 0.13 s, FINAL with it 0.21 s, argMax per column 0.8 s, argMax of one tuple
    # 1.3 s. Filters on key columns and the month reach the primary index through LIMIT BY (EXPLAIN indexes = 1; tested).
    order = ", ".join(f"{c} DESC" for c in (*order_of(table), table.version))
    names = ", ".join(quoted(c) for c in table.columns)
    return f"SELECT {names}\nFROM {quoted(table.stored())}{where}\nORDER BY {order}\nLIMIT 1 BY {', '.join(table.key)}"


def create_view(table: type[Table], cluster: Cluster | None = None) -> str:
    """CREATE VIEW of the plain name: each key once, with the newest revision."""
    if table.revised:
        select = _newest(table, "")
    else:
        # FINAL, not LIMIT BY: on 2 million facts 0.09 s against 0.45 s for count(), and 8 ms once parts are merged.
        select = f"SELECT {', '.join(quoted(c) for c in table.columns)}\nFROM {quoted(table.stored())} FINAL"
    columns = ",\n    ".join(f"{quoted(n)} {c.type} COMMENT {text(c.comment)}" for n, c in table.columns.items())
    head = f"CREATE OR REPLACE VIEW {quoted(table.name)}{on(cluster)} (\n    {columns}\n)"
    return f"{head}\nAS {select}\nCOMMENT {text(table.comment)}"


def create_as_of(table: type[Table], cluster: Cluster | None = None) -> str:
    """CREATE VIEW of what was known at a moment, a parameter in epoch ms; for revisions only."""
    select = _newest(table, "\nWHERE known_at_ms <= {at_ms:Int64}")
    comment = f"{table.comment} As known at at_ms (epoch ms)."
    return f"CREATE OR REPLACE VIEW {quoted(table.name + '_as_of')}{on(cluster)}\nAS {select}\nCOMMENT {text(comment)}"


def views(table: type[Table], cluster: Cluster | None = None) -> list[str]:
    """All views of a table."""
    return [create_view(table, cluster), *([create_as_of(table, cluster)] if table.revised else [])]


def create_database(name: str, cluster: Cluster | None = None) -> str:
    """CREATE DATABASE."""
    return f"CREATE DATABASE IF NOT EXISTS {quoted(name)}{on(cluster)}"


def create_versions(cluster: Cluster | None = None) -> str:
    """CREATE TABLE of the layout's own number; in a cluster every server has all of it."""
    engine = "MergeTree"
    if cluster:
        engine = f"ReplicatedMergeTree('/clickhouse/tables/{cluster.database}/{VERSIONS}', '{{shard}}-{{replica}}')"
    return (
        f"CREATE TABLE IF NOT EXISTS {VERSIONS}{on(cluster)} (\n"
        "    version UInt32 COMMENT 'Number of the layout',\n"
        "    program String COMMENT 'Version of the program that made it',\n"
        "    layout String COMMENT 'Hash of all statements, so that an unchanged layout is not made again',\n"
        "    applied_ms Int64 COMMENT 'When, epoch ms'\n"
        f")\nENGINE = {engine}\nORDER BY applied_ms\nCOMMENT 'Which layout the tables have; the highest version counts.'"
    )


def create_all(table: type[Table], keep: Keep, cluster: Cluster | None = None) -> list[str]:
    """Every statement that a new table needs."""
    over = [create_distributed(table, cluster)] if cluster else []
    return [create_table(table, keep, cluster), *over, *views(table, cluster)]


def keep_of(spec: str) -> dict[str, Keep]:
    """How long each table is kept: the defaults, changed by `name=days,...`; `all` is every table, `open` the rows of figures
    that were not complete yet (for ever, unless it is named). Raises Problem."""
    days = {name: table.keep_days for name, table in TABLES.items()}
    unfinished: int | None = None
    for part in filter(None, (p.strip() for p in spec.split(","))):
        name, _, number = (p.strip() for p in part.partition("="))
        if name not in (*days, "all", OPEN) or not number.isdecimal():
            raise Problem(f"FOOTSTREAM_KEEP_DAYS: {part!r} is not table=days; tables: {', '.join(days)}, all, {OPEN}")
        if name not in ("all", OPEN) and int(number) and not TABLES[name].time:
            raise Problem(f"FOOTSTREAM_KEEP_DAYS: table {name} has no time to go by; leave it out")
        if name == OPEN:
            unfinished = int(number) or None
        if name != OPEN:
            days |= {n: int(number) or None for n in (days if name == "all" else (name,)) if TABLES[n].time}
    return {name: Keep(found, unfinished if TABLES[name].revised else None) for name, found in days.items()}
