"""Messages per second of one bridge: QoS 1 from a real mosquitto into the embedded log, one process, MQTT 5.

The messages wait in the broker when the bridge starts, so the sender costs nothing while it is measured; the time runs from the
first record in the log to the last.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.support.bridge import log_count, running, wait_until
from tests.support.mqtt import Mosquitto, publish

MESSAGES = 20_000
RUNS = 3


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


def _once(folder: Path) -> float:
    with Mosquitto() as broker:
        with running(folder, broker.url) as bridge:
            bridge.end()
        publish(broker.port, ((f"shop/{n % 1000}", _payload(n)) for n in range(MESSAGES)))
        with running(folder, broker.url) as bridge:
            wait_until(lambda: log_count(folder) > 0, 30, bridge.lines)
            first, began = log_count(folder), time.perf_counter()
            wait_until(lambda: log_count(folder) >= MESSAGES, 60, bridge.lines)
            seconds = time.perf_counter() - began
            bridge.end()
    return (MESSAGES - first) / seconds


def run() -> list[dict[str, Any]]:
    """Median of three runs, as one row of the bench table."""
    rates = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            rates.append(_once(Path(folder)))
    return [
        {
            "bench": "bridge",
            "what": "mosquitto to embedded log, QoS 1",
            "value": round(statistics.median(rates)),
            "unit": "messages/s",
            "runs": [round(rate) for rate in rates],
            "bytes": len(_payload(1)),
        }
    ]
