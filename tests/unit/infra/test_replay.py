"""Recorded payloads and count series, sent again."""

import json
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
import typer
from paho.mqtt.enums import CallbackAPIVersion
from typer.testing import CliRunner

from connectors.log import RAW, NewRecord, open_log
from connectors.mqtt import MqttError, parse_url
from connectors.mqtt_publish import MqttPublisher
from infra.commands import replay
from infra.errors import Problem
from infra.replay import Item, Series, read, send
from infra.settings import Settings
from schemas.sites import Registry
from tests.support.mqtt import Mosquitto

SERIES = Series("6600REPLAY000001", "Europe/Berlin")


def records(folder: Path) -> list[tuple[str, int, bytes]]:
    log = open_log(f"sqlite:///{folder}")
    found = []
    for partition, (first, end) in log.bounds(RAW).items():
        if end > first:
            batch = log.reader(RAW, partition, first).poll(1000, 1.0)
            assert batch is not None
            found += list(zip(batch.keys, batch.timestamps, batch.values, strict=True))
    return found


def test_a_count_series_arrives_two_seconds_after_the_end_of_each_interval(tmp_path: Path) -> None:
    table = tmp_path / "door.csv"
    table.write_text("time,in,out\n2026-03-01 10:00:00,3,1\n2026-03-01 10:30:00,4,2\n")
    items = read(table, SERIES, print)
    steps: list[int] = []
    send(items, f"sqlite:///{tmp_path / 'log'}", Settings(), Registry(), 0.0, steps.append)
    found = records(tmp_path / "log")
    assert [(key, at) for key, at, _ in found] == [
        ("unassigned/6600replay000001", (1772355600 + s + 2) * 1000) for s in (0, 1800)
    ]
    assert sum(steps) == 2


def test_json_lines_keep_topic_and_arrival(tmp_path: Path) -> None:
    lines = tmp_path / "recorded.jsonl"
    lines.write_text('{"at": 5, "topic": "a/b", "payload": {"x": 1}}\n{"y": 2}\n{"topic": "c", "payload": "text"}\n')
    assert read(lines, SERIES, print) == [
        Item(5, "a/b", b'{"x":1}'),
        Item(None, "replay/recorded", b'{"y":2}'),
        Item(None, "c", b"text"),
    ]


def test_a_payload_file_goes_as_it_is_even_when_it_is_broken(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_bytes(b'{"device_info":\n {"device_sn": "66')
    assert read(broken, SERIES, print)[0].payload == broken.read_bytes()


def test_a_bad_row_or_a_missing_file_is_one_line(tmp_path: Path) -> None:
    table = tmp_path / "bad.csv"
    table.write_text("time,in\nnever,1\n")
    with pytest.raises(Problem, match=r"bad\.csv: time 'never'"):
        read(table, SERIES, print)
    with pytest.raises(Problem, match="No such file"):
        read(tmp_path / "none.json", SERIES, print)
    with pytest.raises(Problem, match="use mqtt://"):
        send([], "ftp://x", Settings(), Registry(), 0.0, lambda n: None)


def test_messages_reach_a_broker(mosquitto: Mosquitto, tmp_path: Path) -> None:
    got: list[bytes] = []
    subscribed, done = threading.Event(), threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "test-replay")
    client.on_connect = lambda c, *_: c.subscribe("replay/#", 1)
    client.on_subscribe = lambda *_: subscribed.set()

    def message(_c: mqtt.Client, _u: object, m: mqtt.MQTTMessage) -> None:
        got.append(bytes(m.payload))
        if len(got) == 3:
            done.set()

    client.on_message = message
    client.connect("127.0.0.1", mosquitto.port)
    client.loop_start()
    assert subscribed.wait(10)
    items = [Item(None, "replay/x", json.dumps({"n": n}).encode()) for n in range(3)]
    send(items, mosquitto.url, Settings(), Registry(), 0.0, lambda n: None)
    assert done.wait(10)
    client.disconnect()
    client.loop_stop()
    assert got == [i.payload for i in items]


def test_a_broker_that_is_not_there_is_one_line() -> None:
    with pytest.raises(Exception, match=r"MQTT broker mqtt://127\.0\.0\.1:1: Connection refused"):
        send([], "mqtt://127.0.0.1:1", Settings(), Registry(), 0.0, lambda n: None)


def test_a_broker_that_restarts_while_we_send_gets_everything(tmp_path: Path) -> None:
    broker = Mosquitto()
    broker.start()
    try:
        publisher = MqttPublisher(parse_url(broker.url))
        for n in range(10):
            publisher.send("a", b"%d" % n)
        broker.stop()
        for n in range(10):
            publisher.send("a", b"%d" % n)
        assert publisher.settle(0.2) > 0, "what nobody has acknowledged is missing, and says so without an exception"
        broker.start()
        assert publisher.settle(30) == 0
        publisher.close()
    finally:
        broker.stop()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"at": "yesterday", "payload": {}}', "at is 'yesterday'"),
        ('{"at": 1e300, "payload": {}}', r"at is 1e\+300"),
        ('{"topic": 5, "payload": {}}', "topic is 5"),
    ],
)
def test_a_record_with_a_wrong_time_or_topic_is_one_line(tmp_path: Path, line: str, said: str) -> None:
    recorded = tmp_path / "recorded.jsonl"
    recorded.write_text(f'{{"y": 2}}\n{line}\n')
    with pytest.raises(Problem, match=rf"recorded\.jsonl: a record's {said}"):
        read(recorded, SERIES, print)


def test_a_file_name_never_makes_a_topic_that_mqtt_refuses(tmp_path: Path, mosquitto: Mosquitto) -> None:
    odd = tmp_path / "shop#1+2.json"
    odd.write_text("{}")
    items = read(odd, SERIES, print)
    assert items[0].topic == "replay/shop_1_2"
    with pytest.raises(MqttError, match="MQTT topic 'a/#'"):
        send([Item(None, "a/#", b"")], mosquitto.url, Settings(), Registry(), 0.0, lambda n: None)


def test_images_do_not_reach_the_log(tmp_path: Path) -> None:
    payload = b'{"snapshot": "' + b"A" * 5000 + b'"}'
    send([Item(None, "t", payload)], f"sqlite:///{tmp_path}", Settings(), Registry(), 0.0, lambda n: None)
    assert [value for _, _, value in records(tmp_path)] == [b'{"snapshot": "[image removed: 5000 bytes]"}']


@pytest.mark.parametrize(
    "words", [["--zone", "Mars/Base"], ["--stamps", "middle"], ["--speed", "-1"], ["--speed", "nan"], ["--speed", "inf"]]
)
def test_wrong_options_are_refused(words: list[str], tmp_path: Path) -> None:
    app = typer.Typer()
    replay.register(app)
    result = CliRunner().invoke(app, ["x.json", "--to", "sqlite:///x", *words])
    assert isinstance(result.exception, Problem)
    assert result.exception.code == 2


def test_the_log_keeps_what_is_there(tmp_path: Path) -> None:
    log = open_log(f"sqlite:///{tmp_path}")
    log.ensure_topic(RAW, 1)
    log.writer().append_many(RAW, [NewRecord("k", b"old", 1000)])
    send([Item(None, "t", b"new")], f"sqlite:///{tmp_path}", Settings(), Registry(), 0.0, lambda n: None)
    assert [value for _, _, value in records(tmp_path)] == [b"old", b"new"]
