"""`footstream demo`: the whole thing on this machine, with simulated stores over real MQTT."""

import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from infra.errors import Problem


def _checked(stores: int, speed: float, data: Path | None) -> None:
    if not 1 <= stores <= 200:
        raise Problem(f"--stores {stores}: 1 to 200 stores can be simulated", 2)
    if not 0.1 <= speed <= 1000:
        raise Problem(f"--speed {speed:g}: 0.1 to 1000", 2)
    if data is not None and (data / "log").exists():
        raise Problem(
            f"--data {data}: a log is there already, and its messages are not in this demo's ledger; name an empty folder"
        )


def register(app: typer.Typer) -> None:
    @app.command()
    def demo(
        for_: Annotated[float | None, typer.Option("--for", help="stop by itself after so many seconds")] = None,
        stores: Annotated[int, typer.Option(help="number of simulated stores")] = 4,
        speed: Annotated[float, typer.Option(help="the stores' day passes so many times as fast (more people a minute)")] = 1.0,
        port: Annotated[
            int | None, typer.Option(help="port of the board; default 8080, or a free one when that is taken")
        ] = None,
        data: Annotated[Path | None, typer.Option(help="keep the data in this folder (default: a temporary one)")] = None,
        seed: Annotated[int, typer.Option(help="another number gives other people")] = 1,
        weeks: Annotated[float, typer.Option(help="weeks of generated history")] = 2.0,
    ) -> None:
        """Show everything on this machine with simulated stores; prints the address of the board."""
        began = time.time()
        from infra.demo import run_demo

        _checked(stores, speed, data)
        folder = (data or Path(tempfile.mkdtemp(prefix="footstream-demo-"))).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            code = run_demo(folder, port, stores, seed, weeks, speed, for_, began)
        finally:
            if data is None:
                shutil.rmtree(folder, ignore_errors=True)
        if code:
            raise typer.Exit(code)
