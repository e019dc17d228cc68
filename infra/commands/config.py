"""`footstream config`: every setting with its value, where secrets are masked."""

from dataclasses import fields

import typer

from infra.settings import Settings, load, without_password


def _shown(settings: Settings) -> list[tuple[str, str, str]]:
    rows = []
    for f in fields(settings):
        value = getattr(settings, f.name)
        text = "" if value is None else str(value)
        shown = "…" if f.metadata["secret"] and text else without_password(text)
        rows.append((f"FOOTSTREAM_{f.metadata['env']}", shown, f.metadata["help"]))
    return rows


def register(app: typer.Typer) -> None:
    @app.command()
    def config() -> None:
        """Print all settings in force, with their meaning."""
        for name, value, meaning in _shown(load()):
            print(f"{name}={value}  # {meaning}")
