"""Opening the store that the settings name, as the user that a role needs."""

import os
import secrets
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from connectors.clickhouse import Store
from connectors.store_hosts import COMPRESSIONS, LOOPBACK, Wire, hosts
from infra.errors import Problem
from infra.settings import Settings


def secret_file(settings: Settings) -> Path:
    """Where the embedded store keeps the writer's password."""
    return settings.data / "secrets" / "store-writer"


def writer_password(settings: Settings, make: bool = False) -> str:
    """The writer's password: the one that is set, else that of the embedded store, made when `make` and none is there.

    A store elsewhere never gets the embedded store's password. Raises Problem when the file cannot be read or written.
    """
    if settings.store_password or any(host.hostname not in LOOPBACK for host in hosts(settings.store())):
        return settings.store_password
    path = secret_file(settings)
    try:
        if make and not path.exists():
            _keep(path, secrets.token_urlsafe(24))
        return path.read_text().strip() if path.exists() else ""
    except OSError as error:
        raise Problem(
            f"store: password file {path}: {error.strerror}; check its rights, or set FOOTSTREAM_STORE_PASSWORD"
        ) from None


def _keep(path: Path, value: str) -> None:
    """Write a secret that only its owner reads; the first of two writers wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, f"{value}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()


def wire_of(settings: Settings) -> Wire:
    """How to talk to the store. Raises Problem."""
    if settings.store_compression not in COMPRESSIONS:
        raise Problem(f"FOOTSTREAM_STORE_COMPRESSION is {settings.store_compression!r}; it may be {', '.join(COMPRESSIONS)}")
    if settings.store_cert_key and not settings.store_cert:
        raise Problem("FOOTSTREAM_STORE_CERT_KEY is set, FOOTSTREAM_STORE_CERT is not; name the certificate, too")
    return Wire(
        settings.store_compression,
        settings.store_ca,
        settings.store_cert,
        settings.store_cert_key,
        settings.store_quorum,
        bool(settings.store_cluster),
    )


def open_store(settings: Settings, role: Literal["writer", "reader"] = "writer", patience_s: float | None = None) -> Store:
    """The store as writer or as read-only user; connects when first used.

    A writer waits 20 s for a store that is away, a reader does not wait; `patience_s` changes that. Raises Problem, StoreError.
    """
    if role == "reader":
        user, password, wait = settings.reader_user, settings.reader_password, patience_s or 0.0
    else:
        user, password, wait = settings.store_user, writer_password(settings), 20.0 if patience_s is None else patience_s
    wire = wire_of(settings)
    wire = wire._replace(cluster=wire.cluster and role == "writer")  # a read-only user sets nothing
    return Store(settings.store(), user, password, settings.store_database, wait, wire)


def program_version() -> str:
    """Version of this program."""
    return version("footstream")
