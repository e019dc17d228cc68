"""Balance of a day, correction after the close, and what days teach."""

from math import exp, log, sqrt

import pytest

from operators.drift import (
    DoorDay,
    Factors,
    balance,
    factor_rows,
    factors_from,
    learn_day,
    mean_visit_s,
    proportional,
    rates,
    teaches,
)
from schemas.rows import DoorFactors

DOOR = ("d", 1)


def _day(people_in: tuple[int, ...], people_out: tuple[int, ...]) -> DoorDay:
    return DoorDay([*people_in, *[0] * (6 - len(people_in))], [*people_out, *[0] * (6 - len(people_out))])


def test_the_known_answer_ends_at_zero() -> None:
    # Sums 140 and 134: outs x 140 / 134 = 1.04478. Minute 2: 30 - 10 x 1.04478 = 19.5522, minute 3: 90 - 55 x 1.04478 = 32.5373
    present = proportional((0, 30, 60, 40, 10), (0, 10, 45, 55, 24))
    assert present == pytest.approx([0.0, 19.5522, 32.5373, 15.0746, 0.0], abs=1e-4)


def test_when_entries_were_missed_the_ins_are_scaled() -> None:
    # 50 in, 100 out: ins x 2.
    assert proportional((50, 0), (20, 80)) == pytest.approx([80.0, 0.0])


def test_a_day_with_crossings_one_way_is_left_alone() -> None:
    assert proportional((3, 4), (0, 0)) == [3.0, 7.0]
    assert proportional((0, 0), (0, 2)) == [0.0, -2.0]


def test_residual_imbalance_and_z_of_a_day() -> None:
    # 140 in, 134 out: D = 6, DI = 6 / 137, z = 6 / sqrt(0.02 x 274) = 6 / 2.3409
    found = balance(140, 134)
    assert found.residual == 6
    assert found.imbalance == pytest.approx(6 / 137)
    assert found.z == pytest.approx(2.5631, abs=1e-4)


def test_a_day_without_crossings_has_no_imbalance() -> None:
    assert balance(0, 0).imbalance is None and balance(0, 0).z is None


def test_mean_visit_is_person_time_over_people() -> None:
    # Two people, 10 and 30 minutes: presence per minute 2 for ten minutes, 1 for twenty.
    assert mean_visit_s([2.0] * 10 + [1.0] * 20, 60, 2) == 1200.0
    assert mean_visit_s([], 60, 0) is None


def test_nothing_is_corrected_before_anything_is_learnt() -> None:
    assert rates(Factors(), DOOR, 0).factors == (1.0,) * 6
    assert 0.02 * rates(Factors(), DOOR, 0).spread == pytest.approx(0.05**2)


def test_one_day_moves_the_ratio_by_the_share_its_crossings_have_against_the_prior() -> None:
    # One block, 550 in, 500 out: log ratio log(550.5 / 500.5), gain 1050 / (1050 + 32).
    learnt = learn_day(Factors(), {DOOR: _day((550,), (500,))}, 0)
    assert learnt.doors[DOOR].log_ratio[0] == pytest.approx(log(550.5 / 500.5) * 1050 / 1082)
    assert learnt.doors[DOOR].weight[0] == 1050
    assert learnt.revision == 1


def test_repeated_days_converge_to_the_factor_that_balances_them() -> None:
    # 1000 in, 920 seen going out, over three blocks: the corrected outs end within one person of the ins.
    factors, day = Factors(), _day((500, 300, 200), (200, 300, 420))
    for _ in range(20):
        factors = learn_day(factors, {DOOR: day}, 0)
    assert sum(day.corrected_out(rates(factors, DOOR, 0))) == pytest.approx(1000, abs=1)


def test_what_only_busy_evenings_miss_is_learnt_for_the_evening() -> None:
    # Morning outs are all seen, of evening outs 10 % are missed; days with much and with little evening take turns.
    factors = Factors()
    for n in range(60):
        evening = 900 if n % 2 else 200
        factors = learn_day(factors, {DOOR: _day((500 + evening, 0), (500, round(evening * 0.9)))}, 0)
    learnt = rates(factors, DOOR, 0).logs
    assert learnt[1] > learnt[0] + 0.02


def test_a_day_type_that_was_never_seen_takes_the_mean_of_the_others() -> None:
    factors = Factors()
    for _ in range(10):
        factors = learn_day(factors, {DOOR: _day((1100,), (1000,))}, 0)
    assert rates(factors, DOOR, 2).factors[0] == pytest.approx(1.1, abs=0.01)
    assert rates(factors, DOOR, 2).spread > rates(factors, DOOR, 0).spread


def test_doors_used_one_way_share_the_ratio_of_the_store() -> None:
    # In by a, out by b. Alone they would learn factors of 20; together 1000 in and 950 out.
    days = {("a", 1): _day((950,), (50,)), ("b", 1): _day((50,), (900,))}
    learnt = learn_day(Factors(), days, 0)
    for door in days:
        assert 1.0 < rates(learnt, door, 0).factors[0] < exp(log(1000.5 / 950.5))


@pytest.mark.parametrize(
    ("day", "coverage", "said"),
    [
        (_day((500,), (480,)), None, True),
        (_day((500,), (480,)), 0.95, True),
        (_day((500,), (480,)), 0.5, False),
        (_day((500,), (100,)), 1.0, False),
        (_day((20,), (20,)), 1.0, False),
        (_day((0,), (0,)), 1.0, False),
    ],
    ids=["unknown coverage", "good", "poor coverage", "absurd", "too few", "empty"],
)
def test_only_a_sound_day_teaches(day: DoorDay, coverage: float | None, said: bool) -> None:
    assert teaches({DOOR: day}, coverage) is said


def test_the_error_rate_follows_the_residuals() -> None:
    # Residual always 60 of 4000 crossings after the factor is settled on zero: alternating sign, 60^2 / 4000 = 0.9 is absurd,
    # so the growth per day is bounded by nine times the rate in force.
    first = learn_day(Factors(), {DOOR: _day((2030,), (1970,))}, 0)
    assert first.error_rate <= 9 * 0.02
    quiet = Factors()
    for _ in range(60):
        quiet = learn_day(quiet, {DOOR: _day((2000,), (2000,))}, 0)
    assert quiet.error_rate < 0.006


def test_learning_leaves_the_factors_in_force_untouched() -> None:
    before = learn_day(Factors(), {DOOR: _day((1100,), (1000,))}, 0)
    ratios = list(before.doors[DOOR].log_ratio)
    learn_day(before, {DOOR: _day((900,), (1000,))}, 0)
    assert before.doors[DOOR].log_ratio == ratios


def test_factors_survive_their_table() -> None:
    factors = learn_day(Factors(level=3.0), {("a", 1): _day((1100, 50), (1000, 90)), ("b", 2): _day((300,), (310,))}, 1)
    rows = [dict(zip(DoorFactors.columns, row, strict=True)) for row in factor_rows("s", 1_700_000_000, factors)]
    assert factors_from(rows) == factors
    assert factors_from([]) == Factors()


def test_z_at_the_learnt_error_rate_is_smaller_for_a_noisy_store() -> None:
    noisy, calm = balance(140, 134, 0.08).z, balance(140, 134, 0.02).z
    assert noisy is not None and calm is not None
    assert noisy == pytest.approx(calm / sqrt(4))
