import io
import json
import sys

import pytest

from connectors.mqtt import Address, Message, Subscription
from infra.bridge import ITEM_BYTES, ArrivalClock, Bridge, Stats, _Inbox, _Item, device_of, say
from operators.images import LARGEST
from schemas.sites import Device, Registry, Site


def _bridge() -> Bridge:
    site = Site(id="shop", name="Shop", zone="UTC", devices={"6384e16179950009": Device("6384e16179950009", since=100)})

    def no_writer() -> None:
        raise AssertionError("not needed")

    return Bridge(Subscription(Address("h", 1, "", False)), no_writer, Registry({"shop": site}))  # type: ignore[arg-type]  # unused


def _message(payload: bytes, topic: str = "t", retain: bool = False) -> Message:
    return Message(topic, payload, retain, lambda: None)


REPORT = json.dumps(
    {
        "device_info": {"device_sn": "6384E16179950009"},
        "time_info": {"time": "2026-03-02T10:00:00+01:00"},
        "line_trigger_data": [{"line": 1, "total": {"in": 1, "out": 0}}],
    }
).encode()


def test_arrival_never_goes_back_when_the_machine_does() -> None:
    times = iter([1000, 1005, 400, 1004, 1006])
    clock = ArrivalClock(lambda: next(times))
    assert [clock() for _ in range(5)] == [1000, 1005, 1005, 1005, 1006]


def test_the_key_is_the_store_that_the_device_belonged_to_on_arrival() -> None:
    bridge = _bridge()
    assert device_of(REPORT) == "6384e16179950009"
    assert bridge.record(_message(REPORT), 100_000).key == "shop"
    assert bridge.record(_message(REPORT), 99_999).key == "unassigned/6384e16179950009"


def test_what_cannot_be_read_is_keyed_by_its_topic() -> None:
    bridge = _bridge()
    keys = [bridge.record(_message(payload, topic), 1).key for payload, topic in ((b"", "a"), (b"{", "a"), (b"\xff", "b"))]
    assert keys[0] == keys[1] != keys[2] and all(key.startswith("unassigned/topic-") for key in keys)
    assert bridge.stats.unrouted == 3


def test_the_value_is_the_payload_byte_for_byte_but_for_images() -> None:
    bridge = _bridge()
    assert bridge.record(_message(REPORT), 1).value is REPORT
    stripped = bridge.record(_message(b'{"snapshot": "' + b"A" * 400 + b'"}'), 1)
    assert stripped.value == b'{"snapshot": "[image removed: 400 bytes]"}'
    large = bridge.record(_message(b"[1]" * LARGEST), 1)
    assert json.loads(large.value)["oversize"]["size"] == 3 * LARGEST
    assert (bridge.stats.images, bridge.stats.oversize) == (1, 1)


def test_a_topic_or_device_that_is_no_text_still_makes_a_record() -> None:
    bridge = _bridge()
    record = bridge.record(_message(REPORT.replace(b"6384E16179950009", b"\\ud800abcd"), "a\ud800"), 1)
    record.key.encode()
    assert dict(record.headers)["topic"] == b"a?"


def test_every_number_has_a_meaning_and_is_a_metric() -> None:
    bridge = _bridge()
    assert set(Stats.MEANING) == set(Stats.__dataclass_fields__)
    names = {metric.name for metric in bridge.collect()}
    assert {"footstream_bridge_received", "footstream_bridge_queue_depth", "footstream_bridge_reconnects"} <= names


def test_empty_messages_fill_the_inbox_too() -> None:
    inbox = _Inbox(10 * ITEM_BYTES)
    taken = 0
    while inbox._bytes <= 10 * ITEM_BYTES:
        assert inbox.put(_Item(_message(b"", ""), 1))
        taken += 1
        assert taken < 100, "messages without payload would pile up without end"
    assert len(inbox.take(100, 0)) == taken == 11 and inbox._bytes == 0


def test_a_line_that_cannot_be_written_does_not_end_the_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    say("the disk that holds this log is full")
