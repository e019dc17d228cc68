"""`footstream doctor`: is everything there that this installation needs?"""

import typer

from infra.settings import load


def register(app: typer.Typer) -> None:
    @app.command()
    def doctor() -> None:
        """Check versions, disk, clock, ports, broker, log, store and registry; exit code 1 when something is wrong."""
        from infra.doctor import examine

        wrong = 0
        for finding in examine(load()):
            wrong += not finding.good
            print(f"{'ok   ' if finding.good else 'WRONG'} {finding.what}: {finding.words}", flush=True)
        if wrong:
            raise typer.Exit(1)
