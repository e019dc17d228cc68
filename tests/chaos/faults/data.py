"""F8 to F12, F18: what is said is doubled, late, broken, in another form, or by a wrong clock."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any
from unittest.mock import patch

from connectors.log import NewRecord, RecordRefused
from operators.simulator import stream
from schemas.sensors import MAX_BYTES, decode
from tests.chaos.faults import Bench, fault
from tests.chaos.ledger import SIZES, compare, tables
from tests.integration.test_lane_faults import POISON, lane
from tests.support.ledger import FIGURES, PROVENANCE, Ledger, System, ledger, system
from tests.support.store import StoreProcess

START, _ = SIZES["mini"]
HOURS = 1.5
DECODE_S = 0.010
OUTCOMES = {
    "stored": "SELECT uniqExact(partition_no, position) AS n FROM observations",
    "duplicate": "SELECT uniqExact(partition_no, position) AS n FROM duplicates",
    "quarantined": "SELECT uniqExact(partition_no, position) AS n FROM quarantine WHERE partial = 0",
}


@contextmanager
def _systems(bench: Bench, book: Ledger, number: int) -> Iterator[list[System]]:
    with StoreProcess() as store:
        opened = [system(store, bench.folder, book) for _ in range(number)]
        made = [one.__enter__() for one in opened]
        try:
            yield made
        finally:
            for one in opened:
                one.__exit__(None, None, None)


def _outcomes(of: System) -> dict[str, int]:
    return {word: int(of.store.query(sql)[0]["n"]) for word, sql in OUTCOMES.items()}


def _expect(bench: Bench, of: System, records: int, **outcomes: int) -> None:
    """Every record has one outcome, and as many as said have that one. Figures and observations agree."""
    got = _outcomes(of)
    bench.figures |= {"messages": records, **got}
    if sum(got.values()) != records:
        bench.wrong.append(f"{records} records, but {got}")
    bench.wrong += [f"{word}: {got[word]}, expected {n}" for word, n in outcomes.items() if got[word] != n]
    try:
        of.command("audit")
    except AssertionError as error:
        bench.wrong.append(str(error)[:2000])


def _same_figures(bench: Bench, a: System, b: System) -> None:
    bench.wrong += compare(tables(a, ("observations",), PROVENANCE), tables(b, ("observations",), PROVENANCE))
    bench.wrong += compare(tables(a, FIGURES), tables(b, FIGURES))


@fault(
    "F8", "clocks of lane and notifier 30 days ahead, then an hour behind", "nothing lost, alerts firing and resolved in turn"
)
def wrong_clock(bench: Bench) -> None:
    with bench.stage() as stage:
        for shift, piece in zip((0, 30 * 86_400, -3600, 0), stage.pieces(4), strict=True):
            for role in ("lane", "notifier"):
                stage.roles.stop(role)
                stage.roles.programs[role] = ("-m", "tests.support.shifted_clock", str(shift))
                stage.start(role)
            stage.publish(piece)
            time.sleep(5)
        bench.prove(stage)


@fault("F9", "every message three times, out of order within 1,000", "the same tables as once and in order")
def copies_and_disorder(bench: Bench) -> None:
    book, rng = ledger(START, HOURS, bench.seed), Random(bench.seed)
    records = [r for r in book.records for _ in range(3)]
    blocks = [records[i : i + 1000] for i in range(0, len(records), 1000)]
    for block in blocks:
        rng.shuffle(block)
    with _systems(bench, book, 2) as (once, often):
        once.take(book.records)
        often.take([r for block in blocks for r in block])
        _same_figures(bench, once, often)
        expected = book.outcomes()
        _expect(bench, often, len(records), stored=expected["stored"], quarantined=3 * expected["quarantined"])


def garbage(rng: Random, samples: Sequence[bytes]) -> list[bytes]:
    """What no decoder may take: broken in every way that reliability.md 5.2 names."""
    broken = [s[: rng.randrange(1, len(s))] for s in samples[:300]]
    broken += [bytes(b ^ 0x80 if rng.random() < 0.2 else b for b in s) for s in samples[:300]]
    broken += [b"[" * 100_000, b'{"a":' * 100_000, b'{"a": NaN}', b'{"a": 1e400}', b'{"a": "\\ud800"}', b"\xff\xfe", b""]
    broken += [b'{"devEUI": 5, "devEUI": []}', b"x" * (1 << 20), b"{" + b'"k": 1,' * 150_000 + b'"z": 1}', b"9" * 1_000_000]
    return broken


@fault("F10", "cut, flipped, of wrong type, nested 100,000 deep, of 1 MiB, NaN, 1e400", "one outcome each, 10 ms at most each")
def broken_payloads(bench: Bench) -> None:
    book, rng = ledger(START, HOURS, bench.seed), Random(bench.seed)
    records, bad = list(book.records), garbage(rng, [s.payload for s in book.sent if s.windows])
    worst = max(min(_cpu(lambda p=p: decode(p)) for _ in range(5)) for p in bad if len(p) <= MAX_BYTES)  # type: ignore[misc]
    bench.figures["longest_ms"] = round(worst * 1000, 2)
    if worst > DECODE_S:
        bench.wrong.append(f"decoding took {worst * 1000:.1f} ms")
    refused = 0
    with _systems(bench, book, 1) as (of,):
        for payload in bad:
            at = rng.randrange(len(records))
            record = records[at]._replace(value=payload)
            if len(payload) < 900_000:
                records.insert(at, record)
                continue
            try:
                of.append([record])
                bench.wrong.append(f"the log took {len(payload)} bytes")
            except RecordRefused:
                refused += 1
        bench.figures["too_large"] = refused
        of.take(records)
        _expect(bench, of, len(records), stored=book.outcomes()["stored"])
        bench.wrong += of.balance(book)


def _cpu(do: Callable[[], object]) -> float:
    began = time.process_time()
    do()
    return time.process_time() - began


@fault("F11", "a message that makes an operator raise", "quarantined after three tries, all others counted")
def poison(bench: Bench) -> None:
    book = ledger(START, 1.0, bench.seed)
    bad = next(s for s in book.sent if s.windows and s.payload.startswith(b"{"))
    poisoned = json.dumps({**json.loads(bad.payload), "note": POISON.decode()}).encode()
    records = [r._replace(value=poisoned) if r.value == bad.payload else r for r in book.records]
    copies = sum(r.value == poisoned for r in records)
    kept = Ledger(book.chain, [s for s in book.sent if s.payload != bad.payload])
    with _systems(bench, book, 1) as (of,):
        of.append(records)
        lane(of, f"raise-on:{POISON.decode()}")
        of.command("repair")
        put_aside = int(of.store.query("SELECT count() AS n FROM quarantine WHERE reason = 'poison'")[0]["n"])
        if put_aside != copies:
            bench.wrong.append(f"{put_aside} records put aside, {copies} were poison")
        _expect(bench, of, len(records), stored=kept.outcomes()["stored"])
        bench.wrong += of.balance(kept)


def _objects(book: Ledger, change: Callable[[dict[str, Any]], dict[str, Any]], share: float, rng: Random) -> list[NewRecord]:
    """The records, a share of the JSON objects among them changed; copies alike."""
    changed: dict[bytes, bytes] = {}
    for s in book.sent:
        if s.windows and s.payload.startswith(b"{") and rng.random() < share:
            changed[s.payload] = json.dumps(change(json.loads(s.payload))).encode()
    return [r._replace(value=changed.get(r.value, r.value)) for r in book.records]


@fault("F12", "new firmware: a field more in every object", "the same tables as before")
def field_more(bench: Bench) -> None:
    book = ledger(START, HOURS, bench.seed)
    records = _objects(book, lambda o: {**o, "fw_new": {"mode": [1, 2]}, "fw_flag": True}, 1.0, Random(bench.seed))
    with _systems(bench, book, 2) as (old, new):
        old.take(book.records)
        new.take(records)
        _same_figures(bench, old, new)
        _expect(bench, new, len(records), stored=book.outcomes()["stored"])


@fault(
    "F12",
    "new firmware: fields renamed, missing, or numbers as words in a third of the objects",
    "one outcome each, no lane ends",
)
def fields_changed(bench: Bench) -> None:
    book, rng = ledger(START, HOURS, bench.seed), Random(bench.seed)

    def change(found: dict[str, Any]) -> dict[str, Any]:
        name = rng.choice(sorted(found))
        value = found.pop(name)
        match rng.randrange(3):
            case 0:
                found[f"{name}_v2"] = value
            case 1:
                found[name] = f"{value} units"
        return found

    records = _objects(book, change, 0.33, rng)
    with _systems(bench, book, 1) as (of,):
        of.take(records)
        reasons = of.store.query("SELECT reason, count() AS n FROM quarantine GROUP BY reason ORDER BY n DESC LIMIT 5")
        bench.figures["reasons"] = {r["reason"]: int(r["n"]) for r in reasons}
        _expect(bench, of, len(records))


@fault(
    "F18",
    "totals of all devices begin again every half-hour, beside reboots and wraps",
    "every person counted, no negative count",
)
def totals_begin_again(bench: Bench) -> None:
    with patch.object(stream, "WEEK", 1800):
        book = ledger(START, 6.0, bench.seed)
    with _systems(bench, book, 1) as (of,):
        of.take(book.records)
        most = of.store.query("SELECT max(people_in) AS most FROM line_minutes")[0]["most"]
        bench.figures["most in a minute"] = int(most)
        if most > 600:
            bench.wrong.append(f"{most} people in one minute of a line")
        _expect(bench, of, len(book.records), **book.outcomes())
        bench.wrong += of.balance(book)
