"""The week-slot model: what it expects, what it calls unusual, how it gets used to new habits."""

import math
import subprocess
import sys

import numpy as np
import pytest

from operators.anomaly import WeekSlotGauss, reason, score_of, unusual
from operators.models import WEEK, Point, Score

FRIDAY_AT_THREE = 4 * 96 + 60


def _usual(slot: int) -> float:
    """A store from 9 to 20 o'clock, closed on Sundays, busier on Saturdays: people per quarter of an hour."""
    hour, day = slot % 96 / 4, slot // 96
    if not 9 <= hour < 20 or day == 6:
        return 0.0
    return (20 + 30 * math.sin((hour - 9) / 11 * math.pi)) * (1.5 if day == 5 else 1.0)


def _taught(weeks: int, seed: int = 1) -> WeekSlotGauss:
    rng, model = np.random.default_rng(seed), WeekSlotGauss()
    for quarter in range(WEEK * weeks):
        model.learn(_point(quarter, float(rng.poisson(_usual(quarter % WEEK)))))
    return model


def _point(quarter: int, value: float | None) -> Point:
    return Point(quarter * 900, quarter % WEEK, value)


def test_before_it_knows_anything_nothing_is_unusual() -> None:
    assert WeekSlotGauss().score(_point(0, 1000.0)) == Score(0.0, None, None, None)


def test_after_one_value_that_is_what_it_expects() -> None:
    model = WeekSlotGauss()
    model.learn(_point(0, 25.0))
    found = model.score(_point(0, 25.0))
    # Stored in steps of 1/64: y = 2 sqrt(25.375) = 10.0747 is kept as 10.078, which is 25.017 people.
    assert found.expected == pytest.approx(25.0, abs=0.1)
    # Nothing measured yet: two standard deviations stand for one. y -+ 1.645 x 2: 6.79 and 13.37, people 11.1 and 44.3.
    assert found.low == pytest.approx(11.1, abs=0.2) and found.high == pytest.approx(44.3, abs=0.3)
    assert found.score < 0.01


def test_the_score_is_half_at_three_and_a_half_standard_deviations() -> None:
    assert score_of(3.5) == score_of(-3.5) == 0.5
    model = WeekSlotGauss()
    model.learn(_point(0, 25.0))
    # y = 10.078 + 7 = 17.078 is 72.5 people.
    assert model.score(_point(0, 72.5)).score == pytest.approx(0.5, abs=0.003)


def test_an_unknown_day_is_judged_by_the_same_time_of_the_known_days_and_mildly() -> None:
    model = WeekSlotGauss()
    for quarter in range(6 * 96):
        model.learn(_point(quarter, 40.0))
    found = model.score(_point(6 * 96 + 50, 0.0))
    assert found.expected == pytest.approx(40.0, abs=0.3)
    assert found.score < score_of(2.5)


def test_its_usual_range_holds_nine_of_ten_values() -> None:
    model, rng, held = _taught(6), np.random.default_rng(2), []
    for quarter in range(WEEK * 4):
        value = float(rng.poisson(_usual(quarter % WEEK)))
        found = model.score(_point(quarter, value))
        assert found.low is not None and found.high is not None
        if _usual(quarter % WEEK):
            held.append(found.low <= value <= found.high)
        model.learn(_point(quarter, value))
    print(f"seeds 1 and 2: held {np.mean(held):.3f}")
    assert 0.86 <= np.mean(held) <= 0.94


def test_usual_weeks_give_hardly_an_alarm_and_a_doubled_hour_does() -> None:
    model, rng = _taught(6), np.random.default_rng(3)
    values = [float(rng.poisson(_usual(quarter % WEEK))) for quarter in range(WEEK * 4)]
    alarms = sum(model.score(_point(q, v)).score >= 0.5 for q, v in enumerate(values))
    assert alarms <= 4  # 1 in 2,000 of 1,056 open quarters, at 3.5 standard deviations
    doubled = [model.score(_point(FRIDAY_AT_THREE + n, 2.2 * _usual(FRIDAY_AT_THREE + n))).score for n in range(4)]
    assert unusual(doubled)
    assert unusual([model.score(_point(FRIDAY_AT_THREE + n, 0.0)).score for n in range(2)])


def test_someone_in_a_closed_store_is_unusual() -> None:
    model = _taught(6)
    at_night = 2 * 96 + 12
    assert model.score(_point(at_night, 0.0)).score < 0.01
    assert model.score(_point(at_night, 6.0)).score > 0.5


def test_one_odd_day_teaches_little() -> None:
    model = _taught(6)
    before = model.score(_point(FRIDAY_AT_THREE, None)).expected
    model.learn(_point(FRIDAY_AT_THREE, 100_000.0))
    after = model.score(_point(FRIDAY_AT_THREE, None)).expected
    assert before is not None and after is not None
    assert before < after < 1.3 * before


def test_the_second_week_of_a_new_habit_is_believed() -> None:
    # A store that stays open on Sunday from now on: within five weeks it is usual.
    model, sunday = _taught(6), 6 * 96 + 48
    for _ in range(5):
        model.learn(_point(sunday, 50.0))
    found = model.score(_point(sunday, 50.0))
    assert found.expected is not None
    assert found.expected > 35.0 and found.score < 0.5


def test_what_was_not_measured_is_no_zero() -> None:
    model = _taught(3)
    before = model.to_bytes()
    for nothing in (None, math.nan, math.inf, -math.inf, -1.0):
        found = model.score(_point(FRIDAY_AT_THREE, nothing))
        assert found.score == 0.0 and found.expected is not None
        model.learn(_point(FRIDAY_AT_THREE, nothing))
    assert model.to_bytes() == before


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([], False),
        ([0.1, 0.5], True),
        ([0.5, 0.1], False),
        ([0.42, 0.42, 0.1, 0.42], True),
        ([0.42, 0.1, 0.1, 0.42], False),
        ([0.42, 0.42, 0.42, 0.1, 0.1, 0.42], False),
    ],
)
def test_an_alarm_needs_one_clear_or_three_of_four_marked_quarters(scores: list[float], said: bool) -> None:
    assert unusual(scores) is said


def test_the_reason_says_value_usual_range_and_day() -> None:
    found = Score(0.6, 57.0, 40.2, 75.3)
    assert reason(found, 140.0, FRIDAY_AT_THREE) == "140 in the last quarter of an hour, usual 40 to 75 on a Friday"
    assert reason(Score(0.6, 0.0, 0.0, 0.0), 9, 6 * 96) == "9 in the last quarter of an hour, usual 0 on a Sunday"
    assert reason(Score(0.0), 9, 0) == "9 in the last quarter of an hour, nothing to compare with yet"
    assert reason(found, None, 0) == "no count in the last quarter of an hour"


def test_importing_the_module_does_not_load_river_and_using_it_stays_small() -> None:
    code = (
        "import resource, sys, operators.anomaly as a\n"
        "assert not any(m.startswith('river') for m in sys.modules)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "a.WeekSlotGauss()\n"
        "assert 'river.anomaly' not in sys.modules and 'sklearn' not in sys.modules and 'pandas' not in sys.modules\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    grown = int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    assert grown < 80, f"river takes {grown} MiB"
