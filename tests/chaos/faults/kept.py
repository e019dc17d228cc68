"""F21: what was kept is used again, by the tests that every change runs."""

import subprocess
import sys

from tests.chaos.faults import Bench, fault


@fault(
    "F21",
    "a backup of a busy deployment is restored elsewhere; this program takes over from the last release",
    "the same tables",
)
def kept(bench: Bench) -> None:
    tests = ["tests/integration/test_backup.py", "tests/integration/test_upgrade.py"]
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", *tests], capture_output=True, text=True)
    bench.figures["tests"] = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "none"
    if done.returncode:
        bench.wrong.append(done.stdout[-3000:])
