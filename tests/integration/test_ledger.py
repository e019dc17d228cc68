"""The properties of one ledger over both logs, in miniature; `python -m tests.chaos.ledger` proves them on 20,000 messages."""

from pathlib import Path

from tests.chaos.ledger import prove
from tests.support.kafka import KafkaBroker
from tests.support.store import StoreProcess

SEED = 20


def test_a_ledger_gives_the_same_tables_on_both_logs_again_and_in_any_order(
    store_process: StoreProcess, kafka: KafkaBroker, tmp_path: Path
) -> None:
    proof = prove("mini", SEED, store_process, tmp_path, kafka.url, print)
    assert not proof.wrong, "\n".join(proof.wrong)
