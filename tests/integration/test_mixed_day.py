"""A day of all dialects through the real lane: nothing is lost between the log and the tables, and people are counted once."""

from pathlib import Path

import pytest

from connectors.log import NewRecord
from infra.balance import Store as Reader
from infra.balance import outcomes
from infra.registry import load_registry
from infra.stores import writer_password
from schemas.sensors import decode
from tests.support.ledger import System, bare_system
from tests.support.mixed_day import SITE, Day, mixed_day
from tests.support.store import StoreProcess

SEED = 11


def records_of(day: Day, system: System) -> list[NewRecord]:
    """As the ways in would have written them."""
    registry = load_registry(system.settings.sites, "UTC")
    found = []
    for message in day.messages:
        device = next((report.device for report in decode(message.payload) if report.device), "")
        key = registry.find(device, message.at)[0].id if device else "unassigned/topic-1"
        found.append(NewRecord(key, message.payload, message.at * 1000, (("topic", b"t"), ("source", b"http"))))
    return found


@pytest.fixture(scope="module")
def day() -> Day:
    return mixed_day(SEED)


def test_a_mixed_day_balances_to_the_message_and_counts_everybody_once(
    day: Day, store_process: StoreProcess, tmp_path: Path
) -> None:
    with bare_system(store_process, tmp_path, {"mall.toml": SITE}) as system:
        said = system.take(records_of(day, system))
        s = system.settings
        found = outcomes(Reader(s.store(), s.store_database, s.store_user, writer_password(s)))
        quarantined, expected = sum(found["quarantined"].values()), day.outcomes()
        received = found["stored"] + found["duplicates"] + quarantined
        assert received == len(day.messages) == said["messages"], (SEED, found, expected)
        assert quarantined == expected["quarantined"], (SEED, found, expected)
        ours = "SELECT uniqExact(topic, partition_no, position) AS n FROM {table} WHERE site = 'mall'"
        for table, word in (("observations", "stored"), ("duplicates", "duplicate")):
            assert system.store.query(ours.format(table=table))[0]["n"] == expected[word], (SEED, word)

        people = system.store.query(
            "SELECT device, line, sum(people_in) AS i, sum(people_out) AS o FROM line_minutes"
            " WHERE site = 'mall' GROUP BY device, line"
        )
        assert {(p["device"], p["line"]): (p["i"], p["o"]) for p in people if p["i"] or p["o"]} == day.people, SEED
        assert system.rows("detections") >= 36
