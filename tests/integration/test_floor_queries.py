"""The queries of docs/floor.md over the seeded chain give what counting its rows gives."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.support.board_store import BoardStore
from tests.support.seed import Seed

DOCUMENT = Path(__file__).parents[2] / "docs" / "floor.md"
QUERIES = re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
NAMES = ("ways", "steps", "estimates", "heat", "cells", "sensors")
OSLO = "oslo-karl-johan"


@pytest.fixture(scope="module")
def answers(chain_store: BoardStore) -> dict[str, list[tuple[Any, ...]]]:
    return {name: [tuple(r.values()) for r in chain_store.result(sql)[1]] for name, sql in zip(NAMES, QUERIES, strict=True)}


def of_oslo(chain: Seed, table: str) -> list[dict[str, Any]]:
    return [r for r in chain.dicts(table) if r["site"] == OSLO]


def test_the_commonest_ways(answers: dict[str, list[tuple[Any, ...]]], chain: Seed) -> None:
    visits: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0])
    for r in of_oslo(chain, "path_visits"):
        for i, column in enumerate(("visits", "seconds", "served")):
            visits[r["path_names"]][i] += r[column]
    total = sum(v[0] for v in visits.values())
    wanted = [(w, n, round(n / total, 3), round(s / n / 60, 1), round(c / n, 3)) for w, (n, s, c) in visits.items()]
    assert answers["ways"] == sorted(wanted, key=lambda r: (-r[1], r[0]))[:10]


def test_steps_and_their_smoothed_probability(answers: dict[str, list[tuple[Any, ...]]], chain: Seed) -> None:
    people: dict[tuple[str, str], int] = defaultdict(int)
    for r in of_oslo(chain, "path_flows"):
        people[r["origin_name"], r["destination_name"]] += r["people"]
    assert {r[:2]: r[2] for r in answers["steps"]} == people
    for origin in {a for a, _ in people}:
        row = {b: n for (a, b), n in people.items() if a == origin}
        found = {r[1]: r[3] for r in answers["steps"] if r[0] == origin}
        assert found == {b: pytest.approx((n + 1 / len(row)) / (sum(row.values()) + 1), abs=6e-4) for b, n in row.items()}


def test_estimates_lie_within_what_the_counts_allow(answers: dict[str, list[tuple[Any, ...]]]) -> None:
    assert len(answers["estimates"]) == 4
    assert all(low <= about <= high for _, _, about, low, high in answers["estimates"])


def test_heat_by_open_time_and_by_visitor(answers: dict[str, list[tuple[Any, ...]]], chain: Seed) -> None:
    came = {r["start"]: r["people_in"] for r in of_oslo(chain, "site_buckets") if r["step"] == "1h"}
    rows = [r for r in of_oslo(chain, "heat_zones") if r["zone_name"] == "Café"]
    time, people = sum(r["presence_s"] for r in rows), sum(came[r["start"]] for r in rows)
    found = [r for r in answers["heat"] if r[0] == "Café"]
    assert found == [("Café", "2026-06-13", round(time / 3600 / len(rows), 2), round(time / 60 / people, 2))]


def test_the_hottest_cells(answers: dict[str, list[tuple[Any, ...]]], chain: Seed) -> None:
    assert len(answers["cells"]) == 16
    assert answers["cells"][0][:2] == (11, 7)


def test_sensors_that_need_somebody(answers: dict[str, list[tuple[Any, ...]]]) -> None:
    assert answers["sensors"][0] == ("Side entrance", 11, 1, None, 203)
    assert [r[0] for r in answers["sensors"]] == ["Side entrance", "Ceiling camera", "Main entrance"]
