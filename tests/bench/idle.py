"""What a whole deployment costs while nothing happens: CPU of each process over half a minute, and its memory.

All roles run: broker, store, bridge, lane with all flows, notifier, board. CPU from `/proc/PID/stat` in percent of one core,
with children; memory is the resident set. Linux only.
"""

import base64
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench._up import running, settings_in
from tests.bench.lane import registry

SECONDS, SETTLE_S, SITES = 30.0, 15.0, 10
RECEIVERS = '[receivers.bench]\nkind = "webhook"\nurl = "http://127.0.0.1:9/"\nallow_private = true\nsecret_file = "secret"\n'


def run(seconds: float = SECONDS) -> list[dict[str, Any]]:
    """One row per process and one for their sum."""
    with tempfile.TemporaryDirectory(prefix="footstream-idle-") as name:
        folder = Path(name)
        (folder / "sites").mkdir()
        for number in range(SITES):
            (folder / "sites" / f"site-{number:05d}.toml").write_text(registry(number))
        (folder / "receivers.toml").write_text(RECEIVERS)
        (folder / "secret").write_text(f"whsec_{base64.b64encode(bytes(24)).decode()}\n")
        with running(settings_in(folder, folder / "sites", receivers=folder / "receivers.toml")) as pids:
            time.sleep(SETTLE_S)  # what a start leaves behind: merges, first ticks
            used = {role: _cpu_s(pid) for role, pid in pids.items()}
            began = time.monotonic()
            time.sleep(seconds)
            took = time.monotonic() - began
            share = {role: round((_cpu_s(pid) - used[role]) / took * 100, 2) for role, pid in pids.items()}
            memory = {role: sum(rss_mib(p) for p in _family(pid)) for role, pid in pids.items()}
    rows = [{"bench": "idle", "what": role, "cpu_percent": share[role], "rss_mib": round(memory[role])} for role in pids]
    everything = {"cpu_percent": round(sum(share.values()), 2), "rss_mib": round(sum(memory.values()))}
    return [*rows, {"bench": "idle", "what": "all", **everything}]


def _family(pid: int) -> list[int]:
    """A process and its children, except for the roles below `up`, which are counted by themselves."""
    kids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = [int(kid) for kid in kids if os.getpgid(int(kid)) == os.getpgid(pid)]
    return [pid, *(member for kid in own for member in _family(kid))]


def _cpu_s(pid: int) -> float:
    """User and system time of a process family so far."""
    ticks = 0
    for member in _family(pid):
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def rss_mib(pid: int) -> float:
    """Resident memory of a process, MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


if __name__ == "__main__":
    for row in run():
        print(json.dumps(row))
