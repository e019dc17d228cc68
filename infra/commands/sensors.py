"""`footstream sensors`: the sensor messages that can be read."""

from importlib.resources import files
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    @app.command()
    def sensors(
        schema: Annotated[bool, typer.Option("--schema", help="print the JSON Schema of footstream/v1 instead")] = False,
    ) -> None:
        """List the message formats that are understood, in the order in which they are tried."""
        if schema:
            print(files("schemas").joinpath("footstream-v1.schema.json").read_text(encoding="utf-8"), end="")
            return
        from schemas.sensors import SENSORS

        wide = max(len(module.DIALECT) for module in SENSORS)
        for module in SENSORS:
            first = (module.__doc__ or "").strip().splitlines()[0]
            print(f"{module.DIALECT:<{wide}}  {', '.join(module.MODELS) or '-'}: {first}")
