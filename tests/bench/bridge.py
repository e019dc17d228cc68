"""Messages per second of one bridge: QoS 1 from a real mosquitto into a real Kafka and into the embedded log, MQTT 5.

The messages wait in the broker when the bridge starts, so the sender costs nothing while it is measured; the time runs from the
first record in the log to the last, the CPU time is that of the bridge's process over the same stretch, all its threads. Peers
in the same turns, with the same messages: `paho`, a bare paho loop with manual acknowledgement that only counts.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from connectors.log import RAW, Log, open_log
from tests.support.bridge import running, wait_until
from tests.support.kafka import kafka_broker
from tests.support.mqtt import Mosquitto, publish

MESSAGES, RUNS, LIMIT_S = 40_000, 3, 120
BROKER = "max_inflight_messages 1000"  # as the embedded broker has it
Run = dict[str, float]


def _payload(number: int) -> bytes:
    line = {
        "line": 1,
        "line_name": "Line1",
        "line_uuid": "00000001-0000-4000-8000-000000000001",
        "in": number % 11,
        "out": number % 7,
    }
    return json.dumps(
        {
            "device_info": {
                "device_sn": f"6384E{number % 1000:011d}",
                "device_mac": "24:E1:24:FA:0C:70",
                "device_name": "People Counter",
                "firmware_version": "V_135.1.0.7-r1",
                "running_time": number,
            },
            "time_info": {"start_time": "2026-03-02T10:00:00+01:00", "end_time": "2026-03-02T10:01:00+01:00"},
            "line_periodic_data": [line, {**line, "line": 2}],
        }
    ).encode()


def _fill(broker: Mosquitto) -> None:
    publish(broker.port, ((f"shop/{n % 1000}", _payload(n)) for n in range(MESSAGES)))


def _cpu_s(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _count(log: Log) -> int:
    return sum(end - first for first, end in log.bounds(RAW).values())


def _bridge(url: str, prefix: str) -> Run:
    """One run into an empty topic of the log."""
    with tempfile.TemporaryDirectory() as name, Mosquitto(BROKER) as broker:
        folder = Path(name)
        options = {"log": url or f"sqlite:///{folder / 'log'}", "prefix": prefix}
        with running(folder, broker.url, **options) as bridge:
            bridge.end()
        _fill(broker)
        log = open_log(options["log"], prefix)
        with running(folder, broker.url, **options) as bridge:
            assert bridge.process is not None
            wait_until(lambda: _count(log) > 0, 30, bridge.lines)
            first, began, cpu = _count(log), time.perf_counter(), _cpu_s(bridge.process.pid)
            wait_until(lambda: _count(log) >= MESSAGES, LIMIT_S, bridge.lines)
            seconds, cpu = time.perf_counter() - began, _cpu_s(bridge.process.pid) - cpu
            bridge.end()
        log.close()
    return {"messages_per_s": (MESSAGES - first) / seconds, "cpu_us": cpu / (MESSAGES - first) * 1e6}


def _paho() -> Run:
    with Mosquitto(BROKER) as broker:
        with _peer(broker, 0):
            pass
        _fill(broker)
        with _peer(broker, MESSAGES) as said:
            found: Run = json.loads(said)
            return found


@contextmanager
def _peer(broker: Mosquitto, messages: int) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.bench._paho_peer", str(broker.port), str(messages)]
    yield subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT_S).stdout


def run(runs: int = RUNS) -> list[dict[str, Any]]:
    """One row per contender with the medians of its turns."""
    found: dict[str, list[Run]] = {"paho that only counts": [], "bridge into Kafka": [], "bridge into the embedded log": []}
    with kafka_broker() as kafka:
        for turn in range(runs):
            found["paho that only counts"].append(_paho())
            found["bridge into Kafka"].append(_bridge(kafka.url, f"turn{turn}."))
            found["bridge into the embedded log"].append(_bridge("", "footstream."))
            print(f"bridge: turn {turn + 1} of {runs}: { {n: f[-1] for n, f in found.items()} }", file=sys.stderr, flush=True)
    peer = median(one["messages_per_s"] for one in found["paho that only counts"])
    return [
        {
            "bench": "bridge",
            "what": what,
            "messages_per_s": round(rate := median(one["messages_per_s"] for one in turns)),
            "cpu_us": round(median(one["cpu_us"] for one in turns), 1),
            "ratio_to_paho": round(rate / peer, 2),
            "runs": [round(one["messages_per_s"]) for one in turns],
            "bytes": len(_payload(1)),
        }
        for what, turns in found.items()
    ]
