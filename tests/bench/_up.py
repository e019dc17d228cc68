"""A whole deployment on this machine for a bench: `footstream up` in a folder of its own, ended by its process id."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from infra.roles import health
from infra.settings import Settings
from tests.support.ports import free_port

READY_S = 90.0


@contextmanager
def running(settings: Settings) -> Iterator[dict[str, int]]:
    """The deployment, ready; the pid of each role that keeps running, and of `up` itself."""
    outside = {k: v for k, v in os.environ.items() if not k.startswith("FOOTSTREAM_")}
    command = [sys.executable, "-m", "infra", "up"]
    process = subprocess.Popen(
        command, env={**outside, **settings.environment()}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    assert process.stdout is not None
    reading = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
    reading.start()
    try:
        _wait_ready(process, lines)
        said = health(settings.data, "up")
        assert said is not None, "`up` does not answer"
        roles = said["roles"]
        assert isinstance(roles, dict)
        yield {"up": process.pid} | {name: role["pid"] for name, role in roles.items() if name != "migrate"}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        reading.join(5)


def _read(out: IO[str], lines: "queue.SimpleQueue[str]") -> None:
    for line in out:
        lines.put(line)


def _wait_ready(process: subprocess.Popen[str], lines: "queue.SimpleQueue[str]") -> None:
    end, seen = time.monotonic() + READY_S, []
    while time.monotonic() < end and process.poll() is None:
        try:
            seen.append(lines.get(timeout=0.2))
        except queue.Empty:
            continue
        if " ready: " in seen[-1]:
            return
    raise RuntimeError(f"`up` ended or was not ready within {READY_S:g} s: {''.join(seen[-5:])}")


def settings_in(folder: Path, sites: Path | None = None, mqtt: str = "", receivers: Path | None = None) -> Settings:
    """Settings of a deployment with everything in one folder and on free ports; `mqtt` empty: its own broker."""
    own = replace(Settings(), data=folder / "data", sites=sites, mqtt_url=mqtt, receivers=receivers)
    return replace(own, store_port=free_port(), api_port=free_port(), mqtt_port=free_port())
