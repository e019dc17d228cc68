"""Rows in short: for what nearly all rows of a table are, only the columns that differ are made, kept and sent.

A form names the columns that hold one value in all of its rows. Short rows travel under its name, beside the rows of tables.
"""

from collections.abc import Mapping, Sequence
from typing import Any, overload

from schemas.rows import LineMinutes, Observations, SiteMinutes, Table


class Same(Sequence[Any]):
    """A column that holds one value in every row."""

    __slots__ = ("size", "value")

    def __init__(self, value: Any, size: int) -> None:
        self.value, self.size = value, size

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, at: int) -> Any: ...
    @overload
    def __getitem__(self, at: slice) -> "Same": ...
    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return Same(self.value, len(range(*at.indices(self.size))))
        if not -self.size <= at < self.size:
            raise IndexError(at)
        return self.value


class Form:
    """Rows of a table in short, for what nearly all of them are: the columns in `same` hold one value in all of them.

    A short row holds the others, in order.
    """

    def __init__(self, name: str, table: type[Table], **same: Any) -> None:
        self.name, self.table, self.same = name, table, same
        self.given = tuple(column for column in table.columns if column not in same)
        FORMS[name] = self

    def columns(self, rows: Sequence[tuple[Any, ...]]) -> list[Sequence[Any]]:
        """Short rows (at least one) as the table's columns."""
        given = iter(zip(*rows, strict=True))
        return [Same(self.same[c], len(rows)) if c in self.same else next(given) for c in self.table.columns]

    def whole(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """The table's row for a short one."""
        given = iter(row)
        return tuple(self.same[c] if c in self.same else next(given) for c in self.table.columns)


FORMS: dict[str, Form] = {}
"""All short forms by the name under which their rows travel."""


def whole_rows(rows: Mapping[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    """Rows by table, short ones written out."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for name, held in rows.items():
        form = FORMS.get(name)
        table, whole = (name, held) if form is None else (form.table.name, [form.whole(row) for row in held])
        found.setdefault(table, []).extend(whole)
    return found


_NO_CLASSES = dict.fromkeys(("child_in", "child_out", "staff_in", "staff_out", "group_in", "group_out"))
PLAIN_WINDOWS = Form(
    "observations of plain windows",
    Observations,
    **_NO_CLASSES,
    section="line",
    kind="window",
    present=None,
    detail="",
    clock="device",
    flags="",
    topic="raw",
)
"""Observations of plain reports (`schemas.events.Plain`) in the topic `raw`."""
PLAIN_LINE_MINUTES = Form("line_minutes without classes", LineMinutes, **_NO_CLASSES)
PLAIN_SITE_MINUTES = Form("site_minutes without classes", SiteMinutes, **_NO_CLASSES)
