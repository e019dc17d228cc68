"""`footstream up`: the configured deployment on this machine, until SIGTERM or Ctrl-C."""

import typer


def register(app: typer.Typer) -> None:
    @app.command()
    def up() -> None:
        """Run everything that the settings ask for on this machine; stop with Ctrl-C."""
        import asyncio

        from infra.say import load_role
        from infra.up import run_up

        asyncio.run(run_up(load_role("up")))
