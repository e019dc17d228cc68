"""Lanes that must not run are refused in one line with the remedy. Lost states: tests/chaos/upkeep.py."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import infra.lanes
from connectors.clickhouse import Store
from connectors.log import RAW, open_log
from infra.errors import Problem
from infra.lanes import Board, Claim
from infra.settings import Settings
from tests.chaos.upkeep import environment, words_of
from tests.integration.test_lane_faults import small
from tests.support.ledger import System, system
from tests.support.store import StoreProcess


def claim(store: Store, holder: str, lane: int = 0, of: int = 1, partitions: int = 8) -> Claim:
    return Claim(Board(store, "all"), holder, lane, of, partitions)


def refused(one: Claim, *others: str) -> str:
    with pytest.raises(Problem) as said:
        one.take(list(others))
    return str(said.value)


def test_the_first_lane_sets_the_layout_and_another_number_of_lanes_is_refused(store: Store) -> None:
    first = claim(store, "a", 0, 2)
    first.take([])
    assert claim(store, "b", 1, 2).take([]).of == 2
    assert "has 2 lanes" in refused(claim(store, "c", 0, 3)) and "`footstream lanes --to 3`" in refused(claim(store, "c", 0, 3))
    first.leave({})
    assert "has 2 lanes" in refused(claim(store, "a", 0, 1))


def test_a_log_with_another_number_of_partitions_is_refused(store: Store) -> None:
    claim(store, "a").take([])
    assert "`footstream lanes --partitions 12`" in refused(claim(store, "a", partitions=12))


def test_a_lane_that_runs_on_another_machine_is_not_started_twice(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = claim(store, "here")
    first.take([])
    assert "runs already" in refused(claim(store, "there"))
    assert first.beat({0: (10, 1)}, False) == ""
    claim(store, "here").take([])  # the same folder: whoever holds its lock is the only one
    first.leave({0: (10, 1)})
    claim(store, "there").take([])
    monkeypatch.setattr(infra.lanes, "STALE_S", 0)
    claim(store, "elsewhere").take([])  # nothing was heard of it for too long: dead


def test_a_lane_that_was_taken_over_while_it_stood_still_stops(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = claim(store, "here"), claim(store, "there")
    first.take([])
    with monkeypatch.context() as still:
        still.setattr(infra.lanes, "STALE_S", 0)
        second.take([])
    assert "taken this lane over" in first.beat({}, True)
    first.leave({})
    assert second.beat({}, True) == ""


def test_lanes_stop_when_they_are_asked_and_do_not_start_meanwhile(store: Store) -> None:
    board, lane = Board(store, "all"), claim(store, "a")
    lane.take([])
    board.ask("drain")
    assert lane.beat({}, caught_up=False) == ""
    assert "asked to stop" in lane.beat({}, caught_up=True)
    assert "being changed" in refused(claim(store, "a"))
    board.ask("none")
    claim(store, "a").take([])


def test_a_layout_that_changed_ends_the_lanes_of_the_old_one(store: Store) -> None:
    lane = claim(store, "a")
    lane.take([])
    Board(store, "all").set_layout(3, 8, {})
    assert "3 lanes" in lane.beat({}, False)


def test_folders_of_another_number_of_lanes_from_before_there_was_a_board_are_noticed(store: Store) -> None:
    assert "`footstream lanes --to 2`" in refused(claim(store, "a", 0, 2), "/data/lanes/all-0-of-1")


def test_what_a_lane_has_stored_outlives_its_seat(store: Store) -> None:
    one = claim(store, "a")
    one.take([])
    one.beat({3: (70, 7000)}, False)
    one.leave({})
    claim(store, "a").take([])
    assert Board(store, "all").seats()[0].positions == {3: (70, 7000)}


@contextmanager
def live(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """A lane that runs until the end of the block."""
    command = words_of(0, 1)[:-1]
    with subprocess.Popen(command, env=environment(settings), stderr=subprocess.PIPE, text=True) as process:
        try:
            board = Board(System(settings).store, "all")
            end = time.monotonic() + 60
            while not any(s.alive and s.pid == process.pid and s.state == "running" for s in board.seats()):
                assert time.monotonic() < end and process.poll() is None, "the lane does not run"
                time.sleep(0.1)
            yield process
        finally:
            process.kill()


def test_lanes_of_real_processes_are_refused_and_their_number_is_changed_while_they_run(
    store_process: StoreProcess, tmp_path: Path
) -> None:
    with system(store_process, tmp_path, small()) as of:
        log = open_log(of.settings.log(), of.settings.topic_prefix)
        with live(of.settings) as process:
            elsewhere = replace(of.settings, data=tmp_path / "elsewhere", log_url=of.settings.log())
            twin = subprocess.run(words_of(0, 1), env=environment(elsewhere), capture_output=True, text=True, timeout=60)
            assert twin.returncode == 1 and "runs already" in twin.stderr and len(twin.stderr.splitlines()) == 1
            other = subprocess.run(words_of(0, 2), env=environment(of.settings), capture_output=True, text=True, timeout=60)
            assert other.returncode == 1 and "`footstream lanes --to 2`" in other.stderr
            said = of.command("lanes", "--to", "2", "--partitions", "10")
            assert "2 on 10 partitions" in said and process.wait(20) == 0
        assert log.partitions(RAW) == 10
        one = subprocess.run(words_of(0, 1), env=environment(of.settings), capture_output=True, text=True, timeout=60)
        assert one.returncode == 1 and "has 2 lanes" in one.stderr
        assert "layout: 2 lanes on 10 partitions" in of.command("lanes")
