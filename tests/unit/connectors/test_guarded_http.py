"""Where the guard lets a request go, over real sockets on loopback where one is needed."""

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.guarded_http import Doubtful, NotSent, Refused, forbidden, post, redacted, url_mistake
from tests.support.receiver import Receiver

PRIVATE = ["127.0.0.1", "::1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"]
NEVER = [
    "0.0.0.0", "::", "169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1", "100.64.0.1",
    "192.0.0.8", "192.0.2.1", "198.18.0.1", "203.0.113.5", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:4136::1",
    "2001:db8::1", "::ffff:169.254.169.254", "192.88.99.1", "not an address",
]  # fmt: skip


def resolving(*addresses: str) -> object:
    return lambda host, port: list(addresses)


@pytest.mark.parametrize("address", PRIVATE + NEVER)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(Refused, match="not public"):
        post("https://example.org/x", b"", {}, resolver=resolving(address))  # type: ignore[arg-type]


@pytest.mark.parametrize("address", NEVER)
def test_allow_private_never_opens_metadata_multicast_or_translated_addresses(address: str) -> None:
    with pytest.raises(Refused, match="not public"):
        post("http://example.org/x", b"", {}, allow_private=True, resolver=resolving(address))  # type: ignore[arg-type]


def test_one_bad_address_among_good_ones_is_enough_to_refuse() -> None:
    with pytest.raises(Refused, match="not public"):
        post("https://example.org/x", b"", {}, resolver=resolving("93.184.215.14", "127.0.0.1"))  # type: ignore[arg-type]


def test_public_addresses_are_not_forbidden() -> None:
    import ipaddress

    assert not any(forbidden(ipaddress.ip_address(a), False) for a in ("93.184.215.14", "2606:4700::1111", "8.8.8.8"))


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "①②⑦.0.0.1", "localhost"])
def test_other_spellings_of_loopback_are_judged_by_what_they_resolve_to(host: str) -> None:
    with pytest.raises((Refused, NotSent)):
        post(f"https://{host}/x", b"", {})


@pytest.mark.parametrize(
    "url",
    ["http://example.org/x", "https://example.org:8080/x", "https://u:p@example.org/", "https://127.0.0.1/", "https://[::1]/",
     "ftp://example.org/", "//example.org", "file:///etc/passwd", "", "https://", "https://exa mple.org/"],
)  # fmt: skip
def test_a_url_that_is_not_plain_https_is_refused_before_anything_is_resolved(url: str) -> None:
    def never(host: str, port: int) -> list[str]:
        raise AssertionError("resolved")

    assert url_mistake(url, allow_private=False) is not None
    with pytest.raises(Refused):
        post(url, b"", {}, resolver=never)


def test_the_name_is_resolved_once_and_the_checked_address_is_used() -> None:
    receiver, asked = Receiver("slack"), []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    url = receiver.url.replace("127.0.0.1", "receiver.example")
    answer = post(url, b'{"text": "x"}', {"Content-Type": "application/json"}, allow_private=True, resolver=rebinding)
    receiver.close()
    assert (answer.status, answer.body, asked) == (200, b"ok", ["receiver.example"])
    assert receiver.posts[0].headers["host"].startswith("receiver.example:")


def test_when_the_first_address_does_not_answer_the_next_one_is_tried() -> None:
    receiver = Receiver("slack")
    url = receiver.url.replace("127.0.0.1", "localhost")
    localhost = resolving("::1", "127.0.0.1")
    answer = post(url, b'{"text": "x"}', {"Content-Type": "application/json"}, allow_private=True, resolver=localhost)  # type: ignore[arg-type]
    receiver.close()
    assert answer.status == 200 and len(receiver.posts) == 1


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    receiver = Receiver(faults=lambda _: "301")
    assert post(receiver.url, b"x", {}, allow_private=True).status == 301
    receiver.close()
    assert len(receiver.posts) == 1


def test_proxy_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    receiver = Receiver(faults=lambda _: "500")
    assert post(receiver.url, b"x", {}, allow_private=True).status == 500
    receiver.close()


def test_a_closed_port_is_not_sent_and_a_dropped_answer_is_doubtful() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(NotSent, match="refused"):
            post(f"http://127.0.0.1:{free.getsockname()[1]}/secret-path", b"", {}, allow_private=True)
    receiver = Receiver("slack", faults=lambda _: "drop")
    with pytest.raises(Doubtful) as caught:
        post(receiver.url, b'{"text": "x"}', {"Content-Type": "application/json"}, allow_private=True)
    receiver.close()
    assert "secret" not in str(caught.value)


@contextmanager
def talking(*parts: bytes, pause: float = 0.0) -> Iterator[str]:
    """A server that answers with these bytes, one part after the other."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(65536)
                try:
                    for part in parts:
                        peer.sendall(part)
                        time.sleep(pause)
                except OSError:
                    return

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def test_a_byte_at_a_time_ends_at_the_deadline() -> None:
    with talking(b"HTTP/1.1 200 OK\r\n", *[b"a"] * 600, pause=0.02) as url:
        begin = time.monotonic()
        with pytest.raises(Doubtful, match=r"no answer within 0.3 s"):
            post(url, b"", {}, allow_private=True, deadline_s=0.3)
        assert time.monotonic() - begin < 3


def test_of_a_long_answer_four_kilobytes_are_read() -> None:
    with talking(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 100_000) as url:
        assert post(url, b"", {}, allow_private=True).body == b"x" * 4096


@pytest.mark.parametrize("garbage", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_an_answer_that_is_no_http_is_doubtful(garbage: bytes) -> None:
    with talking(garbage) as url, pytest.raises(Doubtful):
        post(url, b"", {}, allow_private=True, deadline_s=2.0)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """A TLS server on loopback whose certificate is for receiver.example; its port and the file to trust."""
    folder = tmp_path_factory.mktemp("tls")
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=receiver.example"
    make += " -addext subjectAltName=DNS:receiver.example -keyout key.pem -out cert.pem"
    subprocess.run(make.split(), cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    receiver = Receiver("slack")
    receiver._http.socket = context.wrap_socket(receiver._http.socket, server_side=True)
    yield receiver._http.server_address[1], str(Path(folder) / "cert.pem")
    receiver.close()


def test_tls_is_verified_for_the_name_and_not_for_the_address(tls: tuple[int, str]) -> None:
    port, ca = tls
    headers, body = {"Content-Type": "application/json"}, b'{"text": "x"}'
    loopback = resolving("127.0.0.1")
    options = {"allow_private": True, "resolver": loopback, "deadline_s": 5.0}
    good = post(f"https://receiver.example:{port}/", body, headers, ca_file=ca, **options)  # type: ignore[arg-type]
    assert good.status == 200
    with pytest.raises(NotSent):
        post(f"https://other.example:{port}/", body, headers, ca_file=ca, **options)  # type: ignore[arg-type]
    with pytest.raises(NotSent):
        post(f"https://receiver.example:{port}/", body, headers, **options)  # type: ignore[arg-type]


def test_a_shown_url_keeps_scheme_host_and_four_characters() -> None:
    assert redacted("https://hooks.slack.com/services/T0/B0/abcdefgh") == "https://hooks.slack.com/…efgh"
    assert redacted("https://example.org/ab") == "https://example.org/…"
