"""The embedded log and the state of a lane on a disk that is really full: 20 MiB of memory in a namespace of its own."""

import subprocess
import sys
from pathlib import Path

SCENARIO = """
import os, sqlite3, time
from connectors.log import LogFull, NewRecord
from connectors.sqlite_log import SqliteLog
from tests.support.logs import read_all

clock, taken = [10_000.0], []
log = SqliteLog("sqlite:////mnt/log", "t.", clock=lambda: clock[0], ballast_bytes=4 << 20)
log.ensure_topic("raw", 2, 3600)
writer = log.writer()

def put(number):
    try:
        writer.append_many("raw", [NewRecord(f"k{number}", b"%08d" % number + os.urandom(3000), int(clock[0] * 1000))])
    except LogFull:
        return False
    taken.append(number)
    return True

def put_within(number, seconds=10):
    end = time.monotonic() + seconds
    while not put(number):
        assert time.monotonic() < end, "no room again"
        time.sleep(0.05)

def kept():
    return sorted(int(row[4][:8]) for row in read_all(log, "raw"))

def fill(first):
    number = first
    while put(number):
        number += 1
    assert not put(number + 1)

fill(0)
assert kept() == taken and len(taken) > 2000, "a full disk lost or invented records"
first = len(taken)
clock[0] += 7200          # what is stored is too old now: deleting needs room, too
for number in range(1_000_000, 1_000_300):
    put_within(number)
assert kept() == taken[first:], "only what was due may go"
with open("/mnt/foreign", "wb") as file:   # somebody else fills the disk
    try:
        while True:
            file.write(bytes(65536))
            file.flush()
    except OSError:
        pass
fill(2_000_000)
assert kept() == taken[first:]
os.unlink("/mnt/foreign")
put_within(3_000_000)
writer.close()
assert kept() == taken[first:]
assert os.path.getsize("/mnt/log/ballast") == 4 << 20
assert sqlite3.connect("/mnt/log/t.raw.sqlite").execute("PRAGMA integrity_check").fetchall() == [("ok",)]
print("kept", len(taken) - first)
"""


LANE_STATE = """
from pathlib import Path
from types import SimpleNamespace
from infra.engine import Engine
from infra.errors import Problem

class Log:
    polls = 0
    def start(self, resume):
        with open("/mnt/foreign", "wb", buffering=0) as file:
            try:
                while file.write(bytes(65536)) == 65536:
                    pass
            except OSError:
                pass
    def poll(self):
        self.polls += 1
        return [SimpleNamespace(key="slot")] if self.polls < 50 else None
    def position(self):
        return "x" * 100_000

class Nothing:
    def write(self, items): pass
    def durable(self): pass
    def handle(self, items): return items
    def snapshot(self): return "y" * 100_000

def failed(error):
    raise error

spread = lambda items: [("slot", item) for item in items]
engine = Engine(Log(), spread, lambda key, saved: Nothing(), Nothing(), Path("/mnt/state"), 1, failed)
try:
    engine.run()
except Problem as problem:
    print(problem)
"""


def on_small_disk(tmp_path: Path, scenario: str) -> str:
    """What a script said that has 20 MiB at /mnt."""
    script = tmp_path / "scenario.py"
    script.write_text(scenario)
    mounted = 'mount -t tmpfs -o size=20m none /mnt && exec "$@"'
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", mounted, "sh", sys.executable, str(script)]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"}
    )
    assert done.returncode == 0, f"needs util-linux and user namespaces: {done.stderr}"
    return done.stdout


def test_a_full_disk_loses_nothing_and_the_log_goes_on_when_retention_or_a_person_made_room(tmp_path: Path) -> None:
    assert on_small_disk(tmp_path, SCENARIO).startswith("kept ")


def test_a_lane_whose_state_finds_no_room_ends_with_one_line_that_says_so(tmp_path: Path) -> None:
    said = on_small_disk(tmp_path, LANE_STATE)
    assert said.startswith("run: the disk of /mnt/state is full") and "make room" in said
