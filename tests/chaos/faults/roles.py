"""F1 to F4: one of our roles, or the store, is killed."""

import time
from pathlib import Path

from tests.chaos.faults import Bench, fault
from tests.chaos.stage import LARGE, Stage, wait


@fault("F1", "kill -9 of the bridge, 30 times in 20,000 messages", "nothing lost, nothing doubled")
def bridge(bench: Bench) -> None:
    with bench.stage(LARGE) as stage:
        stage.kill_in_pieces(["bridge"] * 30, (0.0, 0.45))
        bench.prove(stage)


@fault("F2", "kill -9 of the lane 20 times: anywhere, in its first moments, while a snapshot is written", "the same")
def lane(bench: Bench) -> None:
    with bench.stage() as stage:
        kinds = ["anywhere"] * 8 + ["first moments"] * 6 + ["snapshot"] * 6
        stage.rng.shuffle(kinds)
        for kind, piece in zip([*kinds, ""], stage.pieces(len(kinds) + 1), strict=True):
            stage.publish(piece)
            if kind:
                _kill_lane(stage, kind)
        stage.result["kills"] = len(kinds)
        bench.prove(stage)


def _kill_lane(stage: Stage, kind: str) -> None:
    if kind == "first moments":
        time.sleep(stage.rng.uniform(0.2, 1.5))  # it may not even have said that it is there
    else:
        stage.alive("lane")
        if kind == "snapshot":
            _snapshot_begins(stage.system.settings.data / "lanes")
        else:
            time.sleep(stage.rng.uniform(0.0, 1.5))
    stage.roles.kill("lane")
    stage.roles.start("lane")


def _snapshot_begins(folder: Path) -> None:
    """Return as soon as a recovery store is written to."""

    def sizes() -> dict[Path, int]:
        return {p: p.stat().st_mtime_ns for p in folder.glob("*/state/*.sqlite3-wal")}

    before = sizes()
    wait("a snapshot", lambda: sizes() != before, 60)


@fault("F3", "kill -9 of the store, 12 times", "the same")
def store(bench: Bench) -> None:
    with bench.stage() as stage:
        stage.kill_in_pieces(["store"] * 12, (0.0, 1.0))
        bench.prove(stage)


@fault("F4", "kill -9 of notifier and lane, 10 times each", "every alert once, firing and resolved in turn")
def notifier(bench: Bench) -> None:
    with bench.stage() as stage:
        victims = ["notifier", "lane"] * 10
        stage.rng.shuffle(victims)
        stage.kill_in_pieces(victims, (0.0, 0.8))
        bench.prove(stage)
