"""`/health` and Prometheus `/metrics` of one role, on loopback.

`/health` answers 200 while the role says `ok`, else 503, with the role's own words as one JSON object; `/metrics` answers the
text format of prometheus-client. The port in use stands in `<data>/run/<role>.json`, so that others find a free one.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

from infra.errors import Problem

Health = Callable[[], Mapping[str, Any]]
ROLES = ("bridge", "notify", "serve", "store", "up")
"""Roles with a fixed place behind the first metrics port; lane i comes ten behind it, slice i of the bridge five hundred."""


def port_of(first: int, role: str) -> int:
    """Port of a role when the first one is set; 0 (any free one) when it is not. Lanes are `run-<i>`, slices `bridge-<i>`."""
    if first == 0:
        return 0
    if role in ROLES:
        return first + ROLES.index(role)
    number = role.rpartition("-")[2]
    return first + (500 if role.startswith("bridge-") else 10) + (int(number) if number.isdigit() else 0)


def _answer(path: str, health: Health, registry: CollectorRegistry) -> tuple[int, str, bytes]:
    if path == "/metrics":
        return 200, CONTENT_TYPE_LATEST, generate_latest(registry)
    if path != "/health":
        return 404, "application/json", b'{"error": "only /health and /metrics are here"}\n'
    try:
        said = dict(health())
    except Exception as error:  # a role that cannot say how it is, is not well
        said = {"ok": False, "error": f"{type(error).__name__}: {error}"}
    return (200 if said.setdefault("ok", True) else 503), "application/json", json.dumps(said, default=str).encode() + b"\n"


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


class MetricsServer:
    """Serves one role until `close()`; `port` is the port in use, `file` says it to others."""

    def __init__(self, port: int, role: str, health: Health, data: Path, registry: CollectorRegistry) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, kind, body = _answer(self.path.partition("?")[0], health, registry)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Scrapes every few seconds are not news."""

        try:
            self._http = _Http(("127.0.0.1", port), Handler)
        except OSError as error:
            raise Problem(
                f"{role}: port {port} for /health and /metrics: {error.strerror}; "
                f"stop what listens there or set another FOOTSTREAM_METRICS_PORT"
            ) from None
        self.port: int = self._http.server_address[1]
        self.file = data / "run" / f"{role}.json"
        try:
            self._say(role)
        except OSError as error:
            self._http.server_close()
            raise Problem(
                f"{role}: cannot write {self.file}: {error.strerror}; "
                f"check room and rights there, or set another FOOTSTREAM_DATA"
            ) from None
        self._thread = threading.Thread(target=self._http.serve_forever, name=f"metrics-{role}", daemon=True)
        self._thread.start()

    def _say(self, role: str) -> None:
        said = {"role": role, "pid": os.getpid(), "host": socket.gethostname(), "port": self.port, "since": int(time.time())}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.file.with_suffix(f".{os.getpid()}.new")
        fresh.write_text(json.dumps(said) + "\n")
        fresh.replace(self.file)

    def close(self) -> None:
        """Stop serving and take the file away, unless another process has written it since."""
        self._http.shutdown()
        self._http.server_close()
        try:
            if json.loads(self.file.read_text())["pid"] == os.getpid():
                self.file.unlink()
        except (OSError, ValueError, KeyError):
            return


def serve(
    port: int, role: str, health: Health, data: Path = Path("data"), registry: CollectorRegistry = REGISTRY
) -> MetricsServer:
    """Start serving `/health` and `/metrics` of a role in a daemon thread; port 0 takes a free one.

    `health()` returns what the role says of itself; `ok` (default true) decides between 200 and 503. Raises Problem when the
    port is taken.
    """
    return MetricsServer(port, role, health, data, registry)
