"""Where a store is and how it is talked to: its hosts, users, TLS and compression."""

import ssl
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

CLUSTER_SETTINGS = {
    "distributed_foreground_insert": 1,  # also for what is no insert of rows: INSERT SELECT
    "load_balancing": "in_order",  # what was written is read from the same replica
    "optimize_skip_unused_shards": 1,  # a question about one store goes to its shard
}
COMPRESSIONS = ("auto", "off", "lz4", "zstd")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class StoreError(Exception):
    """The store refuses a statement: the message is its own, in one line; `code` is ClickHouse's."""

    footstream_problem = True

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class Wire(NamedTuple):
    """How to talk to a store beyond its URLs. `ca`, `certificate`, `key`: PEM files, for https.

    `compression`: lz4 or zstd for rows and answers, off, or auto (off on loopback, else lz4). `quorum`: replicas that must have
    the rows before an insert is answered; 0: the one that took them. `cluster`: tables are spread over shards.
    """

    compression: str = "auto"
    ca: str = ""
    certificate: str = ""
    key: str = ""
    quorum: int = 0
    cluster: bool = False


def hosts(urls: str) -> list[SplitResult]:
    """The hosts of FOOTSTREAM_STORE, one or more URLs separated by commas. Raises StoreError."""
    found = []
    for url in filter(None, (part.strip().rstrip("/") for part in urls.split(","))):
        place = urlsplit(url)
        try:
            good = place.scheme in ("http", "https") and place.hostname and place.port != 0
        except ValueError:  # the port
            good = False
        if not good:
            raise StoreError(
                f"store URL {without_password(url)}: not http://host:port or https://host:port; correct FOOTSTREAM_STORE"
            )
        found.append(place)
    if not found:
        raise StoreError("store URL: empty; correct FOOTSTREAM_STORE")
    return found


def place_of(place: SplitResult, user: str, password: str, wire: Wire) -> dict[str, Any]:
    """Arguments of a client for one host. Raises StoreError."""
    assert place.hostname is not None
    compression = wire.compression
    if compression == "auto":
        # On loopback packing costs more than it saves (docs/clickhouse.md, "Compression").
        compression = "off" if place.hostname in LOOPBACK else "lz4"
    given: dict[str, Any] = {
        "interface": place.scheme,
        "host": place.hostname,
        "port": place.port or (8443 if place.scheme == "https" else 8123),
        "username": unquote(place.username or user),
        "password": unquote(place.password or password),
        "compress": False if compression == "off" else compression,
        **({"settings": CLUSTER_SETTINGS} if wire.cluster else {}),
    }
    if place.scheme == "https":
        _check_files(wire)
        given |= {"ca_cert": wire.ca or None, "client_cert": wire.certificate or None, "client_cert_key": wire.key or None}
        # With a password the certificate opens the connection and the password says who we are; without one it does both.
        given["tls_mode"] = "strict" if wire.certificate and given["password"] else None
    return given


def _check_files(wire: Wire) -> None:
    """The files can be read and fit together; without this the first request would say so, in the words of OpenSSL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if wire.ca:
            context.load_verify_locations(wire.ca)
    except OSError as error:  # ssl.SSLError is one
        raise StoreError(f"store: CA file {wire.ca}: {_reason(error)}; correct FOOTSTREAM_STORE_CA") from None
    try:
        if wire.certificate:
            context.load_cert_chain(
                wire.certificate, wire.key or None, password=""
            )  # an encrypted key is an error, no question
    except OSError as error:
        files = f"{wire.certificate}{f' with key {wire.key}' if wire.key else ''}"
        raise StoreError(
            f"store: certificate {files}: {_reason(error)}; correct FOOTSTREAM_STORE_CERT and FOOTSTREAM_STORE_CERT_KEY"
        ) from None


def _reason(error: OSError) -> str:
    return (
        error.strerror
        if error.strerror and not isinstance(error, ssl.SSLError)
        else f"no PEM file that fits ({error.args[-1]})"
    )


def without_password(url: str) -> str:
    """The URL without user and password."""
    place = urlsplit(url)
    return url.replace(f"{place.netloc.rpartition('@')[0]}@", "") if "@" in place.netloc else url.rstrip("/")
