"""Several hosts, TLS and compression: the client against a real store behind proxies that fail as networks do."""

import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.clickhouse import Store, StoreDown
from connectors.store_hosts import StoreError, Wire
from infra.errors import Problem
from infra.settings import Settings
from infra.stores import open_store, writer_password
from schemas.rows import TABLES, Progress
from tests.support.ports import free_port
from tests.support.proxy import Proxy


@pytest.fixture
def two(store_settings: Settings) -> Iterator[tuple[Proxy, Proxy]]:
    """Two ways to one store, as two hosts of a cluster that share their tables."""
    proxies = Proxy(store_settings.store_port), Proxy(store_settings.store_port)
    yield proxies
    for proxy in proxies:
        proxy.close()


def opened(settings: Settings, urls: str, patience_s: float = 10.0, wire: Wire | None = None) -> Store:
    return Store(urls, settings.store_user, writer_password(settings), settings.store_database, patience_s, wire)


def urls(*proxies: Proxy) -> str:
    return ", ".join(f"http://127.0.0.1:{proxy.port}" for proxy in proxies)


def answer(store: Store) -> int:
    return int(store.query("SELECT 1 AS n")[0]["n"])


def test_the_hosts_are_tried_in_order_and_all_threads_stay_with_the_one_that_answers(
    store_settings: Settings, two: tuple[Proxy, Proxy]
) -> None:
    first, second = two
    store = opened(store_settings, urls(first, second))
    assert answer(store) == 1
    assert first.seen and not second.seen
    first.refuse = True
    first.cut()
    assert answer(store) == 1
    assert second.seen
    before = len(first.seen)
    first.refuse = False  # it is back, and nobody needs it
    other = threading.Thread(target=answer, args=(store,))
    other.start()
    other.join(10)
    assert answer(store) == 1
    assert len(first.seen) == before
    second.refuse = True
    second.cut()
    assert answer(store) == 1
    assert len(first.seen) > before
    store.close()


def test_a_host_that_never_was_there_costs_no_pause(store_settings: Settings, two: tuple[Proxy, Proxy]) -> None:
    store = opened(store_settings, f"http://127.0.0.1:{free_port()},{urls(two[0])}", patience_s=0)
    assert store.ping()
    assert answer(store) == 1
    store.close()


def test_when_no_host_answers_all_are_named_in_one_line(store_settings: Settings, two: tuple[Proxy, Proxy]) -> None:
    for proxy in two:
        proxy.refuse = True
    store = opened(store_settings, urls(*two), patience_s=0.3)
    assert not store.ping()
    with pytest.raises(StoreDown) as down:
        answer(store)
    said = str(down.value)
    assert all(f"http://127.0.0.1:{proxy.port}" in said for proxy in two) and "\n" not in said
    assert "does not answer for 0.3 s" in said and "FOOTSTREAM_STORE" in said


def test_an_insert_whose_answer_was_lost_counts_once_at_the_next_host(
    store: Store, store_settings: Settings, two: tuple[Proxy, Proxy]
) -> None:
    """The first host takes the rows and dies before it can say so. The table keeps every row that it gets."""
    store.command(
        "CREATE TABLE heap_rows AS progress_rows ENGINE = MergeTree ORDER BY topic "
        "SETTINGS non_replicated_deduplication_window = 100"
    )
    heap = type("Heap", (Progress,), {"name": "heap", **Progress.columns})
    TABLES.pop("heap")
    first, second = two
    failing = opened(store_settings, urls(first, second))
    assert answer(failing) == 1  # connected
    first.deaf = True
    rows = [("raw", 0, 5, 1), ("raw", 1, 6, 1)]
    assert failing.insert(heap, rows) == []
    assert first.seen.count(b"insert_deduplication_token") >= 1 <= second.seen.count(b"insert_deduplication_token")
    assert store.columns("SELECT count() AS n FROM heap_rows") == {"n": [2]}
    assert failing.insert(heap, rows) == []  # the same rows on purpose: another call, another token
    assert store.columns("SELECT count() AS n FROM heap_rows") == {"n": [4]}
    failing.close()


@pytest.mark.parametrize("kind", ["lz4", "zstd", "off", "auto"])
def test_rows_and_answers_travel_packed_as_the_setting_says(
    store_settings: Settings, two: tuple[Proxy, Proxy], kind: str
) -> None:
    packed = opened(store_settings, urls(two[0]), wire=Wire(compression=kind))
    rows = [("raw", 7, position, 1) for position in range(5000)]
    assert packed.insert(Progress, rows) == []
    found = packed.columns("SELECT position, log_ms FROM progress_rows WHERE partition_no = 7 ORDER BY position")
    assert found == {"position": list(range(5000)), "log_ms": [1] * 5000}
    named = f"Content-Encoding: {kind}".encode().lower()
    assert (named in bytes(two[0].seen).lower()) == (kind in ("lz4", "zstd"))
    assert (b"content-encoding" in bytes(two[0].seen).lower()) == (kind in ("lz4", "zstd"))  # auto on loopback: plain
    assert (len(two[0].seen) < 50_000) == (kind in ("lz4", "zstd"))
    packed.close()


def test_a_quorum_is_asked_for_with_each_insert(store_settings: Settings, two: tuple[Proxy, Proxy]) -> None:
    asking = opened(store_settings, urls(two[0]), wire=Wire(quorum=2))
    assert asking.insert(Progress, [("raw", 0, 5, 1)]) == []
    assert b"insert_quorum=2" in two[0].seen and b"async_insert=0" in two[0].seen
    asking.close()


def _made(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca, other (another authority), server and client, each .pem and .key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ("-nodes", "-newkey", "rsa:2048")
    for name in ("ca", "other"):
        extension = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        _made(folder, "req", "-x509", *key, "-days", "2", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj",
              f"/CN=Test {name}", *extension)  # fmt: skip
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1")
    for name in ("server", "client"):
        _made(folder, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        _made(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", "-CA", "ca.pem", "-CAkey", "ca.key",
              "-CAcreateserial", "-days", "2", "-extfile", "san")  # fmt: skip
    return folder


@pytest.fixture
def tls(store_settings: Settings, certificates: Path) -> Iterator[Proxy]:
    """The store behind TLS that wants a certificate of its clients."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    context.load_verify_locations(certificates / "ca.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    proxy = Proxy(store_settings.store_port, context)
    yield proxy
    proxy.close()


def over_tls(settings: Settings, tls: Proxy, **given: object) -> Settings:
    password = writer_password(settings)
    url = f"https://127.0.0.1:{tls.port}"
    return replace(settings, store_url=url, store_password=password, **given)  # type: ignore[arg-type]  # any of the settings


def test_tls_goes_by_the_ca_of_the_settings(store_settings: Settings, tls: Proxy, certificates: Path) -> None:
    store = open_store(over_tls(store_settings, tls, store_ca=str(certificates / "ca.pem")))
    assert store.insert(Progress, [("raw", 0, 5, 1)]) == []
    assert store.columns("SELECT position FROM progress") == {"position": [5]}
    store.close()
    wrong = open_store(over_tls(store_settings, tls, store_ca=str(certificates / "other.pem")), patience_s=0)
    with pytest.raises(StoreDown, match=r"CERTIFICATE_VERIFY_FAILED.*FOOTSTREAM_STORE_CA") as down:
        answer(wrong)
    assert "\n" not in str(down.value)


def test_a_client_certificate_is_shown_and_the_password_still_counts(
    store_settings: Settings, tls: Proxy, certificates: Path
) -> None:
    tls._tls.verify_mode = ssl.CERT_REQUIRED  # type: ignore[union-attr]  # made with one
    files = {"store_ca": str(certificates / "ca.pem")}
    without = open_store(over_tls(store_settings, tls, **files), patience_s=0)
    with pytest.raises(StoreDown):
        answer(without)
    files |= {"store_cert": str(certificates / "client.pem"), "store_cert_key": str(certificates / "client.key")}
    shown = open_store(over_tls(store_settings, tls, **files))
    assert answer(shown) == 1
    assert b"Authorization: Basic" in tls.seen
    shown.close()


def test_a_certificate_without_a_password_is_who_we_are(store_settings: Settings, tls: Proxy, certificates: Path) -> None:
    wire = Wire(
        ca=str(certificates / "ca.pem"), certificate=str(certificates / "client.pem"), key=str(certificates / "client.key")
    )
    store = Store(f"https://127.0.0.1:{tls.port}", "writer", "", "default", 0, wire)
    with pytest.raises(StoreError):  # the embedded store knows no certificates
        answer(store)
    assert b"X-ClickHouse-SSL-Certificate-Auth: on" in tls.seen and b"X-ClickHouse-User: writer" in tls.seen
    assert b"Authorization" not in tls.seen


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"store_ca": "/nowhere/ca.pem"}, "CA file /nowhere/ca.pem: No such file .*FOOTSTREAM_STORE_CA"),
        ({"store_cert": "/nowhere/c.pem"}, "certificate /nowhere/c.pem: No such file .*FOOTSTREAM_STORE_CERT"),
        ({"store_cert_key": "/c.key"}, "FOOTSTREAM_STORE_CERT is not"),
        ({"store_compression": "gzip"}, "'gzip'; it may be auto, off, lz4, zstd"),
        ({"store_url": "http://a:8123,ftp://b"}, "store URL ftp://b: not http"),
        ({"store_url": "http://a:999999"}, "store URL http://a:999999: not http"),
        ({"store_url": " , "}, "store URL: empty"),
    ],
)
def test_what_is_wrong_with_the_settings_is_said_before_anything_is_sent(given: dict[str, str], words: str) -> None:
    settings = replace(Settings(), store_url="https://127.0.0.1:1", store_password="x")
    with pytest.raises((StoreError, Problem), match=words) as refused:
        open_store(replace(settings, **given))  # type: ignore[arg-type]  # any of the settings
    assert "\n" not in str(refused.value)


def test_a_file_that_is_no_certificate_is_refused(certificates: Path) -> None:
    (certificates / "rubbish.pem").write_text("rubbish")
    for wire in (
        Wire(ca=str(certificates / "rubbish.pem")),
        Wire(certificate=str(certificates / "ca.pem"), key=str(certificates / "client.key")),
    ):
        with pytest.raises(StoreError, match="no PEM file that fits"):
            Store("https://127.0.0.1:1", "u", "", "d", 0, wire)
