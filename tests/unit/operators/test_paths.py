"""Paths: visits from stays, transitions and the chain that follows, against counting one by one and worked-out figures."""

import random
from collections import Counter

import numpy as np
import pytest

from operators.paths import (
    ENTRY,
    EXIT,
    Path,
    Stayed,
    bottlenecks,
    chain,
    order_of,
    outlook,
    path_of,
    transitions,
    visits,
)


def stay(start: int, end: int, place: str) -> Stayed:
    return Stayed(start, end, place, float(end - start), 0)


def test_a_pause_ends_a_visit_and_a_place_that_comes_twice_in_a_row_is_one() -> None:
    #   a----a--b        (gap of 601 s)        b
    stays = [stay(0, 10, "a"), stay(12, 20, "a"), stay(20, 30, "b"), stay(631, 640, "b")]
    random.Random(1).shuffle(stays)
    assert [path_of(v) for v in visits(stays)] == [("a", "b"), ("b",)]
    assert [path_of(v) for v in visits([stay(0, 10, "a"), stay(610, 620, "a")])] == [("a",)]


def test_a_visit_does_not_go_on_for_ever() -> None:
    stays = [stay(i * 500, i * 500 + 100, "ab"[i % 2]) for i in range(10)]
    assert [len(v) for v in visits(stays, most_s=2000)] == [5, 5]


def test_transitions_are_those_counted_person_by_person() -> None:
    rng = random.Random(7)
    walks = [tuple(rng.choice("abcd") for _ in range(rng.randint(1, 9))) for _ in range(500)]
    walks = [tuple(p for i, p in enumerate(w) if i == 0 or w[i - 1] != p) for w in walks]
    counted: Counter[tuple[str, str]] = Counter()
    for walk in walks:
        here = ENTRY
        for place in walk:
            counted[here, place] += 1
            here = place
        counted[here, EXIT] += 1
    assert transitions(Counter(walks)) == counted


def test_smoothing_is_alpha_over_what_can_follow() -> None:
    # From a: 3 to b, 1 out; what can follow a: b, c, out.
    found = chain({(ENTRY, "a"): 4, ("a", "b"): 3, ("a", EXIT): 1, ("b", "c"): 3, ("c", EXIT): 3})
    assert found.places == (ENTRY, "a", "b", "c")
    a = found.step[1].tolist()
    assert a == pytest.approx([0, (3 + 1 / 3) / 5, (1 / 3) / 5, (1 + 1 / 3) / 5])
    assert found.step.sum(axis=1).tolist() == pytest.approx([1, 1, 1, 1])
    assert found.step[0, -1] == 0


def test_the_outlook_of_a_small_chain_is_what_one_works_out_by_hand() -> None:
    # entry -> a; a -> b 1/2, out 1/2; b -> a 1/2, checkout 1/2; checkout -> out. Visits of a: 1 / (1 - 1/4) = 4/3, of b: 2/3,
    # of the checkout: 1/3, which is the share that comes to it.
    paths = {("a",): 2, ("a", "b", "a"): 1, ("a", "b", "checkout"): 1}
    counts = {
        (ENTRY, "a"): 4.0,
        ("a", "b"): 1.0,
        ("a", EXIT): 1.0,
        ("b", "a"): 1.0,
        ("b", "checkout"): 1.0,
        ("checkout", EXIT): 1.0,
    }
    found = outlook(chain(counts, alpha=0.0), frozenset({"checkout"}))
    assert found.places == (ENTRY, "a", "b", "checkout")
    assert found.visits == pytest.approx([1, 4 / 3, 2 / 3, 1 / 3])
    assert found.reach == pytest.approx([1 / 3, 1 / 3, 2 / 3, 1])
    assert found.left == pytest.approx([7 / 3, 4 / 3, 5 / 3, 0])
    assert found.bits == pytest.approx([0, 1, 1, 0])
    assert transitions(paths)["b", "checkout"] == 1


def test_the_share_entry_to_checkout_is_that_of_walks_drawn_from_the_chain() -> None:
    rng = np.random.default_rng(3)
    counts = {(a, b): float(rng.integers(1, 30)) for a in (ENTRY, "a", "b", "c", "till") for b in ("a", "b", "c", "till", EXIT)}
    counts = {(a, b): n for (a, b), n in counts.items() if a != b and (a, b) != (ENTRY, EXIT)}
    of = chain(counts)
    found = outlook(of, frozenset({"till"}))
    came, seen, walks = 0, 0, 20_000
    columns = [*of.places[1:], EXIT]
    for _ in range(walks):
        here, reached = ENTRY, False
        while here != EXIT:
            here = columns[int(rng.choice(len(columns), p=of.step[of.places.index(here)]))]
            reached = reached or here == "till"
            seen += here not in (EXIT,)
        came += reached
    assert found.reach is not None
    assert found.reach[0] == pytest.approx(came / walks, abs=0.015)
    assert found.left[0] == pytest.approx(seen / walks, rel=0.03)


def _walks(second_order: bool) -> dict[Path, float]:
    rng, found = random.Random(5), Counter[Path]()
    for _ in range(2000):
        walk = [rng.choice("abc")]
        while rng.random() < 0.8 and len(walk) < 12:
            others = [p for p in "abc" if p != walk[-1]]
            if second_order and len(walk) > 1:  # they nearly never turn back
                others = [p for p in others if p != walk[-2] or rng.random() < 0.1] or others
            walk.append(rng.choice(others))
        found[tuple(walk)] += 1
    return dict(found)


def test_memory_of_the_place_before_is_found_where_it_is_and_only_there() -> None:
    assert order_of(_walks(False)).order == 1
    assert order_of(_walks(True)).order == 2
    assert order_of({}).order == 1


def test_a_bottleneck_is_where_dwell_grows_with_the_people_not_where_people_like_to_stay() -> None:
    # till: 10 people wait 60 s each in quiet hours, 40 people 180 s each in busy ones; café: everybody always sits 1800 s.
    till = [(10, 600.0), (10, 600.0), (40, 7200.0), (40, 7200.0)]
    cafe = [(5, 9000.0), (6, 10800.0), (20, 36000.0), (30, 54000.0)]
    found = bottlenecks({"till": till, "café": cafe, "new": [(3, 30.0)]})
    assert [(d.place, d.free_s, d.busy_s, d.lost_s) for d in found] == [("till", 60, 180, 9600), ("café", 1800, 1800, 0)]
