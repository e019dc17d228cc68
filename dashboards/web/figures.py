"""What the read API serves: tables of `schemas/rows.py` as series, with the SQL, the caps and the shapes for OpenAPI.

Every value of a caller travels as a typed parameter of the server; the SQL below is constant.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, Field, create_model

from dashboards.web.source import Row, iso
from schemas.rows import TABLES
from schemas.tables import Table

MOST_ROWS = 20_000
DAY = 86400


@dataclass(frozen=True)
class Series:
    """One table as a series of one store. `where`: further condition on parameters; `most_days`: longest range per step."""

    path: str
    table: type[Table]
    most_days: dict[str, int]
    summary: str
    steps: bool = False

    def sql(self) -> str:
        """Newest revision of every row of a store in [from, to), in order of time, one row more than the limit."""
        time = self.table.time
        step = " AND step = {step:String}" if self.steps else ""
        return (
            f"SELECT {', '.join(self.table.columns)} FROM {self.table.name} WHERE site = {{store:String}}{step} "
            f"AND {time} >= toDateTime({{from:UInt32}}) AND {time} < toDateTime({{to:UInt32}}) "
            f"ORDER BY {', '.join([time, *(k for k in self.table.key if k != time)])} LIMIT {{limit:UInt32}}"
        )


_BUCKETS = {"15m": 100, "1h": 800, "1d": 7400}
# The longer paths come first: a store id may hold a slash, so `{store}/minutes` would take `{store}/lines/minutes`.
SERIES = (
    Series("lines/minutes", TABLES["line_minutes"], {"": 2}, "Crossings of every line by the minute"),
    Series("lines/buckets", TABLES["line_buckets"], _BUCKETS, "Crossings of every line in civil time", steps=True),
    Series("zones/minutes", TABLES["zone_minutes"], {"": 2}, "People present, visits and dwell of every zone by the minute"),
    Series("zones/buckets", TABLES["zone_buckets"], _BUCKETS, "The same in civil time", steps=True),
    Series("queues/minutes", TABLES["queue_minutes"], {"": 2}, "Length, wait and service of every queue by the minute"),
    Series("queues/buckets", TABLES["queue_buckets"], _BUCKETS, "The same in civil time, with service levels", steps=True),
    Series("queues/advice", TABLES["queue_advice"], {"": 8}, "Lanes to open, as it was said each minute"),
    Series("people", TABLES["people_hours"], {"": 800}, "People by class and hour, small groups hidden"),
    Series("gaps", TABLES["line_gaps"], {"": 800}, "Reports that were lost, and the people in them"),
    Series("minutes", TABLES["site_minutes"], {"": 8}, "Entrance crossings of a store by the minute"),
    Series("buckets", TABLES["site_buckets"], _BUCKETS, "Entrance crossings of a store in civil time", steps=True),
    Series("occupancy", TABLES["occupancy"], {"": 8}, "People present by the minute, with a 90 % interval"),
    Series("anomalies", TABLES["anomalies"], {"": 100}, "Score of each quarter of an hour, as it was said then"),
)

QUALITY_SQL = f"""SELECT outcome, reason, sum(n) AS messages FROM (
    SELECT outcome, reason, uniqExact(position) AS n FROM (
        SELECT topic, partition_no, position, 'stored' AS outcome, '' AS reason FROM {TABLES["observations"].stored()}
        WHERE arrival_ms >= toInt64({{from:UInt32}}) * 1000 AND arrival_ms < toInt64({{to:UInt32}}) * 1000
            AND start >= toDateTime({{from:UInt32}}) - INTERVAL 2 DAY
        UNION ALL
        SELECT topic, partition_no, position, 'duplicate', '' FROM {TABLES["duplicates"].stored()}
        WHERE arrived >= toDateTime({{from:UInt32}}) AND arrived < toDateTime({{to:UInt32}})
        UNION ALL
        SELECT topic, partition_no, position, if(partial = 1, 'partly_refused', 'quarantined'), reason
        FROM {TABLES["quarantine"].stored()}
        WHERE arrived >= toDateTime({{from:UInt32}}) AND arrived < toDateTime({{to:UInt32}})
    ) GROUP BY outcome, reason, topic, partition_no
) GROUP BY outcome, reason ORDER BY outcome, reason"""
"""Positions are told apart, so a row that is stored twice until parts are merged changes nothing: no view."""

PROGRESS_SQL = """SELECT topic, partition_no, max(p.position) AS position, max(p.log_ms) AS log_ms
FROM progress AS p GROUP BY topic, partition_no ORDER BY topic, partition_no"""

_PYTHON: dict[str, Any] = {"DateTime": datetime, "DateTime64": datetime, "Date": date, "Float64": float, "String": str}


def _type(sql_type: str) -> Any:
    inner = sql_type.removeprefix("LowCardinality(").removeprefix("Nullable(")
    found = _PYTHON.get(inner.split("(")[0].rstrip(")"), int)
    return found | None if sql_type.startswith("Nullable") else found


def row_model(table: type[Table]) -> type[BaseModel]:
    """Shape of a row for OpenAPI, with meaning and unit of every column."""
    columns: dict[str, Any] = {name: (_type(c.type), Field(description=c.comment)) for name, c in table.columns.items()}
    if "measured_s" in columns:
        columns["coverage"] = (float | None, Field(description="Measured share of the seconds, 0 to 1"))
    return create_model("".join(word.title() for word in table.name.split("_")), **columns)


def series_model(table: type[Table]) -> type[BaseModel]:
    """Shape of an answer with a series."""
    row: Any = row_model(table)
    fields: dict[str, Any] = {
        "store": (str, Field(description="Store id")),
        "rows": (list[row], Field(description=table.comment)),
        "next": (str | None, Field(description="Where to go on when the answer was cut at the limit: use it as `from`")),
    }
    return create_model("".join(word.title() for word in table.name.split("_")) + "Series", **fields)


def served(row: Row) -> Row:
    """A row for the API: times as ISO 8601, coverage beside measured seconds."""
    shown = {name: iso(name, value) for name, value in row.items()}
    if "measured_s" in row and "coverage" not in row:
        expected = row.get("expected_s", 60)
        shown["coverage"] = round(row["measured_s"] / expected, 4) if expected else None
    return shown


def moment(text: str) -> int:
    """Epoch seconds of a parameter: digits, or ISO 8601 with an offset or Z (without one: UTC). Raises ValueError."""
    if text.isdigit():
        value = int(text)
    else:
        parsed = datetime.fromisoformat(text)
        value = int((parsed if parsed.tzinfo else parsed.replace(tzinfo=_UTC)).timestamp())
    if not 0 <= value < 1 << 32:
        raise ValueError(f"{text!r} is out of range")
    return value


_UTC = datetime.fromisoformat("1970-01-01T00:00:00+00:00").tzinfo
