"""`footstream size`: messages, lanes, brokers and disk for so many stores."""

from typing import Annotated

import typer

from infra.errors import Problem


def register(app: typer.Typer) -> None:
    @app.command()
    def size(
        stores: Annotated[int, typer.Option(help="stores of the chain")],
        devices: Annotated[int, typer.Option(help="sensors in each")] = 4,
        lines: Annotated[int, typer.Option(help="lines of each sensor")] = 2,
        interval: Annotated[int, typer.Option(help="seconds between reports")] = 60,
        retention: Annotated[int, typer.Option(help="days that the log keeps")] = 7,
    ) -> None:
        """Messages a second, lanes, log and store for so many stores, from measured figures (docs/sizing.md)."""
        from infra.sizing import Chain, first_to_give
        from infra.sizing import size as compute

        try:
            found = compute(Chain(stores, devices, lines, interval, retention))
        except ValueError as error:
            raise Problem(f"size: {error}", 2) from None
        disk = ", ".join(f"{name} {gib:.1f}" for name, gib in found.store_gib_month.items())
        print(f"messages: {found.messages_per_s:.1f}/s, {found.cores:.2f} cores")
        print(f"lanes: {found.lanes}, {found.lane_memory_mib} MiB together while they catch up")
        print(f"log: {found.brokers} brokers, {found.log_gib:.1f} GiB together")
        print(f"store: {found.store_gib:.1f} GiB a month ({disk})")
        print("gives first: " + ", ".join(f"{name} {share:.0%}" for name, share in first_to_give(found)))
