"""From the publish of a report that makes a store too full until a webhook has accepted the alert, at 1,000 messages a second.

Real mosquitto, bridge, embedded log, lane with all flows, embedded store, notifier, and a receiver that checks signatures. Each
alert is of a store of its own, whose report is of a minute that ended longer ago than the rule waits (60 s of event time): so
it fires at once, and what is measured is everything beyond the rule's own wait. 2,000 other sensors send all the while, and
each has sent a report before: what a store costs once is not latency.
"""

import json
import re
import tempfile
import time
from pathlib import Path
from typing import Any

from infra.latency import percentile
from infra.settings import Settings
from infra.stores import open_store
from tests.bench._up import running, settings_in
from tests.bench.lane import registry
from tests.bench.latency import payload, warm_up
from tests.support.mqtt import Mosquitto, Publisher
from tests.support.receiver import SECRET, Receiver

RATE, SENSORS, ALERTS, EVERY_S, WARM_S, LAST_S = 1000, 2000, 100, 0.25, 5.0, 30.0
FIRST = 500_000
"""Number of the first device that raises an alert."""
_STORE = re.compile(rb"alarm-(\d{3})")
Row = dict[str, Any]


def run() -> list[Row]:
    """One row: median and 99th percentile in milliseconds, and how many alerts never came (0)."""
    receiver = Receiver()
    try:
        with tempfile.TemporaryDirectory(prefix="footstream-webhook-") as name, Mosquitto() as broker:
            settings = _settings(Path(name), receiver.url, broker.url)
            with running(settings):
                store = open_store(settings)
                warm_up(broker.port, store, range(SENSORS))
                store.close()
                sent, rate = _send(broker.port)
                _wait(receiver, sent)
                return [_row(receiver, sent, rate)]
    finally:
        receiver.close()


def _settings(folder: Path, url: str, broker: str) -> Settings:
    sites = folder / "sites"
    sites.mkdir()
    for number in range(SENSORS // 4):
        (sites / f"site-{number:05d}.toml").write_text(registry(number))
    for number in range(ALERTS):
        text = registry(FIRST + number, 1).replace(f"site-{FIRST + number:05d}", f"alarm-{number:03d}")
        (sites / f"alarm-{number:03d}.toml").write_text(
            text.replace("[[devices]]", "[capacity]\noperational = 10\n[[devices]]", 1)
        )
    (folder / "secret").write_text(f"{SECRET}\n")
    (folder / "receivers.toml").write_text(
        f'[receivers.bench]\nkind = "webhook"\nurl = "{url}"\nallow_private = true\nsecret_file = "secret"\n'
        'rules = ["capacity"]\n'
    )
    return settings_in(folder, sites, broker, folder / "receivers.toml")


def _send(port: int) -> tuple[dict[int, float], float]:
    """Publish at the rate, and between it one report after the other that raises an alert: when each was, and the rate."""
    publisher, sent = Publisher(port), dict[int, float]()
    count = int(RATE * (WARM_S + EVERY_S * ALERTS))
    first, began = int(time.time()) // 60 * 60 - 60 * (count // SENSORS + 1), time.monotonic()
    for number in range(count):
        wait = began + number / RATE - time.monotonic()
        if wait > 0.002:
            time.sleep(wait)
        turn, device = divmod(number, SENSORS)
        publisher.send(f"bench/{device}", payload(device, first + 60 * turn, number))
        due = int((time.monotonic() - began - WARM_S) / EVERY_S)
        if len(sent) <= due and len(sent) < ALERTS:
            alert = len(sent)
            minute = int(time.time()) // 60 * 60 - 240
            sent[alert] = time.time()
            publisher.send(f"bench/{FIRST + alert}", payload(FIRST + alert, minute, 120))  # 10 and 10 in, 1 and 1 out
    took = time.monotonic() - began
    publisher.settle()
    publisher.close()
    return sent, count / took


def _arrived(receiver: Receiver) -> dict[int, float]:
    """When the first accepted post of each alert came."""
    found: dict[int, float] = {}
    for post in receiver.taken:
        named = _STORE.search(post.body)
        if named:
            found.setdefault(int(named.group(1)), post.at)
    return found


def _wait(receiver: Receiver, sent: dict[int, float]) -> None:
    end = time.monotonic() + LAST_S
    while _arrived(receiver).keys() < sent.keys() and time.monotonic() < end:
        time.sleep(0.2)


def _row(receiver: Receiver, sent: dict[int, float], rate: float) -> Row:
    arrived = _arrived(receiver)
    took = [1000 * (arrived[alert] - at) for alert, at in sent.items() if alert in arrived]
    row: Row = {"bench": "webhook", "what": "publish to webhook accepted", "messages_per_s": round(rate)}
    for label, share in (("p50_ms", 0.5), ("p99_ms", 0.99)):
        found = percentile(took, share)
        row[label] = None if found is None or len(took) < len(sent) else round(found)  # the slowest are missing
    return row | {"alerts": len(sent), "missing": len(sent) - len(took)}


if __name__ == "__main__":
    for row in run():
        print(json.dumps(row))
