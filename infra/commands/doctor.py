"""`footstream doctor`: is everything there that this installation needs?"""

from itertools import chain
from typing import Annotated

import typer

from infra.settings import load


def register(app: typer.Typer) -> None:
    @app.command()
    def doctor(
        deep: Annotated[
            bool, typer.Option(help="also read lanes' states, files and a sample of days; may take minutes")
        ] = False,
    ) -> None:
        """Check versions, disk, clock, ports, broker, log, store and registry; exit code 1 when something is wrong."""
        from infra.doctor import examine
        from infra.doctor_deep import examine_deep

        settings, wrong = load(), 0
        for finding in chain(examine(settings), examine_deep(settings) if deep else ()):
            wrong += not finding.good
            print(f"{'ok   ' if finding.good else 'WRONG'} {finding.what}: {finding.words}", flush=True)
        if wrong:
            raise typer.Exit(1)
