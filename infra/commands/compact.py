"""`footstream compact`: merge the store's parts and shrink the embedded log."""

import sys
from pathlib import Path

import typer

from infra.settings import load


def register(app: typer.Typer) -> None:
    @app.command()
    def compact() -> None:
        """Merge each month of each table, so that older copies of rows go; give free pages of the embedded log back."""
        from infra.compact import compact as run
        from infra.compact import shrink
        from infra.stores import open_store

        settings = load()
        store = open_store(settings, patience_s=600.0)
        before, after = run(store, lambda line: print(f"compact: {line}", file=sys.stderr, flush=True))
        freed = 0
        if settings.log().startswith("sqlite:"):
            freed = shrink(Path(settings.log().removeprefix("sqlite:///")))
        print(f"compact: {before} rows stored, {after} now; the log gave back {freed >> 20} MiB")
