"""`footstream store`: the embedded store, until SIGTERM."""

import ipaddress
import signal
from typing import Annotated

import typer

from infra.errors import Problem
from infra.say import load_role, say
from infra.settings import Settings

LEAST_ROWS = 5000
READER_BYTES = 256 << 20  # of one answer, and four times that of memory for making it


def loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def run_store(settings: Settings) -> None:
    """Own the store until SIGTERM or SIGINT. Raises Problem."""
    from prometheus_client import REGISTRY

    from infra import metrics
    from infra.store_guard import Account
    from infra.store_server import StoreServer
    from infra.stores import writer_password

    default = Settings().reader_password
    if not loopback(settings.store_host) and settings.reader_password in ("", default):
        raise Problem(
            f"store: {settings.store_host} is not loopback; set FOOTSTREAM_READER_PASSWORD to a password of your own, "
            "and put TLS in front"
        )
    if settings.reader_max_rows < LEAST_ROWS:
        raise Problem(
            f"store: FOOTSTREAM_READER_MAX_ROWS is {settings.reader_max_rows}; set at least {LEAST_ROWS}, "
            "clients read the engine's 2,000 settings when they connect"
        )
    caps = {
        "max_execution_time": settings.reader_max_s,
        "max_result_rows": settings.reader_max_rows,
        "max_result_bytes": READER_BYTES,
        "max_memory_usage": 4 * READER_BYTES,
    }
    accounts = [
        Account(settings.store_user, writer_password(settings, make=True), False, {}),
        Account(settings.reader_user, settings.reader_password, True, caps),
    ]
    server = StoreServer(settings.data / "store", settings.store_host, settings.store_port, accounts, REGISTRY)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    place = metrics.serve_role(settings, "store", server.health)
    say("store", f"ready on http://{settings.store_host}:{server.port}")
    try:
        server.serve()
    finally:
        place.close()


def register(app: typer.Typer) -> None:
    @app.command()
    def store(
        port: Annotated[int | None, typer.Option(help="port; 0 takes a free one")] = None,
        host: Annotated[str | None, typer.Option(help="address; another than loopback needs passwords")] = None,
    ) -> None:
        """Run the embedded store: it owns the data and speaks ClickHouse's HTTP interface."""
        run_store(load_role("store", store_port=port, store_host=host))
