"""`footstream run FLOW…|all [--lane i/n] [--until-end] [--on-gap stop|skip]`: one lane, until SIGTERM or to the log's end."""

import re
import sys
from typing import Annotated

import typer

from infra.errors import Problem
from infra.say import load_role


def _lane(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if found is None or int(found[1]) >= int(found[2]):
        raise Problem(f"--lane {text}: say i/n with i from 0 to n-1, for instance 0/2 and 1/2", 2)
    return int(found[1]), int(found[2])


def register(app: typer.Typer) -> None:
    @app.command()
    def run(
        flows: Annotated[list[str], typer.Argument(help="flows by name, or all", metavar="FLOW…|all")],
        lane: Annotated[str, typer.Option(help="which slice of the partitions: i/n, i from 0")] = "0/1",
        until_end: Annotated[bool, typer.Option(help="stop at the log's end as it is now and print one JSON object")] = False,
        on_gap: Annotated[
            str, typer.Option(help="records that the log deleted before they were read: stop, or skip and note them as lost")
        ] = "stop",
    ) -> None:
        """Read the log, run the flows, write the store."""
        from infra.registry import load_registry
        from infra.run_lane import LaneSpec, run_lane

        settings = load_role("run")
        number, of = _lane(lane)
        if on_gap not in ("stop", "skip"):
            raise Problem(f"--on-gap {on_gap}: say stop or skip", 2)
        registry = load_registry(settings.sites, settings.default_zone)
        sys.exit(run_lane(settings, LaneSpec(tuple(flows), number, of, until_end, on_gap), registry))
