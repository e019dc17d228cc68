"""`footstream sql`: one statement as the read-only user."""

import csv
import json
import sys
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from infra.settings import load

Row = dict[str, Any]


class Format(StrEnum):
    table = "table"
    json = "json"
    csv = "csv"


def shown(value: Any) -> str:
    """A cell for people: times in UTC without zone, nothing for NULL."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def plain(value: Any) -> Any:
    """A value that JSON has no word for."""
    if isinstance(value, datetime):
        return value.isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)


def write(names: list[str], rows: list[Row], form: Format) -> None:
    """Rows to standard output."""
    if form is Format.json:
        for row in rows:
            print(json.dumps(row, default=plain, ensure_ascii=False))
    elif form is Format.csv:
        out = csv.writer(sys.stdout, lineterminator="\n")
        out.writerow(names)
        out.writerows([shown(v) if not isinstance(v, float) else repr(v) for v in row.values()] for row in rows)
    else:
        _table(names, rows)


def _table(names: list[str], rows: list[Row]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in names:
        numbers = all(isinstance(row[name], int | float) or row[name] is None for row in rows)
        table.add_column(escape(name), justify="right" if rows and numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(shown(v)) for v in row.values()))
    console = Console()
    # A pipe has no width to fit into: cutting columns there would lose figures.
    console.print(
        table, width=None if console.is_terminal else 100_000, crop=console.is_terminal, soft_wrap=not console.is_terminal
    )


def register(app: typer.Typer) -> None:
    @app.command()
    def sql(
        statement: Annotated[str, typer.Argument(help="SELECT, SHOW, DESCRIBE or EXPLAIN")],
        form: Annotated[Format, typer.Option("--format", help="how to print")] = Format.table,
    ) -> None:
        """Run a statement as the read-only user of the store and print its rows."""
        from infra.stores import open_store

        store = open_store(load(), "reader")
        try:
            names, rows = store.table(statement)
        finally:
            store.close()
        write(names, rows, form)
