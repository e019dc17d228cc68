"""`footstream serve`: the live board and the read API, until SIGTERM."""

import typer

from infra.say import load_role


def register(app: typer.Typer) -> None:
    @app.command()
    def serve(
        host: str | None = typer.Option(None, help="address; another than loopback needs tokens"),
        port: int | None = typer.Option(None, help="port; 0 for a free one"),
    ) -> None:
        """Serve the live board and the read API over the store."""
        from infra.serve import serve as run

        run(load_role("serve", api_host=host, api_port=port))
