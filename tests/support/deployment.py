"""The whole installation as processes, with every role and a receiver, for tests of metrics, logs and rules."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from infra.metrics import port_of
from tests.support.ports import free_port

ROLES = ("bridge", "run-0", "notify", "serve", "store", "up", "http", "camera")
START_S = 60.0


def free_span(width: int) -> int:
    """First of `width` ports that nobody listens on now."""
    while True:
        first = free_port()
        if all(_free(first + n) for n in range(width)):
            return first


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


class Deployment:
    """`footstream up` with everything embedded under `folder`. Use as a context; `log` is all that it wrote."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder, self.metrics_port = folder, free_span(12)
        self.log = folder / "up.log"
        receivers = folder / "receivers.toml"
        receivers.write_text(
            '[receivers.desk]\nkind = "webhook"\nallow_private = true\nurl_env = "DESK_URL"\nsecret_env = "DESK_SECRET"\n'
        )
        ports = {"api_port": free_port(), "store_port": free_port(), "mqtt_port": free_port(), "log_partitions": 2}
        (folder / "site.toml").write_text(
            f'id = "shop"\nzone = "UTC"\n[[devices]]\nid = "CAM1"\ncamera = "http://127.0.0.1:{free_port()}"\n'
        )
        (folder / "cameras.toml").write_text('[default]\nuser = "operator"\npassword = "none"\n')
        cameras = {"sites": str(folder / "site.toml"), "cameras": str(folder / "cameras.toml")}
        settings = {"http": f"127.0.0.1:{free_port()}", **cameras, **settings}
        given = {"data": folder / "data", "receivers": receivers, "metrics_port": self.metrics_port, **ports, **settings}
        clean = {k: v for k, v in os.environ.items() if not k.startswith("FOOTSTREAM_")}
        self.environment = {**clean, **{f"FOOTSTREAM_{k.upper()}": str(v) for k, v in given.items()}}
        self.environment.setdefault("DESK_URL", f"http://127.0.0.1:{free_port()}/hook")
        self.environment.setdefault("DESK_SECRET", "whsec_" + "A" * 44)
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Deployment":
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "infra", "up"], env=self.environment, stdout=out, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + START_S
        while "ready: http" not in self.said():
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise AssertionError(f"not ready: {self.said()}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(40)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def metrics(self, role: str) -> str:
        """What a role answers at `/metrics`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{port_of(self.metrics_port, role)}/metrics", timeout=10) as answer:
            return str(answer.read().decode())
