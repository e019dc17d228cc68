"""The embedded log under faults: killed writers, torn tails, full disks, foreign and damaged files, retention."""

import os
import random
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from connectors._sqlite_file import TopicFile
from connectors._sqlite_writer import SqliteWriter
from connectors.log import LogError, LogFull, NewRecord, PositionGone, open_log
from connectors.sqlite_log import SqliteLog
from tests.support.logs import drain, read_all, record, start_writer

HOUR_MS = 3_600_000


def make(folder: Path, max_mib: int = 8192, clock: Callable[[], float] = time.time, busy_s: float = 5.0) -> SqliteLog:
    return SqliteLog(f"sqlite:///{folder}", "t.", max_mib, clock=clock, busy_s=busy_s, ballast_bytes=1 << 20)


def append(log: SqliteLog, *records: NewRecord, topic: str = "raw") -> None:
    writer = log.writer()
    try:
        writer.append_many(topic, records)
    finally:
        writer.close()


def numbers(log: SqliteLog) -> list[int]:
    return [int(row[4][:8]) for row in read_all(log, "raw")]


@pytest.mark.parametrize("seed", range(5))
def test_a_writer_killed_at_any_moment_loses_nothing_that_was_done(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    log = make(tmp_path / "log")
    log.ensure_topic("raw", 3)
    done: list[int] = []
    for start in (0, 1_000_000):
        process = start_writer(f"sqlite:///{log.folder}", "t.", "raw", start, 500_000)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        stop_after = len(done) + rng.randrange(1, 6000)
        for line in process.stdout:
            done.append(int(line))
            if len(done) >= stop_after:
                break
        process.kill()
        done += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        process.wait(20)
        process.stdout.close()
    append(log, record(7_777_777))
    rows = read_all(log, "raw")
    kept = [int(row[4][:8]) for row in rows]
    assert set(done) <= set(kept), f"seed {seed}"
    assert len(kept) == len(set(kept))
    for partition in range(3):
        assert [row[1] for row in rows if row[0] == partition] == list(range(sum(row[0] == partition for row in rows)))
    assert kept.count(7_777_777) == 1


def _copy_as_after_a_crash(log: SqliteLog, target: Path) -> Path:
    """The files as they are while a writer has them open: its newest records are in the write-ahead file only."""
    shutil.copytree(log.folder, target, ignore=shutil.ignore_patterns("*-shm"))
    (wal,) = target.glob("*-wal")
    assert wal.stat().st_size > 100_000
    return wal


@pytest.mark.parametrize("seed", range(6))
def test_a_torn_tail_is_dropped_and_what_is_before_it_stays(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    log = make(tmp_path / "log")
    log.ensure_topic("raw", 1)
    writer = log.writer()
    for i in range(60):
        writer.append_many("raw", [record(i, size=3000)])
    wal = _copy_as_after_a_crash(log, tmp_path / "torn")
    writer.close()
    size = wal.stat().st_size
    if seed % 2:
        os.truncate(wal, rng.randrange(32, size))
    else:
        with wal.open("r+b") as file:
            file.seek(rng.randrange(32, size - 64))
            file.write(bytes(64))
    torn = make(tmp_path / "torn")
    kept = numbers(torn)
    assert kept == list(range(len(kept)))
    assert torn.bounds("raw") == {0: (0, len(kept))}
    append(torn, record(500))
    assert numbers(torn) == [*kept, 500]


def test_who_had_read_what_a_torn_tail_lost_is_told(tmp_path: Path) -> None:
    log = make(tmp_path / "log")
    log.ensure_topic("raw", 1)
    writer = log.writer()
    writer.append_many("raw", [record(0, size=200_000)])
    writer.append_many("raw", [record(1)])
    wal = _copy_as_after_a_crash(log, tmp_path / "torn")
    writer.close()
    os.truncate(wal, wal.stat().st_size - 100)
    reader = make(tmp_path / "torn").reader("raw", 0, 2)
    with pytest.raises(PositionGone, match="position 2"):
        reader.poll(10, 0)
    reader.close()


def test_a_full_disk_refuses_whole_batches_and_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [100]  # a real SQLITE_FULL: the file may have that many and no more

    class SmallFile(TopicFile):
        def __init__(self, path: Path, busy_s: float) -> None:
            super().__init__(path, busy_s)
            self.db.execute(f"PRAGMA max_page_count = {pages[0]}")

    monkeypatch.setattr("connectors._sqlite_writer.TopicFile", SmallFile)
    log = make(tmp_path / "log")
    log.ensure_topic("raw", 2)
    writer = log.writer()
    results: dict[int, Exception | None] = {}
    for i in range(200):
        writer.append("raw", record(i, f"k{i}", 5000), lambda error, i=i: results.__setitem__(i, error))  # type: ignore[misc]
        if i % 10 == 9:
            assert writer.flush(20)
    refused = [i for i, error in results.items() if error is not None]
    assert len(results) == 200
    assert refused == list(range(refused[0], 200))
    assert 20 < refused[0] < 100
    assert all(isinstance(results[i], LogFull) for i in refused)
    assert sorted(numbers(log)) == list(range(refused[0]))
    pages[0] = 1_000_000
    for i in refused:
        end = time.monotonic() + 10
        while True:  # as a caller does it: keep the record, try again later
            try:
                writer.append_many("raw", [record(i, f"k{i}", 5000)])
                break
            except LogFull:
                assert time.monotonic() < end
                time.sleep(0.05)
    writer.close()
    assert sorted(numbers(log)) == list(range(200))


def test_without_room_for_the_ballast_nothing_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = make(tmp_path / "log")
    log.ensure_topic("raw", 1)
    append(log, record(1))
    assert (log.folder / "ballast").stat().st_size == 1 << 20
    (log.folder / "ballast").unlink()

    def no_room(handle: int, start: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", no_room)
        with pytest.raises(LogFull, match=r"disk is full.*free some space"):
            append(log, record(2))
    append(log, record(3))
    assert numbers(log) == [1, 3]
    assert (log.folder / "ballast").exists()


def test_a_folder_that_cannot_be_written_is_not_called_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = make(tmp_path / "log")
    log.ensure_topic("raw", 1)

    def read_only(handle: int, start: int, size: int) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "posix_fallocate", read_only)
    with pytest.raises(LogError, match="Read-only file system; check") as refused:
        append(log, record(1))
    assert not isinstance(refused.value, LogFull)


def test_retention_by_age_goes_by_the_records_own_time_and_keeps_positions(tmp_path: Path) -> None:
    now = [0.0]
    log = make(tmp_path / "log", clock=lambda: now[0])
    log.ensure_topic("raw", 1, 3600)
    for stamp_s in (1000, 5000, 9000):
        append(log, NewRecord("k", b"%08d" % stamp_s, stamp_s * 1000))
    now[0] = 10_000.0  # minus an hour: 6,400
    assert log.keeper().retain() == 2
    assert [row[1] for row in read_all(log, "raw")] == [2]
    now[0] = 12_600.0
    assert log.keeper().retain() == 0
    now[0] = 12_601.0
    assert log.keeper().retain() == 1
    assert log.bounds("raw") == {0: (3, 3)}


def test_retention_by_size_deletes_the_oldest_of_the_largest_topic_while_writing(tmp_path: Path) -> None:
    log = make(tmp_path / "log", max_mib=2)
    for topic in ("raw", "transitions"):
        log.ensure_topic(topic, 2)
    writer = log.writer()
    writer.append_many("transitions", [record(i) for i in range(20)])
    for start in range(0, 6000, 100):
        writer.append_many("raw", [NewRecord(f"k{i}", b"%08d" % i + b"." * 1000, i) for i in range(start, start + 100)])
    writer.close()
    rows = read_all(log, "raw")
    assert max(int(row[4][:8]) for row in rows) == 5999
    assert 1000 < len(rows) < 2100
    for partition, (first, end) in log.bounds("raw").items():
        assert first > 1500
        assert [row[1] for row in rows if row[0] == partition] == list(range(first, end))
    oldest = [min(row[2] for row in rows if row[0] == partition) for partition in (0, 1)]
    assert abs(oldest[0] - oldest[1]) <= 200
    assert len(read_all(log, "transitions")) == 20
    assert sum(path.stat().st_size for path in log.folder.glob("*.sqlite")) < 4 << 20


def test_a_reader_whose_next_record_was_deleted_is_told_and_one_in_time_is_not(tmp_path: Path) -> None:
    log = make(tmp_path / "log", clock=lambda: 10_000.0)
    log.ensure_topic("raw", 1, 3600)
    slow, fast = log.slice_reader("raw", {0: 0}), log.slice_reader("raw", {0: 0})
    writer = log.writer()
    writer.append_many("raw", [NewRecord("k", b"%08d" % i, 9_000_000) for i in range(10)])
    assert len(slow.poll(5, 0)[0].positions) == 5
    assert len(drain(fast)) == 10
    late = make(log.folder, clock=lambda: 20_000.0)
    assert late.keeper().retain() == 10
    writer.append_many("raw", [NewRecord("k", b"%08d" % i, 30_000_000) for i in range(10, 12)])
    writer.close()
    assert [row[1] for row in drain(fast)] == [10, 11]
    handed = slow.poll(5, 0)
    assert handed[0].positions == [5, 6, 7, 8, 9]  # still held: the rest of a chunk that was read before it went
    assert [row[1] for row in drain(slow)] == [10, 11]
    behind = log.slice_reader("raw", {0: 5})
    with pytest.raises(PositionGone, match=r"keeps 10 to 12"):
        behind.poll(5, 0)
    for reader in (slow, fast, behind):
        reader.close()


def test_a_shorter_retention_counts_for_a_topic_that_exists(tmp_path: Path) -> None:
    log = make(tmp_path / "log")
    log.ensure_topic("raw", 1)
    append(log, NewRecord("k", b"00000001", 1000))
    assert log.keeper().retain() == 0
    log.ensure_topic("raw", 1, 60)
    assert log.keeper().retain() == 1


def _overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_unusable_files_are_one_line_with_what_where_and_what_to_do(tmp_path: Path) -> None:
    log = make(tmp_path / "log", busy_s=0.1)
    log.ensure_topic("raw", 1)
    append(log, record(1))
    path = log.folder / "t.raw.sqlite"
    whole = path.read_bytes()

    path.write_bytes(b"no database, but long enough to be looked at" * 100)
    with pytest.raises(LogError, match=r"t\.raw\.sqlite: damaged or no log .*; check the disk"):
        log.reader("raw", 0, 0)
    path.write_bytes(whole)
    _overwrite(path, 60, (99).to_bytes(4, "big"))  # user_version in SQLite's header
    with pytest.raises(LogError, match=r"format 99.*knows 1; install the newer"):
        log.reader("raw", 0, 0)
    path.write_bytes(whole)
    _overwrite(path, 68, b"else")  # application_id
    with pytest.raises(LogError, match="not a log of ours"):
        log.bounds("raw")
    path.write_bytes(whole)
    with pytest.raises(LogError, match="it is a file; name a folder"):
        open_log(f"sqlite:///{path}")
    with pytest.raises(LogError, match="no folder"):
        open_log("sqlite:///")
    assert numbers(log) == [1]


def test_a_flipped_bit_in_a_stored_record_is_noticed(tmp_path: Path) -> None:
    log = make(tmp_path / "log")
    log.ensure_topic("raw", 1)
    append(log, *[record(i) for i in range(5)])
    path = log.folder / "t.raw.sqlite"
    at = path.read_bytes().index(b"00000003")
    _overwrite(path, at, b"00000009")
    reader = log.reader("raw", 0, 0)
    with pytest.raises(LogError, match=r"partition 0, position 0 is damaged; check the disk"):
        reader.poll(10, 0)
    reader.close()


def test_a_file_that_another_process_locks_is_refused_after_a_while_and_taken_later(tmp_path: Path) -> None:
    log = make(tmp_path / "log", busy_s=0.2)
    log.ensure_topic("raw", 1)
    append(log, record(1))
    holder = sqlite3.connect(log.folder / "t.raw.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    writer = log.writer()
    with pytest.raises(LogError, match=r"locked by another process.*fuser"):
        writer.append_many("raw", [record(2)])
    assert numbers(log) == [1]  # readers do not wait for a writer
    holder.execute("COMMIT")
    holder.close()
    writer.append_many("raw", [record(2)])
    writer.close()
    assert numbers(log) == [1, 2]


def test_a_log_that_is_removed_under_its_users_is_noticed_by_both(tmp_path: Path) -> None:
    log = make(tmp_path / "log")
    log.ensure_topic("raw", 1)
    writer, reader = log.writer(), log.slice_reader("raw", {0: 0})
    writer.append_many("raw", [record(1)])
    assert len(drain(reader)) == 1
    for path in log.folder.glob("t.raw*"):
        path.unlink()
    with pytest.raises(LogError, match="removed or replaced"):
        writer.append_many("raw", [record(2)])
    with pytest.raises(LogError, match="removed or replaced"):
        for _ in range(100):
            reader.poll(10, 0.1)
    writer.close()
    reader.close()


def test_append_blocks_while_the_buffer_is_full_and_nothing_is_lost(tmp_path: Path) -> None:
    log = make(tmp_path / "log", busy_s=20)
    log.ensure_topic("raw", 1)
    writer = log.writer()
    writer.append_many("raw", [record(0)])
    holder = sqlite3.connect(log.folder / "t.raw.sqlite", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    assert isinstance(writer, SqliteWriter)
    sent = 0
    while writer._bytes < (31 << 20):
        writer.append("raw", record(sent := sent + 1, size=500_000))
    assert not writer.flush(0)

    def append_rest() -> None:
        for i in range(1, 11):
            writer.append("raw", record(sent + i, size=500_000))

    rest = threading.Thread(target=append_rest)
    rest.start()
    rest.join(0.3)
    assert rest.is_alive()  # blocked: nothing can be committed
    holder.execute("COMMIT")
    holder.close()
    rest.join(30)
    assert writer.flush(30)
    writer.close()
    assert numbers(log) == list(range(sent + 11))


def test_two_processes_may_create_the_same_topic(tmp_path: Path) -> None:
    logs = [make(tmp_path / "log") for _ in range(4)]
    assert [log.ensure_topic("raw", 2 + i) for i, log in enumerate(logs)] == [2, 2, 2, 2]
    log = logs[0]
    (log.folder / "t.a%2Fb%20c.sqlite.new").write_bytes(b"left by a crash")
    assert log.ensure_topic("a/b c", 1) == 1
    assert sorted(p.name for p in log.folder.glob("*.sqlite")) == ["t.a%2Fb%20c.sqlite", "t.raw.sqlite"]
