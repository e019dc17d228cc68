"""`/health` and Prometheus `/metrics` of one role, on loopback unless `FOOTSTREAM_METRICS` says otherwise.

`/health` answers 200 while the role says `ok`, else 503, with the role's own words as one JSON object; `/metrics` answers the
text format of prometheus-client. The port in use stands in `<data>/run/<role>.json`, so that others find a free one. What all
roles have in common comes from `Common`; docs/metrics.md lists every metric.
"""

import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric

from infra.errors import Problem
from infra.settings import Settings

disable_created_metrics()  # type: ignore[no-untyped-call]  # gauges beside the counters, which nobody reads

Health = Callable[[], Mapping[str, Any]]
ROLES = ("bridge", "notify", "serve", "store", "up", "http", "camera")
"""Roles with a fixed place behind the first metrics port; lane i comes ten behind it, slice i of the bridge five hundred."""


def port_of(first: int, role: str) -> int:
    """Port of a role when the first one is set; 0 (any free one) when it is not. Lanes are `run-<i>`, slices `bridge-<i>`."""
    if first == 0:
        return 0
    if role in ROLES:
        return first + ROLES.index(role)
    number = role.rpartition("-")[2]
    return first + (500 if role.startswith("bridge-") else 10) + (int(number) if number.isdigit() else 0)


class Common:
    """The metrics that every role has: whether it is well, its version, and the disk under its data folder."""

    def __init__(self, role: str, health: Health, data: Path) -> None:
        self._role, self._health, self._data = role, health, data

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked at registration."""
        return []

    def collect(self) -> Iterable[Metric]:
        ok = GaugeMetricFamily("footstream_role_ok", "1 while /health of the role says ok", labels=["role"])
        ok.add_metric([self._role], float(bool(said_by(self._health)["ok"])))
        info = InfoMetricFamily("footstream_role", "Program of the role", labels=["role"])
        info.add_metric([self._role], {"version": version("footstream")})
        yield from (ok, info)
        try:
            disk = shutil.disk_usage(self._data)
        except OSError:  # no folder yet, or none at all
            return
        yield GaugeMetricFamily("footstream_data_free_bytes", "Free bytes of the disk under FOOTSTREAM_DATA", value=disk.free)
        yield GaugeMetricFamily("footstream_data_size_bytes", "Size of that disk, bytes", value=disk.total)


def said_by(health: Health) -> dict[str, Any]:
    """What a role says of itself; `ok` is always there. One that cannot say how it is, is not well."""
    try:
        said = dict(health())
        said.setdefault("ok", True)
        return said
    except Exception as error:
        return {"ok": False, "error": f"{type(error).__name__}: {error}"}


def common_registry(role: str, health: Health, data: Path, process: bool) -> CollectorRegistry:
    """The metrics of every role; `process`: also those of its process, which the default registry has already."""
    registry = CollectorRegistry()
    registry.register(Common(role, health, data))
    if process:
        ProcessCollector(registry=registry)
    return registry


def _answer(path: str, health: Health, *registries: CollectorRegistry) -> tuple[int, str, bytes]:
    if path == "/metrics":
        return 200, CONTENT_TYPE_LATEST, b"".join(map(generate_latest, registries))
    if path != "/health":
        return 404, "application/json", b'{"error": "only /health and /metrics are here"}\n'
    said = said_by(health)
    return (200 if said["ok"] else 503), "application/json", json.dumps(said, default=str).encode() + b"\n"


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


class _Http6(_Http):
    address_family = socket.AF_INET6


class MetricsServer:
    """Serves one role until `close()`; `port` is the port in use, `file` says it to others."""

    def __init__(
        self, port: int, role: str, health: Health, data: Path, registry: CollectorRegistry, host: str = "127.0.0.1"
    ) -> None:
        common = common_registry(role, health, data, registry is not REGISTRY)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, kind, body = _answer(self.path.partition("?")[0], health, registry, common)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Scrapes every few seconds are not news."""

        try:
            self._http = (_Http6 if ":" in host else _Http)((host, port), Handler)
        except OSError as error:
            raise Problem(
                f"{role}: port {port} for /health and /metrics: {error.strerror}; "
                f"stop what listens there or set another FOOTSTREAM_METRICS_PORT (FOOTSTREAM_METRICS in a container)"
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


def serve_role(settings: Settings, role: str, health: Health, registry: CollectorRegistry = REGISTRY) -> MetricsServer:
    """The same where the settings say. Raises Problem."""
    host, port = settings.metrics_place() or ("127.0.0.1", port_of(settings.metrics_port, role))
    return MetricsServer(port, role, health, settings.data, registry, host)
