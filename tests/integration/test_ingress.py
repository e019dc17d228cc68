"""The role `http` as a process over the embedded log: what was answered with 200 is there, whatever happens to the process."""

import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.support.bridge import log_count, read_log, wait_until
from tests.support.ingress import IngressProcess, post, raw, request


def test_every_post_that_was_answered_with_200_survives_kill_9(tmp_path: Path) -> None:
    seed = 20261125
    rng = random.Random(seed)
    answered: set[bytes] = set()
    stop = threading.Event()
    with IngressProcess(tmp_path) as role:

        def send(client: int) -> None:
            for n in range(100_000):
                body = b'{"client": %d, "n": %d}' % (client, n)
                while not stop.is_set():
                    try:
                        if post(role.port, body) == 200:
                            answered.add(body)
                            break
                    except (OSError, IndexError):
                        time.sleep(0.02)  # as a device does: the same again, later
                if stop.is_set():
                    return

        clients = [threading.Thread(target=send, args=(number,)) for number in range(8)]
        for client in clients:
            client.start()
        for _ in range(2):
            known = len(answered)
            wait_until(lambda known=known: len(answered) > known + 60, 30, role.lines)  # type: ignore[misc]  # a bound default
            time.sleep(rng.random() * 0.2)
            role.end(signal.SIGKILL)
            role.start()
        stop.set()
        for client in clients:
            client.join(20)
        assert role.end() == 0
    logged = [record.value for record in read_log(tmp_path)]
    assert answered <= set(logged), f"seed {seed}: {len(answered - set(logged))} were answered and are gone"


def test_clients_that_are_slow_hang_send_rubbish_or_too_much_harm_nobody(tmp_path: Path) -> None:
    with IngressProcess(tmp_path, HTTP_MAX_KIB="64") as role:
        bad: list[socket.socket] = []
        for n in range(200):
            client = socket.create_connection(("127.0.0.1", role.port), 5)
            said = (b"", b"POST /in HT", request(b"x" * 60_000)[:50_000], b"\x00" * 300)[n % 4]
            client.sendall(said)
            bad.append(client)
        stop = threading.Event()

        def flood() -> None:
            while not stop.is_set():
                assert post(role.port, b"x" * 100_000) == 413

        floods = [threading.Thread(target=flood) for _ in range(2)]
        for thread in floods:
            thread.start()
        longest = 0.0
        for n in range(100):
            began = time.monotonic()
            assert post(role.port, b'{"good": %d}' % n) == 200
            longest = max(longest, time.monotonic() - began)
        stop.set()
        for thread in floods:
            thread.join(20)
        metrics = role.metrics()
        assert longest < 5, "a good client never waits for a bad one's time to run out"
        assert metrics["footstream_http_logged_total"] == 100 and metrics['footstream_http_answers_total{status="413"}'] >= 2
        assert metrics["footstream_http_connections"] >= 150, "the bad ones were there all the time"
        for client in bad:
            client.close()
        assert role.end() == 0
    assert log_count(tmp_path) == 100


def test_a_stop_answers_what_is_on_its_way(tmp_path: Path) -> None:
    with IngressProcess(tmp_path) as role:
        client = socket.create_connection(("127.0.0.1", role.port), 10)
        client.sendall(request(b"one"))
        client.sendall(request(b"two")[:-1])
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        assert role.process is not None
        role.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        client.sendall(b"o")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        client.close()
        assert role.process.wait(20) == 0
    assert sorted(record.value for record in read_log(tmp_path)) == [b"one", b"two"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"HTTP": "0.0.0.0:18999"}, "http: 0.0.0.0 is not loopback and needs tokens"),
        ({"HTTP": "127.0.0.1:18999", "HTTP_CERT": "/nowhere.pem"}, "cannot use FOOTSTREAM_HTTP_CERT /nowhere.pem"),
    ],
)
def test_a_role_that_cannot_start_says_so_in_one_line(tmp_path: Path, settings: dict[str, str], says: str) -> None:
    given = {f"FOOTSTREAM_{k}": v for k, v in {"DATA": str(tmp_path), **settings}.items()}
    outside = {k: v for k, v in os.environ.items() if not k.startswith("FOOTSTREAM_")}
    done = subprocess.run(
        [sys.executable, "-m", "infra", "http"], env={**outside, **given}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert says in done.stderr and done.stderr.count("\n") == 1


def test_over_tls_it_is_the_same(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command += [
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-out",
        str(certificate),
        "-keyout",
        str(key),
    ]
    subprocess.run(command, check=True, capture_output=True)
    with IngressProcess(tmp_path, HTTP_CERT=str(certificate), HTTP_KEY=str(key)) as role:
        context = ssl.create_default_context(cafile=str(certificate))
        with (
            socket.create_connection(("127.0.0.1", role.port), 10) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as client,
        ):
            client.sendall(request(b"one") + request(b"x" * 2_000_000))
            found = b""
            while piece := client.recv(65_536):
                found += piece
        assert [part[:3] for part in found.split(b"HTTP/1.1 ")[1:]] == [b"200", b"413"]
        assert raw(role.port, request(b"plain")) == b""
        assert role.end() == 0
    assert [record.value for record in read_log(tmp_path)] == [b"one"]
