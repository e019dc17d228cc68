"""The role `serve`: board and API on the settings' address, over the reader of the store.

Delivery: none, it only reads. The store may be away at the start and come back: the page says so meanwhile.
"""

import signal
import socket
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import uvicorn
from fastapi import FastAPI

from dashboards.web.app import create_app
from infra.errors import Problem
from infra.floor_plans import plans_of
from infra.metrics import MetricsServer, serve_role
from infra.registry import load_registry
from infra.say import texts, written
from infra.settings import Settings
from infra.tokens import tokens_for
from operators.calendar import is_open
from schemas.sites import Registry

PATIENCE_S = 1.0
"""How long a query waits for a store that is away: the page says so instead of hanging."""


def open_of(registry: Registry) -> Callable[[str, float], bool]:
    """Whether a store is open at a moment, by the registry's hours."""
    return lambda site, moment: is_open(registry.site(site), int(moment))


def application(settings: Settings) -> FastAPI:
    """The app for these settings. Raises Problem for wrong tokens and RegistryError for a wrong registry."""
    from infra.stores import open_store

    tokens = tokens_for(settings)
    registry = load_registry(settings.sites, settings.default_zone)
    store = open_store(settings, role="reader", patience_s=PATIENCE_S)
    return create_app(
        store.query,
        tokens,
        time.time,
        is_open=open_of(registry),
        plan=plans_of(registry),
        default_zone=settings.default_zone,
        version=version("footstream"),
    )


class _Server(uvicorn.Server):
    """Ends the live streams when asked to stop: they would never end by themselves."""

    def handle_exit(self, sig: int, frame: Any) -> None:
        app: Any = self.config.app
        app.state.hub.close()
        super().handle_exit(sig, frame)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises Problem when the address is in use or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(512)  # from here on a connection waits instead of being refused
    except OSError as error:
        sock.close()
        raise Problem(
            f"serve: cannot listen on {host}:{port}: {error.strerror}; stop what listens there, or set FOOTSTREAM_API_PORT"
        ) from None
    return sock


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises Problem."""
    app = application(settings)
    sock = listen(settings.api_host, settings.api_port)
    host, port = sock.getsockname()[:2]
    address = f"board at http://{'[' + host + ']' if ':' in host else host}:{port}/"
    print(f"footstream: {address}" if texts() else written("serve", address), flush=True)
    config = uvicorn.Config(
        app,
        http="h11",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=3,
        server_header=False,
        ws="none",
        lifespan="on",
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn raises the signal again once it has ended: that is a clean end for us
    door = _metrics_door(settings, app)
    try:
        _Server(config).run([sock])
    finally:
        if door is not None:
            door.close()


def _metrics_door(settings: Settings, app: FastAPI) -> MetricsServer | None:
    """`/health` and `/metrics` where all roles have them, when a place is set; well also while the store is away."""
    if not settings.metrics and not settings.metrics_port:
        return None
    return serve_role(settings, "serve", dict, app.state.metrics.registry)
