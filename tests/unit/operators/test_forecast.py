"""The hourly forecast: what it expects, how it survives bad input, and that its state goes on as it was."""

import math

import numpy as np
import pytest

from operators.forecast import STEPS, HourForecast
from operators.forecasters import FARTHEST
from operators.models import UnreadableState
from operators.week_profile import WEEK_HOURS


def _usual(hour: int) -> float:
    clock, day = hour % 24, (hour // 24 + 3) % 7
    return 0.0 if not 9 <= clock < 20 or day == 6 else 100.0 + 60.0 * math.sin((clock - 9) / 11 * math.pi)


def _taught(weeks: int, seed: int = 3) -> HourForecast:
    rng, model = np.random.default_rng(seed), HourForecast()
    for hour in range(weeks * WEEK_HOURS):
        model.learn(hour, float(rng.poisson(_usual(hour))))
    return model


def test_before_any_count_there_is_no_forecast() -> None:
    assert HourForecast().forecast((1,)) == []


def test_it_learns_the_week_of_a_store_and_is_never_negative() -> None:
    model = _taught(8)
    for band in model.forecast(range(1, FARTHEST + 1)):
        usual = _usual(model.at + band.step)
        assert abs(band.mean - usual) <= 3.0 * math.sqrt(usual) + 1.0
        assert band.points[0] >= 0.0 and list(band.points) == sorted(band.points)


def test_four_of_five_poisson_counts_lie_in_the_80_percent_interval() -> None:
    rng, model, inside, seen = np.random.default_rng(5), HourForecast(), 0, 0
    for hour in range(12 * WEEK_HOURS):
        value = float(rng.poisson(_usual(hour)))
        if hour > 6 * WEEK_HOURS and _usual(hour) > 0:
            (band,) = model.forecast((1,))
            inside, seen = inside + (band.points[1] <= value <= band.points[4]), seen + 1
        model.learn(hour, value)
    assert 0.74 <= inside / seen <= 0.86


def test_one_odd_day_hardly_changes_the_same_day_of_the_next_week() -> None:
    odd, plain = _taught(8), _taught(8)
    for hour in range(odd.at + 1, odd.at + 25):
        plain.learn(hour, _usual(hour))
        odd.learn(hour, 0.0)
    for hour in range(odd.at + 1, odd.at + 6 * 24 + 1):
        plain.learn(hour, _usual(hour))
        odd.learn(hour, _usual(hour))
    for a, b in zip(plain.forecast((12,)), odd.forecast((12,)), strict=True):
        assert b.mean == pytest.approx(a.mean, rel=0.2)


@pytest.mark.parametrize("value", [math.nan, math.inf, -5.0, None, 1e300, 0.0])
def test_it_survives_what_breaks_others(value: float | None) -> None:
    model = _taught(3)
    for hour in range(model.at + 1, model.at + 2 * WEEK_HOURS):
        model.learn(hour, value if hour % 7 == 3 else _usual(hour))
    model.learn(model.at + 5000, 10.0)
    model.learn(5, 99.0)
    for band in model.forecast((1, *STEPS, FARTHEST)):
        assert math.isfinite(band.mean) and all(math.isfinite(p) for p in band.points)


def test_a_first_season_of_zeros_and_then_a_store() -> None:
    model = HourForecast()
    for hour in range(8 * WEEK_HOURS):
        model.learn(hour, 0.0 if hour < WEEK_HOURS else _usual(hour))
    for band in model.forecast(range(1, 25)):
        assert band.mean == pytest.approx(_usual(model.at + band.step), rel=0.06, abs=1.5)


def test_its_state_is_small_and_goes_on_exactly() -> None:
    model = _taught(4)
    data = model.to_bytes()
    assert len(data) <= 8192
    copy = HourForecast.from_bytes(data)
    for hour in range(model.at + 1, model.at + 200):
        for one in (model, copy):
            one.learn(hour, _usual(hour))
        assert copy.forecast((1, 24)) == model.forecast((1, 24))
    assert copy.to_bytes() == model.to_bytes()


@pytest.mark.parametrize("damage", [b"", b"\x00" * 40, None])
def test_a_damaged_state_is_refused_in_words(damage: bytes | None) -> None:
    data = damage if damage is not None else _taught(1).to_bytes()[:-50]
    with pytest.raises(UnreadableState):
        HourForecast.from_bytes(data)


def test_forecasting_changes_nothing() -> None:
    model = _taught(2)
    before = model.to_bytes()
    model.forecast(range(1, 25))
    assert model.to_bytes() == before
