"""F7: the disk of log, recovery store and outbox is full. A small one of memory, in a mount namespace of its own."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from tests.chaos.faults import Bench, fault

DISK = Path("/mnt")
SIZE_MIB = 150
FULL_S = 20


@fault("F7", f"the disk of log, lane and notifier is full for {FULL_S} s, twice", "nothing lost, nothing damaged, all goes on")
def disk_full(bench: Bench) -> None:
    mounted = f'mount -t tmpfs -o size={SIZE_MIB}m none {DISK} && exec "$@"'
    inside = [sys.executable, "-m", "tests.chaos.faults.disk", str(bench.seed), str(bench.folder)]
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", mounted, "sh", *inside]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=900)
    if done.returncode:
        raise RuntimeError(f"ended with {done.returncode}; it needs util-linux and user namespaces")
    found = json.loads(done.stdout.splitlines()[-1])
    bench.wrong += found["wrong"]
    bench.figures |= found["figures"]


def _inside(bench: Bench) -> None:
    url = f"sqlite:///{DISK / 'log'}"
    with bench.stage(log_url=url, changed=lambda settings: replace(settings, data=DISK / "data")) as stage:
        for number, piece in enumerate(stage.pieces(3)):
            stage.publish(piece[: len(piece) // 2])
            if number < 2:
                foreign = _fill(DISK / "foreign")
                bench.figures["foreign_mib"] = foreign >> 20
                stage.publish(piece[len(piece) // 2 :])
                time.sleep(FULL_S)
                (DISK / "foreign").unlink()
            else:
                stage.publish(piece[len(piece) // 2 :])
        bench.prove(stage)


def _fill(path: Path) -> int:
    """Write until the disk is full; how many bytes."""
    with path.open("wb", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2
    return path.stat().st_size


if __name__ == "__main__":
    here = Bench(int(sys.argv[1]), Path(sys.argv[2]), lambda line: print(f"    {line}", file=sys.stderr, flush=True))
    _inside(here)
    print(json.dumps({"wrong": here.wrong, "figures": here.figures}))
