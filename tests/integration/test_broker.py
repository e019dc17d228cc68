"""The embedded broker, both kinds, as real processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from connectors.mqtt import Address, Message, Subscriber, Subscription
from infra.broker import EmbeddedBroker
from infra.errors import Problem
from tests.support.mqtt import publish
from tests.support.ports import free_port


def _one_way(broker: EmbeddedBroker) -> list[Message]:
    got: list[Message] = []
    here, arrived = threading.Event(), threading.Event()

    def on_messages(messages: list[Message]) -> None:
        got.extend(messages)
        for message in messages:
            message.stored = True
        subscriber.acknowledge()
        arrived.set()

    address = Address("127.0.0.1", broker.port, "", False)
    subscriber = Subscriber(Subscription(address, version=broker.version), on_messages, say=lambda _: here.set())
    subscribed = threading.Event()
    known = subscriber.client.on_subscribe

    def on_subscribe(*arguments: Any) -> None:
        assert known is not None
        known(*arguments)
        subscribed.set()

    subscriber.client.on_subscribe = on_subscribe
    subscriber.start()
    assert here.wait(10) and subscribed.wait(10)
    publish(broker.port, [("shop/a", b"hello")])
    assert arrived.wait(10)
    subscriber.close()
    return got


@pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
def test_it_answers_when_start_returns_and_carries_messages_and_ends(tmp_path: Path, kind: str) -> None:
    broker = EmbeddedBroker(tmp_path, kind)
    url = broker.start()
    try:
        assert url == f"mqtt://127.0.0.1:{broker.port}" and broker.alive()
        assert broker.environment()["FOOTSTREAM_MQTT_VERSION"] == ("5" if kind == "mosquitto" else "3")
        assert [(m.topic, m.payload) for m in _one_way(broker)] == [(b"shop/a", b"hello")]
        with pytest.raises(OSError), socket.socket() as outside:
            outside.settimeout(1)
            outside.connect((socket.gethostbyname(socket.gethostname()), broker.port))
            if outside.getpeername()[0].startswith("127."):
                raise OSError("this machine knows itself by loopback only")
    finally:
        broker.stop()
    assert not broker.alive() and not (tmp_path / "run" / "broker.json").exists()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", broker.port), 1)


@pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
def test_a_port_in_use_is_one_line_that_says_what_to_do(tmp_path: Path, kind: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Problem, match=rf"port {port} is in use; .*FOOTSTREAM_MQTT_PORT") as raised:
            EmbeddedBroker(tmp_path, kind).start(port)
    assert "\n" not in str(raised.value)


def test_a_folder_that_cannot_be_written_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "broker").write_text("a file where a folder should be")
    with pytest.raises(Problem, match="FOOTSTREAM_DATA") as raised:
        EmbeddedBroker(tmp_path).start()
    assert "\n" not in str(raised.value)


def test_mosquitto_limits_by_bytes_saves_often_and_listens_on_loopback_only(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path, "mosquitto")
    broker.start()
    broker.stop()
    lines = (tmp_path / "broker" / "mosquitto.conf").read_text().splitlines()
    assert f"listener {broker.port} 127.0.0.1" in lines
    assert {"max_queued_messages 0", "max_queued_bytes 536870912", "persistence true", "autosave_interval 5"} <= set(lines)


def test_sessions_survive_a_restart_of_mosquitto(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path, "mosquitto")
    broker.start()
    _one_way(broker)
    assert publish(broker.port, [("shop/a", b"%d" % n) for n in range(3000)]) == 3000
    broker.stop()
    broker.start(broker.port)
    try:
        got: list[bytes] = []
        done = threading.Event()

        def on_messages(messages: list[Message]) -> None:
            for message in messages:
                got.append(message.payload)
                message.stored = True
            subscriber.acknowledge()
            if len(got) == 3000:
                done.set()

        subscriber = Subscriber(Subscription(Address("127.0.0.1", broker.port, "", False)), on_messages, say=lambda _: None)
        subscriber.start()
        assert done.wait(20), f"{len(got)} of 3000"
        subscriber.close()
        assert got == [b"%d" % n for n in range(3000)]
    finally:
        broker.stop()


START = "import sys; from pathlib import Path; from infra.broker import EmbeddedBroker; " \
        "b = EmbeddedBroker(Path(sys.argv[1])); print(b.start(int(sys.argv[2])), flush=True); sys.stdin.read()"  # fmt: skip


def test_a_broker_left_behind_by_a_killed_owner_is_taken_over(tmp_path: Path) -> None:
    port = free_port()
    owner = subprocess.Popen(
        [sys.executable, "-c", START, str(tmp_path), str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert owner.stdout is not None and owner.stdout.readline().strip().decode() == f"mqtt://127.0.0.1:{port}"
    pid = json.loads((tmp_path / "run" / "broker.json").read_text())["pid"]

    guest = EmbeddedBroker(tmp_path)
    assert guest.start(port) and guest.pid == pid
    guest.stop()
    assert Path(f"/proc/{pid}").exists(), "a guest ends nothing"

    owner.send_signal(signal.SIGKILL)
    owner.wait(10)
    owner.stdout.close()
    heir = EmbeddedBroker(tmp_path)
    assert heir.start(port) and heir.pid == pid
    heir.stop()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 1)
    assert os.path.exists(tmp_path / "broker")  # noqa: PTH110  # its sessions stay
