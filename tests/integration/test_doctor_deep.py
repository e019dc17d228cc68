"""`doctor --deep` finds what is torn, and nothing in a sound deployment."""

from pathlib import Path

from infra.doctor_deep import examine_deep
from tests.integration.test_lane_faults import small
from tests.support.ledger import system
from tests.support.store import StoreProcess


def test_a_sound_deployment_is_well_and_a_torn_state_and_a_wrong_layout_are_named(
    store_process: StoreProcess, tmp_path: Path
) -> None:
    book = small()
    with system(store_process, tmp_path, book) as of:
        of.take(book.records)
        found = list(examine_deep(of.settings))
        assert [f for f in found if not f.good] == []
        assert {"store's clock", "tables", "lanes of all", "log of all", "audit", "growth", "state all-0-of-1"} <= {
            f.what for f in found
        }
        state = next((of.settings.data / "lanes" / "all-0-of-1" / "state").glob("*.sqlite3"))
        state.write_bytes(state.read_bytes()[:5000])
        columns = "(flows, holder, state, of, partitions, seen_ms)"
        of.store.command(f"INSERT INTO lanes_rows {columns} VALUES ('all', 'layout', 'layout', 1, 9, 1e14)")
        wrong = {f.what: f.words for f in examine_deep(of.settings) if not f.good}
        assert set(wrong) == {"lanes of all", "state all-0-of-1"} and "damaged" in wrong["state all-0-of-1"]
