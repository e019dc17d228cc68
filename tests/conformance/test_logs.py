"""What every log must do, run on the embedded one and on a real Kafka."""

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest
from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.log import (
    MAX_RECORD_BYTES,
    Batch,
    Log,
    LogError,
    NewRecord,
    PositionGone,
    RecordRefused,
    open_log,
    partition_of,
)
from connectors.sqlite_log import SqliteLog
from tests.support.logs import drain, read_all, record, start_writer

HOUR_S = 3600


class Place(NamedTuple):
    """A log under test. `delete_all` makes it forget every record of a topic, as retention does."""

    url: str
    prefix: str
    log: Log
    delete_all: Callable[[str], None]


def _sqlite(folder: Path) -> Place:
    url, prefix = f"sqlite:///{folder}", "t."

    def delete_all(topic: str) -> None:
        SqliteLog(url, prefix, clock=lambda: time.time() + 2 * HOUR_S).keeper().retain()

    return Place(url, prefix, open_log(url, prefix), delete_all)


def _kafka(bootstrap: str) -> Place:
    url, prefix = f"kafka://{bootstrap}", f"t{uuid4().hex[:8]}."
    log = open_log(url, prefix)

    def delete_all(topic: str) -> None:
        admin = AdminClient({"bootstrap.servers": bootstrap})
        ends = [TopicPartition(prefix + topic, p, OFFSET_END) for p in log.bounds(topic)]
        for future in admin.delete_records(ends).values():
            future.result(10)

    return Place(url, prefix, log, delete_all)


@pytest.fixture(params=["sqlite", "kafka"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    made = _sqlite(tmp_path / "log") if request.param == "sqlite" else _kafka(request.getfixturevalue("kafka").bootstrap)
    yield made
    made.log.close()


def append(log: Log, topic: str, *records: NewRecord) -> None:
    writer = log.writer()
    writer.append_many(topic, records)
    writer.close()


def test_records_keep_their_order_and_get_positions_from_zero_in_the_partition_of_their_key(place: Place) -> None:
    place.log.ensure_topic("raw", 4)
    records = [record(i, f"site-{i % 10}") for i in range(500)]
    append(place.log, "raw", *records)
    rows = read_all(place.log, "raw")
    for partition in range(4):
        mine = [row for row in rows if row[0] == partition]
        expected = [r for r in records if partition_of(r.key, 4) == partition]
        assert [row[4] for row in mine] == [r.value for r in expected]
        assert [row[1] for row in mine] == list(range(len(expected)))
        assert place.log.bounds("raw")[partition] == (0, len(expected))


def test_what_was_reported_as_done_is_read_by_a_log_opened_afresh(place: Place) -> None:
    place.log.ensure_topic("raw", 2)
    writer = place.log.writer()
    done: list[object] = []
    for i in range(300):
        writer.append("raw", record(i), done.append)
    assert writer.flush(20)
    assert done == [None] * 300
    assert [row[4] for row in read_all(open_log(place.url, place.prefix), "raw")] == [record(i).value for i in range(300)]
    writer.close()


def test_callbacks_run_in_the_order_of_append(place: Place) -> None:
    place.log.ensure_topic("raw", 1)
    writer = place.log.writer()
    order: list[int] = []
    for i in range(1000):
        writer.append("raw", record(i), lambda error, i=i: order.append(i))  # type: ignore[misc]  # a default binds i
    assert writer.flush(20)
    assert order == list(range(1000))
    writer.close()


def test_poll_serves_callbacks_without_a_flush(place: Place) -> None:
    place.log.ensure_topic("raw", 1)
    writer = place.log.writer()
    done: list[object] = []
    writer.append("raw", record(1), done.append)
    end = time.monotonic() + 20
    while not done and time.monotonic() < end:
        writer.poll(0.05)
    assert done == [None]
    writer.close()


def test_an_error_in_a_callback_reaches_the_caller_and_the_writer_goes_on(place: Place) -> None:
    place.log.ensure_topic("raw", 1)
    writer = place.log.writer()

    def fail(error: Exception | None) -> None:
        raise KeyError("a bug of the caller")

    writer.append("raw", record(1), fail)
    with pytest.raises(KeyError, match="a bug of the caller"):
        writer.flush(20)
    writer.append_many("raw", [record(2)])
    assert len(read_all(place.log, "raw")) == 2
    writer.close()


def test_writers_in_several_processes_lose_and_double_nothing_and_keep_each_ones_order(place: Place) -> None:
    place.log.ensure_topic("raw", 4)
    writers = [start_writer(place.url, place.prefix, "raw", first, 2000) for first in (0, 10_000, 20_000)]
    for writer in writers:
        assert writer.communicate(timeout=60)[0].count("\n") == 2001
        assert writer.returncode == 0
    rows = read_all(place.log, "raw")
    numbers = [int(row[4][:8]) for row in rows]
    assert sorted(numbers) == [first + i for first in (0, 10_000, 20_000) for i in range(2000)]
    for partition in range(4):
        mine = [row for row in rows if row[0] == partition]
        assert [row[1] for row in mine] == list(range(len(mine)))
        for first in (0, 10_000, 20_000):
            one = [int(row[4][:8]) for row in mine if first <= int(row[4][:8]) < first + 2000]
            assert one == sorted(one)


def test_a_waiting_reader_sees_what_another_process_appends(place: Place) -> None:
    place.log.ensure_topic("raw", 2)
    reader = place.log.slice_reader("raw", {0: 0, 1: 0})
    assert drain(reader) == []
    writer = start_writer(place.url, place.prefix, "raw", 5, 1)
    found: list[Batch] = []
    end = time.monotonic() + 30
    while not found and time.monotonic() < end:
        found = reader.poll(10, 1.0)
    assert [batch.values[0][:8] for batch in found] == [b"00000005"]
    assert writer.wait(20) == 0
    assert writer.stdout is not None
    writer.stdout.close()
    reader.close()


def test_reading_from_another_process_gives_the_same_records(place: Place) -> None:
    place.log.ensure_topic("raw", 3)
    append(place.log, "raw", *[record(i, f"k{i}") for i in range(50)])
    code = "import sys; from connectors.log import open_log; from tests.support.logs import read_all;"
    code += "print(read_all(open_log(*sys.argv[1:3]), 'raw'))"
    out = subprocess.run(
        [sys.executable, "-c", code, place.url, place.prefix], capture_output=True, text=True, timeout=60, check=True
    )
    assert sorted(eval(out.stdout)) == sorted(read_all(place.log, "raw"))


def test_a_reader_goes_on_from_any_position_however_the_polls_are_cut(place: Place) -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    rng = random.Random(seed)
    place.log.ensure_topic("raw", 2)
    append(place.log, "raw", *[record(i, f"k{i % 5}", rng.choice([8, 700, 5000])) for i in range(3000)])
    whole = sorted(read_all(place.log, "raw"))
    for _ in range(3):
        positions = {p: rng.randrange(1, end) for p, (_, end) in place.log.bounds("raw").items()}
        reader = place.log.slice_reader("raw", positions)
        rows = []
        while not reader.caught_up:
            most = rng.choice([1, 2, 7, 100, 5000])
            batches = reader.poll(most, 0.2)
            assert sum(len(b.positions) for b in batches) <= most
            assert all(b.positions for b in batches)
            assert len({b.partition for b in batches}) == len(batches)
            for b in batches:
                rows += [(b.partition, *row) for row in zip(*b[1:], strict=True)]
        reader.close()
        assert sorted(rows) == [row for row in whole if row[1] >= positions[row[0]]]


def test_one_full_partition_does_not_starve_another(place: Place) -> None:
    place.log.ensure_topic("raw", 2)
    many, few = (next(f"k{i}" for i in range(99) if partition_of(f"k{i}", 2) == p) for p in (0, 1))
    noise = random.Random(1)  # cannot be packed: more than a broker hands out of one partition at a time
    full = [record(i, many)._replace(value=noise.randbytes(1000)) for i in range(4000)]
    append(place.log, "raw", *full, *[record(i, few) for i in range(5)])
    reader = place.log.slice_reader("raw", {0: 0, 1: 0})
    seen: set[int] = set()
    records_read = 0
    while 1 not in seen:
        for batch in reader.poll(500, 0.5):
            seen.add(batch.partition)
            records_read += len(batch.positions)
    assert records_read < 4005
    reader.close()


def test_a_topic_grows_by_empty_partitions_keeps_its_records_and_never_shrinks(place: Place) -> None:
    place.log.ensure_topic("raw", 2)
    append(place.log, "raw", *[record(i, f"k{i}") for i in range(20)])
    before = place.log.bounds("raw")
    place.log.grow_topic("raw", 5)
    assert place.log.partitions("raw") == 5
    assert place.log.bounds("raw") == {**before, 2: (0, 0), 3: (0, 0), 4: (0, 0)}
    with pytest.raises(LogError, match="can only grow"):
        place.log.grow_topic("raw", 4)


def test_caught_up_is_false_until_the_end_was_handed_out_and_again_after_new_records(place: Place) -> None:
    place.log.ensure_topic("raw", 1)
    append(place.log, "raw", *[record(i) for i in range(10)])
    reader = place.log.reader("raw", 0, 0)
    assert not reader.caught_up
    got = 0
    while got < 4:
        batch = reader.poll(4 - got, 1.0)
        got += len(batch.positions) if batch else 0
    assert not reader.caught_up
    while got < 10 or not reader.caught_up:
        batch = reader.poll(100, 1.0)
        got += len(batch.positions) if batch else 0
    append(place.log, "raw", record(10))
    while not (batch := reader.poll(100, 1.0)):
        pass
    assert batch.values == [b"00000010"]
    reader.close()


def test_an_empty_partition_is_caught_up_and_a_poll_of_it_waits(place: Place) -> None:
    place.log.ensure_topic("raw", 1)
    reader = place.log.reader("raw", 0, 0)
    end = time.monotonic() + 20
    while not reader.caught_up and time.monotonic() < end:
        assert reader.poll(10, 0.05) is None
    assert reader.caught_up
    start = time.monotonic()
    assert reader.poll(10, 0.3) is None
    assert time.monotonic() - start > 0.25
    reader.close()


def test_after_everything_was_deleted_positions_go_on_where_they_were(place: Place) -> None:
    place.log.ensure_topic("raw", 2, HOUR_S)
    append(place.log, "raw", *[record(i, f"k{i}") for i in range(40)])
    ends = {p: end for p, (_, end) in place.log.bounds("raw").items()}
    place.delete_all("raw")
    assert place.log.bounds("raw") == {p: (end, end) for p, end in ends.items()}
    append(place.log, "raw", record(40, "k1"))
    partition = partition_of("k1", 2)
    assert [row[:2] for row in read_all(place.log, "raw")] == [(partition, ends[partition])]


def test_a_position_that_is_no_longer_kept_is_reported_with_a_remedy(place: Place) -> None:
    place.log.ensure_topic("raw", 1, HOUR_S)
    append(place.log, "raw", *[record(i) for i in range(10)])
    place.delete_all("raw")
    append(place.log, "raw", record(10))
    reader = place.log.reader("raw", 0, 4)
    with pytest.raises(PositionGone, match=r"position 4.*start the lane again"):
        drain_one(reader.poll)
    reader.close()


def test_a_position_beyond_the_end_is_reported_because_the_log_was_replaced(place: Place) -> None:
    place.log.ensure_topic("raw", 1)
    append(place.log, "raw", record(1))
    reader = place.log.reader("raw", 0, 1000)
    with pytest.raises(PositionGone, match="1000"):
        drain_one(reader.poll)
    reader.close()


def drain_one(poll: Callable[[int, float], object]) -> None:
    """Poll for up to 20 s, for what a poll raises."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        poll(10, 0.1)


def test_who_never_read_anything_starts_at_the_first_kept_record(place: Place) -> None:
    place.log.ensure_topic("raw", 1, HOUR_S)
    append(place.log, "raw", *[record(i) for i in range(10)])
    place.delete_all("raw")
    append(place.log, "raw", record(10), record(11))
    assert [(row[1], row[4]) for row in read_all(place.log, "raw")] == [(10, b"00000010"), (11, b"00000011")]


def test_an_oversize_record_is_refused_through_its_callback_and_its_neighbours_are_taken(place: Place) -> None:
    place.log.ensure_topic("raw", 1)
    writer = place.log.writer()
    results: list[Exception | None] = []
    biggest = NewRecord("k", b"y" * (MAX_RECORD_BYTES - 1), record(0).timestamp)
    for r in (record(1), NewRecord("k", b"x" * 2_000_000, 1), biggest, record(2)):
        writer.append("raw", r, results.append)
    assert writer.flush(20)
    refused = [r for r in results if r is not None]
    assert len(results) == 4
    assert len(refused) == 1
    assert isinstance(refused[0], RecordRefused)
    assert "2000001 bytes" in str(refused[0])
    assert [len(row[4]) for row in read_all(place.log, "raw")] == [8, MAX_RECORD_BYTES - 1, 8]
    with pytest.raises(RecordRefused):
        writer.append_many("raw", [NewRecord("k", b"x" * 2_000_000, 1)])
    writer.append("raw", NewRecord("\ud800", b"", 1))
    with pytest.raises(RecordRefused, match="Unicode"):
        writer.flush(20)
    writer.close()


def test_keys_values_headers_and_timestamps_come_back_as_they_were(place: Place) -> None:
    place.log.ensure_topic("raw", 1)
    now = int(time.time() * 1000)
    records = [
        NewRecord("Müller & Söhne/東京 🏬", b"", now),
        NewRecord("", b"\x00\xff\x00", 1),
        NewRecord("old", b"1999", 915_148_800_000, (("topic", b"a/b"), ("source", b"mqtt"))),
        NewRecord("ahead", b"2031", now + 5 * 365 * 86_400_000, (("topic", b""), ("topic", b"twice"))),
        NewRecord("plain", b"p", now),
    ]
    append(place.log, "raw", *records)
    rows = read_all(place.log, "raw")
    assert [NewRecord(key, value, stamp, headers) for _, _, stamp, key, value, headers in rows] == records


def test_old_timestamps_are_kept_when_no_retention_was_asked_for(place: Place) -> None:
    place.log.ensure_topic("kept", 1)
    append(place.log, "kept", NewRecord("k", b"v", 1))
    if place.url.startswith("sqlite"):
        place.delete_all("kept")
    else:
        from confluent_kafka.admin import ConfigResource

        resource = ConfigResource("topic", place.prefix + "kept")
        admin = AdminClient({"bootstrap.servers": place.url.removeprefix("kafka://")})
        settings = admin.describe_configs([resource])[resource].result(10)
        assert settings["retention.ms"].value == "-1"
        assert settings["message.timestamp.type"].value == "CreateTime"
    assert len(read_all(place.log, "kept")) == 1


def test_an_existing_topic_keeps_its_partitions(place: Place) -> None:
    assert place.log.partitions("raw") is None
    assert place.log.ensure_topic("raw", 3) == 3
    assert place.log.ensure_topic("raw", 5) == 3
    assert place.log.partitions("raw") == 3


def test_topics_do_not_mix(place: Place) -> None:
    for topic in ("raw", "transitions"):
        place.log.ensure_topic(topic, 1)
    writer = place.log.writer()
    writer.append("raw", record(1))
    writer.append("transitions", record(2))
    writer.append("raw", record(3))
    assert writer.flush(20)
    writer.close()
    assert [row[4] for row in read_all(place.log, "raw")] == [b"00000001", b"00000003"]
    assert [row[4] for row in read_all(place.log, "transitions")] == [b"00000002"]


def test_a_missing_topic_or_partition_is_one_line_with_a_remedy(place: Place) -> None:
    place.log.ensure_topic("raw", 2)
    with pytest.raises(LogError, match=r"other.*missing.*creates"):
        place.log.reader("other", 0, 0)
    with pytest.raises(LogError, match=r"partition 2 asked for.*0 to 1"):
        place.log.reader("raw", 2, 0)
    writer = place.log.writer()
    with pytest.raises(LogError, match="other"):
        writer.append_many("other", [record(1)])
    writer.close()


def test_progress_of_a_group_can_be_read_back(place: Place) -> None:
    place.log.ensure_topic("raw", 3)
    assert place.log.progress("raw", "lane-0") == {}
    append(place.log, "raw", *[record(i, f"k{i}") for i in range(30)])
    for positions in ({0: 1, 2: 1}, {0: 2, 2: 3}):
        place.log.commit_progress("raw", "lane-0", positions)
    end = time.monotonic() + 20
    while place.log.progress("raw", "lane-0") != {0: 2, 2: 3}:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert place.log.progress("raw", "lane-1") == {}
