"""Reading a log through a process of its own gives what reading it oneself gives, on the embedded log and on a real Kafka."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

import infra.lane_reader
from connectors.log import RAW, Log, LogError, NewRecord, PositionGone
from infra.lane_reader import LaneReader
from infra.logs import open_settings_log
from infra.reader import ReaderProcess
from infra.settings import Settings
from infra.wire import Reader
from schemas.events import Plain
from schemas.sensors import read
from tests.support.processes import gone
from tests.unit.infra.test_wire import OTHERS, SAMPLES, plain

SECONDS = 30.0
Row = tuple[int, int, int, object]
"""Partition, position, timestamp, what was said."""


@pytest.fixture(params=["sqlite", "kafka"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = f"sqlite:///{tmp_path / 'log'}" if request.param == "sqlite" else request.getfixturevalue("kafka").url
    return replace(Settings(), log_url=url, topic_prefix=f"t{uuid4().hex[:8]}.", data=tmp_path)


@pytest.fixture
def log(settings: Settings) -> Iterator[Log]:
    made = open_settings_log(settings)
    made.ensure_topic(RAW, 3)
    yield made
    made.close()


def append(log: Log, values: list[bytes]) -> None:
    now = int(time.time() * 1000)
    headers = (("topic", b"a/b"), ("source", b"http"))
    writer = log.writer()
    writer.append_many(
        RAW, [NewRecord(f"k{n % 7}", value, now + n, headers if n % 2 else ()) for n, value in enumerate(values)]
    )
    writer.close()


def mixed(count: int) -> list[bytes]:
    others = [*SAMPLES, *OTHERS]
    return [plain(f"A{n % 5}", n % 50, (n, 1)) if n % 4 else others[n // 4 % len(others)] for n in range(count)]


def rows_of(reader: Reader, most: int, count: int = 0) -> list[Row]:
    """To the end, or until there are so many: what a lane makes of the records."""
    rows: list[Row] = []
    end = time.monotonic() + SECONDS
    while len(rows) < count if count else not reader.caught_up:
        assert time.monotonic() < end, f"{len(rows)} records after {SECONDS} s"
        for b in reader.poll(most, 0.05):
            assert len(b.positions) == len(b.headers)
            said: list[object] = [
                v if isinstance(v, Plain) else (read(v), v, h) for v, h in zip(b.values, b.headers, strict=True)
            ]
            rows += [(b.partition, *row) for row in zip(b.positions, b.timestamps, said, strict=True)]
    return rows


def in_words(row: Row) -> str:
    """A record as it is after reading, whichever way: plain reports as such, the rest with bytes and headers."""
    said = row[3]
    return str((*row[:3], said[0] if isinstance(said, tuple) and isinstance(said[0], Plain) else said))


def test_a_process_reads_the_same_records_from_any_positions(settings: Settings, log: Log) -> None:
    append(log, mixed(400))
    positions = {p: end // 3 for p, (_, end) in log.bounds(RAW).items()}
    own = log.slice_reader(RAW, positions)
    process = ReaderProcess(settings, positions, [(0, positions[0] + 1)], 64)
    try:
        expected, got = sorted(map(in_words, rows_of(own, 50))), sorted(map(in_words, rows_of(process, 64)))
        assert len(expected) > 200 and got == expected
        assert process.caught_up and process.poll(64, 0.0) == []
        append(log, [plain("B1", 1, (1, 1))])
        assert isinstance(rows_of(process, 64, count=1)[0][3], Plain)
    finally:
        own.close()
        process.close()
    assert gone(process.pid)


def test_a_lane_changes_to_a_process_and_back_without_a_gap_or_a_double(
    settings: Settings, log: Log, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(infra.lane_reader, "FAR_BEHIND", 100)
    monkeypatch.setattr(infra.lane_reader, "LOOK_S", 0.0)
    append(log, mixed(300))
    reader = LaneReader(log, dict.fromkeys(range(3), 0), lambda at: ReaderProcess(settings, at, [], 64))
    try:
        rows = rows_of(reader, 64, count=300)
        for count in (400, 900):  # it has caught up, and is far behind once more; both ways again
            append(log, mixed(count - 300 if count == 400 else 500))
            rows += rows_of(reader, 64, count=count - len(rows))
    finally:
        reader.close()
    bounds = log.bounds(RAW)
    assert sorted(r[:2] for r in rows) == [(p, n) for p in range(3) for n in range(bounds[p][1])]
    said = capfd.readouterr().err
    assert said.count("reads the log until") == 2 and said.count("reads the log by itself again") >= 1


def test_a_process_that_is_killed_is_named_and_nothing_was_handed_out_twice(settings: Settings, log: Log) -> None:
    append(log, mixed(50))
    process = ReaderProcess(settings, dict.fromkeys(range(3), 0), [], 64)
    rows_of(process, 64)
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(
        LogError, match=f"process {process.pid}, which reads it for this lane, was ended by signal 9; nothing is lost"
    ):
        process.poll(64, SECONDS)


def test_a_position_that_is_gone_is_told_as_by_the_log_itself(settings: Settings, log: Log) -> None:
    append(log, mixed(20))
    beyond = {p: end + 5 for p, (_, end) in log.bounds(RAW).items()}
    process = ReaderProcess(settings, beyond, [], 64)
    try:
        with pytest.raises(PositionGone, match="start the lane again"):
            process.poll(64, SECONDS)
    finally:
        process.close()
