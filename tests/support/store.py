"""A real store process on a free port with a folder of its own."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.settings import Settings
from tests.support.ports import free_port

START_S = 60.0


class StoreProcess:
    """`footstream store` with its data under `data`; ended by its own process id. Use as a context, or start and stop it."""

    words: tuple[str, ...] = ("-m", "infra", "store")

    def __init__(self, data: Path | None = None, port: int = 0, **settings: Any) -> None:
        self._own = None if data else tempfile.TemporaryDirectory(prefix="footstream-store-")
        self.data = data or Path(self._own.name)  # type: ignore[union-attr]  # one of the two is there
        self.settings = replace(Settings(), data=self.data, store_port=port or free_port(), **settings)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.settings.store()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> "StoreProcess":
        """Start and wait until it answers."""
        self._launch()
        assert self.process is not None
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"the store ended with {self.process.returncode}: {self.said()}")
            try:
                with urllib.request.urlopen(f"{self.url}/ping", timeout=1) as answer:
                    if answer.status == 200:
                        return self
            except OSError:
                time.sleep(0.02)
        self.kill9()
        raise AssertionError(f"the store did not answer on {self.url} within {START_S} s")

    def refused(self) -> tuple[int, str]:
        """Start what cannot start: its exit code and what it wrote to standard error."""
        self._launch()
        assert self.process is not None
        try:
            _, said = self.process.communicate(timeout=START_S)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise
        return self.process.returncode, said.decode()

    def _launch(self) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FOOTSTREAM_")}
        self.process = subprocess.Popen(
            [sys.executable, *self.words], env={**environment, **self.settings.environment()}, stderr=subprocess.PIPE
        )

    def said(self) -> str:
        """What it wrote to standard error; after its end."""
        assert self.process is not None and self.process.stderr is not None
        return self.process.stderr.read().decode()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        return self._end(signal.SIGTERM)

    def kill9(self) -> None:
        """SIGKILL, as a crash would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop cleanly and start on the same folder and port."""
        self.stop()
        self.start()

    def _end(self, number: int) -> int:
        process = self.process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(number)
        code = process.wait(30)
        if number == signal.SIGKILL and process.stderr is not None:
            process.stderr.close()
        return code

    def __enter__(self) -> "StoreProcess":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self.process is not None and self.process.stderr is not None:
            self.process.stderr.close()
        if self._own is not None:
            self._own.cleanup()
