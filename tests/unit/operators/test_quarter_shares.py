"""Quarters of an hour from its forecast: shares by hour of the day, and intervals that cover."""

import numpy as np
import pytest

from operators.forecasters import Band
from operators.quarter_shares import QuarterShares, part_of


def test_shares_follow_what_came_and_only_of_their_hour() -> None:
    shares = QuarterShares()
    for _ in range(60):
        shares.learn(9, (0.0, 10.0, 30.0, 60.0))
    assert shares.shares(9) == pytest.approx([0.0, 0.1, 0.3, 0.6], abs=0.01)
    assert shares.shares(10) == [0.25] * 4
    assert QuarterShares(shares.to_bytes()).shares(9) == shares.shares(9)


def test_an_hour_that_was_not_measured_as_a_whole_teaches_nothing() -> None:
    shares = QuarterShares()
    shares.learn(9, (None, 10.0, 10.0, 10.0))
    shares.learn(9, (10.0, 10.0, 10.0))
    shares.learn(9, (0.0, 0.0, 0.0, 0.0))
    assert shares.shares(9) == [0.25] * 4


@pytest.mark.parametrize("people", [8.0, 60.0, 400.0])
@pytest.mark.parametrize("scatter", [0.0, 0.2])
def test_four_of_five_quarters_lie_in_the_80_percent_interval_as_the_hours_do(people: float, scatter: float) -> None:
    # Counts are Poisson around a rate that is itself off by a lognormal factor: what a forecast of the hour cannot know.
    rng = np.random.default_rng(7)
    rates = people * np.exp(rng.normal(0.0, scatter, 20_000))
    hours = rng.poisson(rates)
    band = Band(1, float(np.median(hours)), tuple(np.quantile(hours, (0.025, 0.1, 0.25, 0.75, 0.9, 0.975)).tolist()))
    quarter = part_of(band, 0.25)
    counts = rng.poisson(0.25 * rates)
    inside = np.mean((counts >= quarter.points[1]) & (counts <= quarter.points[4]))
    assert 0.72 <= inside <= 0.86  # whole people: small counts cannot be cut at exactly 80 %


def test_a_closed_hour_has_closed_quarters() -> None:
    assert part_of(Band(1, 0.0, (0.0,) * 6), 0.25) == Band(1, 0.0, (0.0,) * 6)
