"""The embedded broker under the supervisor: it answers, comes back, and does not outlive a supervisor that is killed."""

import subprocess
import sys
import time
from pathlib import Path

from tests.support.mqtt import publish, wait_for_port
from tests.support.ports import free_port

PROGRAM = """
import asyncio, os, sys
from pathlib import Path
from infra.roles import roles_of
from infra.settings import load
from infra.supervisor import Supervisor

async def main():
    settings = load(environment={}, folder=Path(sys.argv[1]), data=Path(sys.argv[1]), mqtt_port=int(sys.argv[2]))
    roles = [role for role in roles_of(settings) if role.name == "broker"]
    async with Supervisor(roles, settings.data, os.environ, sys.stderr) as s:
        await s.start()
        print("ready", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def broker_pids(folder: Path) -> list[int]:
    """Processes whose command line names this folder's broker."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(folder / "broker").encode() in command:
                found.append(int(entry.name))
    return found


def test_the_broker_ends_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(port)], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        wait_for_port(port)
        assert publish(port, [("a", b"1")]) == 1
        assert broker_pids(tmp_path)
        program.kill()
        program.wait(10)
    end = time.monotonic() + 10
    while broker_pids(tmp_path) and time.monotonic() < end:
        time.sleep(0.05)
    assert broker_pids(tmp_path) == []
