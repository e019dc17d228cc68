"""A log that has deleted what the lane has not read, or that was made anew: real lanes on both logs."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.log import RAW, open_log
from connectors.sqlite_log import SqliteLog
from tests.chaos.ledger import SIZES
from tests.support.ledger import System, ledger, system
from tests.support.store import StoreProcess


def lane(of: System, *words: str) -> tuple[int, str]:
    """Exit code and standard error of a lane that runs to the end of the log."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FOOTSTREAM_")}
    command = [sys.executable, "-m", "infra", "run", "all", "--until-end", *words]
    done = subprocess.run(command, env={**kept, **of.settings.environment()}, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr


def delete_all(of: System) -> None:
    """As retention does: every record of `raw` goes, the positions stay used."""
    s = of.settings
    if s.log().startswith("sqlite"):
        SqliteLog(s.log(), s.topic_prefix, clock=lambda: time.time() + 40 * 365 * 86_400).keeper().retain()
        return
    admin = AdminClient({"bootstrap.servers": s.log().removeprefix("kafka://")})
    for future in admin.delete_records(
        [TopicPartition(s.topic_prefix + RAW, p, OFFSET_END) for p in range(s.log_partitions)]
    ).values():
        future.result(10)


def delete_topic(of: System) -> None:
    s = of.settings
    if s.log().startswith("sqlite"):
        for file in SqliteLog(s.log(), s.topic_prefix).folder.glob("*raw.sqlite*"):
            file.unlink()
        return
    admin = AdminClient({"bootstrap.servers": s.log().removeprefix("kafka://")})
    admin.delete_topics([s.topic_prefix + RAW])[s.topic_prefix + RAW].result(10)
    log, end = open_log(s.log(), s.topic_prefix), time.monotonic() + 20
    while log.partitions(RAW) is not None and time.monotonic() < end:
        time.sleep(0.05)
    log.close()


@pytest.mark.parametrize("kind", ["sqlite", "kafka"])
def test_a_gap_stops_the_lane_and_is_stepped_over_only_when_asked_but_a_topic_made_anew_never_is(
    kind: str, store_process: StoreProcess, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    start, _ = SIZES["mini"]
    book = ledger(start, 0.2, 3)
    third = len(book.records) // 3
    url = request.getfixturevalue("kafka").url if kind == "kafka" else ""
    with system(store_process, tmp_path, book, url) as shop:
        shop.append(book.records[:third])
        assert lane(shop)[0] == 0
        log = open_log(shop.settings.log(), shop.settings.topic_prefix)
        read = {p: end for p, (_, end) in log.bounds(RAW).items()}
        shop.append(book.records[third : 2 * third])
        delete_all(shop)
        ends = {p: end for p, (_, end) in log.bounds(RAW).items()}
        shop.append(book.records[2 * third :])
        log.close()
        lost = [
            f"partition {p}: {read[p]} to {ends[p] - 1} ({ends[p] - read[p]} records)" for p in read if ends[p] > read[p] > 0
        ]
        assert lost, "the ledger fills at least one partition twice"
        code, said = lane(shop)
        assert (code, said.count("\n")) == (1, 1)
        assert "; ".join(lost) in said and "--on-gap skip" in said

        code, said = lane(shop, "--on-gap", "skip")
        assert code == 0 and "; ".join(lost) in said
        kept = shop.store.query("SELECT detail FROM quarantine WHERE reason = 'gap' ORDER BY partition_no")
        assert [row["detail"] for row in kept] == lost
        if kind == "sqlite":  # it reads the tables, which are the same
            shop.command("repair")  # the ledger has late reports
            truth = shop.command("audit")
            assert all(f"never read, the log had deleted it: {line}" in truth for line in lost)
            assert "every message has one outcome" in truth

        delete_topic(shop)
        shop.append(book.records[:10])
        before = shop.rows("observations")
        code, said = lane(shop, "--on-gap", "skip")
        assert (code, said.count("\n")) == (1, 1)
        assert "was made anew or cut: partition" in said and "FOOTSTREAM_STORE_DATABASE" in said
        assert shop.rows("observations") == before


@pytest.mark.parametrize("kind", ["sqlite", "kafka"])
def test_a_run_to_the_end_of_an_emptied_log_ends(
    kind: str, store_process: StoreProcess, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    start, _ = SIZES["mini"]
    book = ledger(start, 0.1, 3)
    url = request.getfixturevalue("kafka").url if kind == "kafka" else ""
    with system(store_process, tmp_path, book, url) as shop:
        shop.append(book.records)
        delete_all(shop)
        code, said = lane(shop)
        assert code == 0, said
        shop.append(book.records)
        code, said = lane(shop)
        assert code == 0, said
        assert shop.store.query("SELECT uniqExact(partition_no, position) AS n FROM observations")[0]["n"] > 0
