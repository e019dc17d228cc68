"""`footstream migrate`: database, tables and views of the store."""

from typing import Annotated

import typer

from infra.settings import load, without_password


def register(app: typer.Typer) -> None:
    @app.command()
    def migrate(plan: Annotated[bool, typer.Option("--plan", help="print the statements and change nothing")] = False) -> None:
        """Create or update the store's tables and views; running it again changes nothing."""
        from infra.migrate import migrate as run

        settings = load()
        done = run(settings, only_plan=plan)
        if plan:
            print(";\n\n".join(done) + ";" if done else "-- nothing to do")
            return
        tables = sum(s.startswith("CREATE TABLE") for s in done)
        altered = sum(s.startswith("ALTER") for s in done)
        print(
            f"store {without_password(settings.store())}, database {settings.store_database}: "
            + (f"{tables} tables made, {altered} changes, views brought up to date" if done else "nothing to do")
        )
