"""`footstream decode`: payload files to canonical events, one JSON object per line."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    @app.command()
    def decode(
        files: Annotated[list[str], typer.Argument(metavar="FILE…|-", help="payload files, - for standard input")],
        sites: Annotated[Path | None, typer.Option(help="site registry: apply its swap and clock rules")] = None,
    ) -> None:
        """Decode payload files, or {"fport", "hex"} wrappers of a LoRaWAN frame, to events as JSON lines."""
        from infra.decode import decode_files

        if not decode_files(files, sites):
            raise typer.Exit(1)
