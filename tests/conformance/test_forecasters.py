"""What every forecaster in `operators/` is held to, river's included. The series are those that broke library models."""

import math
import random
from collections.abc import Callable, Iterator

import pytest

from operators.forecasters import FARTHEST, LEVELS, Band, Forecaster, ForecasterSpec, discover
from operators.models import UnreadableState
from operators.special_days import CLOSED, OPENED, ORDINARY, plain_days

WEEK = 168
SEED = 7
SPECS = discover()
_STEPS = (1, 2, 5, 24, FARTHEST)
_CHECKED_EVERY = 5
Pairs = Iterator[tuple[int, float | None]]


def _shop(hour: int) -> float:
    return float(random.Random(SEED * 1_000_003 + hour).randint(80, 240)) if 9 <= hour % 24 < 20 else 0.0


def _series(value: Callable[[int], float | None], weeks: int = 4) -> Pairs:
    return ((hour, value(hour)) for hour in range(weeks * WEEK))


def _sometimes(other: float | None) -> Callable[[int], float | None]:
    return lambda hour: other if hour % 7 == 3 else _shop(hour)


SERIES: dict[str, Callable[[], Pairs]] = {
    "a shop": lambda: _series(_shop),
    "zeros": lambda: _series(lambda hour: 0.0),
    "a season of zeros, then a shop": lambda: _series(lambda hour: 0.0 if hour < WEEK else _shop(hour)),
    "a shop that closes for good": lambda: _series(lambda hour: _shop(hour) if hour < 2 * WEEK else 0.0),
    "other opening hours": lambda: _series(lambda hour: _shop(hour if hour < 2 * WEEK else hour - 3)),
    "NaN": lambda: _series(_sometimes(math.nan)),
    "nothing but NaN": lambda: _series(lambda hour: math.nan),
    "not measured": lambda: _series(_sometimes(None)),
    "infinite": lambda: _series(_sometimes(math.inf)),
    "negative": lambda: _series(_sometimes(-5.0)),
    "huge": lambda: _series(_sometimes(1e300)),
    "constant": lambda: _series(lambda hour: 12.0),
    "tiny": lambda: _series(lambda hour: 1e-300),
    "gaps": lambda: ((hour, v) for hour, v in _series(_shop) if not 50 <= hour % 200 < 170),
    "years away": lambda: ((hour if hour < 2 * WEEK else hour + 30_000, v) for hour, v in _series(_shop)),
    # The clock on the wall: an hour that is left out in spring, one that comes twice in autumn.
    "clock changes": lambda: ((hour - (hour > 300), v) for hour, v in _series(_shop) if hour != 146),
    "time going back": lambda: reversed(list(_series(_shop))),
}


def _check(bands: list[Band]) -> None:
    for band in bands:
        assert 1 <= band.step <= FARTHEST and len(band.points) == len(LEVELS)
        assert math.isfinite(band.mean) and band.mean >= 0.0
        assert all(math.isfinite(p) and p >= 0.0 for p in band.points) and list(band.points) == sorted(band.points)


def _run(model: Forecaster, pairs: Pairs) -> None:
    for n, (hour, value) in enumerate(pairs):
        model.learn(hour, value)
        if n % _CHECKED_EVERY == 0:
            _check(model.forecast(_STEPS))


@pytest.fixture(params=sorted(SPECS))
def spec(request: pytest.FixtureRequest) -> ForecasterSpec:
    return SPECS[request.param]


def test_the_champion_and_rivers_model_are_among_them() -> None:
    assert {"hour-week-regression", "river-holt-winters", "last-week"} <= SPECS.keys()


def test_it_says_nothing_before_it_has_data(spec: ForecasterSpec) -> None:
    assert spec.fresh(plain_days).forecast(_STEPS) == []


@pytest.mark.parametrize("series", SERIES)
def test_it_survives(spec: ForecasterSpec, series: str) -> None:
    model = spec.fresh(plain_days)
    _run(model, SERIES[series]())
    assert len(model.to_bytes()) <= spec.most_bytes
    assert spec.load(model.to_bytes(), plain_days).forecast(_STEPS) == model.forecast(_STEPS)


@pytest.mark.parametrize("kind", [CLOSED, OPENED, "a holiday"])
def test_special_days_do_not_break_it(spec: ForecasterSpec, kind: str) -> None:
    model = spec.fresh(lambda hour: kind if hour // 24 % 5 == 0 else ORDINARY)
    _run(model, _series(_shop))
    assert len(model.to_bytes()) <= spec.most_bytes


@pytest.mark.parametrize("series", ["NaN", "infinite", "not measured", "gaps"])
def test_what_is_broken_does_not_poison_what_comes_after(spec: ForecasterSpec, series: str) -> None:
    model = spec.fresh(plain_days)
    _run(model, SERIES[series]())
    _run(model, ((hour + 4 * WEEK, v) for hour, v in _series(_shop)))
    at_noon = [b for b in model.forecast(range(1, 25)) if (model.at + b.step) % 24 == 12]
    assert len(at_noon) == 1 and 60.0 <= at_noon[0].mean <= 260.0


def test_its_intervals_cover_their_share(spec: ForecasterSpec) -> None:
    model, inside, seen = spec.fresh(plain_days), 0, 0
    for hour, value in _series(_shop, 12):
        for band in model.forecast((1,)) if hour > 6 * WEEK and value else []:
            seen, inside = seen + 1, inside + (value is not None and band.points[1] <= value <= band.points[4])
        model.learn(hour, value)
    assert 0.7 <= inside / seen <= 0.92  # 80 % are meant; plain models have one spread for day and night


def test_forecasting_changes_nothing(spec: ForecasterSpec) -> None:
    model = spec.fresh(plain_days)
    _run(model, SERIES["a shop"]())
    before = model.to_bytes()
    model.forecast(range(1, FARTHEST + 1))
    assert model.to_bytes() == before


def test_what_it_says_does_not_depend_on_what_comes_after(spec: ForecasterSpec) -> None:
    short, long = spec.fresh(plain_days), spec.fresh(plain_days)
    said = []
    for hour, value in _series(_shop, 3):
        long.learn(hour, value)
        if hour == 400:
            said = long.forecast(_STEPS)
    _run(short, ((hour, v) for hour, v in _series(_shop, 3) if hour <= 400))
    assert short.forecast(_STEPS) == said != []


def test_its_state_goes_on_exactly_and_is_a_copy(spec: ForecasterSpec) -> None:
    model = spec.fresh(plain_days)
    _run(model, _series(_shop, 3))
    data = model.to_bytes()
    kept, copy = bytes(data), spec.load(data, plain_days)
    for hour in range(3 * WEEK, 3 * WEEK + 200):
        for one in (model, copy):
            one.learn(hour, _shop(hour))
        assert copy.forecast((1, 24)) == model.forecast((1, 24))
    assert copy.to_bytes() == model.to_bytes() != data == kept


def test_a_damaged_state_is_refused_in_words(spec: ForecasterSpec) -> None:
    model = spec.fresh(plain_days)
    _run(model, _series(_shop, 2))
    data = model.to_bytes()
    for damaged in (b"", data[:-40], data[: len(data) // 2], b"\x00" * 50):
        with pytest.raises(UnreadableState, match=r".+"):
            spec.load(damaged, plain_days)
