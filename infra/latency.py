"""How long from the publish of a message until its minute can be read from the store: sampled, one message at a time."""

import contextlib
import queue
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from operators.simulator import Sent

POLL_S = 0.01
GIVE_UP_S = 20.0


class _Probe(NamedTuple):
    published: float
    device: str
    line: int
    minute: int


class Latency:
    """Samples the newest published window again and again, once the store has what was in the log before.

    `before`: bounds of the log's partitions that have to be stored first, so that a backlog does not count as latency.
    """

    def __init__(self, store: str, database: str, user: str, password: str, before: Mapping[int, tuple[int, int]]) -> None:
        self._url, self._database, self._user, self._password = store, database, user, password
        self._before = dict(before)
        self._newest: queue.SimpleQueue[_Probe] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._seen: list[float] = []
        self._thread = threading.Thread(target=self._run, name="latency", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def offer(self, sent: Sequence[Sent]) -> None:
        """Messages that have just been published; those with a fresh one-minute window may become a sample."""
        now = time.monotonic()
        for message in sent:
            for w in message.windows:
                if message.expect == "stored" and w.end - w.start == 60 and message.at - w.end < 30:
                    self._newest.put(_Probe(now, w.device, w.line, w.start))

    def stop(self) -> list[float]:
        """Latencies seen, in milliseconds."""
        self._stop.set()
        self._thread.join(GIVE_UP_S + 5)
        return self._seen

    def _query(self, sql: str) -> str:
        words = urllib.parse.urlencode({"database": self._database, "query": sql})
        headers = {"X-ClickHouse-User": self._user, "X-ClickHouse-Key": self._password}
        request = urllib.request.Request(f"{self._url}/?{words}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())

    def _run(self) -> None:
        while not self._stop.is_set() and not self._caught_up():
            self._stop.wait(0.25)
        while not self._newest.empty():
            self._newest.get()
        while not self._stop.is_set():
            with contextlib.suppress(queue.Empty):
                probe = self._newest.get(timeout=0.2)
                if time.monotonic() - probe.published < 0.5:  # one that waited behind another says nothing
                    self._follow(probe)

    def _caught_up(self) -> bool:
        try:
            text = self._query(
                "SELECT partition_no, max(position) FROM progress WHERE topic = 'raw' GROUP BY partition_no FORMAT TSV"
            )
        except OSError:
            return False
        done = {int(a): int(b) for a, b in (row.split("\t") for row in text.splitlines())}
        return all(done.get(p, 0) >= end for p, (first, end) in self._before.items() if end > first)

    def _follow(self, probe: _Probe) -> None:
        sql = (
            f"SELECT count() FROM line_minutes_revisions WHERE device = '{probe.device}' AND line = {probe.line} "
            f"AND minute = toDateTime({probe.minute}, 'UTC') AND measured_s > 0 FORMAT TSV"
        )
        while time.monotonic() - probe.published < GIVE_UP_S:
            with contextlib.suppress(OSError):
                if int(self._query(sql)) > 0:
                    self._seen.append(1000 * (time.monotonic() - probe.published))
                    return
            time.sleep(POLL_S)


def percentile(values: Sequence[float], share: float) -> float | None:
    """Nearest-rank percentile; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
