"""`footstream camera`: asks the network cameras of the registry, until SIGTERM."""

import signal
from typing import Annotated

import typer

from connectors.log import RAW
from infra.errors import Problem
from infra.logs import open_settings_log
from infra.say import load_role
from infra.settings import Settings


def _run(settings: Settings, once: bool) -> None:
    from prometheus_client import REGISTRY

    from infra.cameras import Poller, logins_of, queries_of, say
    from infra.metrics import serve_role
    from infra.registry import load_registry

    registry = load_registry(settings.sites, settings.default_zone)
    queries = queries_of(registry, logins_of(settings.cameras))
    if not queries:
        raise Problem('camera: no device of the registry is a camera; add camera = "http://10.0.0.5" to its entry')
    log = open_settings_log(settings)
    try:
        log.ensure_topic(RAW, settings.log_partitions, settings.log_retention_days * 86_400)
        poller = Poller(queries, log.writer, registry, settings.data / "cameras.json", settings.camera_every_s)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: poller.stop.set())
        REGISTRY.register(poller)
        server = serve_role(settings, "camera", poller.health)
        say(f"asks {poller.health()['cameras']} cameras")
        try:
            poller.run(once)
        finally:
            server.close()
            REGISTRY.unregister(poller)
    finally:
        log.close()


def register(app: typer.Typer) -> None:
    @app.command()
    def camera(once: Annotated[bool, typer.Option("--once", help="ask for what there is, then end")] = False) -> None:
        """Ask the network cameras of the registry for their counts and heat maps, and write the answers to the log."""
        _run(load_role("camera"), once)
