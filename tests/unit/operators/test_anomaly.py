"""The anomaly model: what it expects, what it calls unusual and why, how it gets used to new habits, and its one scale."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from operators.anomaly import Anomaly, alarm_score, alarms_a_week
from operators.anomaly_words import reason
from operators.models import WEEK, Evidence, Point, Score

FRIDAY_AT_THREE = 4 * 96 + 60
AT_NIGHT = 2 * 96 + 12


def _usual(slot: int) -> float:
    """A store from 9 to 20 o'clock, closed on Sundays, busier on Saturdays: people per quarter of an hour."""
    hour, day = slot % 96 / 4, slot // 96
    if not 9 <= hour < 20 or day == 6:
        return 0.0
    return (20 + 30 * math.sin((hour - 9) / 11 * math.pi)) * (1.5 if day == 5 else 1.0)


def _taught(weeks: int, until: int = 0, seed: int = 1) -> Anomaly:
    """Taught so many weeks and, of the one after, the slots before `until`."""
    rng, model = np.random.default_rng(seed), Anomaly()
    for quarter in range(WEEK * weeks + until):
        model.learn(_point(quarter, float(rng.poisson(_usual(quarter % WEEK)))))
    return model


def _point(quarter: int, value: float | None) -> Point:
    return Point(quarter * 900, quarter % WEEK, value)


def _play(model: Anomaly, first: int, values: list[float]) -> list[Score]:
    found = []
    for n, value in enumerate(values):
        found.append(model.score(_point(first + n, value)))
        model.learn(_point(first + n, value))
    return found


@pytest.fixture(scope="module")
def friday() -> bytes:
    return _taught(6, FRIDAY_AT_THREE).to_bytes()


THEN = 6 * WEEK + FRIDAY_AT_THREE


def test_before_it_knows_anything_nothing_is_unusual() -> None:
    assert Anomaly().score(_point(0, 1000.0)).score == 0.0


def test_its_usual_range_holds_nine_of_ten_values() -> None:
    model, rng, held = _taught(6), np.random.default_rng(2), []
    for quarter in range(6 * WEEK, 9 * WEEK):
        value = float(rng.poisson(_usual(quarter % WEEK)))
        found = model.score(_point(quarter, value))
        assert found.low is not None and found.high is not None
        if _usual(quarter % WEEK):
            held.append(found.low <= value <= found.high)
        model.learn(_point(quarter, value))
    print(f"seeds 1 and 2: held {np.mean(held):.3f}")
    assert 0.86 <= np.mean(held) <= 0.95


def test_usual_weeks_give_as_many_alarms_as_the_budget_allows() -> None:
    model, rng, said = _taught(8), np.random.default_rng(3), []
    for quarter in range(8 * WEEK, 20 * WEEK):
        value = float(rng.poisson(_usual(quarter % WEEK)))
        said.append(model.score(_point(quarter, value)).score >= alarm_score(1.0, WEEK))
        model.learn(_point(quarter, value))
    stretches = sum(now and not before for before, now in zip([False, *said], said, strict=False))
    print(f"seeds 1 and 3: {stretches} alarms in twelve weeks")
    assert 3 <= stretches <= 24


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda x: round(2.2 * x), "surge"),
        (lambda x: round(0.3 * x), "drop"),
        (lambda x: 0.0, "dead"),
        (lambda x: 44.0, "stuck"),
    ],
)
def test_what_is_unusual_is_found_within_an_hour_and_named(friday: bytes, change: Callable[[float], float], kind: str) -> None:
    found = _play(Anomaly.from_bytes(friday), THEN, [change(_usual(FRIDAY_AT_THREE + n)) for n in range(4)])
    assert found[-1].score >= alarm_score(1.0, WEEK)
    assert found[-1].evidence is not None and found[-1].evidence.kind == kind


def test_quarters_that_are_each_a_little_high_are_unusual_together(friday: bytes) -> None:
    found = _play(Anomaly.from_bytes(friday), THEN, [round(1.4 * _usual(FRIDAY_AT_THREE + n)) for n in range(4)])
    alone = Anomaly.from_bytes(friday).score(_point(THEN + 3, round(1.4 * _usual(FRIDAY_AT_THREE + 3))))
    assert alone.score < alarm_score(1.0, WEEK) <= found[-1].score
    evidence = found[-1].evidence
    assert evidence is not None and evidence.slots == 4 and evidence.low < 190 < evidence.high < evidence.value


def test_what_came_but_is_not_learnt_yet_counts_as_if_it_were(friday: bytes) -> None:
    values = [round(1.4 * _usual(FRIDAY_AT_THREE + n)) for n in range(4)]
    model = Anomaly.from_bytes(friday)
    points = [_point(THEN + n, float(value)) for n, value in enumerate(values)]
    found = model.score(points[-1], points[:-1]).evidence
    assert found is not None and found.slots == 4 and found.value == sum(values)
    assert model.to_bytes() == friday


def test_a_gap_breaks_a_run(friday: bytes) -> None:
    model = Anomaly.from_bytes(friday)
    found = model.score(_point(THEN + 1, 80.0)).evidence
    assert found is not None and found.slots == 1


def test_someone_in_a_closed_store_is_unusual_and_one_person_is_not() -> None:
    model = _taught(6, AT_NIGHT)
    assert model.score(_point(6 * WEEK + AT_NIGHT, 0.0)).score < 0.1
    assert model.score(_point(6 * WEEK + AT_NIGHT, 1.0)).score < alarm_score(1.0, WEEK)
    assert model.score(_point(6 * WEEK + AT_NIGHT, 6.0)).score > 0.5


def test_one_odd_day_teaches_little(friday: bytes) -> None:
    model = Anomaly.from_bytes(friday)
    before = model.score(_point(THEN + WEEK, None)).expected
    model.learn(_point(THEN, 100_000.0))
    for n in range(1, WEEK):
        model.learn(_point(THEN + n, float(round(_usual((FRIDAY_AT_THREE + n) % WEEK)))))
    after = model.score(_point(THEN + WEEK, None)).expected
    assert before is not None and after is not None
    assert before < after < 1.4 * before


def test_the_second_week_of_a_new_habit_is_believed() -> None:
    # A store that stays open on Sunday from now on: within five weeks it is usual.
    model, sunday = _taught(6), 6 * 96 + 48
    for week in range(5):
        model.learn(_point(sunday + week * WEEK, 48.0 + week))
    found = model.score(_point(sunday + 5 * WEEK, 50.0))
    assert found.expected is not None
    assert found.expected > 35.0 and found.score < 0.3


def test_what_was_not_measured_is_no_zero(friday: bytes) -> None:
    model = Anomaly.from_bytes(friday)
    for nothing in (None, math.nan, math.inf, -math.inf):
        found = model.score(_point(THEN, nothing))
        assert found.score == 0.0 and found.expected is not None
        model.learn(_point(THEN, nothing))
    assert model.to_bytes() == friday


def test_the_data_choose_between_counts_and_values() -> None:
    rng = np.random.default_rng(4)
    shop, noise, fractions = _taught(3), Anomaly(), Anomaly()
    for quarter in range(3 * WEEK):
        noise.learn(_point(quarter, float(rng.poisson(rng.gamma(1.0, 20.0)))))
        fractions.learn(_point(quarter, _usual(quarter % WEEK) + 0.5))
    assert shop.by_counts() and not noise.by_counts() and not fractions.by_counts()


def test_a_value_far_off_is_news_once() -> None:
    rng, model = np.random.default_rng(5), Anomaly()
    for quarter in range(2 * WEEK):
        model.learn(_point(quarter, rng.normal(10.5, 1.0)))
    first, second = _play(model, 2 * WEEK, [30.0, 29.0])
    assert first.score > 0.5 > second.score


def test_a_budget_and_its_score_are_each_others_inverse() -> None:
    for budget in (0.1, 1.0, 5.0):
        assert alarms_a_week(alarm_score(budget, WEEK), WEEK) == pytest.approx(budget)
    assert alarm_score(0.1, WEEK) > alarm_score(1.0, WEEK)


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (Evidence("surge", 2, 140.0, 80.2, 119.6), "140 in the last 30 minutes, usual 80 to 120 on a Friday"),
        (Evidence("dead", 4, 0.0, 80.2, 119.6), "nobody in the last hour, usual 80 to 120 on a Friday"),
        (Evidence("surge", 1, 9.0, 0.0, 0.0), "9 in the last 15 minutes, usual 0 on a Friday"),
        (Evidence("stuck", 1, 44.0, 30.0, 60.0), "44 again, the same number in slot after slot, usual 30 to 60 on a Friday"),
        (None, "44 in the last 15 minutes, usual 40 to 75 on a Friday"),
    ],
)
def test_the_reason_says_what_came_and_what_is_usual(evidence: Evidence | None, said: str) -> None:
    assert reason(Score(0.6, 57.0, 40.2, 75.3, evidence), 44.0, FRIDAY_AT_THREE) == said
    assert reason(Score(0.0), 44.0, 0) == "44 in the last 15 minutes, nothing to compare with yet"
    assert reason(Score(0.0), None, FRIDAY_AT_THREE) == "no count in the last 15 minutes"
