"""`footstream sensors`: the sensor messages that can be read."""

import typer


def register(app: typer.Typer) -> None:
    @app.command()
    def sensors() -> None:
        """List the message formats that are understood, in the order in which they are tried."""
        from schemas.sensors import SENSORS

        wide = max(len(module.DIALECT) for module in SENSORS)
        for module in SENSORS:
            first = (module.__doc__ or "").strip().splitlines()[0]
            print(f"{module.DIALECT:<{wide}}  {', '.join(module.MODELS) or '-'}: {first}")
