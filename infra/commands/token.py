"""`footstream token NAME`: a new token for the board, the API or the HTTP ingress, and the entry for the token file."""

from typing import Annotated

import typer

from infra.errors import Problem


def register(app: typer.Typer) -> None:
    @app.command()
    def token(
        name: Annotated[str, typer.Argument(help="who will use it")],
        scope: Annotated[
            list[str] | None, typer.Option(help="read (the default), metrics or send; several times for several")
        ] = None,
        site: Annotated[list[str] | None, typer.Option(help="only these stores; several times for several")] = None,
    ) -> None:
        """Make a token: the secret goes to stderr once, the entry for FOOTSTREAM_API_TOKENS to stdout."""
        import json
        import sys

        from dashboards.web.tokens import SCOPES, new_token

        scopes = scope or ["read"]
        unknown = sorted(set(scopes) - SCOPES)
        if unknown:
            raise Problem(f"token: unknown scope {unknown[0]!r}; known are {', '.join(sorted(SCOPES))}", 2)
        secret, digest = new_token()
        lines = ["[[token]]", f"name = {json.dumps(name)}", f'sha256 = "{digest}"', f"scopes = {json.dumps(scopes)}"]
        print("\n".join(lines + ([f"sites = {json.dumps(site)}"] if site else [])))
        print(f"footstream: the token, shown only now: {secret}", file=sys.stderr)
