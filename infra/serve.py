"""The role `serve`: board and API on the settings' address, over the reader of the store.

Delivery: none, it only reads. The store may be away at the start and come back: the page says so meanwhile.
"""

import ipaddress
import signal
import socket
import time
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import uvicorn
from fastapi import FastAPI

from dashboards.web.app import create_app
from dashboards.web.auth import Token, TokenFileError, tokens_of
from infra.errors import Problem
from infra.floor_plans import plans_of
from infra.metrics import MetricsServer, serve_role
from infra.registry import load_registry
from infra.say import texts, written
from infra.settings import Settings
from operators.calendar import is_open
from schemas.sites import Registry

PATIENCE_S = 1.0
"""How long a query waits for a store that is away: the page says so instead of hanging."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tokens_for(settings: Settings) -> tuple[Token, ...] | None:
    """Tokens in force; None when everybody on this machine may read. Raises Problem."""
    path = settings.api_tokens
    if path is None:
        if is_loopback(settings.api_host):
            return None
        raise Problem(
            f"serve: {settings.api_host} is not loopback and needs tokens; make one with `footstream token NAME`, "
            "name its file in FOOTSTREAM_API_TOKENS, and put TLS in front"
        )
    try:
        found = tokens_of(tomllib.loads(path.read_text()))
    except OSError as error:
        raise Problem(f"serve: cannot read the token file {path}: {error.strerror}; check path and rights") from None
    except (tomllib.TOMLDecodeError, TokenFileError) as error:
        raise Problem(f"serve: token file {path}: {error}") from None
    if not found:
        raise Problem(f"serve: token file {path} holds no token; make one with `footstream token NAME`")
    return found


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
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=3, server_header=False, ws="none", lifespan="on"
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
