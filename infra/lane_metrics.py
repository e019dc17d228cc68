"""Health and metrics of a lane: received, stored, duplicates, quarantined by reason, lag, watermark age, queue depth."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from connectors.log import RAW, Log, LogError
from infra.lane import Lane
from infra.metrics import MetricsServer, serve_role
from infra.settings import Settings
from schemas.rows import Quarantine

STUCK_S = 60.0
"""A lane that has not looked at its log for so long is not well (the store is away, or a record is slow)."""
SAMPLE_S, LOOK_S = 0.1, 0.02
PATH_BUCKETS = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 300, 3600)
_REASON = list(Quarantine.columns).index("reason")
_PARTIAL = list(Quarantine.columns).index("partial")


class PathSampler(threading.Thread):
    """Follows one batch at a time from its newest log timestamp until it is stored. One that was stored between two looks
    counts as well, up to `SAMPLE_S` later than it was: else only the slow ones would."""

    def __init__(self, lane: Lane, observe: Callable[[float], None]) -> None:
        super().__init__(name="path-sampler", daemon=True)
        self.lane, self.observe = lane, observe

    def run(self) -> None:
        lane, seen = self.lane, 0
        while not lane.stop.wait(SAMPLE_S):
            seq, newest = lane.seq, max(list(lane.log_ms.values()), default=0)
            if seq == seen:
                continue
            seen = seq
            while lane.durable < seq:
                if lane.stop.wait(LOOK_S):
                    return
            self.observe(max(0.0, time.time() - newest / 1000))


class PartitionMetrics(Collector):
    """Where each partition of the lane begins and ends, and how far the lane is; one question to the log for each scrape.

    While the log does not answer there are no samples, so that an old figure is never taken for a new one.
    """

    def __init__(self, lane: Lane, log: Log) -> None:
        self.lane, self.log = lane, log

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Names only: registering asks the log for nothing."""
        yield from self._families().values()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        families, now = self._families(), time.time()
        try:
            bounds = self.log.bounds(RAW)
        except LogError:
            bounds = {}
        for partition, at in sorted(self.lane.positions.items()):
            label = [str(partition)]
            if partition in bounds:
                first, end = bounds[partition]
                families["first"].add_metric(label, first)
                families["end"].add_metric(label, end)
                families["lag"].add_metric(label, max(0, end - max(first, at)))
            if (newest := self.lane.log_ms.get(partition)) is not None:
                families["age"].add_metric(label, now - newest / 1000)
        yield from families.values()

    @staticmethod
    def _families() -> dict[str, GaugeMetricFamily]:
        of = {
            "first": ("first_position", "First position that the log keeps"),
            "end": ("end_position", "Position that the next record gets"),
            "lag": ("lag_messages", "Records kept in the log that are not read yet"),
            "age": ("read_age_seconds", "Now minus the newest log timestamp read since the start"),
        }
        return {key: GaugeMetricFamily(f"footstream_lane_partition_{n}", h, labels=["partition"]) for key, (n, h) in of.items()}


class LaneMetrics:
    """Counts what a lane does. Counters start at zero with the process; the tables hold the whole truth."""

    def __init__(self, lane: Lane, log: Log, partitions: list[int]) -> None:
        self.lane, self.log, self.partitions = lane, log, partitions
        self.events = self.duplicates = self.refused = 0
        self.began = time.time()
        r = self.registry = CollectorRegistry()
        r.register(self)
        Gauge("footstream_lane_lag_messages", "Records in the log that are not read yet", registry=r).set_function(self.lag)
        Gauge("footstream_lane_watermark_age_seconds", "Now minus the newest log timestamp read", registry=r).set_function(
            self.age
        )
        Gauge("footstream_lane_queue_batches", "Batches read and not yet stored", registry=r).set_function(
            lambda: lane.seq - lane.durable
        )
        r.register(PartitionMetrics(lane, log))
        self.rows = Counter("footstream_lane_rows", "Rows written by table", ["table"], registry=r)
        self.duplicate = Counter("footstream_lane_duplicate_messages", "Records that said nothing new", registry=r)
        self.quarantined = Counter("footstream_lane_quarantined", "Refused parts by reason", ["reason"], registry=r)
        self.path = Histogram(
            "footstream_lane_path_seconds",
            "Log timestamp of a record until it is stored, sampled: one batch at a time",
            buckets=PATH_BUCKETS,
            registry=r,
        )

    def collect(self) -> Iterable[Metric]:
        """What the lane counts itself."""
        stored = max(0, self.lane.received - self.duplicates - self.refused)
        return [
            CounterMetricFamily("footstream_lane_received_messages", "Records read", value=self.lane.received),
            CounterMetricFamily("footstream_lane_stored_messages", "Records read that said something new", value=stored),
        ]

    def counted(self, table: str, number: int, rows: list[Any]) -> None:
        """So many rows that were written to a table; `rows`: themselves, or short forms of them."""
        self.rows.labels(table).inc(number)
        if table == "observations":
            self.events += number
        elif table == "duplicates":
            self.duplicates += number
            self.duplicate.inc(number)
        elif table == "quarantine":
            for row in rows:
                self.quarantined.labels(row[_REASON]).inc()
                self.refused += not row[_PARTIAL]

    def lag(self) -> float:
        """Records after what was read; NaN when the log does not answer."""
        try:
            ends = self.log.bounds(RAW)
        except LogError:
            return float("nan")
        at = self.lane.positions
        return float(sum(max(0, end - max(first, at.get(p, 0))) for p, (first, end) in ends.items() if p in at))

    def age(self) -> float:
        """Seconds since the newest record that was read; NaN before the first."""
        newest = max(self.lane.log_ms.values(), default=0)
        return time.time() - newest / 1000 if newest else float("nan")

    def health(self) -> dict[str, Any]:
        return {
            "ok": self.lane.polled_at > 0 and time.monotonic() - self.lane.polled_at < STUCK_S,
            "received": self.lane.received,
            "caught_up": self.lane.caught_up,
            "since": int(self.began),
            "partitions": self.partitions,
        }

    def serve(self, settings: Settings, name: str) -> MetricsServer:
        PathSampler(self.lane, self.path.observe).start()
        return serve_role(settings, name, self.health, self.registry)
