"""Erlang-C and Erlang-A give the known answers, and the lanes that are wanted agree with them and with a simulation."""

import random

import pytest

from operators.erlang import erlang_a, erlang_c
from operators.lanes_wanted import GOAL, PATIENCE_S, TARGET_S, in_time, lanes_wanted

RATE, SERVICE, PATIENCE = 100 / 3600, 1 / 180, 1 / 300


@pytest.mark.parametrize(
    ("servers", "waits", "wait_s", "level"), [(6, 0.5875, 105.75, 0.698), (7, 0.3241, 29.2, 0.915), (8, 0.1673, 10.0, 0.977)]
)
def test_erlang_c_gives_the_known_answers(servers: int, waits: float, wait_s: float, level: float) -> None:
    found = erlang_c(RATE, SERVICE, servers)
    assert found is not None
    assert found.waits == pytest.approx(waits, abs=5e-5)
    assert found.wait_s == pytest.approx(wait_s, abs=0.05)
    assert found.served_within(120) == pytest.approx(level, abs=5e-4)


def test_a_load_of_one_is_unstable_although_rounding_makes_it_a_little_less() -> None:
    assert RATE / (5 * SERVICE) < 1.0 + 1e-12
    assert erlang_c(RATE, SERVICE, 5) is None
    assert erlang_c(RATE, SERVICE, 0) is None


@pytest.mark.parametrize(
    ("servers", "wait_s", "leaves"), [(5, 46.1, 0.154), (6, 24.5, 0.0815), (7, 12.0, 0.0400), (8, 5.5, 0.0182)]
)
def test_erlang_a_gives_the_known_answers(servers: int, wait_s: float, leaves: float) -> None:
    found = erlang_a(RATE, SERVICE, PATIENCE, servers)
    assert found.wait_s == pytest.approx(wait_s, abs=0.05)
    assert found.leaves == pytest.approx(leaves, abs=5e-4 if servers == 5 else 5e-5)


def test_erlang_a_without_impatience_is_erlang_c_and_many_servers_are_no_trouble() -> None:
    patient = erlang_c(RATE, SERVICE, 7)
    assert patient is not None
    assert erlang_a(RATE, SERVICE, 1e-9, 7).wait_s == pytest.approx(patient.wait_s, rel=1e-4)
    assert erlang_a(10.0, SERVICE, PATIENCE, 1900).leaves < 0.01
    with pytest.raises(ValueError, match="positive"):
        erlang_a(0.0, SERVICE, PATIENCE, 3)


def simulated(people: int, lanes: int, within_s: int, runs: int, rng: random.Random) -> float:
    """Share of those who come within the time and would be served within the target; one run is one future."""
    good = seen = 0
    for _ in range(runs):
        busy = sorted(rng.expovariate(SERVICE) for _ in range(min(people, lanes)))
        waiting = [(0.0, rng.expovariate(1 / PATIENCE_S)) for _ in range(people - len(busy))]
        at = rng.expovariate(RATE)
        while at < within_s:
            free = busy + [0.0] * (lanes - len(busy))
            for since, patience in waiting:  # first come, first served: when each gets a lane, or gives up
                free.sort()
                begin = max(free[0], since)
                if begin - since <= patience:
                    free[0] = begin + rng.expovariate(SERVICE)
            seen += 1
            good += max(0.0, min(free) - at) <= TARGET_S
            waiting.append((at, rng.expovariate(1 / PATIENCE_S)))
            at += rng.expovariate(RATE)
            if len(waiting) > 200:
                break
    return good / seen


@pytest.mark.parametrize(("people", "lanes"), [(0, 5), (8, 4), (14, 6)])
def test_the_chain_agrees_with_a_simulation_from_the_present_state(people: int, lanes: int) -> None:
    seed = 11 * people + lanes
    found = in_time(people, 100, 180, lanes, 900)
    # 300 futures of about 25 people each, which depend on each other: about three standard errors.
    assert found == pytest.approx(simulated(people, lanes, 900, 300, random.Random(seed)), abs=0.06), seed


def test_in_the_long_run_more_lanes_are_better_and_the_people_who_are_there_are_forgotten() -> None:
    shares = [in_time(0, 100, 180, lanes, 900) for lanes in range(1, 12)]
    assert shares == sorted(shares)
    assert in_time(0, 100, 180, 6, 200_000) == pytest.approx(in_time(20, 100, 180, 6, 200_000), abs=0.01)


def test_the_smallest_number_of_lanes_that_reaches_the_goal_is_wanted() -> None:
    lanes, share = lanes_wanted(3, 100, 180, 900)
    assert share >= GOAL > in_time(3, 100, 180, lanes - 1, 900)
    assert lanes_wanted(15, 100, 180, 900)[0] > lanes
    assert lanes_wanted(0, 0, 180, 900) == (1, 1.0)
    assert lanes_wanted(500, 4000, 600, 900)[0] == 20
