"""What a bridge counts, and its metrics: docs/metrics.md."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


@dataclass
class Stats:
    """What the bridge has done since its start; each number is a metric `footstream_bridge_<name>`."""

    received: int = 0
    logged: int = 0
    images: int = 0
    oversize: int = 0
    retained: int = 0
    unrouted: int = 0
    poison: int = 0
    elsewhere: int = 0
    refused: int = 0
    retries: int = 0

    MEANING = {  # noqa: RUF012  # a plain class attribute, no field
        "received": "messages taken from the broker",
        "logged": "messages that the log has",
        "images": "images removed from payloads",
        "oversize": "payloads above the largest size, of which only head and hash are kept",
        "retained": "messages that the broker sent as retained",
        "unrouted": "messages whose device could not be read",
        "poison": "messages that broke the bridge, of which only the hash is kept",
        "elsewhere": "messages of topics that another slice takes",
        "refused": "messages that the log can never take",
        "retries": "messages handed to the log again",
    }

    @property
    def done(self) -> int:
        """Messages that need nothing more."""
        return self.logged + self.refused + self.elsewhere

    @property
    def waiting(self) -> int:
        """Messages received and not yet in the log."""
        return max(0, self.received - self.done)


class Oldest:
    """Since when the oldest message waits: of each list that was received, its arrival and how many there were with it.

    The log answers about in the order of arrival, so the first list whose count is not reached is the oldest one.
    """

    def __init__(self) -> None:
        self._lists: deque[tuple[int, int]] = deque()

    def received(self, stats: Stats, arrival_ms: int) -> None:
        """A list came. From the thread that receives."""
        self._forget(stats)
        self._lists.append((stats.received, arrival_ms))

    def seconds(self, stats: Stats) -> float:
        """Age of the oldest message that waits; 0 when none does."""
        for count, arrival_ms in list(self._lists):
            if count > stats.done:
                return max(0.0, time.time() - arrival_ms / 1000)
        return 0.0

    def _forget(self, stats: Stats) -> None:
        while self._lists and self._lists[0][0] <= stats.done:
            self._lists.popleft()


def metrics(stats: Stats, oldest: Oldest, held: int, connected: bool, connections: int) -> Iterator[Metric]:
    """All metrics of a bridge. `held`: bytes that wait; `connections`: how often it has connected."""
    for name, meaning in Stats.MEANING.items():
        yield CounterMetricFamily(f"footstream_bridge_{name}", meaning, value=getattr(stats, name))
    yield CounterMetricFamily("footstream_bridge_reconnects", "connections after the first one", value=max(0, connections - 1))
    yield GaugeMetricFamily("footstream_bridge_queue_depth", "messages received and not yet in the log", value=stats.waiting)
    yield GaugeMetricFamily("footstream_bridge_queue_bytes", "their size, about", value=held)
    yield GaugeMetricFamily("footstream_bridge_oldest_seconds", "age of the oldest of them", value=oldest.seconds(stats))
    yield GaugeMetricFamily("footstream_bridge_connected", "1 while the broker is connected", value=connected)
