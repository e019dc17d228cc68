"""Kill -9 of each role of a running installation: how long until a message that is published right then can be read as a row.

Everything embedded, all flows, 100 stores; while it is looked for, a report is published every quarter of a second. Each role
is killed three times; `up` starts it again. `live_s` counts from the kill to the row of the first message that was sent after
it, so it holds the start of the process and the way back from the snapshot.
"""

import json
import os
import signal
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from infra.roles import health
from infra.stores import open_store
from tests.bench._up import running, settings_in
from tests.bench.lane import registry
from tests.bench.latency import payload
from tests.support.mqtt import Mosquitto, Publisher

ROLES, RUNS, SITES, LIMIT_S, EVERY_S = ("bridge", "run", "store"), 3, 100, 60.0, 0.25
_FOUND = "SELECT count() AS n FROM line_minutes WHERE device = {device:String} AND minute >= toDateTime({minute:UInt32})"
Row = dict[str, Any]


def run(runs: int = RUNS) -> list[Row]:
    """One row per role: seconds until live again, the median and each."""
    with tempfile.TemporaryDirectory(prefix="footstream-recovery-") as name, Mosquitto() as broker:
        folder = Path(name)
        (folder / "sites").mkdir()
        for number in range(SITES):
            (folder / "sites" / f"site-{number:05d}.toml").write_text(registry(number))
        settings = settings_in(folder, folder / "sites", broker.url)
        with running(settings):
            probe = _Probe(broker.port, settings)
            try:
                probe.live()
                took = {role: [_killed(role, settings.data, probe) for _ in range(runs)] for role in ROLES}
            finally:
                probe.close()
    return [
        {"bench": "recovery", "what": role, "live_s": round(median(s), 2), "runs": [round(v, 2) for v in s]}
        for role, s in took.items()
    ]


def _killed(role: str, data: Path, probe: "_Probe") -> float:
    said = health(data, "up")
    roles = said["roles"] if said else {}
    assert isinstance(roles, dict)
    name = next(n for n in roles if n == role or n.startswith(f"{role}-"))
    os.kill(roles[name]["pid"], signal.SIGKILL)
    began = time.monotonic()
    probe.live()
    took = time.monotonic() - began
    time.sleep(5)  # the next kill finds everything at work, and `up` forgets this one
    return took


class _Probe:
    """Publishes reports of new minutes and looks for their rows."""

    def __init__(self, port: int, settings: Any) -> None:
        self.publisher, self.settings, self.number = Publisher(port), settings, 0
        self.minute = int(time.time()) // 60 * 60 - 600

    def live(self) -> None:
        """Publish one report after the other until the newest one can be read. Raises TimeoutError."""
        end = time.monotonic() + LIMIT_S
        sent: list[tuple[str, int]] = []
        after = 0.0
        while time.monotonic() < end:
            if time.monotonic() >= after:
                sent.append(self._publish())
                after = time.monotonic() + EVERY_S
            if self._seen(*sent[0]):
                return
            time.sleep(0.05)
        raise TimeoutError(f"no row of a message within {LIMIT_S:g} s")

    def _publish(self) -> tuple[str, int]:
        self.number += 1
        device = self.number % (4 * SITES)
        minute = self.minute + 60 * (self.number // (4 * SITES))
        self.publisher.send(f"bench/{device}", payload(device, minute, self.number))
        return f"6384e{device:011d}", minute

    def _seen(self, device: str, minute: int) -> bool:
        store = open_store(self.settings)
        try:
            return bool(store.query(_FOUND, {"device": device, "minute": minute})[0]["n"])
        except Exception:  # it may be the one that was killed
            return False
        finally:
            store.close()

    def close(self) -> None:
        self.publisher.close()


if __name__ == "__main__":
    for row in run():
        print(json.dumps(row))
