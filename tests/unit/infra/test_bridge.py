import io
import json
import sys
from collections.abc import Callable

import pytest

from connectors.log import NewRecord
from connectors.mqtt import Address, Message, Subscription
from infra.bridge import ITEM_BYTES, ArrivalClock, Bridge, Slice, _Inbox, device_of, say, size_of
from infra.bridge_metrics import Oldest, Stats
from operators.images import LARGEST
from schemas.sites import Device, Registry, Site


def _bridge() -> Bridge:
    site = Site(id="shop", name="Shop", zone="UTC", devices={"6384e16179950009": Device("6384e16179950009", since=100)})

    def no_writer() -> None:
        raise AssertionError("not needed")

    return Bridge(Subscription(Address("h", 1, "", False)), no_writer, Registry({"shop": site}))  # type: ignore[arg-type]  # unused


def _message(payload: bytes, topic: str = "t", retain: bool = False) -> Message:
    return Message(topic.encode("utf-8", "surrogatepass"), payload, retain, 1)


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
    assert dict(record.headers)["topic"] == "a\ufffd\ufffd\ufffd".encode()


class _Kept:
    """A writer that has what it is given at once."""

    def __init__(self) -> None:
        self.records: list[NewRecord] = []

    def append(self, topic: str, record: NewRecord, done: Callable[[Exception | None], None]) -> None:
        self.records.append(record)
        done(None)


def test_a_message_that_breaks_the_bridge_is_told_by_its_hash_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(payload: bytes) -> tuple[bytes, int]:
        if payload == b"bad":
            raise ValueError("made to fail")
        return payload, 0

    monkeypatch.setattr("infra.bridge.strip", broken)
    bridge, writer = _bridge(), _Kept()
    bridge._writer = writer  # type: ignore[assignment]  # all that is needed of one
    messages = [_message(payload) for payload in (REPORT, b"bad", REPORT)]
    bridge._take(messages, 100_000)
    assert [record.value for record in writer.records][::2] == [REPORT, REPORT]
    assert json.loads(writer.records[1].value)["unreadable"]["size"] == 3
    assert b"bad" not in writer.records[1].value and all(message.stored for message in messages)
    assert (bridge.stats.poison, bridge.stats.logged) == (1, 3)


def test_every_number_has_a_meaning_and_is_a_metric() -> None:
    bridge = _bridge()
    assert set(Stats.MEANING) == set(Stats.__dataclass_fields__)
    names = {metric.name for metric in bridge.collect()}
    assert {"footstream_bridge_received", "footstream_bridge_queue_depth", "footstream_bridge_reconnects"} <= names


def test_the_oldest_message_is_the_first_of_those_that_the_log_has_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.bridge_metrics.time.time", lambda: 100.0)
    oldest, stats = Oldest(), Stats()
    assert oldest.seconds(stats) == 0
    for second, count in ((40, 3), (60, 2), (90, 1)):
        stats.received += count
        oldest.received(stats, second * 1000)
    ages = []
    for _ in range(7):
        ages.append(oldest.seconds(stats))
        stats.logged += 1
    assert ages == [60, 60, 60, 40, 40, 10, 0]


def test_empty_messages_fill_the_inbox_too_and_only_what_the_log_has_makes_room() -> None:
    inbox = _Inbox(10 * ITEM_BYTES)
    empty = [_message(b"", "")]
    taken = 0
    while inbox.held <= 10 * ITEM_BYTES:
        assert inbox.put(empty, 1)
        taken += 1
        assert taken < 100, "messages without payload would pile up without end"
    assert sum(len(inbox.take(0)[0]) for _ in range(100)) == taken == 11
    assert inbox.held == 11 * ITEM_BYTES, "handed over is not in the log"
    inbox.released(11 * size_of(empty[0]))
    assert inbox.held == 0


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_every_topic_belongs_to_exactly_one_slice(of: int) -> None:
    topics = [f"shop/{n}/door".encode() for n in range(700)]
    takers = [[topic for topic in topics if Slice(number, of).takes(topic)] for number in range(of)]
    assert sorted(topic for taken in takers for topic in taken) == sorted(topics)
    assert all(len(taken) > 700 / of * 0.6 for taken in takers), "about the same share each"


def test_slices_of_another_release_or_machine_are_the_same() -> None:
    """Worked out with hashlib: another hash here would lose or double messages while releases are mixed."""
    assert [Slice(0, 2).takes(b"shop/%d" % n) for n in range(8)] == [
        *(False, False, True, False),
        *(False, True, False, True),
    ]


def test_a_line_that_cannot_be_written_does_not_end_the_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    say("the disk that holds this log is full")
