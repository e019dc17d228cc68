"""One ledger through both logs, twice, and in any order: `python -m tests.chaos.ledger [--size mini|full] [--seed N]`.

(a) Into a fresh system through either log it gives equal tables and transition ids. (b) Appended again, in order or shuffled,
it changes no cell and sends nothing. (c) Shuffled into a fresh system, observations without provenance, minutes, roll-ups and,
after `repair`, occupancy are equal. Every comparison is over all rows and all columns of the plain views.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from connectors.log import TRANSITIONS, open_log
from infra.settings import Settings
from tests.support.kafka import kafka_broker
from tests.support.ledger import FIGURES, PROVENANCE, Ledger, System, Table, differences, ledger, system
from tests.support.logs import read_all
from tests.support.store import StoreProcess

EVERYTHING = (
    "observations",
    "duplicates",
    "quarantine",
    *FIGURES,
    "door_factors",
    "anomalies",
    "transitions",
    "devices",
    "repairs",
)
GROWS = ("duplicates", "quarantine", "devices")
"""What a copy may add to: it is counted, garbage is refused again, and a device has sent one message more."""
SIZES = {"mini": (1_771_986_000, 1.5), "full": (1_771_966_800, 18.3)}
"""Start (02:20 UTC; 21:00 UTC the evening before) and hours: no store's day ends before."""


def tables(of: System, names: tuple[str, ...], without: tuple[str, ...] = ()) -> dict[str, Table]:
    return {name: of.table(name, without) for name in names}


def compare(a: dict[str, Table], b: dict[str, Table]) -> list[str]:
    return [line for name in a for line in differences(name, a[name], b[name])]


def said(settings: Settings) -> list[str]:
    """Ids of the transitions in the log, each once."""
    log = open_log(settings.log(), settings.topic_prefix)
    try:
        return sorted({json.loads(row[4])["transition_id"] for row in read_all(log, TRANSITIONS)})
    finally:
        log.close()


def transition_records(settings: Settings) -> int:
    log = open_log(settings.log(), settings.topic_prefix)
    try:
        return sum(end - first for first, end in log.bounds(TRANSITIONS).values())
    finally:
        log.close()


class Proof:
    """The three properties over one ledger; `wrong` names every disagreement."""

    def __init__(
        self, book: Ledger, store: StoreProcess, folder: Path, kafka: str, seed: int, say: Callable[[str], None]
    ) -> None:
        """`kafka`: URL of a broker. `folder`: an empty one. `say` gets one line for each step."""
        self.book, self.store, self.folder, self.kafka, self.seed, self.say = book, store, folder, kafka, seed, say
        self.wrong: list[str] = []
        self.result: dict[str, Any] = {"seed": seed, "messages": len(book.sent), **book.outcomes()}

    def note(self, step: str, wrong: list[str], began: float) -> None:
        self.wrong += [f"{step}: {line}" for line in wrong]
        self.result[step] = len(wrong)
        self.say(f"{step:<46} {'ok' if not wrong else 'WRONG'}  {time.monotonic() - began:6.1f} s")
        for line in wrong[:20]:
            self.say(f"    {line}")

    def run(self, whole: bool) -> None:
        """`whole`: (b) in both orders and (c) on both logs; else each once."""
        with ExitStack() as stack:
            first = stack.enter_context(system(self.store, self.folder, self.book))
            self.first_run(first)
            with system(self.store, self.folder, self.book, self.kafka) as second:
                self.either_log(first, second)
                self.again("kafka", second, ("in order", "shuffled") if whole else ("in order",))
            self.again("sqlite", first, ("in order", "shuffled") if whole else ("shuffled",))
            self.shuffled("sqlite", "", first)
            if whole:
                self.shuffled("kafka", self.kafka, first)

    def first_run(self, first: System) -> None:
        began = time.monotonic()
        first.take(self.book.records)
        wrong = first.balance(self.book)
        expected = self.book.outcomes()
        got = {
            "stored": first.store.query("SELECT uniqExact(partition_no, position) AS n FROM observations")[0]["n"],
            "duplicate": first.rows("duplicates"),
            "quarantined": first.store.query("SELECT uniqExact(partition_no, position) AS n FROM quarantine WHERE partial = 0")[
                0
            ]["n"],
        }
        if got != expected:
            wrong.append(f"outcomes: sent {expected}, tables {got}")
        first.command("audit")
        self.result["transitions"] = len(said(first.settings))
        self.result["rows"] = {name: first.rows(name) for name in FIGURES}
        if not self.result["transitions"] or not all(self.result["rows"].values()):
            wrong.append(f"nothing to compare: {self.result}")
        self.note("ledger equals tables, audit clean", wrong, began)

    def either_log(self, first: System, second: System) -> None:
        """(a)"""
        began = time.monotonic()
        second.take(self.book.records)
        wrong = compare(tables(first, EVERYTHING), tables(second, EVERYTHING))
        if said(first.settings) != said(second.settings):
            wrong.append("transition ids in the logs differ")
        self.note("(a) both logs, equal tables and transitions", wrong, began)

    def again(self, name: str, of: System, orders: tuple[str, ...]) -> None:
        """(b)"""
        for order in orders:
            records = self.book.records if order == "in order" else self.book.shuffled(self.seed + 1)
            began = time.monotonic()
            kept = tuple(n for n in EVERYTHING if n not in GROWS)
            before, sent, grown = tables(of, kept), transition_records(of.settings), of.rows("duplicates")
            of.take(records)
            wrong = compare(before, tables(of, kept))
            if transition_records(of.settings) != sent:
                wrong.append("transitions were sent again")
            outcomes = self.book.outcomes()
            more = of.rows("duplicates") - grown
            if more != outcomes["stored"] + outcomes["duplicate"]:
                wrong.append(f"{more} more duplicates, {outcomes} sent")
            self.note(f"(b) again {order}, {name}", wrong, began)

    def shuffled(self, name: str, url: str, first: System) -> None:
        """(c)"""
        began = time.monotonic()
        with system(self.store, self.folder, self.book, url) as fresh:
            fresh.take(self.book.shuffled(self.seed + 2))
            wrong = compare(tables(first, ("observations",), PROVENANCE), tables(fresh, ("observations",), PROVENANCE))
            wrong += compare(tables(first, FIGURES), tables(fresh, FIGURES))
            self.note(f"(c) shuffled into a fresh system, {name}", wrong, began)


def prove(size: str, seed: int, store: StoreProcess, folder: Path, kafka: str, say: Callable[[str], None]) -> Proof:
    start, hours = SIZES[size]
    book = ledger(start, hours, seed)
    say(f"ledger of {len(book.sent)} messages, seed {seed}: {book.outcomes()}")
    proof = Proof(book, store, folder, kafka, seed, say)
    proof.run(whole=size == "full")
    return proof


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.chaos.ledger")
    parser.add_argument("--size", choices=sorted(SIZES), default="full")
    parser.add_argument("--seed", type=int, default=20)
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder, StoreProcess() as store, kafka_broker() as kafka:
        proof = prove(given.size, given.seed, store, Path(folder), kafka.url, lambda line: print(line, flush=True))
    print(json.dumps({"proof": "ledger", **proof.result, "wrong": len(proof.wrong)}))
    return int(bool(proof.wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
