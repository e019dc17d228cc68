"""The figures of the boards against the seeded rows, added up by hand in Python."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dashboards.board import boards
from dashboards.macros import as_grafana
from tests.support.board_store import BoardEngine, BoardStore
from tests.support.seed import CHAIN, NEVER, SILENT, Seed, Shop, seed


def panel_rows(
    store: BoardStore, board: str, panel: str, now: int, sites: list[str] | None, since: int
) -> list[dict[str, Any]]:
    found = boards()[board].panel(panel)
    return store.result(as_grafana(found.sql, since, now, found.step_s, {"store": sites}))[1]


def day_start(shop: Shop, now: int) -> datetime:
    return datetime.fromtimestamp(now, ZoneInfo(shop.zone)).replace(hour=0, minute=0, second=0, microsecond=0)


def minutes_between(chain: Seed, site: str, start: datetime, end: float) -> tuple[int, int]:
    rows = [r for r in chain.dicts("site_minutes") if r["site"] == site and start.timestamp() <= r["minute"] <= end]
    return sum(r["people_in"] for r in rows), sum(r["people_out"] for r in rows)


@pytest.mark.parametrize("shop", CHAIN, ids=lambda s: s.site)
def test_in_and_out_today_are_the_minutes_since_midnight_in_the_stores_zone(
    shop: Shop, chain: Seed, chain_store: BoardStore
) -> None:
    (row,) = panel_rows(chain_store, "footstream-chain", "stores", chain.now, [shop.site], chain.now - 3600)
    assert (row["in_today"], row["out_today"]) == minutes_between(chain, shop.site, day_start(shop, chain.now), chain.now)


@pytest.mark.parametrize("shop", CHAIN, ids=lambda s: s.site)
def test_last_week_counts_up_to_the_same_time_of_the_day(shop: Shop, chain: Seed, chain_store: BoardStore) -> None:
    start = (day_start(shop, chain.now) - timedelta(days=7)).timestamp()
    total = 0.0
    for row in chain.dicts("site_buckets"):
        if row["site"] == shop.site and row["step"] == "15m" and start <= row["start"] < chain.now - 7 * 86400:
            total += row["people_in"] * min(1.0, (chain.now - 7 * 86400 - row["start"]) / 900)
    (row,) = panel_rows(chain_store, "footstream-chain", "stores", chain.now, [shop.site], chain.now - 3600)
    assert row["in_before"] == pytest.approx(total, abs=0.51)


def test_present_is_the_newest_minute_with_its_interval_and_capacity(chain: Seed, chain_store: BoardStore) -> None:
    for shop in chain.chain:
        last = max((r for r in chain.dicts("occupancy") if r["site"] == shop.site), key=lambda r: r["minute"])
        (row,) = panel_rows(chain_store, "footstream-store", "present", chain.now, [shop.site], chain.now - 3600)
        expected = (last["estimate"], last["low"], last["high"], last["limit_operational"])
        assert (row["estimate"], row["low"], row["high"], row["capacity"]) == pytest.approx(expected)
        assert row["share"] == pytest.approx(last["estimate"] / last["limit_operational"])


def test_lines_add_up_to_the_store(chain: Seed, chain_store: BoardStore) -> None:
    shop = chain.chain[0]
    lines = panel_rows(chain_store, "footstream-store", "lines", chain.now, [shop.site], chain.now - 3600)
    assert len(lines) == 2
    expected = minutes_between(chain, shop.site, day_start(shop, chain.now), chain.now)
    assert (sum(r["in_today"] for r in lines), sum(r["out_today"] for r in lines)) == expected


def test_a_door_without_reports_is_not_measured_from_then_on(board_engine: BoardEngine) -> None:
    # |00:00 ........ 11:00| no rows of the side entrance, then none of the store |14:15 an hour before the newest quarter|
    shop = CHAIN[0]
    made = seed(shops=CHAIN[:2], days=2)
    dead = int(day_start(shop, made.now).timestamp()) + 11 * 3600
    for table, column, alone in (("line_buckets", "device", shop.doors[1][0]), ("site_buckets", "site", shop.site)):
        kept = [tuple(r.values()) for r in made.dicts(table) if r[column] != alone or r["start"] < dead or r["step"] != "15m"]
        made.rows[table][:] = kept
    store = BoardStore(board_engine, made)
    lines = panel_rows(store, "footstream-store", "lines", made.now, [shop.site], made.now - 3600)
    assert {r["line_name"]: r["share_today"] for r in lines} == {"Main entrance": 1.0, "Side entrance": pytest.approx(44 / 57)}
    (row,) = panel_rows(store, "footstream-chain", "stores", made.now, [shop.site], made.now - 3600)
    assert row["share_today"] == pytest.approx(44 / 57)


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_a_day_of_23_or_25_hours_is_measured_whole(day: str, board_engine: BoardEngine) -> None:
    made = seed(int(datetime.fromisoformat(f"{day}T13:42:20+00:00").timestamp()), CHAIN[:2], days=2)
    store = BoardStore(board_engine, made)
    lines = panel_rows(store, "footstream-store", "lines", made.now, [CHAIN[0].site], made.now - 3600)
    assert [r["share_today"] for r in lines] == [1.0, 1.0]


def test_the_sensors_that_are_off_are_the_silent_one_and_the_one_that_never_spoke(chain: Seed, chain_store: BoardStore) -> None:
    rows = panel_rows(chain_store, "footstream-chain", "off", chain.now, None, chain.now - 3600)
    assert {(r["device"], r["last_seen"] is None) for r in rows} == {(SILENT, False), (NEVER, True)}


def test_open_alerts_are_those_that_fire_and_have_not_resolved(chain: Seed, chain_store: BoardStore) -> None:
    rows = panel_rows(chain_store, "footstream-chain", "alerts", chain.now, None, chain.now - 3600)
    assert [(r["site"], r["severity"]) for r in rows] == [("oslo-karl-johan", "critical"), ("berlin-mitte", "warning")]
    earlier = panel_rows(chain_store, "footstream-chain", "alerts", chain.now - 4 * 3600 - 1800, None, chain.now - 6 * 3600)
    assert [r["site"] for r in earlier] == ["hamburg-alster"]


def test_received_is_stored_and_duplicates_and_quarantined(chain: Seed, chain_store: BoardStore) -> None:
    (row,) = panel_rows(chain_store, "footstream-pipeline", "outcomes", chain.now, None, chain.now - 7200)
    expected = [len(chain.rows[name]) for name in ("observations", "duplicates", "quarantine")]
    assert [row["stored"], row["duplicates"], row["quarantined"]] == expected
    assert row["received"] == sum(expected)


def test_last_weeks_bars_stand_at_todays_wall_clock(chain: Seed, chain_store: BoardStore) -> None:
    shop = chain.chain[0]
    rows = panel_rows(chain_store, "footstream-store", "in-by-time", chain.now, [shop.site], chain.now - 6 * 3600)
    before = {r["start"]: r["people_in"] for r in chain.dicts("site_buckets") if r["site"] == shop.site and r["step"] == "15m"}
    assert len(rows) == 24
    for row in rows:
        at = int(row["time"].astimezone(UTC).timestamp())
        assert row["before"] == before[at - 7 * 86400]
        assert row["count"] == before[at]


def test_rows_that_are_stored_twice_count_once(board_engine: BoardEngine) -> None:
    made = seed(shops=CHAIN, days=2)
    store = BoardStore(board_engine, made)
    asked = {"footstream-pipeline": ("outcomes", "rate"), "footstream-chain": ("alerts", "stores")}

    def answers() -> list[Any]:
        return [panel_rows(store, b, p, made.now, None, made.now - 7200) for b, panels in asked.items() for p in panels]

    before = answers()
    for table in ("observations", "duplicates", "quarantine", "transitions"):
        store.insert(table, made.rows[table])
    assert answers() == before
    assert all(before)
