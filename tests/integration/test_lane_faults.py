"""The lane with one protection taken away, and with a record that makes an operator fail."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.chaos.ledger import SIZES
from tests.support.ledger import Ledger, System, ledger, system
from tests.support.store import StoreProcess

POISON = b"router-poison-7781"


def small() -> Ledger:
    """Half an hour of the miniature ledger."""
    start, _ = SIZES["mini"]
    return ledger(start, 0.4, 3)


def lane(of: System, fault: str) -> str:
    """`footstream run all --until-end` with a fault; what it said on standard error."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FOOTSTREAM_")}
    command = [sys.executable, "-m", "tests.support.faulty_lane", fault, "run", "all", "--until-end"]
    environment = {**kept, **of.settings.environment()}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_without_telling_copies_apart_the_comparison_notices(store_process: StoreProcess, tmp_path: Path) -> None:
    book = small()
    assert book.outcomes()["duplicate"] > 0
    with system(store_process, tmp_path, book) as real:
        real.take(book.records)
        assert real.balance(book) == []
    with system(store_process, tmp_path, book) as mutant:
        mutant.append(book.records)
        lane(mutant, "always-new")
        assert mutant.balance(book) != []


def test_a_record_that_makes_an_operator_fail_is_quarantined_after_three_tries_and_the_rest_goes_on(
    store_process: StoreProcess, tmp_path: Path
) -> None:
    book = small()
    poisoned = next(i for i, s in enumerate(book.sent) if s.windows and s.payload.startswith(b"{") and i > 40)
    record = book.records[poisoned]
    bad = json.dumps({**json.loads(record.value), "note": POISON.decode()}).encode()
    records = [r if i != poisoned else r._replace(value=bad) for i, r in enumerate(book.records)]
    with system(store_process, tmp_path, book) as shop:
        shop.append(records)
        said = lane(shop, f"raise-on:{POISON.decode()}")
        assert [word in said for word in ("try 1 of 3", "try 2 of 3", "try 3 of 3", "try 4")] == [True, True, True, False]
        rows = shop.store.query("SELECT reason, detail, payload FROM quarantine WHERE reason = 'poison'")
        assert len(rows) == 1 and "ZeroDivisionError" in rows[0]["detail"] and POISON.decode() in rows[0]["payload"]
        stored = shop.store.query("SELECT uniqExact(partition_no, position) AS n FROM observations")[0]["n"]
        copies = sum(s.payload == book.sent[poisoned].payload for s in book.sent) - 1
        assert stored == book.outcomes()["stored"] - 1 + min(copies, 1)
