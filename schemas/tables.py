"""What a stored table is made of: column types, columns, the base class of tables and the columns that many share.

The tables stand in `schemas/rows.py` and in what that loads.
"""

from typing import Any, ClassVar, NamedTuple

TEXT, NAME = "String", "LowCardinality(String)"
TIME, MS = "DateTime('UTC')", "Int64"
U8, U16, U32, U64, I64, F64 = "UInt8", "UInt16", "UInt32", "UInt64", "Int64", "Float64"
COUNT, MAYBE = "UInt32", "Nullable(UInt32)"

GENERATION = 1 << 40
"""Revision = generation x 2^40 + number of distinct observations that contributed."""


class Column(NamedTuple):
    """One column: ClickHouse type and a comment with meaning and unit."""

    type: str
    comment: str


class Table:
    """Base of all stored tables; a subclass lists its columns as attributes in order."""

    name: ClassVar[str]
    comment: ClassVar[str]
    revised: ClassVar[bool] = False
    key: ClassVar[tuple[str, ...]]
    version: ClassVar[str] = ""
    partition: ClassVar[str] = ""
    keep_days: ClassVar[int | None] = None
    time: ClassVar[str] = ""
    indexes: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[dict[str, Column]] = {}

    def __init_subclass__(cls) -> None:
        cls.columns = {name: value for name, value in vars(cls).items() if isinstance(value, Column)}
        missing = [k for k in (*cls.key, *filter(None, (cls.version, cls.time))) if k not in cls.columns]
        if missing:
            raise TypeError(f"table {cls.name}: no such column: {', '.join(missing)}")
        TABLES[cls.name] = cls

    @classmethod
    def row(cls, **values: Any) -> tuple[Any, ...]:
        """A row from names. Raises KeyError for a missing column and TypeError for an unknown one."""
        unknown = values.keys() - cls.columns.keys()
        if unknown:
            raise TypeError(f"table {cls.name}: unknown column {', '.join(sorted(unknown))}")
        return tuple(values[name] for name in cls.columns)

    @classmethod
    def stored(cls) -> str:
        """Name of the table that rows are inserted into."""
        return f"{cls.name}_revisions" if cls.revised else f"{cls.name}_rows"


TABLES: dict[str, type[Table]] = {}
"""All tables by name, in order of declaration."""


def counts() -> dict[str, Column]:
    """Columns of crossings."""
    return {
        "people_in": Column(COUNT, "People in, children and staff included"),
        "people_out": Column(COUNT, "People out"),
        "child_in": Column(MAYBE, "Children in; NULL: not reported"),
        "child_out": Column(MAYBE, "Children out"),
        "staff_in": Column(MAYBE, "Staff in"),
        "staff_out": Column(MAYBE, "Staff out"),
        "group_in": Column(MAYBE, "Groups in (not people)"),
        "group_out": Column(MAYBE, "Groups out"),
    }


def known() -> dict[str, Column]:
    """Last columns of a table of revisions."""
    return {
        "complete": Column(U8, "1 once the watermark has passed the end"),
        "revision": Column(U64, "generation x 2^40 + distinct observations that contributed; grows with knowledge"),
        "known_at_ms": Column(MS, "Newest arrival among the contributors, epoch ms"),
    }
