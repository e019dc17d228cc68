"""Starts bridges as processes, and reads back what the log got."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connectors.log import RAW, NewRecord, open_log


class BridgeProcess:
    """One bridge process; its lines go to `<folder>/bridge.log`."""

    def __init__(self, folder: Path, url: str, **options: Any) -> None:
        self.folder, self.output = folder, folder / "bridge.log"
        self._options = {"url": url, "log": f"sqlite:///{folder / 'log'}", **options}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._connections = self.lines().count("connected to MQTT broker")
        with self.output.open("ab") as out:
            command = [sys.executable, "-m", "tests.support.bridge_process", json.dumps(self._options)]
            self.process = subprocess.Popen(command, stdout=out, stderr=out)

    def says(self, words: str, seconds: float = 20.0) -> None:
        """Wait until its log has these words."""
        wait_until(lambda: words in self.lines(), seconds, lambda: f"{words!r} not in: {self.lines()}")

    def is_connected(self) -> bool:
        """Whether it has connected and subscribed since its last start."""
        return self.lines().count("connected to MQTT broker") > self._connections

    def lines(self) -> str:
        return self.output.read_text() if self.output.exists() else ""

    def end(self, number: int = signal.SIGTERM, seconds: float = 20.0) -> int:
        """Send a signal and wait; the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def wait(self, seconds: float = 20.0) -> int:
        assert self.process is not None
        return self.process.wait(seconds)

    def __enter__(self) -> "BridgeProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


def wait_until(
    true: Callable[[], bool], seconds: float, otherwise: Callable[[], str] = lambda: "", every: float = 0.02
) -> None:
    """Poll until it is true; AssertionError with `otherwise()` after `seconds`."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, otherwise()
        time.sleep(every)


def read_log(folder: Path) -> list[NewRecord]:
    """Every record of `raw`, partition by partition, in order."""
    log = open_log(f"sqlite:///{folder / 'log'}")
    found: list[NewRecord] = []
    for partition in range(log.partitions(RAW) or 0):
        reader = log.reader(RAW, partition, 0)
        while (batch := reader.poll(5000, 0.0)) is not None:
            found += map(NewRecord, batch.keys, batch.values, batch.timestamps, batch.headers)
        reader.close()
    log.close()
    return found


def log_count(folder: Path) -> int:
    """Number of records of `raw`."""
    log = open_log(f"sqlite:///{folder / 'log'}")
    if log.partitions(RAW) is None:
        log.close()
        return 0
    count = sum(end - first for first, end in log.bounds(RAW).values())
    log.close()
    return count


@contextmanager
def running(folder: Path, url: str, **options: Any) -> Iterator[BridgeProcess]:
    """A bridge that is connected and subscribed."""
    with BridgeProcess(folder, url, **options) as bridge:
        wait_until(bridge.is_connected, 20, bridge.lines)
        yield bridge
