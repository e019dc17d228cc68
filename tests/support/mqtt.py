"""A real mosquitto on a free port of loopback, and small clients for tests."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.ports import free_port


def wait_for_port(port: int, seconds: float = 10.0) -> None:
    """Return once something accepts connections on loopback; TimeoutError otherwise."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return
        except OSError:
            time.sleep(0.02)
    raise TimeoutError(f"nothing answers on port {port} after {seconds} s")


class Mosquitto:
    """A broker with durable sessions: context manager, or `start()` and `stop()`. It keeps its port over restarts.

    `extra` are further lines of its configuration (TLS, passwords). Queues are limited by bytes, not by messages.
    """

    def __init__(self, *extra: str, port: int | None = None, anonymous: bool = True, folder: Path | None = None) -> None:
        self.port = port or free_port()
        self.folder = folder or Path(mkdtemp(prefix="mosquitto-"))
        self._own_folder = folder is None
        self._lines = [
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {'true' if anonymous else 'false'}",
            "persistence true",
            f"persistence_location {self.folder}/",
            "autosave_interval 1",
            "max_queued_messages 0",
            "max_inflight_messages 0",
            "log_dest stdout",
            *(["user root"] if os.geteuid() == 0 else []),
            *extra,
        ]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        config = self.folder / "mosquitto.conf"
        config.write_text("\n".join(self._lines) + "\n")
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log)
        wait_for_port(self.port)

    def _end(self, number: int) -> None:
        if self.process is None:
            return
        self.process.send_signal(number)
        self.process.wait(10)
        self.process = None

    def stop(self) -> None:
        """SIGTERM: saves its sessions first."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        return (self.folder / "mosquitto.log").read_text(errors="replace")

    def __enter__(self) -> "Mosquitto":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)


class Publisher:
    """One connected client that publishes at QoS 1: `send`, then `settle` until every message has its PUBACK."""

    def __init__(self, port: int, client_id: str = "", user: str = "", password: str = "") -> None:
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id or f"test-{os.getpid()}-{time.monotonic_ns()}")
        self.client.max_queued_messages_set(0)
        self.client.max_inflight_messages_set(1000)
        if user:
            self.client.username_pw_set(user, password)
        self._connected = threading.Event()
        self.client.on_connect = lambda *_: self._connected.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        if not self._connected.wait(10):
            raise TimeoutError(f"no CONNACK from port {port}")
        self._sent: list[mqtt.MQTTMessageInfo] = []

    def send(self, topic: str, payload: bytes, retain: bool = False) -> None:
        self._sent.append(self.client.publish(topic, payload, qos=1, retain=retain))

    def settle(self, seconds: float = 30.0) -> None:
        """Wait until the broker has acknowledged everything sent; TimeoutError otherwise."""
        end = time.monotonic() + seconds
        for info in self._sent:
            info.wait_for_publish(max(0.0, end - time.monotonic()))
            if not info.is_published():
                raise TimeoutError("the broker did not acknowledge everything in time")
        self._sent.clear()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def publish(port: int, messages: Iterable[tuple[str, bytes]] | Sequence[tuple[str, bytes]], retain: bool = False) -> int:
    """Publish at QoS 1 and wait for every PUBACK; returns how many."""
    sender = Publisher(port)
    try:
        count = 0
        for topic, payload in messages:
            sender.send(topic, payload, retain)
            count += 1
        sender.settle()
        return count
    finally:
        sender.close()
