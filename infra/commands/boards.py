"""`footstream boards render` and `apply`: the declared boards as Grafana JSON, to a folder or into a Grafana."""

from pathlib import Path
from typing import Annotated

import typer

from infra.errors import Problem
from infra.settings import load


def write_tree(out: Path) -> list[Path]:
    """Write the provisioning tree below `out`; the files written. Raises Problem."""
    from dashboards.grafana import rendered

    written = []
    for name, text in rendered().items():
        path = out / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        except OSError as error:
            raise Problem(f"boards render: cannot write {path}: {error.strerror}; choose another folder with --out") from None
        written.append(path)
    return written


def _token(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text().strip()
    except OSError as error:
        raise Problem(f"boards apply: cannot read the token file {path}: {error.strerror}; check path and rights") from None


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Boards for Grafana, from the same declarations as the live board.")
    app.add_typer(group, name="boards")

    @group.command()
    def render(out: Annotated[Path, typer.Option(help="folder for the provisioning tree")] = Path("grafana")) -> None:
        """Write Grafana's provisioning tree: data source, provider and one JSON file per board."""
        for path in write_tree(out):
            print(path)

    @group.command()
    def apply(
        url: Annotated[str, typer.Option(help="Grafana", envvar="GRAFANA_URL")] = "http://localhost:3000",
        token_file: Annotated[
            Path | None, typer.Option(help="file with a service account token", envvar="GRAFANA_TOKEN_FILE")
        ] = None,
        token: Annotated[
            str, typer.Option(help="the token itself; better in the environment", envvar="GRAFANA_TOKEN", hidden=True)
        ] = "",
        store_url: Annotated[str, typer.Option(help="the store as Grafana reaches it; ours when empty")] = "",
    ) -> None:
        """Bring data source, folder and boards of a running Grafana up to date; a second run writes nothing."""
        from dashboards.apply import Connection, connect
        from dashboards.apply import apply as bring

        settings = load()
        store = Connection(
            store_url or settings.store().split(",")[0], settings.store_database, settings.reader_user, settings.reader_password
        )
        written = bring(connect(url, token or _token(token_file)), store)
        print("\n".join(written) or "nothing to do")
