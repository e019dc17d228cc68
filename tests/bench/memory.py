"""Memory of a lane with 10,000 stores over a day, all flows: resident MiB of its processes, sampled every half second.

One sensor with two entrance lines a store, a report every quarter of an hour: 960,000 messages, as a lane finds them that was
away for a day, which is the most that it holds. Reported for each quarter of the run, so that growth shows, and the highest.
"""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from connectors.log import NewRecord, open_log
from tests.bench.idle import rss_mib
from tests.bench.lane import COMMAND, prepared
from tests.support.kafka import kafka_broker

STORES, DAY_S, EVERY_S, PARTITIONS, LIMIT_S = 10_000, 86_400, 900, 8, 3600
START = 1_772_409_600  # 2026-03-02 00:00 UTC
Row = dict[str, Any]


def run(stores: int = STORES) -> list[Row]:
    """One row for each quarter of the run, one for all of it."""
    with kafka_broker() as broker:
        log = open_log(broker.url, "")
        log.ensure_topic("raw", PARTITIONS, 50 * 365 * DAY_S)
        fill(log.writer(), reports(stores, DAY_S, EVERY_S))
        log.close()
        with prepared(broker.url, stores, 1, interval_s=EVERY_S) as (_, environment):
            command = [*COMMAND, "run", "all", "--until-end"]
            process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
            samples = _watched(process)
            said = json.loads(process.communicate()[0].splitlines()[-1])
    quarter = len(samples) // 4
    parts = [samples[n * quarter : (n + 1) * quarter] for n in range(4)]
    rows = [
        {"bench": "memory", "what": f"quarter {n} of the run", "rss_mib": round(max(part))} for n, part in enumerate(parts, 1)
    ]
    whole = {"stores": stores, "messages": said["messages"], "messages_per_s": said["messages_per_s"], "cpu_s": said["cpu_s"]}
    return [*rows, {"bench": "memory", "what": "highest", "rss_mib": round(max(samples)), **whole}]


def _watched(process: "subprocess.Popen[str]") -> list[float]:
    """Resident memory of a process with its children until it has ended."""
    samples: list[float] = []
    end = time.monotonic() + LIMIT_S
    while process.poll() is None and time.monotonic() < end:
        try:
            samples.append(sum(map(rss_mib, [process.pid, *_children(process.pid)])))
        except (OSError, IndexError):  # it ends just now
            break
        time.sleep(0.5)
    return samples


def _children(pid: int) -> list[int]:
    return [int(kid) for kid in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def reports(stores: int, seconds: int, every_s: int) -> Iterator[NewRecord]:
    """Reports of one sensor a store with two lines, in the order of their arrival."""
    for start in range(START, START + seconds, every_s):
        stamps = [time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(t)) for t in (start, start + every_s)]
        for store in range(stores):
            number = start // every_s + store
            lines = ",".join(f'{{"line":{n},"line_name":"Line{n}","in":{number % 11},"out":{number % 7}}}' for n in (1, 2))
            value = (
                f'{{"device_info":{{"device_sn":"6384E{store:011d}","device_name":"People Counter","running_time":{number}}},'
                f'"time_info":{{"start_time":"{stamps[0]}","end_time":"{stamps[1]}"}},"line_periodic_data":[{lines}]}}'
            )
            yield NewRecord(f"site-{store:05d}", value.encode(), (start + every_s + store % every_s // 2) * 1000)


def fill(writer: Any, records: Iterator[NewRecord]) -> None:
    """Append everything to `raw` and wait for it. Raises what the log says."""
    failed: list[Exception] = []
    waiting = threading.Semaphore(50_000)

    def done(error: Exception | None) -> None:
        waiting.release()
        if error is not None:
            failed.append(error)

    for number, record in enumerate(records):
        while not waiting.acquire(blocking=False):
            writer.poll(0.05)
        writer.append("raw", record, done)
        if number % 1000 == 0:
            writer.poll(0)
    writer.flush(120)
    writer.close()
    if failed:
        raise failed[0]


if __name__ == "__main__":
    for row in run():
        print(json.dumps(row))
