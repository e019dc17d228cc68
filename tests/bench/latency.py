"""From the publish of a message until its minute can be read from the store: real mosquitto, bridge, embedded log, lane with
all flows, embedded store, at 100 and 1,000 messages a second.

Every message is one report of one minute of one device, so each has a row of its own. A reader asks the store 20 times
a second for rows that are new, so a figure is up to 50 ms and one query too long. It asks back to the oldest message that it
has not seen and no further, so that it takes little from what it measures. The sender runs on the same machine.
"""

import json
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from connectors.clickhouse import Store
from infra.latency import percentile
from infra.stores import open_store
from tests.bench._up import running, settings_in
from tests.bench.lane import registry
from tests.support.mqtt import Mosquitto, Publisher

RATES = {100: range(500), 1000: range(500, 2500)}
"""Messages a second, and the devices that send them: so many that no minute is older than the horizon."""
SECONDS, WARM_S, WARM_UP_S = 20.0, 5.0, 120.0
POLL_S, LAST_S = 0.05, 20.0
SPARE_MS = 50
"""Two readings of the clock may differ by so much."""
_NEW = """
SELECT toUInt32(substring(device, 6)) AS device, toUnixTimestamp(minute) AS minute FROM line_minutes_revisions
WHERE line = 1 AND known_at_ms >= {since:Int64}
"""
Key = tuple[int, int]


def run() -> list[dict[str, Any]]:
    """One row per rate: median and 99th percentile in milliseconds, and how many messages were never seen (0)."""
    with tempfile.TemporaryDirectory(prefix="footstream-latency-") as name, Mosquitto() as broker:
        folder = Path(name)
        (folder / "sites").mkdir()
        for number in range(max(r.stop for r in RATES.values()) // 4):
            (folder / "sites" / f"site-{number:05d}.toml").write_text(registry(number))
        settings = settings_in(folder, folder / "sites", broker.url)
        with running(settings):
            store = open_store(settings)
            try:
                warm_up(broker.port, store, [d for some in RATES.values() for d in some])
                return [_at(rate, broker.port, store) for rate in RATES]
            finally:
                store.close()


def warm_up(port: int, store: Store, devices: Sequence[int]) -> None:
    """One message of every device: what a store costs once, at its first message, is not latency."""
    publisher = Publisher(port)
    minute = int(time.time()) // 60 * 60 - 840
    for device in devices:
        publisher.send(f"bench/{device}", payload(device, minute, 0))
    publisher.settle()
    publisher.close()
    end = time.monotonic() + WARM_UP_S
    while store.query("SELECT uniqExact(device) AS n FROM line_minutes_revisions")[0]["n"] < len(devices):
        if time.monotonic() > end:
            raise TimeoutError(f"the first message of every device was not stored within {WARM_UP_S:g} s")
        time.sleep(0.5)


def _at(rate: int, port: int, store: Store) -> dict[str, Any]:
    sent: dict[Key, float] = {}
    watch = _Watch(store, sent)
    _send(rate, port, sent)
    watch.finish()
    counted = {key: at for key, at in sent.items() if at >= min(sent.values()) + WARM_S}
    took = [1000 * (watch.seen[key] - at) for key, at in counted.items() if key in watch.seen]
    row: dict[str, Any] = {"bench": "latency", "what": "publish to readable row", "messages_per_s": rate}
    for label, share in (("p50_ms", 0.5), ("p99_ms", 0.99)):
        found = percentile(took, share)
        row[label] = None if found is None or len(took) < len(counted) else round(found)  # the slowest are missing
    span = max(sent.values()) - min(sent.values())
    return row | {"sent": len(sent), "sent_per_s": round(len(sent) / span), "unseen": len(counted) - len(took)}


def _send(rate: int, port: int, sent: dict[Key, float]) -> None:
    """Publish at that rate; `sent`: when each (device, minute) was, in order. The minutes end with the present one."""
    count = int(rate * (WARM_S + SECONDS))
    devices = RATES[rate]
    rounds = -(-count // len(devices))
    first = int(time.time()) // 60 * 60 - 60 * rounds
    publisher = Publisher(port)
    began = time.monotonic()
    for number in range(count):
        turn, index = divmod(number, len(devices))
        device = devices[index]
        wait = began + number / rate - time.monotonic()
        if wait > 0.002:
            time.sleep(wait)
        minute = first + 60 * turn
        sent[device, minute] = time.monotonic()
        publisher.send(f"bench/{device}", payload(device, minute, number))
    publisher.settle()
    publisher.close()


def payload(device: int, minute: int, number: int) -> bytes:
    """A report of one minute (its start, epoch s) of a sensor with two lines; `number` varies the counts."""
    times = [time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(t)) for t in (minute, minute + 60)]
    lines = [{"line": n, "line_name": f"Line{n}", "in": number % 11, "out": number % 7} for n in (1, 2)]
    info = {"device_sn": f"6384E{device:011d}", "device_name": "People Counter", "running_time": 7200 + number}
    message = {"device_info": info, "time_info": {"start_time": times[0], "end_time": times[1]}, "line_periodic_data": lines}
    return json.dumps(message).encode()


class _Watch:
    """Asks the store again and again for what was `sent`; `seen`: when each (device, minute) was first there."""

    def __init__(self, store: Store, sent: dict[Key, float]) -> None:
        self.store, self.sent, self.seen, self.stop = store, sent, dict[Key, float](), threading.Event()
        self.clocks = time.time() - time.monotonic()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        done = 0
        while not self.stop.wait(POLL_S):
            keys = list(self.sent)
            while done < len(keys) and keys[done] in self.seen:
                done += 1
            if done == len(keys):
                continue
            since = int((self.sent[keys[done]] + self.clocks) * 1000) - SPARE_MS
            found = self.store.columns(_NEW, {"since": since})
            now = time.monotonic()
            for key in zip(found["device"], found["minute"], strict=True):
                self.seen.setdefault(key, now)

    def finish(self) -> None:
        """Wait for the last rows of what was sent, a while at most."""
        end = time.monotonic() + LAST_S
        while not self.seen.keys() >= self.sent.keys() and time.monotonic() < end:
            time.sleep(0.1)
        self.stop.set()
        self.thread.join(30)


if __name__ == "__main__":
    for row in run():
        print(json.dumps(row))
