"""The flow `heat`: hours, rows that grow, staff, opening hours, and the same figures in whatever order messages come."""

import random
from typing import Any

from operators.calendar import open_seconds
from schemas.sites import Device, Site, Zone
from tests.support.play import message, newest, play

BEGIN = 1_785_492_000  # 2026-07-31 10:00 UTC, 12:00 in Oslo
SHOP = Site(
    "shop",
    "Shop",
    "Europe/Oslo",
    hours={"fri": ((9 * 60, 12 * 60 + 15),)},
    devices={"cam1": Device("cam1", "Camera", zones={1: Zone(1, "Shoes")}, interval_s=900)},
)


def told(at: int, **event: Any) -> tuple[int, bytes]:
    """One event, told `at` minutes after ten; `start` and `end` are minutes, too."""
    times = {k: BEGIN + 60 * event[k] for k in ("start", "end")}
    return (BEGIN + 60 * at) * 1000, message("cam1", {**event, **times})


def zones(*records: tuple[int, bytes]) -> list[dict[str, Any]]:
    return newest(play(SHOP, ["heat"], sorted(records), until=BEGIN + 36_000), "heat_zones")


def test_a_stay_counts_where_it_began_and_its_seconds_where_they_passed() -> None:
    rows = zones(told(70, type="stay", zone=1, start=50, end=70))
    assert [(r["start"] - BEGIN, r["visits"], r["presence_s"]) for r in rows] == [(0, 1, 600), (3600, 0, 600)]
    assert [r["zone_name"] for r in rows] == ["Shoes", "Shoes"]


def test_people_present_stand_for_their_window_and_staff_is_left_out() -> None:
    rows = zones(told(15, type="zone_count", zone=1, start=0, end=15, present=5, staff=2))
    assert [(r["presence_s"], r["source"], r["measured_s"], r["visits"]) for r in rows] == [(2700, "samples", 900, None)]


def test_stays_win_over_samples_of_the_same_hour() -> None:
    sample = told(15, type="zone_count", zone=1, start=0, end=15, present=5)
    rows = zones(sample, told(16, type="stay", zone=1, start=0, end=16))
    assert [(r["presence_s"], r["source"], r["measured_s"]) for r in rows] == [(960, "stays", None)]


def test_a_window_told_again_with_other_values_replaces_the_earlier_one() -> None:
    first = told(15, type="heat", start=0, end=15, columns=2, rows=1, cells=[[0, 0, 3], [1, 0, 1]])
    again = told(20, type="heat", start=0, end=15, columns=2, rows=1, cells=[[0, 0, 5]])
    rows = newest(play(SHOP, ["heat"], [first, again], until=BEGIN + 36_000), "heat_cells")
    assert [(r["x"], r["intensity"], r["share"]) for r in rows] == [(0, 5, 1), (1, 0, 0)]


def test_order_does_not_matter_within_the_horizon() -> None:
    records = [told(q, type="heat", zone=1, start=q - 15, end=q, value=float(q)) for q in (15, 30, 45, 60)]
    records += [told(q, type="zone_count", zone=1, start=q - 15, end=q, present=q) for q in (15, 30, 45, 60)]
    arrivals = [(BEGIN + 61 * 60 + i) * 1000 for i in range(len(records))]  # a network that was away for an hour
    wanted = zones(*zip(arrivals, [payload for _, payload in records], strict=True))
    for seed in range(5):
        payloads = [payload for _, payload in records]
        random.Random(seed).shuffle(payloads)
        found = zones(*zip(arrivals, payloads, strict=True))
        assert [{**r, "known_at_ms": 0} for r in found] == [{**r, "known_at_ms": 0} for r in wanted], f"seed {seed}"


def test_what_is_later_than_the_horizon_asks_for_a_repair() -> None:
    out = play(SHOP, ["heat"], [told(200, type="heat", zone=1, start=0, end=15, value=1.0)], until=BEGIN + 36_000)
    assert newest(out, "heat_zones") == []
    assert [r["day"] for r in newest(out, "repairs")] == ["2026-07-31"]


def test_an_hour_says_how_much_of_it_the_store_was_open() -> None:
    assert [r["open_s"] for r in zones(told(15, type="heat", zone=1, start=0, end=15, value=1.0))] == [900]
    assert open_seconds(SHOP, BEGIN - 4 * 3600, BEGIN + 8 * 3600) == 3 * 3600 + 900
    assert open_seconds(Site("s", "s", "UTC"), 0, 3600) == 3600
