"""`footstream backtest`: the product's own models over a file."""

import csv
import gzip
import itertools
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from infra.errors import Problem

if TYPE_CHECKING:
    from operators.special_days import Calendar


class What(StrEnum):
    """What is computed."""

    forecast = "forecast"
    anomaly = "anomaly"
    queue = "queue"


def register(app: typer.Typer) -> None:
    @app.command()
    def backtest(
        what: Annotated[What, typer.Argument(help="forecast, anomaly or queue")],
        source: Annotated[Path, typer.Argument(metavar="IN", help="CSV or .csv.gz: time, count or value; or a call log")],
        out: Annotated[Path, typer.Argument(metavar="OUT", help="CSV to write; .gz is packed")],
        zone: Annotated[str, typer.Option(help="IANA zone of the times; names the country when that is not given")] = "",
        country: Annotated[
            str, typer.Option(help="country of the series for its public holidays: DE, or with a subdivision AU-VIC")
        ] = "",
    ) -> None:
        """Run a model over a file, strictly in time order, and write what it said."""
        from infra import backtest as on  # numpy is slow to load

        _checked(zone)
        calendar = _calendar(country or on.country_of(zone), zone)
        rows: Iterable[Sequence[str]]
        header: Sequence[str]
        if what is What.queue:
            header, rows = ("date", "vru_line", "call_id", "wait_s"), on.queue_rows(source)
        elif what is What.forecast:
            header, rows = ("made_at", "target", "mean", "lo", "hi"), on.forecast_rows(on.read_series(source), calendar)
        else:
            directions = on.read_directions(source)
            header, rows = (directions[0].column, "score"), on.anomaly_rows(*directions)
        print(f"backtest {what}: {_write(out, header, rows)} rows to {out}", file=sys.stderr)


def _checked(zone: str) -> None:
    try:
        if zone:
            ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Problem(f"--zone {zone}: no such IANA zone; for example Europe/Berlin", 2) from None


def _calendar(country: str, zone: str) -> "Calendar":
    from operators.holiday_calendar import UnknownCountry, holidays_of

    try:
        return holidays_of(country, zone)
    except UnknownCountry as error:
        raise Problem(f"--country {country}: {error}", 2) from None


def _write(out: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    """A file that was begun and not finished is removed. Computed before the file is opened: a bad input leaves no file."""
    kept = list(rows)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(out, "wt", newline="") if out.suffix == ".gz" else out.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(itertools.chain((header,), kept))
    except OSError as error:
        raise Problem(
            f"cannot write {out}: {error.strerror or error}; name a file in a folder that can be written to"
        ) from None
    return len(kept)
