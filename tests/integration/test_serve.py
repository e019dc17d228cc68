"""`footstream serve` as a process over a real store process: the wire, refusals, memory, idling, a clean end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from infra.stores import open_store
from schemas.rows import TABLES
from tests.support.ports import free_port
from tests.support.seed import CHAIN, seed
from tests.support.store import StoreProcess

HTTP = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(10))


@pytest.fixture(scope="module")
def store() -> Iterator[StoreProcess]:
    """A store process with two shops, seeded up to this moment."""
    made = seed(int(time.time()), CHAIN[:2], 2)
    with StoreProcess() as process:
        subprocess.run(
            [sys.executable, "-m", "infra", "migrate"], env=environment(process), check=True, capture_output=True, timeout=60
        )
        writer = open_store(process.settings)
        for name, rows in made.rows.items():
            assert writer.insert(TABLES[name], rows) == []
        writer.close()
        yield process


def environment(store: StoreProcess, **settings: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FOOTSTREAM_")}
    return {**clean, **store.settings.environment(), **settings}


def start(store: StoreProcess, **settings: str) -> tuple[subprocess.Popen[str], str]:
    """A serving process and its URL, once it answers."""
    command = [sys.executable, "-m", "infra", "serve", "--port", "0"]
    given = environment(store, **settings)
    process = subprocess.Popen(command, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "board at http" in line, process.stderr.read() if process.stderr else ""
    return process, line.split()[-1].rstrip("/")


def end(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(15)


def test_it_serves_the_stores_figures_over_the_wire_and_ends_cleanly_while_somebody_watches(store: StoreProcess) -> None:
    process, url = start(store)
    try:
        answer = HTTP.request("GET", f"{url}/api/v1/stores").json()
        assert [row["site"] for row in answer["stores"]] == ["berlin-mitte", "oslo-karl-johan"]
        assert all(row["estimate"] is not None and row["minute"].endswith("Z") for row in answer["stores"])
        for panel in ("lines", "occupancy", "in-by-time", "alerts", "sensors", "usual"):
            got = HTTP.request("GET", f"{url}/api/v1/boards/footstream-store/{panel}?store=oslo-karl-johan")
            assert (got.status, list(got.json())) == (200, ["from", "to", "step_s", "at", "columns"])
        for panel in ("outcomes", "age", "rate", "quarantine", "progress", "clocks"):
            assert HTTP.request("GET", f"{url}/api/v1/boards/footstream-pipeline/{panel}").status == 200
        minutes = HTTP.request("GET", f"{url}/api/v1/stores/oslo-karl-johan/minutes?limit=5").json()
        assert len(minutes["rows"]) == 5
        stream = HTTP.request("GET", f"{url}/api/v1/live", preload_content=False)
        assert b"retry" in stream.read1()
    finally:
        began = time.monotonic()
        code = end(process)
    assert code == 0
    assert time.monotonic() - began < 4
    assert process.stderr is not None
    assert process.stderr.read() == ""


def rss_bytes(pid: int) -> int:
    """Resident memory (proc(5), statm)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float:
    """CPU seconds so far (proc(5), stat: utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_it_stays_under_250_mib_and_idles_when_nobody_watches(store: StoreProcess) -> None:
    process, url = start(store)
    try:
        for _ in range(20):
            assert HTTP.request("GET", f"{url}/api/v1/stores").status == 200
        assert rss_bytes(process.pid) < 250 << 20
        before = cpu_s(process.pid)
        time.sleep(3)  # what is measured is the doing of nothing over this time
        assert cpu_s(process.pid) - before < 0.1
    finally:
        end(process)


def refused(store: StoreProcess, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "infra", "serve", *arguments],
        env=environment(store),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    lines = done.stderr.strip().split("\n")
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_port_in_use_is_one_line(store: StoreProcess) -> None:
    taken = store.settings.store_port
    assert f"127.0.0.1:{taken}" in refused(store, "--port", str(taken))


def test_the_store_may_be_away_at_the_start_and_come_later(tmp_path: Path) -> None:
    late = StoreProcess(tmp_path / "data", free_port())
    process, url = start(late)
    try:
        assert HTTP.request("GET", f"{url}/health").status == 503
        assert HTTP.request("GET", f"{url}/").status == 200
        late.start()
        subprocess.run([sys.executable, "-m", "infra", "migrate"], env=environment(late), check=True, capture_output=True)
        limit = time.monotonic() + 10
        while HTTP.request("GET", f"{url}/health").status != 200:
            assert time.monotonic() < limit
            time.sleep(0.1)
    finally:
        end(process)
        late.stop()


def test_a_new_token_opens_the_door_of_another_address(store: StoreProcess, tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "infra", "token", "wall", "--site", "berlin-mitte"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    (tmp_path / "tokens.toml").write_text(made.stdout)
    secret = made.stderr.split()[-1]
    process, url = start(store, FOOTSTREAM_API_TOKENS=str(tmp_path / "tokens.toml"), FOOTSTREAM_API_HOST="0.0.0.0")
    try:
        url = url.replace("0.0.0.0", "127.0.0.1")
        assert HTTP.request("GET", f"{url}/api/v1/stores").status == 401
        rows = HTTP.request("GET", f"{url}/api/v1/stores", headers={"Authorization": f"Bearer {secret}"}).json()["stores"]
        assert [row["site"] for row in rows] == ["berlin-mitte"]
    finally:
        end(process)
