"""Logging into a real Kafka: PLAIN, SCRAM and OAUTHBEARER, TLS with a CA of the test, right and wrong secrets."""

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest

from connectors.log import LogError
from infra.logs import client_options, open_settings_log
from infra.settings import Settings, SettingsError
from tests.support.kafka import KafkaBroker
from tests.support.logs import read_all, record
from tests.support.ports import free_port

RIGHT, PLANTED = "right-5k2", "planted-hunter2-9x"
MODULE = "org.apache.kafka.common.security"


class Secured(NamedTuple):
    """A broker with a listener of each kind, and the CA that signed its certificate."""

    sasl: str
    tls: str
    sasl_tls: str
    ca: Path
    other_ca: Path


def _certificates(folder: Path) -> None:
    """`ca.pem`, `other.pem` that signed nothing, and `server.pem` for 127.0.0.1 with its key, as Kafka reads it."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=30)

    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    for name in ("ca", "other"):
        openssl(*new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1")
    openssl(*new, "-subj", "/CN=broker", *signed, "-keyout", "server.key", "-out", "server.crt")
    (folder / "server.pem").write_text((folder / "server.key").read_text() + (folder / "server.crt").read_text())


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    _certificates(folder)
    broker = KafkaBroker()
    ports = {name: free_port() for name in ("SASL", "TLS", "BOTH")}
    plain, controller = f"127.0.0.1:{broker.port}", f"127.0.0.1:{broker.controller}"
    clients = "".join(f",{name}://127.0.0.1:{port}" for name, port in ports.items())
    login = f'plain.PlainLoginModule required user_shop="{RIGHT}";'
    broker.exact = {
        "listeners": f"PLAINTEXT://{plain},CONTROLLER://{controller}{clients}",
        "advertised.listeners": f"PLAINTEXT://{plain}{clients}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,BOTH:SASL_SSL",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
        "listener.name.both.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl.plain.sasl.jaas.config": f"{MODULE}.{login}",
        "listener.name.both.plain.sasl.jaas.config": f"{MODULE}.{login}",
        "listener.name.sasl.scram-sha-256.sasl.jaas.config": f"{MODULE}.scram.ScramLoginModule required;",
        "listener.name.sasl.scram-sha-512.sasl.jaas.config": f"{MODULE}.scram.ScramLoginModule required;",
        "listener.name.sasl.oauthbearer.sasl.jaas.config": f"{MODULE}.oauthbearer.OAuthBearerLoginModule required;",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "server.pem"),
    }
    broker.scram = tuple(f"SCRAM-SHA-{bits}=[name=shop,password={RIGHT}]" for bits in (256, 512))
    with broker:
        urls = {name: f"kafka://127.0.0.1:{port}" for name, port in ports.items()}
        yield Secured(urls["SASL"], urls["TLS"], urls["BOTH"], folder / "ca.pem", folder / "other.pem")


def settings(url: str, **more: str) -> Settings:
    return replace(Settings(), log_url=url, topic_prefix=f"t{uuid4().hex[:8]}.", **more)  # type: ignore[arg-type]  # texts


def writes_and_reads(chosen: Settings) -> None:
    log = open_settings_log(chosen)
    log.ensure_topic("raw", 1)
    writer = log.writer()
    writer.append_many("raw", [record(i) for i in range(20)])
    writer.close()
    assert len(read_all(log, "raw")) == 20
    log.close()


def refusal(chosen: Settings) -> str:
    """The one line that a wrong login gets, soon."""
    began = time.monotonic()
    log = open_settings_log(chosen)
    with pytest.raises(LogError) as refused:
        log.ensure_topic("raw", 1)
    assert time.monotonic() - began < 8
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_the_right_password_is_let_in_and_a_wrong_one_is_told_and_not_repeated(secured: Secured, mechanism: str) -> None:
    right = settings(secured.sasl, log_security="sasl_plaintext", log_sasl=mechanism, log_user="shop", log_password=RIGHT)
    writes_and_reads(right)
    said = refusal(replace(right, log_password=PLANTED))
    assert "user 'shop' was not let in" in said and "FOOTSTREAM_LOG_PASSWORD" in said
    assert PLANTED not in said


def test_a_role_with_a_wrong_password_ends_with_one_line_and_a_code(secured: Secured, tmp_path: Path) -> None:
    wrong = settings(secured.sasl, log_security="sasl_plaintext", log_sasl="PLAIN", log_user="shop", data=str(tmp_path))
    secret = tmp_path / "password"
    secret.write_text(PLANTED + "\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FOOTSTREAM_")} | wrong.environment()
    environment["FOOTSTREAM_LOG_PASSWORD_FILE"] = str(secret)
    command = [sys.executable, "-m", "infra", "run", "all"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1 and "was not let in" in ended.stderr
    assert PLANTED not in ended.stderr + ended.stdout


def test_tls_goes_by_the_ca_that_was_given(secured: Secured) -> None:
    writes_and_reads(settings(secured.tls, log_security="ssl", log_ca=str(secured.ca)))
    said = refusal(settings(secured.tls, log_security="ssl", log_ca=str(secured.other_ca)))
    assert "no TLS connection" in said and "FOOTSTREAM_LOG_CA" in said


def test_a_password_goes_over_tls(secured: Secured) -> None:
    both = settings(
        secured.sasl_tls,
        log_security="SASL_SSL",
        log_sasl="plain",
        log_user="shop",
        log_password=RIGHT,
        log_ca=str(secured.ca),
    )
    writes_and_reads(both)
    assert "was not let in" in refusal(replace(both, log_password=PLANTED))


class _Tokens(BaseHTTPRequestHandler):
    """Gives an unsigned token to the client whose secret is right; Kafka's development validator takes it."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        given = base64.b64decode(self.headers.get("Authorization", "Basic ").removeprefix("Basic ")).decode()
        if given != f"shop:{RIGHT}":
            self._answer(401, {"error": "invalid_client"})
            return
        now = int(time.time())
        parts = [{"alg": "none"}, {"sub": "shop", "iat": now, "exp": now + 3600}]
        token = ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts) + "."
        self._answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600})

    def _answer(self, code: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def test_a_token_is_fetched_for_oauthbearer_and_a_wrong_secret_is_told(secured: Secured) -> None:
    with HTTPServer(("127.0.0.1", 0), _Tokens) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        right = settings(
            secured.sasl,
            log_security="sasl_plaintext",
            log_sasl="OAUTHBEARER",
            log_user="shop",
            log_password=RIGHT,
            log_token_url=f"http://127.0.0.1:{server.server_port}/token",
        )
        writes_and_reads(right)
        said = refusal(replace(right, log_password=PLANTED))
        server.shutdown()
    assert "user 'shop' was not let in" in said
    assert PLANTED not in said


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"log_security": "tls"}, "FOOTSTREAM_LOG_SECURITY"),
        ({"log_security": "sasl_ssl", "log_user": "u", "log_password": PLANTED}, "FOOTSTREAM_LOG_SASL"),
        ({"log_security": "sasl_ssl", "log_sasl": "PLAIN", "log_password": PLANTED}, "FOOTSTREAM_LOG_USER"),
        ({"log_password": PLANTED}, "FOOTSTREAM_LOG_PASSWORD|no effect"),
        ({"log_ca": "ca.pem"}, "no effect"),
        ({"log_security": "sasl_ssl", "log_sasl": "OAUTHBEARER", "log_user": "u", "log_password": PLANTED}, "TOKEN_URL"),
        ({"log_options": f"sasl.password=a,{PLANTED}"}, "part 2"),
        ({"log_options": f"sasl.password=a,{PLANTED}=b"}, "part 2"),
    ],
)
def test_settings_that_do_not_fit_are_told_without_a_secret(more: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named) as wrong:
        client_options(settings("kafka://h:1", **more))
    assert PLANTED not in str(wrong.value)


@pytest.mark.parametrize(
    "option", ["acks=1", "request.required.acks=0", "enable.idempotence=false", "auto.offset.reset=latest"]
)
def test_options_that_would_break_a_promise_are_refused(option: str) -> None:
    with pytest.raises(LogError, match=rf"{option.partition('=')[0]} cannot be set: .*remove it"):
        open_settings_log(settings("kafka://127.0.0.1:1", log_options=option))


@pytest.mark.parametrize("option", ["ssl.key.pem", "sasl.mechanisms", "ssl.certificate.pem"])
def test_what_librdkafka_says_of_a_wrong_option_repeats_no_value(option: str) -> None:
    log = open_settings_log(settings("kafka://127.0.0.1:1", log_options=f"security.protocol=sasl_ssl,{option}={PLANTED}"))
    with pytest.raises(LogError, match="FOOTSTREAM_LOG_OPTIONS") as wrong:
        log.writer()
    assert PLANTED not in str(wrong.value)
    assert wrong.value.__cause__ is None
