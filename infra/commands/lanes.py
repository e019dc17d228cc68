"""`footstream lanes`: who reads the log and how far; change how many lanes share it, and how many partitions it has."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from infra.errors import Problem
from infra.settings import load

if TYPE_CHECKING:  # the command line starts quickly
    from infra.lanes import Seat
    from infra.relane import Part


def say(line: str) -> None:
    print(f"lanes: {line}", file=sys.stderr, flush=True)


def show(layout: "Seat | None", seats: "list[Seat]", state: "list[Part]") -> None:
    """What there is, for a person."""
    if layout is None:
        print("no lane has run yet")
    else:
        print(f"layout: {layout.of} lanes on {layout.partitions} partitions")
    for s in seats:
        if s.holder != "known" and layout is not None and s.of == layout.of:
            word = f"{s.state}, heard {s.age_s:.0f} s ago" if s.state != "running" or s.alive else f"dead since {s.age_s:.0f} s"
            print(f"lane {s.lane}/{s.of}: {word}, {s.place}")
    for p in state:
        if p.end:
            lost = f", {p.lost} LOST before they were read" if p.lost else ""
            print(f"partition {p.partition}: {p.first} to {p.end}, stored to {p.stored}, {p.unread} to read{lost}")
    print(f"{sum(p.unread for p in state)} records to read")


def register(app: typer.Typer) -> None:
    @app.command()
    def lanes(
        to: Annotated[int | None, typer.Option(help="change the number of lanes")] = None,
        partitions: Annotated[int | None, typer.Option(help="give the log that many partitions; more, never fewer")] = None,
        skip_lost: Annotated[bool, typer.Option(help="go on after records that went before a lane read them")] = False,
        flows: Annotated[str, typer.Option(help="what the lanes run, as in `run`, joined by +")] = "all",
    ) -> None:
        """Show lanes and how far they are; or drain and stop them, change their number or that of the partitions."""
        from connectors.log import RAW
        from infra.lanes import Board
        from infra.logs import open_settings_log
        from infra.relane import change, parts
        from infra.stores import open_store

        settings = load()
        log, store = open_settings_log(settings), open_store(settings)
        board = Board(store, "+".join(sorted(flows.split("+"))))
        if to is None and partitions is None and not skip_lost:
            show(board.layout(), board.seats(), parts(log, board, store) if log.partitions(RAW) else [])
            return
        if to is not None and to < 1:
            raise Problem(f"--to {to}: at least 1", 2)
        made = change(log, store, board, to, partitions, skip_lost, say)
        words = flows.replace("+", " ")
        which = "0/1" if made.of == 1 else f"0/{made.of} to {made.of - 1}/{made.of}"
        print(
            f"lanes: {made.of} on {made.partitions} partitions; start `footstream run {words} --lane` {which}, then the bridges"
        )
