"""A count series over the change of clocks, through replay, lane and repair: days add up to the unit, and `audit` is clean."""

from datetime import datetime
from pathlib import Path

from tests.bench.calit2 import replay, sums_of, synthetic
from tests.support.store import StoreProcess


def test_days_of_a_series_are_those_of_the_intervals_starts() -> None:
    rows = ["9,10/30/05,00:00:00,5", "9,10/30/05,00:30:00,2", "7,10/31/05,00:00:00,3"]
    assert sums_of(rows) == {"2005-10-29": (5, 0), "2005-10-30": (2, 3)}


def test_a_count_series_over_a_repeated_hour_gives_its_own_sums_by_civil_day(
    store_process: StoreProcess, tmp_path: Path
) -> None:
    data = tmp_path / "synthetic.data"
    data.write_text("\n".join(synthetic(datetime(2005, 10, 28), 4)) + "\n")
    outcome = replay(data, store_process, tmp_path)
    assert (outcome.windows, outcome.wrong) == (4 * 48, [])
    assert outcome.days == 4 and outcome.people_in > 0 < outcome.people_out
