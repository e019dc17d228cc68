"""The comparison of tables with the ledger: equal is equal to the unit, and every difference is found."""

from typing import Any

from infra.balance import Store, line_differences, outcomes, site_differences, zone_differences
from infra.latency import percentile
from operators.simulator import Level, StayTold, Window, chain


class Table(Store):
    """Answers each query by a word that it contains."""

    def __init__(self, answers: dict[str, list[list[Any]]]) -> None:
        self.answers = answers

    def rows(self, sql: str) -> list[list[Any]]:
        rows = next(rows for word, rows in self.answers.items() if word in sql)
        if "DISTINCT device" in sql:
            return [[device] for device in sorted({row[0] for row in rows})]
        if "WHERE device" in sql:
            return [row[1:] for row in rows if f"'{row[0]}'" in sql]
        return rows


# minute        600 ........ 660 ........ 720 ........ 780
# aligned        [600, 720): 5 in, 2 out
# then unaligned            [730, 790): 3 in
WINDOWS = [Window("d", 1, 600, 720, 5, 2), Window("d", 1, 730, 790, 3, 0)]
GOOD = [["d", 1, 600, 3, 1], ["d", 1, 660, 2, 1], ["d", 1, 720, 2, 0], ["d", 1, 780, 1, 0]]


def differing(rows: list[list[Any]], windows: list[Window] = WINDOWS) -> list[str]:
    return line_differences(Table({"line_minutes": rows}), windows)


def test_equal_tables_differ_nowhere() -> None:
    assert differing(GOOD) == []


def test_one_person_too_few_is_found_in_its_window_and_in_the_sum() -> None:
    assert differing([["d", 1, 600, 2, 1], *GOOD[1:]]) == [
        "d line 1 600-720: sent 5/2, table 4/2",
        "d line 1: sent 8/2 in all, table 7/2",
    ]


def test_a_person_in_the_wrong_window_is_found_although_the_sum_is_right() -> None:
    assert differing([["d", 1, 600, 4, 1], GOOD[1], ["d", 1, 720, 1, 0], GOOD[3]]) == [
        "d line 1 600-720: sent 5/2, table 6/2",
        "d line 1 720-840: sent 3/0, table 2/0",
    ]


def test_people_whom_nobody_sent_are_found() -> None:
    assert differing([*GOOD, ["x", 2, 0, 1, 0]]) == ["x line 2: sent 0/0 in all, table 1/0"]


def test_triggers_of_one_minute_are_compared_together() -> None:
    assert differing([["d", 1, 600, 2, 0]], [Window("d", 1, 610, 610, 1, 0), Window("d", 1, 650, 650, 1, 0)]) == []


def test_only_entrance_lines_count_for_a_store() -> None:
    made = chain(1, 1, 1_772_800_000)
    (site,) = made.sites
    windows = [Window(d.id, n, 0, 60, 1, 0) for d in site.devices.values() for n in d.lines]
    entrances = sum(line.role == "entrance" for d in site.devices.values() for line in d.lines.values())
    assert entrances < len(windows)
    assert site_differences(Table({"site_buckets": [[site.id, entrances, 0]]}), made, windows) == []
    assert len(site_differences(Table({"site_buckets": []}), made, windows)) == 3


# zone 3 of device d over the hour from 3600: 2 people for 60 s, nobody for 60 s; two stays end there, of 30 and 50 s
LEVELS = [Level("d", 3, 3600, 3660, 2), Level("d", 3, 3660, 3720, 0)]
STAYS = [StayTold("d", 3, 3590, 3620), StayTold("d", 3, 3610, 3660)]


def zones_differing(minutes: list[list[Any]], stays: int = 2) -> list[str]:
    table = Table({"zone_minutes": minutes, "zone_buckets": [["d", 3, stays]]})
    return zone_differences(table, LEVELS, STAYS)


def test_zones_that_hold_what_was_sent_differ_nowhere() -> None:
    assert zones_differing([["d", 3, 3600, 120.0, 120, 2, 80.0]]) == []


def test_a_stay_or_a_person_too_few_in_a_zone_is_found() -> None:
    assert len(zones_differing([["d", 3, 3600, 120.0, 120, 1, 30.0]])) == 1
    assert len(zones_differing([["d", 3, 3600, 60.0, 120, 2, 80.0]])) == 1
    assert len(zones_differing([["d", 3, 3600, 120.0, 120, 2, 80.0]], stays=1)) == 3


def test_people_in_a_zone_whom_nobody_sent_are_found() -> None:
    assert len(zones_differing([["d", 3, 3600, 120.0, 120, 2, 80.0], ["d", 4, 3600, 60.0, 60, None, None]])) == 1


def test_outcomes_are_read_by_reason() -> None:
    found = outcomes(Table({"quarantine": [["not_json", 2]], "observations": [[7]], "duplicates": [[3]]}))
    assert found == {"stored": 7, "duplicates": 3, "quarantined": {"not_json": 2}}


def test_percentiles_are_of_the_samples() -> None:
    assert percentile([], 0.5) is None
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile(list(map(float, range(100))), 0.99) == 99.0
