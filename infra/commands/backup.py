"""`footstream backup DIR`, `footstream restore DIR`: a copy of everything while it runs, and a deployment made from one."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from infra.settings import load


def register(app: typer.Typer) -> None:
    @app.command()
    def backup(folder: Annotated[Path, typer.Argument(help="a folder that does not exist yet", metavar="DIR")]) -> None:
        """Copy tables, outbox and the embedded log while everything runs; with Kafka, its positions."""
        from infra.backup import backup as run

        made = run(load(), folder, lambda line: print(f"backup: {line}", file=sys.stderr, flush=True))
        rows = sum(p.rows for t in made.tables for p in t.parts)
        print(f"backup: {rows} rows of {len(made.tables)} tables in {folder}; registry, receivers and secrets are not in it")

    @app.command()
    def restore(folder: Annotated[Path, typer.Argument(help="what `backup` made", metavar="DIR")]) -> None:
        """Fill an empty deployment from a copy; then start the lanes, which read on from where the copy was."""
        from infra.backup import restore as run

        made = run(load(), folder, lambda line: print(f"restore: {line}", file=sys.stderr, flush=True))
        rows = sum(p.rows for t in made.tables for p in t.parts)
        print(f"restore: {rows} rows; start the lanes, and when `footstream lanes` shows nothing to read, `footstream audit`")
