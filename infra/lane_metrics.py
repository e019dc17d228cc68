"""Health and metrics of a lane: received, stored, duplicates, quarantined by reason, lag, watermark age, queue depth."""

import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from connectors.log import RAW, Log, LogError
from infra.lane import Lane
from infra.metrics import MetricsServer, port_of, serve
from infra.settings import Settings
from schemas.rows import Quarantine

STUCK_S = 60.0
"""A lane that has not looked at its log for so long is not well (the store is away, or a record is slow)."""
_REASON = list(Quarantine.columns).index("reason")
_PARTIAL = list(Quarantine.columns).index("partial")


class LaneMetrics:
    """Counts what a lane does. Counters start at zero with the process; the tables hold the whole truth."""

    def __init__(self, lane: Lane, log: Log, partitions: list[int]) -> None:
        self.lane, self.log, self.partitions = lane, log, partitions
        self.events = self.duplicates = self.refused = 0
        self.began = time.time()
        r = self.registry = CollectorRegistry()
        Gauge("footstream_lane_received_messages", "Records read since the start", registry=r).set_function(
            lambda: lane.received
        )
        Gauge("footstream_lane_stored_messages", "Records stored since the start", registry=r).set_function(
            lambda: max(0, lane.received - self.duplicates - self.refused)
        )
        Gauge("footstream_lane_lag_messages", "Records in the log that are not read yet", registry=r).set_function(self.lag)
        Gauge("footstream_lane_watermark_age_seconds", "Now minus the newest log timestamp read", registry=r).set_function(
            self.age
        )
        Gauge("footstream_lane_queue_batches", "Batches read and not yet stored", registry=r).set_function(
            lambda: lane.seq - lane.durable
        )
        self.rows = Counter("footstream_lane_rows", "Rows written by table", ["table"], registry=r)
        self.duplicate = Counter("footstream_lane_duplicate_messages", "Records that said nothing new", registry=r)
        self.quarantined = Counter("footstream_lane_quarantined", "Refused parts by reason", ["reason"], registry=r)

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
        return serve(port_of(settings.metrics_port, name), name, self.health, settings.data, self.registry)
