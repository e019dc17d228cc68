"""Records per second into and out of both logs, beside the bare client doing the same; and the cost of a waiting reader.

700-byte values with two headers, 8 partitions, 200 sites. `ratio` = ours / bare. Bare SQLite: `executemany`, one row a record,
1,000 rows a transaction, full sync, read back with one SELECT. Bare Kafka: `produce` with the same settings and no report,
`consume` of 10,000 with the value, key, offset and headers of each message taken.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from connectors.log import Log, NewRecord, open_log
from tests.support.kafka import kafka_broker

RECORDS, PARTITIONS, RUNS = 100_000, 8, 3
_VALUES = [os.urandom(700) for _ in range(500)]
_SETTINGS = {"enable.idempotence": True, "acks": "all", "compression.type": "lz4", "linger.ms": 5, "log_level": 1}


def run() -> list[dict[str, Any]]:
    """One row per log and direction, and one per log for an idle reader. Needs Java and Maven for Kafka."""
    records = _records()
    with TemporaryDirectory() as folder:
        log = open_log(f"sqlite:///{folder}/log")
        plain = _PlainSqlite(Path(folder) / "plain.db")
        rows = _measure("sqlite", log, records, plain.write, plain.read)
        log.close()
    with kafka_broker() as broker:
        log = open_log(broker.url)
        bare = _PlainKafka(broker.bootstrap, log)
        rows += _measure("kafka", log, records, bare.write, bare.read)
        log.close()
    return rows


def _records() -> list[NewRecord]:
    now = int(time.time() * 1000)
    return [
        NewRecord(f"site-{i % 200}", _VALUES[i % 500], now + i, (("topic", b"shop/%d/up" % (i % 1000)), ("source", b"mqtt")))
        for i in range(RECORDS)
    ]


def _measure(
    name: str, log: Log, records: list[NewRecord], write: Callable[[list[NewRecord], int], None], read: Callable[[int], None]
) -> list[dict[str, Any]]:
    seconds: dict[str, list[float]] = {"append": [], "bare append": [], "read": [], "bare read": []}
    for turn in range(RUNS):
        topic = f"run{turn}"
        log.ensure_topic(topic, PARTITIONS)
        jobs: dict[str, Callable[[], None]] = {
            "append": partial(_append, log, topic, records),
            "bare append": partial(write, records, turn),
            "read": partial(_read, log, topic),
            "bare read": partial(read, turn),
        }
        for what, job in jobs.items():
            began = time.perf_counter()
            job()
            seconds[what].append(time.perf_counter() - began)
    rows = []
    for what in ("append", "read"):
        ours, bare = RECORDS / median(seconds[what]), RECORDS / median(seconds[f"bare {what}"])
        rows.append(
            {
                "bench": "log",
                "log": name,
                "what": what,
                "per_s": round(ours),
                "bare_per_s": round(bare),
                "ratio": round(ours / bare, 2),
            }
        )
    return [*rows, {"bench": "log", "log": name, "what": "idle reader", "cpu_percent": _idle(log, "run0")}]


def _append(log: Log, topic: str, records: list[NewRecord]) -> None:
    durable = 0

    def done(error: Exception | None) -> None:
        nonlocal durable
        if error is not None:
            raise error
        durable += 1

    writer = log.writer()
    for record in records:
        writer.append(topic, record, done)
    assert writer.flush(120)
    assert durable == len(records)
    writer.close()


def _read(log: Log, topic: str) -> None:
    reader = log.slice_reader(topic, dict.fromkeys(range(PARTITIONS), 0))
    seen = 0
    while seen < RECORDS:
        seen += sum(len(batch.positions) for batch in reader.poll(10_000, 1.0))
    reader.close()


def _idle(log: Log, topic: str, seconds: float = 3.0) -> float:
    """CPU of this process in percent of a core while one reader of all partitions waits, asked ten times a second."""
    reader = log.slice_reader(topic, {p: end for p, (_, end) in log.bounds(topic).items()})
    reader.poll(1, 1.0)
    used, began = time.process_time(), time.perf_counter()
    while time.perf_counter() - began < seconds:
        reader.poll(1000, 0.1)
    used = time.process_time() - used
    reader.close()
    return round(used / seconds * 100, 2)


class _PlainSqlite:
    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("CREATE TABLE log (run, id INTEGER PRIMARY KEY, stamp, key, value, headers)")

    def write(self, records: list[NewRecord], turn: int) -> None:
        rows = [(turn, r.timestamp, r.key, r.value, b"".join(value for _, value in r.headers)) for r in records]
        for start in range(0, len(rows), 1000):
            self._db.execute("BEGIN")
            self._db.executemany("INSERT INTO log VALUES (?, NULL, ?, ?, ?, ?)", rows[start : start + 1000])
            self._db.execute("COMMIT")

    def read(self, turn: int) -> None:
        first = turn * RECORDS
        query = "SELECT id, stamp, key, value, headers FROM log WHERE id > ? AND id <= ?"
        assert len(self._db.execute(query, (first, first + RECORDS)).fetchall()) == RECORDS


class _PlainKafka:
    def __init__(self, bootstrap: str, log: Log) -> None:
        self._bootstrap, self._log = bootstrap, log

    def write(self, records: list[NewRecord], turn: int) -> None:
        self._log.ensure_topic(f"bare{turn}", PARTITIONS)
        producer = Producer({"bootstrap.servers": self._bootstrap, **_SETTINGS})
        for r in records:
            while True:
                try:
                    producer.produce(f"footstream.bare{turn}", r.value, r.key, headers=list(r.headers))
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.flush()

    def read(self, turn: int) -> None:
        consumer = Consumer(
            {"bootstrap.servers": self._bootstrap, "group.id": "bare", "log_level": 1, "fetch.queue.backoff.ms": 5}
        )
        consumer.assign([TopicPartition(f"footstream.bare{turn}", p, 0) for p in range(PARTITIONS)])
        seen = 0
        while seen < RECORDS:
            seen += len(
                [(m.offset(), m.value(), m.key(), m.headers()) for m in consumer.consume(10_000, 0.05) if not m.error()]
            )
        consumer.close()


if __name__ == "__main__":
    for row in run():
        print(row)
