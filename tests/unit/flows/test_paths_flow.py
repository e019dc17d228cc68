"""The flow `paths` over what real devices do: long stays, late ones, tracks used again, staff; and a day against plain
counting."""

import random
from collections import Counter
from typing import Any

import pytest

from schemas.sites import Device, Site, Zone
from tests.bench.paths import Scene, Seen, brute, measured, records, site_of
from tests.support.play import message, newest, play

BEGIN = 1_785_492_000  # 2026-07-31 10:00 UTC
SHOP = Site("shop", "Shop", "UTC", devices={"cam1": Device("cam1", "Camera", zones={3: Zone(3, "Till", "checkout")})})


def stay(zone: int, start: int, end: int, track: int | None = 1, told: int | None = None, **more: Any) -> tuple[int, bytes]:
    """Minutes after ten; `told` when it is not told at its end."""
    event = {"type": "stay", "zone": zone, "start": BEGIN + start * 60, "end": BEGIN + end * 60, "track": track, **more}
    arrival = (BEGIN + 60 * (end if told is None else told)) * 1000
    return arrival, message("cam1", {k: v for k, v in event.items() if v is not None})


def paths(*told: tuple[int, bytes], until: int = 600) -> dict[str, int]:
    """Visits by path names, for those that are not 0."""
    out = play(SHOP, ["paths"], sorted(told), until=BEGIN + until * 60)
    return {r["path_names"]: r["visits"] for r in newest(out, "path_visits") if r["visits"]}


def steps(*told: tuple[int, bytes], until: int = 600) -> dict[tuple[str, str], float]:
    out = play(SHOP, ["paths"], sorted(told), until=BEGIN + until * 60)
    rows = [r for r in newest(out, "path_flows") if r["source"] == "stays" and r["people"]]
    return {(r["origin_name"], r["destination_name"]): r["people"] for r in rows}


def test_a_visit_counts_once_its_track_has_been_quiet_for_the_horizon() -> None:
    told = stay(1, 0, 5), stay(3, 5, 7)
    assert paths(*told, until=21) == {}
    assert paths(*told, until=23) == {"Zone 1 > Till": 1}
    assert steps(*told, until=8) == {("Entry", "Zone 1"): 1, ("Zone 1", "Till"): 1}


def test_a_stay_of_three_quarters_of_an_hour_does_not_cut_its_visit() -> None:
    told = stay(1, 0, 5), stay(2, 5, 50), stay(3, 50, 52)
    assert paths(told[0], until=40) == {"Zone 1": 1}
    assert paths(*told) == {"Zone 1 > Zone 2 > Till": 1}
    assert steps(*told)[("Till", "Exit")] == 1
    assert ("Zone 1", "Exit") not in steps(*told)


def test_a_stay_that_comes_late_finds_its_place_between_two_others() -> None:
    told = stay(1, 0, 5), stay(3, 9, 12), stay(2, 5, 9, told=14)
    assert paths(*told) == {"Zone 1 > Zone 2 > Till": 1}
    assert steps(*told) == dict.fromkeys([("Entry", "Zone 1"), ("Zone 1", "Zone 2"), ("Zone 2", "Till"), ("Till", "Exit")], 1)


def test_a_stay_told_hours_late_asks_for_a_repair_of_its_day() -> None:
    out = play(SHOP, ["paths"], [stay(1, 0, 5), stay(2, 5, 6, told=200)], until=BEGIN + 36_000)
    assert [r["day"] for r in newest(out, "repairs")] == ["2026-07-31"]
    assert sum(r["stays"] for r in newest(out, "path_places")) == 1


def test_a_track_number_used_again_is_another_visit() -> None:
    assert paths(stay(1, 0, 5), stay(1, 16, 18)) == {"Zone 1": 2}
    assert paths(stay(1, 0, 5), stay(2, 200, 205)) == {"Zone 1": 1, "Zone 2": 1}


def test_staff_and_stays_without_a_track_make_no_path_and_things_that_stand_for_a_day_no_stay() -> None:
    told = stay(1, 0, 5, staff=True), stay(2, 0, 5, track=None), stay(3, 0, 500, track=9)
    out = play(SHOP, ["paths"], sorted(told), until=BEGIN + 60_000)
    assert [(r["place_name"], r["stays"], r["began"]) for r in newest(out, "path_places")] == [("Zone 2", 1, 0)]
    assert newest(out, "path_visits") == []


def test_a_device_that_gives_everybody_one_number_does_not_make_a_lane_slow() -> None:
    told = [stay(1 + n % 2, n, n + 1, track=0) for n in range(400)]
    out = play(SHOP, ["paths"], told, until=BEGIN + 60_000)
    assert sum(r["stays"] for r in newest(out, "path_places")) == 400
    assert sum(r["visits"] for r in newest(out, "path_visits")) <= 3


def test_copies_change_nothing() -> None:
    told = [stay(1, 0, 5), stay(3, 5, 7)]
    again = [(at + 30_000, payload) for at, payload in told]
    assert paths(*told, *again) == {"Zone 1 > Till": 1}


def test_the_share_that_comes_to_the_checkout_is_told_by_the_chain_and_by_the_visits() -> None:
    told = [one for n in range(40) for one in (stay(1, n, n + 1, track=n), stay(3 if n % 4 else 2, n + 1, n + 2, track=n))]
    out = play(SHOP, ["paths"], sorted(told), until=BEGIN + 36_000)
    visits = newest(out, "path_visits")
    assert (sum(r["visits"] for r in visits), sum(r["served"] for r in visits)) == (40, 30)
    entry = next(r for r in newest(out, "path_outlook") if r["place"] == "entry")
    assert entry["to_checkout"] == pytest.approx(0.75, abs=0.03)
    assert entry["visits"] == 40


@pytest.mark.parametrize("seed", [1, 2])
def test_a_day_of_people_equals_counting_them_one_by_one(seed: int) -> None:
    rng = random.Random(seed)
    people = []
    for track in range(200):
        at, stays, zone = BEGIN + rng.randrange(36_000), [], 0
        for _ in range(rng.randint(1, 7)):
            zone = rng.choice([z for z in range(1, 6) if z != zone or rng.random() < 0.2])
            end = at + rng.randint(1, rng.choice([60, 3000]))
            stays.append((zone, at, end))
            at = end + rng.randint(1, 300)
        people.append(Seen(track, stays, (rng.randint(1, 2), rng.randint(1, 2))))
    scene = Scene("day", site_of("day", "Europe/Oslo", list("abcde"), ["North", "South"]), people)
    told = records(scene)
    out = play(scene.site, ["paths"], told, until=max(at for at, _ in told) // 1000 + 7200)
    wanted, found = brute(scene), measured(out)
    for what, counts in wanted.items():
        assert +found[what] == +counts, f"seed {seed}: {what}"
    estimated = Counter[str]()
    for r in newest(out, "path_estimates"):
        estimated[r["origin_name"]] += r["people"]
    assert 0.9 * 200 < estimated["North"] + estimated["South"] < 1.1 * 200
