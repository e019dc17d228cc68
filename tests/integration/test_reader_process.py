"""A lane that reads through a process of its own: killed, stopped, and beside one that reads by itself."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.chaos.ledger import EVERYTHING, compare, tables
from tests.integration.test_lane_faults import small
from tests.support.ledger import System, system
from tests.support.processes import gone
from tests.support.store import StoreProcess


def start(of: System, fault: str, *words: str) -> "subprocess.Popen[str]":
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FOOTSTREAM_")}
    command = [sys.executable, "-m", "tests.support.faulty_lane", fault, "run", "all", *words]
    return subprocess.Popen(command, env={**kept, **of.settings.environment()}, stderr=subprocess.PIPE, text=True)


def test_a_process_that_is_killed_in_a_run_stops_the_lane_and_started_again_the_tables_are_equal(
    store_process: StoreProcess, tmp_path: Path
) -> None:
    book = small()
    with system(store_process, tmp_path, book) as plain, system(store_process, tmp_path, book) as helped:
        plain.take(book.records)
        helped.append(book.records)
        lane = start(helped, "kill-reader:20", "--until-end")
        said = lane.communicate(timeout=60)[1]
        assert lane.returncode == 1 and re.search(r"process \d+, which reads it for this lane, was ended by signal 9", said), (
            said
        )
        again = start(helped, "helped:1", "--until-end")
        said = again.communicate(timeout=60)[1]
        assert again.returncode == 0 and "reads the log until" in said, said
        helped.command("repair")
        assert compare(tables(plain, EVERYTHING), tables(helped, EVERYTHING)) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_process_ends_with_its_lane(store_process: StoreProcess, tmp_path: Path, number: signal.Signals) -> None:
    book = small()
    with system(store_process, tmp_path, book) as shop:
        shop.append(book.records)
        lane = start(shop, "helped:1")
        assert lane.stderr is not None
        said = ""
        while (found := re.search(r"process (\d+) reads the log", said)) is None:
            line = lane.stderr.readline()
            assert line, said
            said += line
        began = time.monotonic()
        lane.send_signal(number)
        assert gone(int(found[1]))
        said += lane.communicate(timeout=30)[1]
        assert lane.returncode == (-9 if number == signal.SIGKILL else 0), said
        assert time.monotonic() - began < 10 and "Traceback" not in said
