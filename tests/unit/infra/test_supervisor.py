"""The supervisor, with small stand-ins for the roles."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from infra.errors import Problem
from infra.supervisor import Lock, Role, Supervisor

SLEEPER = "import time\nprint('up', flush=True)\ntime.sleep(60)"
STUBBORN = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)"


def role(name: str, code: str, **options: Any) -> Role:
    return Role(name, (sys.executable, "-c", code), **options)


def supervised(roles: list[Role], data: Path, work: Callable[[Supervisor], Coroutine[Any, Any, None]]) -> list[str]:
    """Run `work` beside the roles; the lines of the common stream."""
    out = io.StringIO()

    async def main() -> None:
        async with Supervisor(roles, data, os.environ, out) as supervisor:
            await asyncio.wait_for(work(supervisor), 30)

    asyncio.run(main())
    return out.getvalue().splitlines()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pid: int, seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pid)


def test_roles_start_in_the_order_of_their_needs_and_stop_in_reverse(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    code = "import signal, sys, time\nf=open({!r},'a'); f.write('{}+ '); f.flush()\n"
    code += "def end(*_):\n  f.write('{}- '); f.flush(); sys.exit(0)\nsignal.signal(signal.SIGTERM, end)\ntime.sleep(60)"

    def started(name: str) -> Callable[[int], bool]:
        return lambda pid: marks.exists() and f"{name}+" in marks.read_text()

    roles = [
        role("a", code.format(str(marks), "a", "a"), ready=started("a")),
        role("b", "pass", once=True, after=("a",)),
        role("c", code.format(str(marks), "c", "c"), ready=started("c"), after=("b",)),
    ]
    supervised(roles, tmp_path, lambda s: s.start())
    assert marks.read_text().split() == ["a+", "c+", "c-", "a-"]


def test_a_role_that_dies_is_started_again_with_growing_pauses(tmp_path: Path) -> None:
    async def work(s: Supervisor) -> None:
        await s.start()
        while s.state()["x"]["starts"] < 3:
            await asyncio.sleep(0.02)

    began = time.monotonic()
    lines = supervised([role("x", "import sys, time; print('up', flush=True); time.sleep(0.2); sys.exit(7)")], tmp_path, work)
    assert time.monotonic() - began > 0.5 + 1.0
    again = [line for line in lines if "starting it again" in line]
    assert "exit code 7" in again[0]
    assert "in 0.5 s" in again[0]
    assert "in 1 s" in again[1]


def test_a_role_killed_comes_back_with_another_pid(tmp_path: Path) -> None:
    async def work(s: Supervisor) -> None:
        await s.start()
        first = s.state()["x"]["pid"]
        os.kill(first, signal.SIGKILL)
        while s.state()["x"]["pid"] == first or not s.state()["x"]["ready"]:
            await asyncio.sleep(0.02)

    supervised([role("x", SLEEPER)], tmp_path, work)


def test_one_that_cannot_start_stops_all_and_its_last_line_says_why(tmp_path: Path) -> None:
    pids: list[int] = []

    async def work(s: Supervisor) -> None:
        try:
            await s.start()
        finally:
            pids.append(s.state()["good"]["pid"])

    bad = role("bad", "import sys; sys.exit('footstream: port 1 is taken')", ready=lambda pid: False, after=("good",))
    with pytest.raises(Problem, match=r"bad: could not start .*port 1 is taken"):
        supervised([role("good", SLEEPER), bad], tmp_path, work)
    assert gone(pids[0])


def test_a_program_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="cannot run /nowhere/program"):
        supervised([Role("x", ("/nowhere/program",))], tmp_path, lambda s: s.start())


def test_one_that_never_gets_ready_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"not ready after 0\.3 s"):
        supervised([role("x", SLEEPER, ready=lambda pid: False, start_s=0.3)], tmp_path, lambda s: s.start())


def test_one_that_ignores_sigterm_is_killed_after_its_grace_time(tmp_path: Path) -> None:
    pids: list[int] = []

    async def work(s: Supervisor) -> None:
        await s.start()
        pids.append(s.state()["x"]["pid"])
        await asyncio.sleep(0.3)  # the interpreter has to reach the line that ignores the signal

    lines = supervised([role("x", STUBBORN, grace_s=0.3)], tmp_path, work)
    assert any("killed" in line for line in lines)
    assert gone(pids[0])


def test_lines_carry_the_name_of_their_role(tmp_path: Path) -> None:
    lines = supervised([role("talker", "print('one'); print('two')", once=True)], tmp_path, lambda s: s.start())
    assert lines == ["talker    one", "talker    two"]


def test_a_stream_that_takes_no_lines_does_not_stop_the_reading_of_the_roles(tmp_path: Path) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    talker = role("talker", "for n in range(100_000): print('a line of a few bytes', n)", once=True)

    async def main() -> None:
        async with Supervisor([talker], tmp_path, os.environ, Full()) as supervisor:
            await asyncio.wait_for(supervisor.start(), 30)

    asyncio.run(main())  # it would hang: the pipe of the role is full, nobody reads it


def test_a_full_disk_is_one_line_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "up.lock").symlink_to("/dev/full")
    with pytest.raises(Problem, match="FOOTSTREAM_DATA"):
        Lock(tmp_path)


def test_a_second_supervisor_on_the_same_data_is_refused(tmp_path: Path) -> None:
    first = Lock(tmp_path)
    with pytest.raises(Problem, match=f"process {os.getpid()} runs there already"):
        Lock(tmp_path)
    first.close()
    Lock(tmp_path).close()


PROGRAM = """
import asyncio, os, sys
from pathlib import Path
from infra.supervisor import Role, Supervisor

async def main():
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    roles = [Role(n, (sys.executable, "-c", code)) for n in ("a", "b")]
    async with Supervisor(roles, Path(sys.argv[1]), os.environ, sys.stderr) as s:
        await s.start()
        print(*[c["pid"] for c in s.state().values()], flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_kill_9_of_the_supervisor_leaves_no_orphan(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        pids = [int(p) for p in program.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(alive, pids))
        program.kill()
        program.wait(10)
    assert all(map(gone, pids))
    Lock(tmp_path).close()  # the lock went with it
