"""`footstream http`: what devices POST goes into the log, until SIGTERM."""

import asyncio
import resource
import signal
import ssl
from typing import TYPE_CHECKING, Annotated

import typer

from infra.errors import Problem
from infra.say import load_role
from infra.settings import Settings

if TYPE_CHECKING:
    from connectors.http_in import Limits

DEFAULT = ("127.0.0.1", 8090)
FILES_KEPT = 128
"""Open files that are no client's: the log, the metrics, the rest."""


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.http_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.http_cert, settings.http_key or None)
    except (OSError, ssl.SSLError) as error:
        raise Problem(
            f"http: cannot use FOOTSTREAM_HTTP_CERT {settings.http_cert}: {error.strerror or error}; name it and its key"
        ) from None
    return context


def _limits(settings: Settings) -> "Limits":
    """As many connections as files may be open."""
    from connectors.http_in import Limits

    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Limits(body_bytes=settings.http_max_kib << 10, connections=max(16, min(Limits.connections, files - FILES_KEPT)))


async def _run(settings: Settings, host: str, port: int) -> None:
    from prometheus_client import REGISTRY

    from connectors.log import RAW
    from infra.ingress import SCOPE, Ingress, say
    from infra.logs import open_settings_log
    from infra.metrics import serve_role
    from infra.registry import load_registry
    from infra.tokens import tokens_for

    tls = _tls(settings)
    tokens = tokens_for(settings, "http", host, SCOPE)
    registry = load_registry(settings.sites, settings.default_zone)
    log = open_settings_log(settings)
    try:
        log.ensure_topic(RAW, settings.log_partitions, settings.log_retention_days * 86_400)
        ingress = Ingress(log.writer, registry, tokens, _limits(settings))
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            port = await ingress.door.open(host, port, tls)
        except OSError as error:
            await ingress.close()
            raise Problem(
                f"http: cannot listen on {host}:{port}: {error.strerror}; stop what listens there, or set FOOTSTREAM_HTTP"
            ) from None
        server = serve_role(settings, "http", ingress.health)
        REGISTRY.register(ingress)
        say(f"takes POST at {'https' if tls else 'http'}://{host}:{port}/in")
        try:
            await stop.wait()
        finally:
            await ingress.close()
            server.close()
            REGISTRY.unregister(ingress)
    finally:
        log.close()


def register(app: typer.Typer) -> None:
    @app.command()
    def http(
        at: Annotated[str | None, typer.Option("--at", help="address:port; else FOOTSTREAM_HTTP, else 127.0.0.1:8090")] = None,
    ) -> None:
        """Take what devices POST into the log; another address than loopback needs tokens with scope send."""
        settings = load_role("http", http=at)
        asyncio.run(_run(settings, *(settings.http_place() or DEFAULT)))
