"""Champion and challengers of one series: who speaks, how they are judged, that the state goes on."""

import random

import pytest

from operators.models import UnreadableState
from operators.series_forecast import AHEAD, NAMES, NEAR, Record, Rolling, SeriesForecast
from operators.special_days import plain_days


def _usual(hour: int) -> float:
    return 80.0 + 10.0 * (hour % 24 - 8) if 8 <= hour % 24 < 20 else 0.0


def _lived(hours: int, state: bytes | None = None, since: int = 0) -> SeriesForecast:
    rng, series = random.Random(4), SeriesForecast(plain_days, state)
    values = [max(0.0, rng.gauss(_usual(h), 8.0)) if _usual(h) else 0.0 for h in range(hours)]
    for hour in range(since, hours):
        series.learn(hour, values[hour])
        series.tell(range(1, NEAR + 1))
    return series


def _judged(errors: list[list[float]], hours: int) -> Record:
    """A record in which each model is off by its errors, one phase after the other, `hours` each."""
    record = Record([Rolling() for _ in NAMES])
    hour = 0
    for phase in errors:
        for _ in range(hours):
            record.said[hour] = [100.0 + e for e in phase] + [80.0, 85.0, 90.0, 110.0, 115.0, 120.0]
            record.take(hour, 100.0)
            hour += 1
    return record


def test_the_champion_speaks_from_the_first_day_on_and_its_word_is_judged() -> None:
    series = _lived(21 * 24)
    assert {told.model for told in series.tell((1, 24, 48))} == {NAMES[0]}
    for record, ahead in zip(series.records, AHEAD, strict=True):
        champion = record.rolling[0]
        assert champion.n > 150 and 2.0 < champion.error < 16.0, ahead
        assert abs(champion.bias) < champion.error and record.covered[0] < record.covered[1] <= record.covered[2]


def test_hours_of_the_day_that_were_never_measured_are_left_out() -> None:
    series = SeriesForecast(plain_days)
    for hour in range(9, 15):
        series.learn(hour, 50.0)
    assert [told.band.step for told in series.tell(range(1, 25))] == [19, 20, 21, 22, 23, 24]


def test_a_challenger_speaks_once_it_is_a_tenth_better_and_has_shown_it_for_three_days() -> None:
    assert _judged([[20.0, 19.0, 40.0]], 200).speaks == 0
    assert _judged([[20.0, 15.0, 40.0]], 71).speaks == 0
    assert _judged([[20.0, 15.0, 40.0]], 73).speaks == 1


def test_the_champion_speaks_again_when_it_is_better() -> None:
    assert _judged([[20.0, 10.0, 40.0], [5.0, 10.0, 40.0]], 120).speaks == 0


def test_an_error_of_late_shows_a_change_before_the_error_does() -> None:
    before, after = _judged([[10.0] * 3], 200), _judged([[10.0] * 3, [50.0] * 3], 200)
    assert before.rolling[0].late == pytest.approx(before.rolling[0].error)
    changed = _judged([[10.0] * 3], 200)
    for hour in range(1000, 1008):
        changed.said[hour] = [150.0] * 3 + [80.0, 85.0, 90.0, 110.0, 115.0, 120.0]
        changed.take(hour, 100.0)
    assert changed.rolling[0].late > 2.0 * changed.rolling[0].error
    assert changed.rolling[0].bias < 0.0 < after.rolling[0].error


def test_closed_hours_and_those_not_measured_are_not_judged() -> None:
    record = Record([Rolling() for _ in NAMES])
    record.said = {1: [0.2, 0.0, 0.0, *[0.0] * 6], 2: [50.0] * 9}
    record.take(1, 0.0)
    record.take(2, None)
    assert record.n == 0 and not record.said


def test_the_state_goes_on_exactly_and_is_small() -> None:
    whole, first = _lived(500), _lived(400)
    again = _lived(500, first.to_bytes(), since=400)
    assert again.to_bytes() == whole.to_bytes()
    assert again.tell(range(1, 49)) == whole.tell(range(1, 49))
    assert len(whole.to_bytes()) <= 13_000


def test_a_damaged_state_is_refused() -> None:
    with pytest.raises(UnreadableState):
        SeriesForecast(plain_days, b"\x93\x01")
