"""The queries of docs/queues.md over the seeded chain give what counting its rows gives."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.support.board_store import BoardStore
from tests.support.seed import Seed
from tests.support.seed_zones import CAMERA, ZONES

DOCUMENT = Path(__file__).parents[2] / "docs" / "queues.md"
QUERIES = re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
NAMES = ("waits", "lanes", "zones", "imputed")


@pytest.fixture(scope="module")
def answers(chain_store: BoardStore) -> dict[str, list[dict[str, Any]]]:
    return {name: chain_store.result(sql)[1] for name, sql in zip(NAMES, QUERIES, strict=True)}


def test_waits_by_queue_and_hour(answers: dict[str, list[dict[str, Any]]], chain: Seed) -> None:
    hours = [r for r in chain.dicts("queue_buckets") if r["step"] == "1h"]
    assert [(r["zone_name"], r["arrivals"], r["wait_source"]) for r in answers["waits"]] == [
        ("Checkout", r["arrivals"], "stays") for r in sorted(hours, key=lambda r: r["start"])
    ]
    assert {r["too_long_s"] > 0 for r in answers["waits"]} == {True, False}


def test_minutes_with_too_few_lanes(answers: dict[str, list[dict[str, Any]]], chain: Seed) -> None:
    short: dict[int, list[bool]] = defaultdict(list)
    for r in chain.dicts("queue_advice"):
        short[r["at"] // 3600].append(r["lanes_open"] < r["lanes"])
    found = [(r["minutes_short"], r["minutes_known"]) for r in answers["lanes"]]
    assert found == [(sum(s), len(s)) for _, s in sorted(short.items())]


def test_zones_of_a_day(answers: dict[str, list[dict[str, Any]]], chain: Seed) -> None:
    days = {r["zone"]: r for r in chain.dicts("zone_buckets") if r["step"] == "1d"}
    for row in answers["zones"]:
        (number,) = (n for n, z in ZONES.items() if z.name == row["zone_name"])
        told = days[number]
        assert (row["visits"], row["dwell_median_s"], row["measured_s"]) == (
            told["visits"], told["dwell_median_s"], told["measured_s"]
        )  # fmt: skip
    assert {r["zone_name"]: r["peak_share"] for r in answers["zones"]}["Shoes"] == 1.0


def test_what_was_lost_is_filled_in_beside_what_was_counted(answers: dict[str, list[dict[str, Any]]], chain: Seed) -> None:
    (gap,) = (r for r in chain.dicts("line_gaps") if r["reason"] == "lost")
    (row,) = answers["imputed"]
    assert (row["device"], row["line"], row["imputed_people"], row["measured"]) == (CAMERA, 1, gap["lost_in"], 0)
    assert sum(r["people_in"] for r in chain.dicts("imputed_minutes")) == gap["lost_in"] > 0
