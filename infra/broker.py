"""The embedded MQTT broker on loopback, for when no URL is given: mosquitto when it is on the PATH, else amqtt.

mosquitto keeps sessions on disk (saved every few seconds) and limits its queues by bytes, not by messages: its default drops
everything beyond 1,000 waiting messages without a word. amqtt speaks MQTT 3.1.1 only and keeps sessions in memory: good for a
demo. `python -m infra.broker PORT` is that amqtt process.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from infra.errors import Problem

QUEUE_BYTES = 512 << 20
MESSAGE_BYTES = 4 << 20
AUTOSAVE_S = 5
_PATHS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")


def _config(port: int, folder: Path) -> str:
    lines = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        "persistence true",
        f"persistence_location {folder}/",
        f"autosave_interval {AUTOSAVE_S}",
        "max_queued_messages 0",  # 0: no limit by number
        f"max_queued_bytes {QUEUE_BYTES}",
        "max_inflight_messages 1000",
        f"message_size_limit {MESSAGE_BYTES}",
        "persistent_client_expiration 14d",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
    ]
    if os.geteuid() == 0:
        lines.append("user root")  # else mosquitto would become a user that cannot write here
    return "\n".join(lines) + "\n"


def _answers(port: int) -> bool:
    """Whether an MQTT broker sends a CONNACK there."""
    connect = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x05\x00\x02fs"
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0) as peer:
            peer.settimeout(2.0)
            peer.sendall(connect)
            return peer.recv(1) == b"\x20"
    except OSError:
        return False


def _in_use(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def mosquitto_program() -> str | None:
    """Path of mosquitto; Debian puts it where ordinary users do not look."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=os.pathsep.join(_PATHS))


class EmbeddedBroker:
    """A broker process of ours under `data/broker`, ended by `stop()`.

    `kind`: `mosquitto` or `amqtt`; None takes the first there is. A broker that runs on the same data already is used as it is:
    for good when the process that started it is gone (kill -9), else as a guest, whose `stop()` does nothing.
    """

    def __init__(self, data: Path, kind: str | None = None) -> None:
        self.folder = data.absolute() / "broker"
        self.file = data.absolute() / "run" / "broker.json"
        self.kind = kind or ("mosquitto" if mosquitto_program() else "amqtt")
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._guest = False

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def version(self) -> int:
        """Version of MQTT to speak with it: 5, or 3 for 3.1.1."""
        return 5 if self.kind == "mosquitto" else 3

    @property
    def pid(self) -> int:
        return self._pid

    def environment(self) -> dict[str, str]:
        """Settings for the processes that connect to it."""
        return {"FOOTSTREAM_MQTT": self.url, "FOOTSTREAM_MQTT_VERSION": str(self.version)}

    def start(self, port: int = 0, seconds: float = 15.0) -> str:
        """Start on a port of loopback (0: a free one), wait until it answers, return its URL.

        Raises Problem when the port is taken by somebody else, the folder cannot be written or the broker does not come up.
        """
        if self._found(port):
            return self.url
        self.port = port or _free_port()
        if _in_use(self.port):
            raise Problem(
                f"embedded MQTT broker: port {self.port} is in use; stop what listens there, set another FOOTSTREAM_MQTT_PORT, "
                f"or name that broker in FOOTSTREAM_MQTT"
            )
        log_path = self.folder / "broker.log"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with log_path.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            self._pid, self._guest = self._process.pid, False
            self._wait(log_path, seconds)
            self._remember()
        except OSError as error:
            self.stop()
            raise Problem(
                f"embedded MQTT broker in {self.folder}: {error.strerror or error}; "
                f"check room and rights there, or set another FOOTSTREAM_DATA"
            ) from None
        return self.url

    def _command(self) -> list[str]:
        if self.kind == "amqtt":
            return [sys.executable, "-m", "infra.broker", str(self.port)]
        config = self.folder / "mosquitto.conf"
        config.write_text(_config(self.port, self.folder))
        return [mosquitto_program() or "mosquitto", "-c", str(config)]

    def _wait(self, log_path: Path, seconds: float) -> None:
        assert self._process is not None
        end = time.monotonic() + seconds
        while not _answers(self.port):
            code = self._process.poll()
            if code is not None or time.monotonic() > end:
                last = (log_path.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
                state = "does not answer" if code is None else f"ended with code {code}"
                self.stop()
                raise Problem(f"embedded MQTT broker ({self.kind}) on port {self.port} {state}: {last}; see {log_path}")
            time.sleep(0.05)

    def _remember(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.file.with_suffix(".new")
        said = {"role": "broker", "pid": self._pid, "port": self.port, "kind": self.kind, "owner": os.getpid()}
        fresh.write_text(json.dumps(said) + "\n")
        fresh.replace(self.file)

    def _found(self, port: int) -> bool:
        """Whether a broker of ours on this data is still there; its process is told from another by its command line."""
        try:
            said = json.loads(self.file.read_text())
            command = Path(f"/proc/{int(said['pid'])}/cmdline").read_bytes()
        except (OSError, ValueError, KeyError, TypeError):
            return False
        ours = str(self.folder).encode() in command or (
            b"infra.broker" in command and str(said.get("port")).encode() in command
        )
        if not ours or said["kind"] != self.kind or port not in (0, said["port"]) or not _answers(said["port"]):
            return False
        self.port, self._pid = int(said["port"]), int(said["pid"])
        self._guest = said.get("owner") != os.getpid() and Path(f"/proc/{said.get('owner')}").exists()
        if not self._guest:
            self._remember()
        return True

    def alive(self) -> bool:
        """Whether its process runs."""
        if self._process is not None:
            return self._process.poll() is None
        return self._pid > 0 and Path(f"/proc/{self._pid}").exists()

    def stop(self, seconds: float = 10.0) -> None:
        """End it and wait; mosquitto saves its sessions first."""
        if self._process is None:
            self._stop_found(seconds)
            return
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
        self._process, self._pid = None, 0
        self.file.unlink(missing_ok=True)

    def _stop_found(self, seconds: float) -> None:
        if not self._pid or self._guest:
            return
        os.kill(self._pid, signal.SIGTERM)
        end = time.monotonic() + seconds
        while Path(f"/proc/{self._pid}").exists() and time.monotonic() < end:
            time.sleep(0.05)
        self._pid = 0
        self.file.unlink(missing_ok=True)


async def _serve_amqtt(port: int) -> None:
    from amqtt.broker import Broker

    config: dict[str, Any] = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    broker = Broker(config)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    parent = os.getppid()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    await broker.start()
    await stop.wait()
    await broker.shutdown()


def _end_with(parent: int) -> None:
    """amqtt holds nothing on disk: without the process that started it, it has no purpose."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(_serve_amqtt(int(sys.argv[1])))
