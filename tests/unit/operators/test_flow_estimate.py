"""The estimate from counts alone: sums are kept, bounds hold, and it never says more than the counts."""

import numpy as np
import pytest

from operators.counted_flows import UNUSUAL, Margin, estimate, line_margin, zone_visits
from operators.flow_estimate import fit, wrongly_placed
from schemas.sites import Device, Line, Site, Zone

SHOP = Site(
    "shop",
    "Shop",
    "UTC",
    devices={
        "d": Device(
            "d",
            lines={1: Line(1, "North"), 2: Line(2, "South"), 3: Line(3, "Café", "department"), 4: Line(4, "Street", "outside")},
            zones={1: Zone(1, "Café"), 2: Zone(2, "Shoes")},
        )
    },
)


def test_the_sums_are_kept_and_the_truth_lies_within_the_bounds() -> None:
    rng = np.random.default_rng(11)
    for _ in range(50):
        truth = rng.poisson(rng.uniform(0, 20, (5, 5))) * (1 - np.eye(5))
        if not truth.sum():
            continue
        found = fit(truth.sum(axis=1), truth.sum(axis=0), 1 - np.eye(5))
        assert found.miss < 1e-6
        assert found.people.sum(axis=1) == pytest.approx(truth.sum(axis=1), abs=1e-3)
        assert found.people.sum(axis=0) == pytest.approx(truth.sum(axis=0), abs=1e-3)
        assert (found.low <= truth + 1e-9).all()
        assert (truth <= found.high + 1e-9).all()
        assert (np.diag(found.people) == 0).all()


def test_without_forbidden_cells_the_fit_is_the_product_of_the_sums() -> None:
    left, came = np.array([6.0, 2.0]), np.array([3.0, 5.0])
    assert fit(left, came, np.ones((2, 2))).people == pytest.approx(np.outer(left, came) / 8)


def test_unequal_totals_meet_at_their_mean_and_are_told() -> None:
    found = fit(np.array([6.0, 4.0]), np.array([3.0, 3.0]), np.ones((2, 2)))
    assert found.unbalanced == pytest.approx(0.5)
    assert found.people.sum() == pytest.approx(8)


def test_a_seed_from_another_day_carries_over_what_counts_do_not_say() -> None:
    truth = np.array([[0.0, 30, 0], [5, 0, 25], [25, 0, 0]])
    even = fit(truth.sum(axis=1), truth.sum(axis=0), 1 - np.eye(3)).people
    taught = fit(truth.sum(axis=1), truth.sum(axis=0), truth * 1.7 + 0.1).people
    assert wrongly_placed(taught, truth) < wrongly_placed(even, truth)


def test_nobody_counted_gives_nobody() -> None:
    found = fit(np.zeros(2), np.zeros(2), np.ones((2, 2)))
    assert not found.people.any()
    assert found.unbalanced == 0


def test_doors_and_departments_take_part_streets_do_not() -> None:
    sums = [7, 5, *[None] * 6, 0, 0, 1, 9]
    north, cafe = line_margin(SHOP, "d", 1, sums), line_margin(SHOP, "d", 3, sums)
    assert north is not None
    assert cafe is not None
    assert (north.left, north.came, north.door) == (7, 5, True)
    assert (cafe.left, cafe.came, cafe.door) == (5, 7, False)
    assert line_margin(SHOP, "d", 4, sums) is None


def test_a_zone_with_the_name_of_a_line_is_the_same_place() -> None:
    margins = [
        Margin("line:d:1", 3, 3, True),
        Margin("line:d:3", 2, 2, False),
        Margin("zone:d:1", 9, 9, False),
        Margin("zone:d:2", 1, 1, False),
    ]
    found = estimate(SHOP, margins)
    assert found is not None
    assert {f.origin for f in found.flows} == {"line:d:1", "line:d:3", "zone:d:2"}
    # Left and reached by 3, 2 and 1; nobody goes from a zone to itself, and straight out again counts w. With n_ij = w_ij
    # u_i u_j
    # the step f from zone to zone solves (2 - w) f^2 + 3 w f - 2 w = 0.
    w = UNUSUAL
    f = (-3 * w + (9 * w * w + 8 * w * (2 - w)) ** 0.5) / (2 * (2 - w))
    wanted = {
        ("line:d:1", "line:d:1"): 2 * f,
        ("line:d:1", "line:d:3"): 2 - f,
        ("line:d:1", "zone:d:2"): 1 - f,
        ("line:d:3", "zone:d:2"): f,
    }
    people = {(x.origin, x.destination): x.people for x in found.flows}
    assert {pair: people[pair] for pair in wanted} == pytest.approx(wanted, abs=1e-6)


def test_one_place_or_no_door_is_nothing_to_estimate() -> None:
    assert estimate(SHOP, [Margin("line:d:1", 3, 3, True)]) is None
    assert estimate(SHOP, [Margin("zone:d:1", 3, 3, False), Margin("zone:d:2", 3, 3, False)]) is None


def test_visits_of_a_zone_follow_from_presence_and_dwell() -> None:
    assert zone_visits(3600 * 4.0, 240.0) == 60
    assert zone_visits(3600.0, 0.0) == 0
