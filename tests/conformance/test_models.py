"""What every online model in `operators/` is held to (streaming.md 6, style.md "Online models").

A model that is found by `discover()` runs through all of it. The series are those that broke library models: a first week of
zeros, NaN, gaps, huge values, clock changes, constants.
"""

import math
import pickle
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from operators.calendar import local_start
from operators.models import WEEK, Model, ModelSpec, Point, Score, discover, restore, slot_of

STEPS = 10_000
SEED = 7


def _series(value: Callable[[int], float | None], steps: int = 2 * WEEK + 50) -> Iterator[Point]:
    for n in range(steps):
        yield Point(n * 900, n % WEEK, value(n))


def _shop(n: int) -> float:
    open_ = 36 <= n % 96 < 80
    return float(random.Random(SEED * 1_000_003 + n).randint(20, 60)) if open_ else 0.0


def _sometimes(other: float | None) -> Callable[[int], float | None]:
    return lambda n: other if n % 7 == 3 else _shop(n)


def _gaps() -> Iterator[Point]:
    yield from (p for p in _series(_shop) if not 100 <= p.start // 900 % 500 < 400)


def _clock_changes() -> Iterator[Point]:
    for zone in ("Europe/Berlin", "Australia/Lord_Howe"):
        for day in (datetime(2025, 3, 25, tzinfo=UTC), datetime(2025, 10, 1, tzinfo=UTC)):
            start = int(day.timestamp())
            for n in range(14 * 96):
                at = start + 900 * n
                yield Point(at, slot_of(local_start(zone, at)), _shop(n))


SERIES: dict[str, Callable[[], Iterator[Point]]] = {
    "a shop": lambda: _series(_shop),
    "zeros": lambda: _series(lambda n: 0.0),
    "a season of zeros, then a shop": lambda: _series(lambda n: 0.0 if n < WEEK else _shop(n)),
    "NaN": lambda: _series(_sometimes(math.nan)),
    "nothing but NaN": lambda: _series(lambda n: math.nan),
    "not measured": lambda: _series(_sometimes(None)),
    "infinite": lambda: _series(_sometimes(math.inf)),
    "negative": lambda: _series(_sometimes(-5.0)),
    "huge": lambda: _series(_sometimes(1e300)),
    "constant": lambda: _series(lambda n: 12.0),
    "tiny": lambda: _series(lambda n: 1e-300),
    "gaps": _gaps,
    "clock changes": _clock_changes,
    "time going back": lambda: reversed(list(_series(_shop))),
}

SPECS = discover()


def _check(score: Score) -> None:
    assert 0.0 <= score.score <= 1.0
    band = (score.low, score.expected, score.high)
    assert all(v is None for v in band) or all(v is not None and math.isfinite(v) for v in band)
    if score.low is not None and score.expected is not None and score.high is not None:
        assert score.low <= score.expected <= score.high


def _run(model: Model, points: Iterator[Point]) -> list[Score]:
    """Every point scored before it is learnt."""
    scores = []
    for point in points:
        scores.append(model.score(point))
        _check(scores[-1])
        model.learn(point)
    return scores


@pytest.fixture(params=sorted(SPECS))
def spec(request: pytest.FixtureRequest) -> ModelSpec:
    return SPECS[request.param]


def test_there_is_a_model() -> None:
    assert SPECS


@pytest.mark.parametrize("value", [0.0, 5.0, math.nan, None, 1e300])
def test_it_answers_before_it_has_data(spec: ModelSpec, value: float | None) -> None:
    found = spec.fresh().score(Point(0, 0, value))
    _check(found)
    assert found.score == 0.0


@pytest.mark.parametrize("series", SERIES)
def test_it_survives(spec: ModelSpec, series: str) -> None:
    model = spec.fresh()
    _run(model, SERIES[series]())
    assert len(model.to_bytes()) <= spec.most_bytes
    _check(model.score(Point(0, 40, 30.0)))


@pytest.mark.parametrize("series", ["NaN", "infinite", "not measured", "gaps"])
def test_what_is_broken_does_not_poison_what_comes_after(spec: ModelSpec, series: str) -> None:
    model = spec.fresh()
    _run(model, SERIES[series]())
    scores = _run(model, _series(_shop, 4 * WEEK))
    assert sum(s.score >= 0.5 for s in scores[-WEEK:]) <= WEEK // 50
    usual = model.score(Point(0, 50, 40.0))
    assert usual.expected is not None and 20.0 <= usual.expected <= 60.0


def test_scoring_changes_nothing(spec: ModelSpec) -> None:
    model = spec.fresh()
    _run(model, SERIES["a shop"]())
    before = model.to_bytes()
    for point in _series(_sometimes(math.nan), 100):
        model.score(point)
    assert model.to_bytes() == before


def test_a_score_does_not_know_the_value_it_judges(spec: ModelSpec) -> None:
    model = spec.fresh()
    _run(model, SERIES["a shop"]())
    expected = {model.score(Point(0, 50, value)).expected for value in (0.0, 40.0, 4000.0)}
    assert len(expected) == 1


def test_it_learns_what_is_usual_and_tells_what_is_not(spec: ModelSpec) -> None:
    model = spec.fresh()
    _run(model, _series(_shop, 4 * WEEK))
    assert model.score(Point(0, 50, 40.0)).score < 0.3
    assert model.score(Point(0, 50, 400.0)).score >= 0.5
    # A fine score does not saturate: of two absurd values the more absurd one scores higher.
    assert model.score(Point(0, 50, 4000.0)).score > model.score(Point(0, 50, 400.0)).score


def test_its_memory_levels_off(spec: ModelSpec) -> None:
    model, sizes = spec.fresh(), []
    for n, point in enumerate(_series(_sometimes(math.nan), STEPS)):
        model.score(point)
        model.learn(point)
        if n % 1000 == 999:
            sizes.append((len(model.to_bytes()), len(pickle.dumps(model))))
    assert max(stored for stored, _ in sizes) <= spec.most_bytes
    assert sizes[-1][0] <= sizes[len(sizes) // 2][0] + 64
    assert max(pickled for _, pickled in sizes) <= spec.most_bytes + 200


def test_its_state_goes_through_bytes_and_pickle_unchanged(spec: ModelSpec) -> None:
    model = spec.fresh()
    _run(model, SERIES["a shop"]())
    restored = restore(spec, model.to_bytes())
    assert not restored.rebuild, restored.reason
    copies: list[Model] = [restored.model, pickle.loads(pickle.dumps(model))]
    more = list(_series(_shop, 200))
    expected = _run(model, iter(more))
    for copy in copies:
        assert _run(copy, iter(more)) == expected
        assert copy.to_bytes() == model.to_bytes()


def test_a_snapshot_is_a_copy(spec: ModelSpec) -> None:
    model = spec.fresh()
    _run(model, SERIES["a shop"]())
    snapshot = model.to_bytes()
    kept = bytes(snapshot)
    _run(model, _series(_shop, 200))
    assert snapshot == kept != model.to_bytes()


def test_a_damaged_state_gives_a_fresh_model_that_asks_for_history(spec: ModelSpec) -> None:
    model = spec.fresh()
    _run(model, SERIES["a shop"]())
    data = model.to_bytes()
    for damaged in (b"", data[:-40], data[: len(data) // 2], b"\x00" * 50, data.replace(b"0.", b"9.", 1)):
        found = restore(spec, damaged)
        assert found.rebuild and found.reason
        assert found.model.score(Point(0, 0, 5.0)).score == 0.0
