"""Small helpers for tests of the log: records, reading to the end, writers in other processes."""

import subprocess
import sys
import time
from collections.abc import Sequence

from connectors.log import Log, NewRecord, SliceReader

Row = tuple[int, int, int, str, bytes, tuple[tuple[str, bytes], ...]]
"""Partition, position, timestamp, key, value, headers."""


def record(number: int, key: str = "site", size: int = 0) -> NewRecord:
    """A record whose value begins with its number."""
    return NewRecord(key, f"{number:08d}".encode().ljust(size, b"."), int(time.time() * 1000))


def drain(reader: SliceReader, most: int = 1000, seconds: float = 20.0) -> list[Row]:
    """Everything up to the end as it is now; TimeoutError when the reader does not get there."""
    rows: list[Row] = []
    end = time.monotonic() + seconds
    while True:
        for batch in reader.poll(most, 0.05):
            rows += zip([batch.partition] * len(batch.positions), *batch[1:], strict=True)
        if reader.caught_up:
            return rows
        if time.monotonic() > end:
            raise TimeoutError(f"not at the end after {seconds} s, {len(rows)} records read")


def read_all(log: Log, topic: str, most: int = 1000) -> list[Row]:
    """All kept records of a topic, through one reader of all partitions."""
    reader = log.slice_reader(topic, dict.fromkeys(range(log.partitions(topic) or 0), 0))
    try:
        return drain(reader, most)
    finally:
        reader.close()


WRITER = """
import sys
from connectors.log import open_log
from tests.support.logs import record
url, prefix, topic, first, count = sys.argv[1:4] + [int(a) for a in sys.argv[4:6]]
writer = open_log(url, prefix).writer()
print("ready", flush=True)
for i in range(first, first + count):
    def done(error, i=i):
        if error is not None:
            raise error
        sys.stdout.write(f"{i}\\n")
    writer.append(topic, record(i, f"site-{i % 7}", 300), done)
    if i % 100 == 0:
        writer.poll(0)
        sys.stdout.flush()
writer.flush(30)
writer.close()
sys.stdout.flush()
"""
"""A program that appends `count` records numbered from `first` and prints the number of each one that is durable."""


def start_writer(url: str, prefix: str, topic: str, first: int, count: int) -> "subprocess.Popen[str]":
    arguments: Sequence[str] = (url, prefix, topic, str(first), str(count))
    return subprocess.Popen([sys.executable, "-c", WRITER, *arguments], stdout=subprocess.PIPE, text=True)
