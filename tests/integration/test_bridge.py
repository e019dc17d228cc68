"""The bridge from a real mosquitto into the real embedded log, as a process that is killed, cut off, stopped."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from connectors.log import RAW, LogFull, NewRecord, Writer, open_log
from connectors.mqtt import Subscription, parse_url
from infra.bridge import Bridge
from infra.registry import load_registry
from tests.support.bridge import BridgeProcess, log_count, read_log, running, wait_until
from tests.support.mqtt import Mosquitto, Publisher, publish
from tests.support.ports import free_port
from tests.support.proxy import Proxy

SEED = 7341
END = b'{"end": true}'


def _report(number: int, device: int = 0) -> bytes:
    """One report of a VS133, told from the others by its running time."""
    return json.dumps(
        {
            "device_info": {"device_sn": f"6384E{device:011d}", "running_time": number, "firmware_version": "V_135.1.0.7-r1"},
            "time_info": {"start_time": "2026-03-02T10:00:00+01:00", "end_time": "2026-03-02T10:01:00+01:00"},
            "line_periodic_data": [{"line": 1, "in": number % 7, "out": 0}],
        }
    ).encode()


def _numbers(folder: Path) -> list[int]:
    values = [json.loads(record.value) for record in read_log(folder)]
    return [value["device_info"]["running_time"] for value in values if "end" not in value]


def _session(folder: Path, broker: Mosquitto, **options: object) -> None:
    """Let the broker know the session, so that it collects from now on."""
    with running(folder, broker.url, **options) as bridge:
        publish(broker.port, [("shop/door", _report(0))])
        wait_until(lambda: log_count(folder) > 0, 20)
        assert bridge.end() == 0


def _flow(folder: Path, broker: Mosquitto, bridge: BridgeProcess, disturb: Callable[[], None], times: int = 5) -> set[int]:
    """Send 3,000 numbered messages, disturb at seeded moments; returns the numbers that never reached the log.

    Each disturbance meets a connected bridge that has just been given a hundred messages. The broker delivers in order, so once
    the mark at the end is in the log, nothing more is to come.
    """
    total, before = 3000, bridge.lines().count("connected to") - 1
    moments = sorted(random.Random(SEED).sample(range(1, total // 100), times))
    sender = Publisher(broker.port)
    for hundred in range(total // 100):
        if hundred in moments:
            connections = before + 1 + moments.index(hundred)
            wait_until(partial(_connected, bridge, connections), 20, bridge.lines)
        for number in range(hundred * 100, hundred * 100 + 100):
            sender.send(f"shop/door{number % 20}", _report(number, number % 20))
        sender.settle()
        if hundred in moments:
            disturb()
    sender.send("shop/end", END)
    sender.settle()
    sender.close()
    wait_until(lambda: any(record.value == END for record in read_log(folder)), 30, bridge.lines, every=0.2)
    assert bridge.end() == 0, bridge.lines()
    return set(range(total)) - set(_numbers(folder))


def _connected(bridge: BridgeProcess, times: int) -> bool:
    return bridge.lines().count("connected to MQTT broker") >= times


def _killed(folder: Path, broker: Mosquitto, times: int, **options: object) -> set[int]:
    _session(folder, broker, **options)
    with running(folder, broker.url, slow_s=0.15, **options) as bridge:

        def kill() -> None:
            bridge.end(signal.SIGKILL)
            bridge.start()

        return _flow(folder, broker, bridge, kill, times)


@pytest.mark.parametrize(("version", "times"), [(5, 5), (3, 3)])
def test_kills_during_three_thousand_messages_lose_nothing(
    tmp_path: Path, mosquitto: Mosquitto, version: int, times: int
) -> None:
    assert _killed(tmp_path, mosquitto, times, version=version) == set(), f"seed {SEED}"


@pytest.mark.parametrize("mutant", ["auto-ack", "ack-first"])
def test_without_the_protection_the_same_kills_lose_messages(tmp_path: Path, mosquitto: Mosquitto, mutant: str) -> None:
    assert len(_killed(tmp_path, mosquitto, 2, mutant=mutant)) > 0, f"seed {SEED}: the kills no longer find what they should"


def test_cut_connections_lose_nothing(tmp_path: Path, mosquitto: Mosquitto) -> None:
    _session(tmp_path, mosquitto)
    proxy = Proxy(mosquitto.port)
    with running(tmp_path, proxy.url, slow_s=0.05, inflight=200) as bridge:
        assert _flow(tmp_path, mosquitto, bridge, proxy.cut, times=3) == set(), f"seed {SEED}"
        assert bridge.lines().count("lost the connection to MQTT broker") >= 1
    proxy.close()


def test_stops_at_any_moment_exit_with_0_and_lose_nothing(tmp_path: Path, mosquitto: Mosquitto) -> None:
    _session(tmp_path, mosquitto)
    with running(tmp_path, mosquitto.url) as bridge:

        def stop() -> None:
            assert bridge.end() == 0
            bridge.start()

        assert _flow(tmp_path, mosquitto, bridge, stop, times=3) == set(), f"seed {SEED}"


def test_a_broker_that_restarts_or_stands_still_loses_nothing(tmp_path: Path, mosquitto: Mosquitto) -> None:
    _session(tmp_path, mosquitto)
    with running(tmp_path, mosquitto.url) as bridge:
        publish(mosquitto.port, [("shop/door", _report(n)) for n in range(1, 500)])
        mosquitto.stop()
        bridge.says("cannot reach MQTT broker")
        mosquitto.start()
        wait_until(lambda: bridge.lines().count("session kept") == 2, 20, bridge.lines)
        publish(mosquitto.port, [("shop/door", _report(n)) for n in range(500, 900)])
        mosquitto.pause()
        timer = threading.Timer(1.0, mosquitto.resume)
        timer.start()
        publish(mosquitto.port, [("shop/door", _report(n)) for n in range(900, 1000)])
        timer.join()
        wait_until(lambda: set(_numbers(tmp_path)) == set(range(1000)), 20, bridge.lines)
        assert bridge.end() == 0
        assert bridge.lines().count("cannot reach") == 1, "one line per change of state"


def test_a_broker_that_forgot_the_session_is_reported(tmp_path: Path, mosquitto: Mosquitto) -> None:
    with running(tmp_path, mosquitto.url) as bridge:
        mosquitto.kill()
        (mosquitto.folder / "mosquitto.db").unlink(missing_ok=True)
        mosquitto.start()
        bridge.says("has forgotten our session")
        publish(mosquitto.port, [("a", _report(1))])
        wait_until(lambda: log_count(tmp_path) == 1, 20)


def test_it_waits_for_a_broker_that_is_not_there_yet(tmp_path: Path) -> None:
    broker = Mosquitto()
    bridge = BridgeProcess(tmp_path, broker.url)
    with bridge:
        bridge.says("cannot reach MQTT broker")
        with broker:
            bridge.says("connected to MQTT broker")
            publish(broker.port, [("a", _report(1))])
            wait_until(lambda: log_count(tmp_path) == 1, 20)
            assert bridge.end() == 0
        assert bridge.lines().count("cannot reach") == 1


def test_an_exception_in_the_network_thread_ends_the_process_and_nothing_is_lost(tmp_path: Path, mosquitto: Mosquitto) -> None:
    _session(tmp_path, mosquitto)
    with running(tmp_path, mosquitto.url, explode=5) as bridge:
        publish(mosquitto.port, [("a", _report(n)) for n in range(1, 11)])
        assert bridge.wait() == 1
        assert "RuntimeError: made to fail; ending" in bridge.lines()
    with running(tmp_path, mosquitto.url) as bridge:
        wait_until(lambda: set(_numbers(tmp_path)) == set(range(11)), 20)
        assert bridge.end() == 0


def test_a_second_bridge_with_the_same_client_id_is_pointed_at(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """This mosquitto does not say why it ends a connection, so the bridge goes by how short they are."""
    second = tmp_path / "second"
    second.mkdir()
    with running(tmp_path, mosquitto.url) as first, running(second, mosquitto.url):
        first.says("does another client use the id 'bridge-under-test'?")


def _made(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def test_tls_goes_by_the_ca_and_a_wrong_one_is_refused_with_one_line(tmp_path: Path) -> None:
    subject = ("-nodes", "-newkey", "rsa:2048", "-days", "2")
    for name in ("ca", "other"):
        _made(tmp_path, "req", "-x509", *subject, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN=Test {name}")
    _made(tmp_path, "req", *subject[:-2], "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=127.0.0.1")
    (tmp_path / "san").write_text("subjectAltName=IP:127.0.0.1")
    signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "san")
    _made(tmp_path, "x509", "-req", "-in", "server.csr", "-out", "server.pem", *signing)
    plain = free_port()
    files = (f"certfile {tmp_path}/server.pem", f"keyfile {tmp_path}/server.key", f"cafile {tmp_path}/ca.pem")
    with Mosquitto(*files, f"listener {plain} 127.0.0.1", "allow_anonymous true") as broker:
        url = broker.url.replace("mqtt:", "mqtts:")
        with running(tmp_path, url, ca=str(tmp_path / "ca.pem")) as bridge:
            publish(plain, [("a", _report(1))])
            wait_until(lambda: log_count(tmp_path) == 1, 20)
            assert bridge.end() == 0
        process = _command(tmp_path, MQTT=url, MQTT_CA=str(tmp_path / "other.pem"))
        _, said = process.communicate(timeout=20)
        assert process.returncode == 1 and said.count("\n") == 1
        assert "its certificate is not trusted" in said and "FOOTSTREAM_MQTT_CA" in said


def test_topic_source_arrival_key_and_retained_flag_are_recorded(tmp_path: Path, mosquitto: Mosquitto) -> None:
    site = tmp_path / "shop.toml"
    site.write_text('zone = "Europe/Berlin"\n[[devices]]\nid = "6384E00000000001"\n')
    publish(mosquitto.port, [("keep/me", _report(1, 1))], retain=True)
    with running(tmp_path, mosquitto.url, sites=str(site), filters="keep/#, also/+", client="two-filters") as bridge:
        wait_until(lambda: log_count(tmp_path) == 1, 20)
        publish(
            mosquitto.port,
            [("also/this", _report(2, 1)), ("also/not/this", _report(3)), ("also/x", _report(4, 9)), ("also/y", b"\xff\x00")],
        )
        wait_until(lambda: log_count(tmp_path) == 4, 20)
        assert bridge.end() == 0
    by_topic = {dict(record.headers)["topic"]: record for record in read_log(tmp_path)}
    assert {topic: record.key for topic, record in by_topic.items() if topic != b"also/y"} == {
        b"keep/me": "shop",
        b"also/this": "shop",
        b"also/x": "unassigned/6384e00000000009",
    }
    assert by_topic[b"also/y"].key.startswith("unassigned/topic-") and by_topic[b"also/y"].value == b"\xff\x00"
    assert dict(by_topic[b"keep/me"].headers) == {"topic": b"keep/me", "source": b"mqtt", "retain": b"1"}
    assert by_topic[b"also/this"].headers == (("topic", b"also/this"), ("source", b"mqtt"))
    assert by_topic[b"also/this"].value == _report(2, 1)
    assert abs(by_topic[b"also/this"].timestamp - by_topic[b"keep/me"].timestamp) < 30_000


class _Room:
    """A writer of a disk that is full while `full` is set."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.full, self.refused = writer, threading.Event(), threading.Event()

    def append(self, topic: str, record: NewRecord, done: Callable[[Exception | None], None] | None = None) -> None:
        if self.full.is_set():
            self.refused.set()
            assert done is not None
            done(LogFull("log topic raw: no room on the disk; make room"))
        else:
            self.writer.append(topic, record, done)

    def __getattr__(self, name: str) -> object:
        return getattr(self.writer, name)


def test_a_full_log_stops_the_taking_is_said_once_and_goes_on_when_there_is_room(tmp_path: Path, mosquitto: Mosquitto) -> None:
    log = open_log(f"sqlite:///{tmp_path / 'log'}")
    log.ensure_topic(RAW, 4)
    room = _Room(log.writer())
    said: list[str] = []
    subscription = Subscription(parse_url(mosquitto.url), client_id="full", inflight=50)
    bridge = Bridge(subscription, lambda: room, load_registry(None), tell=said.append)  # type: ignore[arg-type, return-value]  # by name
    thread = threading.Thread(target=bridge.run, daemon=True)
    thread.start()
    wait_until(lambda: bridge.subscriber.connected, 20)
    publish(mosquitto.port, [("a", _report(n)) for n in range(100)])
    wait_until(lambda: bridge.stats.logged == 100, 20)
    room.full.set()
    publish(mosquitto.port, [("a", _report(n)) for n in range(100, 1000)])
    assert room.refused.wait(20)
    wait_until(lambda: bridge.health()["ok"] is False and bridge.stats.waiting >= 50, 20, lambda: str(bridge.health()))
    # This mosquitto oversteps Receive Maximum while acknowledgements are on their way (51 to 99 for 50 were seen).
    assert bridge.stats.logged == 100 and bridge.stats.waiting < 200, "the broker holds the rest"
    room.full.clear()
    wait_until(lambda: bridge.stats.logged == 1000 and bridge.health()["ok"] is True, 20, lambda: str(bridge.health()))
    bridge.stop()
    thread.join(20)
    log.close()
    assert _numbers(tmp_path) == list(range(1000))
    said = [line for line in said if "connected" not in line]
    assert len(said) == 2 and "no room on the disk" in said[0] and said[1] == "the log takes messages again"


def _command(folder: Path, **settings: str) -> subprocess.Popen[str]:
    names = {f"FOOTSTREAM_{name}": value for name, value in settings.items()}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FOOTSTREAM_")}
    command = [sys.executable, "-c", "from infra.cli import main; main()", "bridge"]
    environment = clean | names | {"FOOTSTREAM_DATA": str(folder / "data"), "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_the_command_starts_a_broker_of_its_own_and_tells_health_and_metrics(tmp_path: Path) -> None:
    port = free_port()
    process = _command(tmp_path, MQTT_PORT=str(port))
    try:
        assert process.stderr is not None and "new session" in process.stderr.readline()
        image = json.dumps({"snapshot": "A" * 5000}).encode()
        publish(port, [("a", _report(1)), ("b", image), ("c", b"x" * 300_000)])
        where = json.loads((tmp_path / "data" / "run" / "bridge.json").read_text())["port"]

        def health() -> dict[str, object]:
            with urllib.request.urlopen(f"http://127.0.0.1:{where}/health", timeout=5) as answer:
                said: dict[str, object] = json.loads(answer.read())
                return said

        wait_until(lambda: health()["logged"] == 3, 20)
        assert health()["ok"] is True and health()["waiting"] == 0
        with urllib.request.urlopen(f"http://127.0.0.1:{where}/metrics", timeout=5) as answer:
            metrics = answer.read().decode()
        for line in (
            "received_total 3.0",
            "logged_total 3.0",
            "images_total 2.0",
            "oversize_total 1.0",
            "reconnects_total 0.0",
            "queue_depth 0.0",
        ):
            assert f"footstream_bridge_{line}" in metrics
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()
    values = [record.value for record in read_log(tmp_path / "data")]
    assert b'{"snapshot": "[image removed: 5000 bytes]"}' in values
    with pytest.raises(ConnectionRefusedError):
        publish(port, [])


def test_a_stop_before_the_bridge_is_up_leaves_no_broker_behind(tmp_path: Path) -> None:
    process = _command(tmp_path, MQTT_PORT=str(free_port()))
    try:
        file = tmp_path / "data" / "run" / "broker.json"
        wait_until(file.exists, 20, every=0.002)  # the broker is up; the bridge needs a while longer
        pid = json.loads(file.read_text())["pid"]
        process.send_signal(signal.SIGTERM)
        code = process.wait(20)
    finally:
        process.kill()
        process.communicate()
    left = Path(f"/proc/{pid}").exists()
    if left:
        os.kill(pid, signal.SIGTERM)
    assert (code, left) == (0, False), "mosquitto outlived the command that started it"


def test_wrong_credentials_are_one_line_without_the_password_and_exit_1(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "reader", "right"], check=True, capture_output=True)
    passwords.chmod(0o644)
    with Mosquitto(f"password_file {passwords}", anonymous=False) as broker:
        url = broker.url.replace("//", "//reader@")
        for secret, code in (("wrong-secret", 1), ("right", 0)):
            process = _command(tmp_path, MQTT=url, MQTT_PASSWORD=secret)
            assert process.stderr is not None
            first = process.stderr.readline()
            if code == 0:
                assert "connected" in first
                process.send_signal(signal.SIGTERM)
            _, rest = process.communicate(timeout=20)
            assert process.returncode == code, first + rest
            assert secret not in first + rest
            if code == 1:
                assert "check the password of user 'reader'" in first and "\n" not in (first + rest).strip()
