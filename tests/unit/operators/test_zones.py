"""Zones: which number of people held for how long, which stays count, and what can be said of dwell."""

import random
from bisect import bisect_left
from itertools import pairwise

import pytest

from operators.gauges import Level, minute_tally, minutes_of, put
from operators.spans import covers, cut, inside, joined, length
from operators.tallies import add, amount, at_least, difference, mean, quantile, rounded_s
from operators.zones import duration_tally, figures
from schemas.events import DwellSummary, Stay

M = 1_785_492_000
"""A full minute."""


def window(start: int, end: int, present: int | None, arrival: int = 0, **more: int | bool) -> Level:
    return Level(M + start, M + end, start * 1000 + end, arrival, present, **more)  # type: ignore[arg-type]  # as in Level


def tally(*levels: Level, minute: int = M) -> dict[str, dict[int, int]]:
    held: list[Level] = []
    for one in levels:
        put(held, one)
    return minute_tally(held, minute)


def test_a_window_holds_the_number_at_its_end_for_all_of_its_time() -> None:
    found = tally(window(0, 30, 2), window(30, 60, 4))
    assert found["present"] == {2: 30, 4: 30}
    assert found["last"] == {4: 1}
    assert found["peak"] == {2: 1, 4: 1}


def test_seconds_that_no_report_covers_are_not_measured() -> None:
    assert tally(window(0, 20, 2), window(40, 60, 4))["present"] == {2: 20, 4: 20}


def test_a_trigger_holds_until_the_next_sample_or_the_end_of_the_minute() -> None:
    #   0        10       25                 60
    #   .........3--------5-------------------
    assert tally(window(10, 10, 3), window(25, 25, 5))["present"] == {3: 15, 5: 35}


def test_a_trigger_within_a_window_tells_more_than_the_window() -> None:
    #   0 window ends with 5                 60
    #   5---------7 at 20--------------------|
    assert tally(window(0, 60, 5), window(20, 20, 7))["present"] == {5: 20, 7: 40}


def test_a_long_window_covers_its_minutes_and_has_its_peak_in_the_last() -> None:
    long = window(0, 180, 3, peak=9)
    assert list(minutes_of(long)) == [M, M + 60, M + 120]
    assert [tally(long, minute=m).get("peak") for m in minutes_of(long)] == [None, None, {9: 1}]
    assert tally(long, minute=M + 60)["present"] == {3: 60}


def test_the_later_arrival_of_the_same_window_holds_in_any_order() -> None:
    first, second = window(0, 60, 2, arrival=1), window(0, 60, 4, arrival=2)
    assert tally(first, second) == tally(second, first)
    assert tally(first, second)["present"] == {4: 60}


def test_a_flag_without_a_number_is_occupancy_and_no_number() -> None:
    found = figures(tally(window(0, 60, None, occupied=True)))
    assert (found.occupied_s, found.present_mean, found.peak, found.measured_s) == (60, None, None, 60)


def test_the_time_weighted_mean_is_that_of_every_second(seed: int = 7) -> None:
    rng = random.Random(seed)
    times = sorted(rng.sample(range(1, 60), 8))
    levels = [window(t, t, rng.randrange(9)) for t in times]
    by_second = [levels[bisect_left(times, s + 1) - 1].present for s in range(times[0], 60)]
    assert mean(tally(*levels)["present"]) == pytest.approx(sum(p or 0 for p in by_second) / len(by_second)), seed


def test_stays_give_quantiles_visits_and_bounces_and_staff_is_apart() -> None:
    found: dict[str, dict[int, int]] = {}
    for dwell in (4.2, 9.6, 12.0, 30.0, 45.0, 50.0, 61.0, 90.0, 120.0, 400.0):
        add(found, duration_tally(Stay(1, None, None, dwell)))
    add(found, duration_tally(Stay(1, None, None, 20_000.0, staff=True)))
    f = figures(found)
    assert (f.stays, f.visits, f.bounces, f.staff_stays) == (10, 7, 1, 1)  # 9.6 s is ten seconds: no bounce
    assert (f.dwell_median_s, f.dwell_p90_s, f.dwell_max_s, f.dwell_source) == (45, 120, 400, "stays")
    assert f.dwell_avg_s == pytest.approx((4 + 10 + 12 + 30 + 45 + 50 + 61 + 90 + 120 + 400) / 10)


def test_several_averages_without_numbers_of_stays_are_not_averaged() -> None:
    one = duration_tally(DwellSummary(1, None, None, 41.25, 187.4))
    assert (figures(one).dwell_avg_s, figures(one).dwell_source) == (41.0, "summary")
    both = dict(one)
    add(both, duration_tally(DwellSummary(1, None, None, 10.0, 300.0)))
    assert (figures(both).dwell_avg_s, figures(both).dwell_max_s, figures(both).dwell_source) == (None, 300, "not_combinable")


@pytest.mark.parametrize("seed", range(5))
def test_quantiles_are_nearest_ranks_and_tallies_take_back_what_they_took(seed: int) -> None:
    rng = random.Random(seed)
    values = [rng.randrange(40) for _ in range(rng.randrange(1, 60))]
    held: dict[str, dict[int, int]] = {}
    for v in values:
        add(held, {"x": {v: 1}})
    for share in (0.01, 0.25, 0.5, 0.9, 0.95, 1.0):
        rank = next(i for i in range(1, len(values) + 1) if i >= share * len(values) - 1e-9)
        assert quantile(held["x"], share) == sorted(values)[rank - 1], (seed, share)
    assert at_least(held["x"], 20) == sum(v >= 20 for v in values)
    assert amount(held["x"]) == len(values)
    assert difference(held, held) == {}


def test_durations_keep_one_per_cent() -> None:
    assert [rounded_s(s) for s in (0.4, 59.6, 599.4, 604.0, 5994.0, 6049.0)] == [0, 60, 599, 600, 5990, 6000]
    assert all(abs(rounded_s(s) - s) <= max(0.5, 0.01 * s) for s in range(0, 90_000, 7))


@pytest.mark.parametrize("seed", range(10))
def test_spans_are_sets_of_seconds(seed: int) -> None:
    rng = random.Random(seed)
    spans: list[tuple[int, int]] = []
    truth: set[int] = set()
    for _ in range(30):
        a = rng.randrange(100)
        b = a + rng.randrange(12)
        if rng.random() < 0.7:
            spans, truth = joined(spans, a, b), truth | set(range(a, b))
        else:
            spans, truth = cut(spans, a, b), truth - set(range(a, b))
        assert {s for x, y in spans for s in range(x, y)} == truth, seed
        assert all(x < y for x, y in spans) and all(p[1] < q[0] for p, q in pairwise(spans)), seed
        assert length(spans) == len(truth)
        assert covers(spans, a, b + 1) == bool(truth & set(range(a, b + 1)))
        assert length(inside(spans, a, b)) == len(truth & set(range(a, b)))
