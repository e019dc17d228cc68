"""Bridges side by side, a log that is away while everything comes, and an account of every message."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from connectors._sqlite_retention import SUFFIX
from infra.bridge import WAITING_BYTES
from tests.support.bridge import BridgeProcess, log_count, read_log, running, wait_until
from tests.support.ledger import System
from tests.support.mqtt import Mosquitto, Publisher, publish
from tests.support.store import StoreProcess

SEED = 4107
END = b"end"


def _report(number: int, device: int) -> bytes:
    return json.dumps(
        {
            "device_info": {"device_sn": f"6384E{device:011d}", "running_time": number, "firmware_version": "V_135.1.0.7-r1"},
            "time_info": {"start_time": "2026-03-02T10:00:00+01:00", "end_time": "2026-03-02T10:01:00+01:00"},
            "line_periodic_data": [{"line": 1, "in": number % 7, "out": 0}],
        }
    ).encode()


def _numbers_by_device(folder: Path) -> dict[str, list[int]]:
    """What each device said, in the order of its partition."""
    found: dict[str, list[int]] = {}
    for record in read_log(folder):
        if record.value != END:
            device = json.loads(record.value)["device_info"]
            found.setdefault(device["device_sn"], []).append(device["running_time"])
    return found


def test_two_slices_with_kills_lose_nothing_share_nothing_and_keep_the_order_of_a_device(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    rng, devices, total = random.Random(SEED), 40, 4000
    bridges = []
    for number in (0, 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        bridges.append(BridgeProcess(folder, mosquitto.url, slice=[number, 2], client=f"b-{number}-of-2", slow_s=0.05))
    with bridges[0] as first, bridges[1] as second:
        for bridge in (first, second):
            wait_until(bridge.is_connected, 20, bridge.lines)
        sender = Publisher(mosquitto.port)
        kills = sorted(rng.sample(range(500, total - 500, 100), 3))
        for number in range(total):
            device = number % devices
            sender.send(f"shop/{device}", _report(number, device))
            if number in kills:
                sender.settle()
                first.end(signal.SIGKILL)
                first.start()
        for topic in range(40):  # the broker delivers in order: once both have an end, nothing more is to come
            sender.send(f"end/{topic}", END)
        sender.settle()
        sender.close()

        def ended() -> bool:
            return sum(len({r.headers for r in read_log(b.folder) if r.value == END}) for b in (first, second)) == 40

        wait_until(ended, 40, lambda: first.lines() + second.lines(), every=0.3)
        assert first.end() == 0 and second.end() == 0
    taken = [_numbers_by_device(bridge.folder) for bridge in bridges]
    assert set(taken[0]).isdisjoint(taken[1]) and all(len(one) > devices / 5 for one in taken), "each device has one bridge"
    both = taken[0] | taken[1]
    assert {n for numbers in both.values() for n in numbers} == set(range(total)), f"seed {SEED}: lost"
    assert all(numbers == sorted(set(numbers)) for numbers in taken[1].values()), "nobody disturbed it: once each, in order"
    for serial, numbers in taken[0].items():  # a kill repeats what was not acknowledged, nothing else
        assert list(dict.fromkeys(numbers)) == sorted(set(numbers)), f"seed {SEED}: {serial} out of order"


def _memory_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def test_a_log_that_is_away_leaves_the_messages_with_the_broker_and_the_memory_bounded(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    """MQTT 3.1.1 and a broker without a limit of its own: only the bridge holds back. 120 MB come, 32 MiB are taken."""
    filler = b" no report." * 9_000
    count = (120 << 20) // len(filler)
    with running(tmp_path, mosquitto.url, version=3, client="bounded") as bridge:
        publish(mosquitto.port, [("shop/1", b"0" + filler)])
        wait_until(lambda: log_count(tmp_path) == 1, 20, bridge.lines)
        assert bridge.process is not None
        (file,) = (tmp_path / "log").glob(f"*raw{SUFFIX}")
        holder = sqlite3.connect(file, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")  # another process has the log for itself
        before = _memory_mib(bridge.process.pid)
        sender = Publisher(mosquitto.port)
        for number in range(1, count + 1):
            sender.send("shop/1", b"%d" % number + filler)
        sender.settle()
        sender.close()
        most, end = 0.0, time.monotonic() + 3
        while time.monotonic() < end:
            most = max(most, _memory_mib(bridge.process.pid))
            time.sleep(0.05)
        assert log_count(tmp_path) == 1
        assert most - before < 2.5 * WAITING_BYTES / (1 << 20), (
            f"{before:.0f} MiB before, {most:.0f} MiB while the log was away"
        )
        holder.execute("ROLLBACK")
        holder.close()
        wait_until(lambda: log_count(tmp_path) >= count + 1, 60, bridge.lines, every=0.2)
        assert bridge.end() == 0
    assert {int(record.value.split()[0]) for record in read_log(tmp_path)} == set(range(count + 1))


BAD = {
    "oversize": b"[" + b"1," * 150_000 + b"1]",
    "not_json": b'{"device_info": {"device_sn": "6384E00000000001"}',
    "empty": b"",
    "too_deep": b"[" * 100_000,
    "no_known_section": b'{"device_info": {"device_sn": "6384E00000000001", "device_name": "x"}, "surprise": 1}',
    "not_an_object": b"[1, 2, 3]",
}


def test_every_message_is_accounted_for_in_log_store_and_quarantine_by_reason(tmp_path: Path, mosquitto: Mosquitto) -> None:
    image = json.dumps({**json.loads(_report(99, 2)), "snapshot": "A" * 5000}).encode()
    good = [("shop/1", _report(number, number)) for number in range(20)]
    messages = [
        *good,
        ("shop/2", image),
        *((f"bad/{reason}", payload) for reason, payload in BAD.items()),
        ("shop/1", good[0][1]),
    ]
    random.Random(SEED).shuffle(messages)
    with StoreProcess(tmp_path) as store:
        settings = replace(store.settings, mqtt_url=mosquitto.url)
        system = System(settings)
        outside = {name: value for name, value in os.environ.items() if not name.startswith("FOOTSTREAM_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "infra", "bridge"],
            env={**outside, **settings.environment()},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stderr is not None and "connected to MQTT broker" in process.stderr.readline()
            publish(mosquitto.port, messages)
            port = json.loads((tmp_path / "run" / "bridge.json").read_text())["port"]
            wait_until(lambda: _metrics(port)["logged"] >= len(messages), 20, lambda: str(_metrics(port)))
            counted = _metrics(port)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.communicate()
        assert counted["received"] == counted["logged"] == len(messages) == log_count(tmp_path)
        assert counted["refused"] == counted["elsewhere"] == counted["poison"] == 0
        assert (counted["oversize"], counted["images"]) == (1, 1)
        system.command("run", "traffic", "--until-end")
        reasons = system.store.query("SELECT reason, uniqExact(partition_no, position) AS n FROM quarantine GROUP BY reason")
        assert {row["reason"]: row["n"] for row in reasons} == dict.fromkeys(BAD, 1)
        stored, doubled = (
            system.store.query(f"SELECT uniqExact(partition_no, position) AS n FROM {table}")[0]["n"]
            for table in ("observations", "duplicates")
        )
        assert (stored, doubled) == (21, 1), "stored + duplicates + quarantined = received"


def _metrics(port: int) -> Counter[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    found = (line.removeprefix("footstream_bridge_").split() for line in lines if line.startswith("footstream_bridge_"))
    return Counter({name.removesuffix("_total"): int(float(value)) for name, value in found if not name.endswith("_created")})


def test_a_bridge_without_its_broker_is_not_well_and_says_where_it_looks(tmp_path: Path) -> None:
    outside = {name: value for name, value in os.environ.items() if not name.startswith("FOOTSTREAM_")}
    settings = {"FOOTSTREAM_DATA": str(tmp_path), "FOOTSTREAM_MQTT": "mqtt://127.0.0.1:1"}
    command = [sys.executable, "-m", "infra", "bridge", "--slice", "1/2"]
    process = subprocess.Popen(command, env={**outside, **settings}, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "cannot reach MQTT broker mqtt://127.0.0.1:1: Connection refused" in line and "FOOTSTREAM_MQTT right?" in line
        port = json.loads((tmp_path / "run" / "bridge-1.json").read_text())["port"]
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
        said = json.loads(raised.value.read())
        assert raised.value.code == 503 and said["ok"] is False and said["slice"] == "1/2"
        assert said["trouble"] in line
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, "it keeps trying, and ends when it is asked to"
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("wrong", ["2/2", "1", "a/b", "0/0", "-1/2"])
def test_a_wrong_slice_is_refused_with_the_form(tmp_path: Path, wrong: str) -> None:
    command = [sys.executable, "-m", "infra", "bridge", f"--slice={wrong}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2 and "say i/n with i from 0 to n-1" in done.stderr and done.stderr.count("\n") == 1
