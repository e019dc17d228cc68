"""Frames between a reader process and its lane."""

import json

import pytest

import infra.wire
from connectors.log import Batch, LogError, PositionGone
from infra.wire import Headers, Packer, ReadBatch, Unpacker, problem_frame
from schemas.events import Plain
from schemas.sensors import SENSORS, read

SAMPLES = [s.payload for module in SENSORS if not hasattr(module, "LAYOUT") for s in module.SAMPLES]
OTHERS = [b"", b"null", b"{", b"\xff\xfe", b'{"device_info": {"device_sn": "\\ud800"}}', b"[" * 5000, b"x" * 300_000]


def plain(serial: str, minute: int, counts: tuple[int, int], name: str = "door") -> bytes:
    """A plain report of one line."""
    start, end = (f"2026-03-02T09:{m:02d}:00+01:00" for m in (minute, minute + 1))
    return json.dumps(
        {
            "device_info": {"device_sn": serial, "device_name": name, "running_time": 60 * minute},
            "time_info": {"start_time": start, "end_time": end},
            "line_periodic_data": [{"line": 1, "in": counts[0], "out": counts[1]}],
        }
    ).encode()


def batch(values: list[bytes], headers: list[Headers] | None = None, partition: int = 3) -> Batch:
    """Records with gaps between their positions, as a log with deleted records has them."""
    places = [10 + 2 * n for n in range(len(values))]
    return Batch(partition, places, [1000 + n for n in places], ["k"] * len(values), values, headers or [()] * len(values))


def through(*batches: Batch, poison: dict[int, set[int]] | None = None) -> list[ReadBatch]:
    """What a lane gets of batches that go into a frame each."""
    packer, unpacker = Packer(poison or {}), Unpacker()
    out = []
    for one in batches:
        packer.add(one)
        out += unpacker.take(packer.done(False))[0]
    return out


def test_plain_reports_come_as_they_would_be_read_and_everything_else_as_its_bytes() -> None:
    values = [*SAMPLES, *OTHERS, *(plain(f"A{n}", n, (n, 1)) for n in range(5))]
    assert sum(isinstance(read(v), Plain) for v in values) >= 5
    (got,) = through(batch(values))
    assert (got.partition, got.positions, got.timestamps) == batch(values)[:3]
    for raw, said in zip(values, got.values, strict=True):
        expected = read(raw)
        assert said == (expected if isinstance(expected, Plain) else raw)


def test_headers_come_with_the_records_that_are_bytes() -> None:
    headers: list[Headers] = [(("source", b"http"), ("topic", b"a")), (), (("source", b"http"),)]
    (got,) = through(batch([b"{", b"[", plain("A1", 1, (1, 1))], headers))
    assert got.headers == [headers[0], (), ()]


def test_records_of_several_polls_are_one_batch_a_partition_and_a_frame_begins_empty() -> None:
    packer, unpacker = Packer({}), Unpacker()
    for one in (batch([b"a"], partition=1), batch([b"b"], partition=2), batch([b"c", b"d"], partition=1)):
        packer.add(one)
    batches, caught_up = unpacker.take(packer.done(True))
    assert [(b.partition, b.values) for b in batches] == [(1, [b"a", b"c", b"d"]), (2, [b"b"])] and caught_up
    assert unpacker.take(packer.done(False)) == ([], False)


def test_a_poison_record_stays_bytes_so_that_it_can_be_kept() -> None:
    values = [plain("A1", 1, (1, 0)), plain("A1", 2, (2, 0))]
    (got,) = through(batch(values), poison={3: {12}, 4: {10}})
    assert [type(v) for v in got.values] == [Plain, bytes] and got.values[1] == values[1]


def test_texts_are_one_object_for_all_reports_of_a_device_and_of_a_window() -> None:
    first, second = through(batch([plain("A1", 1, (1, 0))]), batch([plain("A1", 1, (7, 7)), plain("A1", 1, (7, 7), "gate")]))
    (one,), (two, renamed) = first.values, second.values
    assert isinstance(one, Plain) and isinstance(two, Plain) and isinstance(renamed, Plain)
    assert one.device is two.device and one.time_text is two.time_text and one.lines is two.lines
    assert (two.name, renamed.name) == ("door", "gate")


def test_tables_that_are_full_begin_anew_and_no_report_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infra.wire, "TABLE_MOST", 2)
    frames = [[plain(f"A{n % 4}", m, (n, m)) for n in range(m, m + 3)] for m in range(1, 9)]
    got = through(*map(batch, frames))
    assert [b.values for b in got] == [[read(v) for v in values] for values in frames]


def test_what_a_person_must_decide_keeps_its_kind_and_words() -> None:
    for error in (LogError("user was not let in"), PositionGone("position 5 is gone")):
        with pytest.raises(type(error), match=str(error)) as raised:
            Unpacker().take(problem_frame(error))
        assert type(raised.value) is type(error)
