"""Posts per second of the role `http` on one core, each answered once the embedded log has it on the disk.

The role runs as a process pinned to one core; CONNECTIONS clients on another keep one post each under way, on connections
that stay open, as devices behind a proxy do, and in a second row with a new connection for each post. `cpu_us`: CPU time of the
role's process for a post, all its threads, so 1,000,000 / cpu_us is what a core of its own could take (`per_core`).
"""

import os
import selectors
import socket
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.bridge import _cpu_s, _payload
from tests.support.bridge import log_count
from tests.support.ingress import IngressProcess, request

POSTS, RUNS, CONNECTIONS = 20_000, 3, 128
ANSWER = b'{"ok": true}\n'


def _load(port: int, posts: int, reuse: bool) -> None:
    """Send them all and wait for every answer. Raises RuntimeError for any other answer than 200."""
    waits, sent, done = selectors.DefaultSelector(), 0, 0

    def connect() -> socket.socket:
        client = socket.create_connection(("127.0.0.1", port), 10)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        waits.register(client, selectors.EVENT_READ)
        return client

    def send(client: socket.socket) -> None:
        nonlocal sent
        client.sendall(request(_payload(sent), "/in/site/door"))
        sent += 1

    for _ in range(min(CONNECTIONS, posts)):
        send(connect())
    while done < posts:
        for key, _ in waits.select(30):
            client = key.fileobj
            assert isinstance(client, socket.socket)
            said = client.recv(65_536)
            if not said.startswith(b"HTTP/1.1 200") or not said.endswith(ANSWER):
                raise RuntimeError(f"answered {said!r}")
            done += 1
            if not reuse:
                waits.unregister(client)
                client.close()
            if sent < posts:
                send(client if reuse else connect())
    for key in list(waits.get_map().values()):
        key.fileobj.close()  # type: ignore[union-attr]  # a socket


def _turn(posts: int, reuse: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name, IngressProcess(Path(name), core=min(os.sched_getaffinity(0))) as role:
        assert role.process is not None
        _load(role.port, 500, reuse)
        cpu, began = _cpu_s(role.process.pid), time.perf_counter()
        _load(role.port, posts, reuse)
        seconds, cpu = time.perf_counter() - began, _cpu_s(role.process.pid) - cpu
        if log_count(Path(name)) != posts + 500:
            raise RuntimeError("the log has not what was answered")
    return {"posts_per_s": posts / seconds, "cpu_us": cpu / posts * 1e6}


def run(runs: int = RUNS, posts: int = POSTS) -> list[dict[str, Any]]:
    """One row for kept connections and one for new ones, medians of their turns."""
    rows = []
    for what, reuse in (("connections kept", True), ("a connection for each post", False)):
        turns = [_turn(posts, reuse) for _ in range(runs)]
        cpu = median(turn["cpu_us"] for turn in turns)
        rows.append(
            {
                "bench": "http",
                "what": what,
                "posts_per_s": round(median(turn["posts_per_s"] for turn in turns)),
                "cpu_us": round(cpu, 1),
                "per_core": round(1e6 / cpu),
                "runs": [round(turn["posts_per_s"]) for turn in turns],
                "connections": CONNECTIONS,
                "bytes": len(_payload(1)),
            }
        )
        print(rows[-1], file=sys.stderr, flush=True)
    return rows
