"""Occupancy is a function of the set of (minute, door, counts): order, repeats, corrections and restarts change nothing."""

from math import sqrt

from hypothesis import given, settings
from hypothesis import strategies as st

from operators import occupancy
from operators.capacity import probability_at_or_over
from operators.drift import DoorDrift, Factors, rates
from operators.occupancy import Estimate, OccupancyConfig, OccupancyState
from tests.support.shop import RESET

CONFIG = OccupancyConfig("Europe/Berlin", capacity_operational=40)
Put = tuple[int, tuple[str, int], int, int]
FACTORS = Factors(
    revision=3,
    error_rate=0.03,
    doors={
        ("a", 1): DoorDrift([0.01 * n - 0.05 for n in range(18)], [100.0 * n for n in range(18)]),
        ("b", 2): DoorDrift([0.1] * 18, [50.0] * 18),
    },
)

doors = st.sampled_from([("a", 1), ("a", 2), ("b", 2)])
puts = st.tuples(st.integers(-2, 400), doors, st.integers(0, 300), st.integers(0, 300))


def _oracle(counts: dict[tuple[int, tuple[str, int]], tuple[int, int]], newest: int) -> list[Estimate]:
    """The fold from scratch for every minute, written as the docstring of the operator says it."""
    result = []
    everyone = sorted({door for _, door in counts})
    level = lowest = 0.0
    raw = crossings = 0
    outs = dict.fromkeys(everyone, 0.0)
    evidence = any(rates(FACTORS, d, CONFIG.day_type(RESET)).evidence for d in everyone)
    for minute in range(newest + 1):
        block = CONFIG.block(RESET + 60 * minute)
        for door in everyone:
            people_in, people_out = counts.get((minute, door), (0, 0))
            out = people_out * rates(FACTORS, door, CONFIG.day_type(RESET)).factors[block]
            level, raw, crossings = level + (people_in - out), raw + people_in - people_out, crossings + people_in + people_out
            outs[door] += out
        lowest = min(lowest, level)
        here = level - min(0.0, lowest)
        spread = float(crossings)
        for door in everyone:
            spread += rates(FACTORS, door, CONFIG.day_type(RESET)).spread * outs[door] * outs[door]
        deviation = sqrt(0.03 * spread + (0.03 * here) ** 2)
        mode = "reflected" if lowest < 0 else "learnt" if evidence else "raw"
        half = 1.6448536269514722 * deviation
        over = probability_at_or_over(40, here, deviation)
        result.append(Estimate(here, max(0.0, here - half), here + half, raw, mode, over, None))
    return result


def _close(a: Estimate, b: Estimate) -> bool:
    if (a.raw, a.mode, a.over_legal) != (b.raw, b.mode, b.over_legal):
        return False
    pairs = [(a.estimate, b.estimate), (a.low, b.low), (a.high, b.high), (a.over_operational or 0.0, b.over_operational or 0.0)]
    return all(abs(x - y) <= 1e-9 * (1.0 + abs(x)) for x, y in pairs)


def _apply(state: OccupancyState, items: list[Put]) -> None:
    for minute, door, people_in, people_out in items:
        occupancy.put(state, RESET + 60 * minute, door, people_in, people_out)


@settings(max_examples=60)
@given(first=st.lists(puts, max_size=40), asked=st.lists(st.integers(-5, 450), max_size=6), data=st.data())
def test_any_history_of_puts_equals_the_fold_from_scratch(first: list[Put], asked: list[int], data: st.DataObject) -> None:
    state = occupancy.start(CONFIG, RESET, FACTORS)
    counts: dict[tuple[int, tuple[str, int]], tuple[int, int]] = {}
    for number, (minute, door, people_in, people_out) in enumerate(first):
        taken = occupancy.put(state, RESET + 60 * minute, door, people_in, people_out)
        assert taken == (minute >= 0)
        if taken:
            counts[minute, door] = (people_in, people_out)
        if asked and number % 3 == 0:  # reading in between makes checkpoints, which must not show
            occupancy.estimate(state, CONFIG, RESET + 60 * asked[number % len(asked)])
        if number == 20 and data.draw(st.booleans()):
            state = OccupancyState.from_bytes(state.to_bytes())
    newest = max((m for m, _ in counts), default=-1)
    expected = _oracle(counts, newest)
    found = occupancy.changed_since(state, CONFIG, RESET)
    assert [m for m, _ in found] == [RESET + 60 * i for i in range(newest + 1)]
    assert all(_close(e, x) for (_, e), x in zip(found, expected, strict=True))
    for minute in asked:
        single = occupancy.estimate(state, CONFIG, RESET + 60 * minute)
        if 0 <= minute <= newest:
            assert single == found[minute][1]


@settings(max_examples=60)
@given(items=st.lists(puts, max_size=40, unique_by=lambda p: (p[0], p[1])), data=st.data())
def test_order_and_repeats_give_the_same_bits(items: list[Put], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(items + items[: len(items) // 2]))
    one, other = (occupancy.start(CONFIG, RESET, FACTORS) for _ in range(2))
    _apply(one, items)
    for n, item in enumerate(shuffled):
        _apply(other, [item])
        if n % 4 == 0:
            occupancy.estimate(other, CONFIG, RESET + 60 * item[0])
    assert occupancy.changed_since(one, CONFIG, RESET) == occupancy.changed_since(other, CONFIG, RESET)
    assert occupancy.learn(one, CONFIG) == occupancy.learn(other, CONFIG)
    assert occupancy.after_close(one) == occupancy.after_close(other)


@settings(max_examples=60)
@given(items=st.lists(puts, min_size=1, max_size=40))
def test_an_estimate_is_never_negative_and_lies_in_its_interval(items: list[Put]) -> None:
    state = occupancy.start(CONFIG, RESET, FACTORS)
    _apply(state, items)
    for _, e in occupancy.changed_since(state, CONFIG, RESET):
        assert 0.0 <= e.low <= e.estimate <= e.high
        assert e.over_operational is not None and 0.0 <= e.over_operational <= 1.0
