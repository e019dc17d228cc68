"""`footstream flows`: the flows that this installation finds."""

import typer


def register(app: typer.Typer) -> None:
    @app.command()
    def flows() -> None:
        """List the flows with what they build on and the tables they write."""
        from flows import discovered

        for flow in discovered().values():
            tables = ", ".join(t.name for t in flow.tables)
            print(f"{flow.name}: {flow.summary}; after {', '.join(flow.after) or 'nothing'}; writes {tables}")
