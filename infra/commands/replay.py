"""`footstream replay`: recorded payloads or count series, sent again."""

import sys
from math import inf
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from infra.errors import Problem


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _checked(zone: str, stamps: str, speed: float) -> None:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Problem(f"--zone {zone}: no such IANA zone; for example Europe/Berlin", 2) from None
    if stamps not in ("", "start", "end"):
        raise Problem(f"--stamps {stamps}: start or end", 2)
    if not 0 <= speed < inf:
        raise Problem(f"--speed {speed:g}: 0 (all at once) or more", 2)


def register(app: typer.Typer) -> None:
    @app.command()
    def replay(
        files: Annotated[list[Path], typer.Argument(help="payload files, JSON lines, tables (.csv, CalIt2's .data)")],
        to: Annotated[str, typer.Option(help="mqtt://HOST:PORT, sqlite:///FOLDER or kafka://HOST:PORT")],
        speed: Annotated[float, typer.Option(help="times the recorded pace; 0: all at once")] = 0.0,
        zone: Annotated[str, typer.Option(help="IANA zone of times without offset")] = "UTC",
        device: Annotated[
            str, typer.Option(help="serial number of the sensor that a count series, or a row without device, becomes")
        ] = "6600REPLAY000001",
        stamps: Annotated[str, typer.Option(help="whether a series' times are the start or the end of its intervals")] = "",
    ) -> None:
        """Send recorded payloads, events as footstream/v1, or a count series as a VS133's window reports, to a broker or a log.

        Into a log, each message arrives when it once did (a series: two seconds after the end of its interval); a broker's
        messages arrive now.
        """
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from infra.registry import load_registry
        from infra.replay import Item, Series, read, send
        from infra.settings import load

        _checked(zone, stamps, speed)
        settings = load()
        registry = load_registry(settings.sites, settings.default_zone)
        items: list[Item] = [item for path in files for item in read(path, Series(device, zone, stamps), _say)]
        items.sort(key=lambda item: item.at or 0)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
            task = progress.add_task("replay", total=len(items))
            send(items, to, settings, registry, speed, lambda n: progress.advance(task, n))
        _say(f"replayed {len(items)} messages to {to}")
