"""Starts the role `http` as a process, and speaks to it as devices do."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.support.bridge import wait_until


class IngressProcess:
    """`footstream http` on a free port; its lines go to `<folder>/http.log`. `settings`: further FOOTSTREAM_… by name."""

    def __init__(self, folder: Path, core: int | None = None, **settings: str) -> None:
        self.folder, self.output, self._core = folder, folder / "http.log", core
        given = {"DATA": str(folder / "data"), "LOG": f"sqlite:///{folder / 'log'}", "LOG_PARTITIONS": "4", **settings}
        outside = {k: v for k, v in os.environ.items() if not k.startswith("FOOTSTREAM_")}
        self.environment = {**outside, **{f"FOOTSTREAM_{name}": value for name, value in given.items()}}
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def lines(self) -> str:
        return self.output.read_text() if self.output.exists() else ""

    def start(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", self.port))
            self.port = self.port or probe.getsockname()[1]
        said = self.lines()
        with self.output.open("ab") as out:
            command = [sys.executable, "-m", "infra", "http", "--at", f"127.0.0.1:{self.port}"]
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env=self.environment)
        if self._core is not None:
            os.sched_setaffinity(self.process.pid, {self._core})
        wait_until(lambda: "takes POST at" in self.lines()[len(said) :], 30, self.lines)

    def end(self, number: int = signal.SIGTERM, seconds: float = 20.0) -> int:
        """Send a signal and wait; the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def metrics(self) -> dict[str, float]:
        """Its metrics by name with labels."""
        port = json.loads((self.folder / "data/run/http.json").read_text())["port"]
        text = raw(port, b"GET /metrics HTTP/1.0\r\n\r\n").decode()
        return {name: float(value) for name, value in re.findall(r"^(footstream_\S+) (\S+)$", text, re.MULTILINE)}

    def __enter__(self) -> "IngressProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


def request(body: bytes, path: str = "/in", method: str = "POST", **headers: str) -> bytes:
    """A request as bytes; headers by name with _ for -."""
    lines = [f"{method} {path} HTTP/1.1", "Host: ingress", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def raw(port: int, said: bytes, seconds: float = 10.0) -> bytes:
    """Send bytes, close our side, return everything that is answered."""
    with socket.create_connection(("127.0.0.1", port), seconds) as client:
        client.sendall(said)
        client.shutdown(socket.SHUT_WR)
        found = b""
        while piece := client.recv(65_536):
            found += piece
    return found


def post(port: int, body: bytes, path: str = "/in", **headers: str) -> int:
    """One post; the status of its answer."""
    return int(raw(port, request(body, path, **headers)).split(b" ", 2)[1])
