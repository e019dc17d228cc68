"""The board and API on a free port, with a clock that tests move, and a plain HTTP client."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
import uvicorn

from dashboards.web.app import create_app
from dashboards.web.auth import Token
from infra.floor_plans import plans_of
from infra.serve import listen
from schemas.sites import Device, Registry, Zone
from schemas.sites import Site as StoreEntry
from tests.support.board_store import BoardStore
from tests.support.seed_floor import CAMERA, SHAPES, ZONES

HTTP = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(10))


WITH_PLAN = StoreEntry(
    "oslo-karl-johan",
    "Oslo Karl Johan",
    "Europe/Oslo",
    plan=str(Path(__file__).parents[2] / "docs" / "example-plan.svg"),
    devices={CAMERA: Device(CAMERA, zones={z: Zone(z, name, shape=SHAPES[z]) for z, name in ZONES.items()})},
)


@dataclass
class Clock:
    """Epoch seconds that stand still until a test moves them."""

    value: float

    def __call__(self) -> float:
        return self.value


@dataclass
class Site:
    """A running board. `app.state.hub` is its stream."""

    url: str
    app: Any
    clock: Clock

    def get(self, path: str, token: str = "", host: str = "") -> tuple[int, Any]:
        """Status and JSON of a path (text where it is not JSON)."""
        headers = ({"Authorization": f"Bearer {token}"} if token else {}) | ({"Host": host} if host else {})
        answer = HTTP.request("GET", self.url + path, headers=headers)
        kind = answer.headers.get("content-type", "")
        return answer.status, json.loads(answer.data) if "json" in kind else answer.data.decode()


@contextmanager
def serving(store: BoardStore, clock: Clock, tokens: Sequence[Token] | None = None, poll_s: float = 0.2) -> Iterator[Site]:
    """Serve the board over a store until the block ends."""
    plan = plans_of(Registry({"oslo-karl-johan": WITH_PLAN}))
    app = create_app(
        store.query, tokens, clock, is_open=lambda site, moment: True, plan=plan, default_zone="Europe/Oslo", poll_s=poll_s
    )
    sock = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2, ws="none"))
    thread = threading.Thread(target=server.run, args=([sock],), daemon=True)
    thread.start()
    limit = time.monotonic() + 20
    while not server.started and time.monotonic() < limit:
        time.sleep(0.01)
    try:
        yield Site(f"http://127.0.0.1:{sock.getsockname()[1]}", app, clock)
    finally:
        app.state.hub.close()
        server.should_exit = True
        thread.join(10)


@contextmanager
def events(site: Site, token: str = "", last_id: str = "") -> Iterator[Iterator[tuple[str, str, Any]]]:
    """Server-sent events of the live stream as (name, id, data)."""
    headers = {"Accept": "text/event-stream"}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    headers |= {"Last-Event-ID": last_id} if last_id else {}
    answer = HTTP.request("GET", site.url + "/api/v1/live", headers=headers, preload_content=False)
    try:
        yield _events(answer)
    finally:
        answer.close()


def _events(answer: Any) -> Iterator[tuple[str, str, Any]]:
    rest = b""
    while True:
        piece = answer.read1()
        if not piece:
            return
        *blocks, rest = (rest + piece).split(b"\n\n")
        for block in blocks:
            lines = dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)
            if "data" in lines:
                yield lines.get("event", ""), lines.get("id", ""), json.loads(lines["data"])
