"""Lanes that lose their state, are killed, and change their number: `python -m tests.chaos.upkeep [--size mini|full] [--seed N]
[--log sqlite|kafka|both]`.

One ledger in pieces: before each piece something happens to the lanes (their recovery folders are deleted, torn, overwritten,
or made by another version; what was stored is deleted from the log; there are more lanes, or more partitions), and some runs
are killed. At the end every table says what a fresh system says that was fed the same ledger in one go.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.log import RAW, open_log
from connectors.sqlite_log import SqliteLog
from infra.lanes import Board
from infra.relane import stored_of
from infra.settings import Settings
from tests.chaos.ledger import EVERYTHING, SIZES, compare
from tests.support.kafka import kafka_broker
from tests.support.ledger import PROVENANCE, Ledger, System, Table, ledger, system
from tests.support.store import StoreProcess

HARMS = ("deleted", "truncated", "overwritten", "version", "damaged chain")
WITHOUT = {"observations": PROVENANCE, "repairs": ("mark",)}
"""A store's records may come to stand in another partition; marks only have to grow."""
PLACED = ("duplicates", "quarantine")
"""Keyed by the place in the log: only their numbers can be compared."""


class Size(NamedTuple):
    """Hours of the ledger, and what happens between its pieces: harm, cut, number of lanes, partitions."""

    hours: float
    steps: tuple[tuple[str, bool, int, int], ...]


SIZES_UPKEEP = {
    "mini": Size(0.5, (("deleted", True, 1, 8), ("damaged chain", True, 1, 8), ("", True, 2, 12))),
    "full": Size(
        18.3,
        (
            ("deleted", False, 1, 8),
            ("truncated", True, 1, 8),
            ("overwritten", True, 2, 8),
            ("version", True, 2, 8),
            ("", True, 3, 12),
            ("deleted", True, 3, 12),
            ("damaged chain", True, 3, 12),
            ("deleted", True, 1, 16),
            ("overwritten", True, 1, 16),
        ),
    ),
}


def words_of(lane: int, of: int) -> list[str]:
    return [sys.executable, "-m", "infra", "run", "all", "--lane", f"{lane}/{of}", "--until-end"]


def environment(settings: Settings) -> dict[str, str]:
    return {**{k: v for k, v in os.environ.items() if not k.startswith("FOOTSTREAM_")}, **settings.environment()}


def run_lanes(settings: Settings, of: int, kill_after: Sequence[float] = ()) -> list[str]:
    """All lanes to the end of the log at once; what each said. `kill_after`: seconds after which they are killed."""
    with ExitStack() as stack:
        made = []
        for lane in range(of):
            command, env = words_of(lane, of), environment(settings)
            process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            made.append(stack.enter_context(process))
        for process, seconds in zip(made, kill_after, strict=False):
            time.sleep(seconds)
            process.kill()
        said = []
        for lane, process in enumerate(made):
            _, words = process.communicate(timeout=600)
            assert process.returncode == (-9 if kill_after and process.returncode < 0 else 0), f"lane {lane}/{of}: {words}"
            said.append(words)
        return said


def harm(settings: Settings, kind: str, rng: Random) -> None:
    """Something happens to the recovery folders."""
    for folder in sorted((settings.data / "lanes").iterdir()):
        files = sorted((folder / "state").glob("*.sqlite3"))
        if kind == "deleted":
            shutil.rmtree(folder)
        elif kind == "version":
            (folder / "lane.json").write_text(json.dumps({"partitions": 8, "slots": 4}))
        for path in files if folder.exists() else ():
            for beside in path.parent.glob(f"{path.name}-*"):  # what the engine has not yet moved into the file
                beside.unlink()
            size = path.stat().st_size
            if kind == "truncated":
                os.truncate(path, rng.randrange(size))
            elif kind == "overwritten":
                with path.open("r+b") as file:
                    file.seek(rng.randrange(size // 2))
                    file.write(rng.randbytes(size // 2))
            elif kind == "damaged chain":
                damage_chain(path)


def damage_chain(path: Path) -> None:
    """Stores' states that the engine can read and the flows cannot."""
    import pickle
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(path)) as db, db:
        rows = db.execute("SELECT rowid, ser_change FROM snaps WHERE step_id LIKE '%.flows' AND ser_change NOT NULL").fetchall()
        for rowid, blob in rows:
            slots = {site: (due, b"\xc1" + state[1:]) for site, (due, state) in pickle.loads(blob).items()}
            db.execute("UPDATE snaps SET ser_change = ? WHERE rowid = ?", (pickle.dumps(slots), rowid))


def cut(of: System) -> None:
    """Delete from the log what the lanes have stored, as retention would."""
    settings = of.settings
    stored = {p: at for p, (at, _) in stored_of(Board(of.store, "all"), of.store).items()}
    if settings.log().startswith("kafka:"):
        admin = AdminClient({"bootstrap.servers": settings.log().removeprefix("kafka://")})
        asked = [TopicPartition(settings.topic_prefix + RAW, p, at) for p, at in stored.items() if at]
        for future in admin.delete_records(asked).values():
            future.result(20)
        return
    log = open_log(settings.log(), settings.topic_prefix)
    assert all(stored.get(p, 0) == end for p, (_, end) in log.bounds(RAW).items()), "only a log that was read may be cut here"
    SqliteLog(settings.log(), settings.topic_prefix, clock=lambda: time.time() + 40 * 365 * 86_400).keeper().retain()


class Run:
    """One run over one log. `wrong` names what the tables disagree in."""

    def __init__(self, size: Size, seed: int, book: Ledger, of: System, say: Callable[[str], None]) -> None:
        self.size, self.rng, self.book, self.of, self.say = size, Random(seed), book, of, say
        self.result: dict[str, Any] = {"rebuilt": 0, "killed": 0}

    def run(self) -> None:
        records, steps, lanes = self.book.records, self.size.steps, 1
        places = sorted(self.rng.sample(range(1, len(records)), len(steps)))
        for i, (low, high) in enumerate(zip([0, *places], [*places, len(records)], strict=True)):
            self.of.append(records[low:high])
            if self.rng.random() < 0.5:
                run_lanes(self.of.settings, lanes, [self.rng.uniform(0.3, 2.5) / lanes for _ in range(lanes)])
                self.result["killed"] += 1
            said = "".join(run_lanes(self.of.settings, lanes))
            self.result["rebuilt"] += said.count("rebuilt from")
            if i < len(steps):
                lanes = self._between(*steps[i], lanes)
        self.of.command("repair")

    def _between(self, kind: str, cut_log: bool, lanes: int, partitions: int, before: int) -> int:
        if cut_log:
            cut(self.of)
        if kind:
            harm(self.of.settings, kind, self.rng)
        there = open_log(self.of.settings.log(), self.of.settings.topic_prefix).partitions(RAW)
        if (lanes, partitions) != (before, there):
            self.of.command("lanes", "--to", str(lanes), "--partitions", str(partitions))
        self.say(f"  {kind or 'well'}{', log cut' * cut_log}, {lanes} lanes on {partitions} partitions")
        return lanes


def tables(of: System) -> dict[str, Table]:
    return {name: of.table(name, WITHOUT.get(name, ())) for name in EVERYTHING if name not in PLACED}


def differ(reference: System, of: System) -> list[str]:
    wrong = compare(tables(reference), tables(of))
    for name in PLACED:
        if reference.rows(name) != of.rows(name):
            wrong.append(f"{name}: {reference.rows(name)} rows, {of.rows(name)} here")
    return wrong


def prove(
    size: str, seed: int, store: StoreProcess, folder: Path, logs: Sequence[str], say: Callable[[str], None]
) -> tuple[list[str], dict[str, Any]]:
    """What disagrees over each of `logs` (URLs, "" for SQLite), and figures."""
    chosen, wrong, result = SIZES_UPKEEP[size], list[str](), dict[str, Any]()
    book = ledger(SIZES["full"][0] if chosen.hours > 10 else SIZES["mini"][0], chosen.hours, seed)
    with system(store, folder, book) as reference:
        reference.take(book.records)
        for url in logs:
            name = url.split(":")[0] or "sqlite"
            say(f"upkeep, seed {seed}, {name}, {len(book.sent)} messages")
            with system(store, folder, book, url) as of:
                run = Run(chosen, seed, book, of, say)
                run.run()
                found = differ(reference, of)
                of.command("audit")
            wrong += [f"{name}: {line}" for line in found]
            result[name] = {**run.result, "wrong": len(found)}
            say(f"  {'ok' if not found else 'WRONG'} {result[name]}")
            for line in found[:20]:
                say(f"    {line[:400]}")
    return wrong, result


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.chaos.upkeep")
    parser.add_argument("--size", choices=sorted(SIZES_UPKEEP), default="full")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--log", choices=("sqlite", "kafka", "both"), default="both")
    given = parser.parse_args(words)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(StoreProcess())
        logs = [""] if given.log != "kafka" else []
        if given.log != "sqlite":
            logs.append(stack.enter_context(kafka_broker()).url)
        wrong, result = prove(given.size, given.seed, store, folder, logs, lambda line: print(line, flush=True))
    print(json.dumps({"proof": "upkeep", "seed": given.seed, "size": given.size, **result}))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
