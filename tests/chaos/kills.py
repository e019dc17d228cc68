"""kill -9 of bridge, lane, store and notifier at seeded moments: `python -m tests.chaos.kills [--size mini|full] [--seed N]
[--log sqlite|kafka|both]`.

A chain of stores publishes over a real mosquitto; one role after the other is killed in the middle of its work and started
again. At the end nothing is lost, nothing doubled, `audit` is clean, and the receiver has every alert once (repeats of one id
are allowed: the notifier may die between the post and its note).
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.stage import LARGE, Size, Stage
from tests.support.kafka import kafka_broker

ROLES = ("bridge", "lane", "store", "notifier")
SIZES = {"mini": (Size(6, 6, 60), 1), "full": (LARGE, 10)}
"""Size, and kills of each role."""


def run(size: str, seed: int, log_url: str, folder: Path, say: Callable[[str], None]) -> Stage:
    """The stage as it was at the end; `wrong` is empty when all is well."""
    chosen, kills = SIZES[size]
    with Stage(chosen, seed, log_url, folder, say) as stage:
        say(f"kills, seed {seed}, {log_url.split(':')[0] or 'sqlite'}: {stage.result}")
        victims = [role for role in ROLES for _ in range(kills)]
        stage.rng.shuffle(victims)
        stage.kill_in_pieces(victims, (0.0, 1.5))
        stage.prove()
    say(f"  {'ok' if not stage.wrong else 'WRONG'} {stage.result}")
    for line in stage.wrong[:20]:
        say(f"    {line}")
    return stage


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.chaos.kills")
    parser.add_argument("--size", choices=sorted(SIZES), default="full")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--log", choices=("sqlite", "kafka", "both"), default="both")
    given = parser.parse_args(words)
    said: dict[str, Any] = {"proof": "kills", "seed": given.seed}
    wrong = 0
    for name in ("sqlite", "kafka") if given.log == "both" else (given.log,):
        with tempfile.TemporaryDirectory() as folder:
            if name == "kafka":
                with kafka_broker() as kafka:
                    made = run(given.size, given.seed, kafka.url, Path(folder), lambda line: print(line, flush=True))
            else:
                made = run(given.size, given.seed, "", Path(folder), lambda line: print(line, flush=True))
        said[name] = {**made.result, "wrong": len(made.wrong)}
        wrong += len(made.wrong)
    print(json.dumps(said))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
