"""Whole people over the minutes of a long report."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.memory import Values
from operators.spread import spread

NONE = (None, None, None, None, None, None)


def minutes(start: int, end: int, people: int) -> list[int]:
    return [values[0] for _, _, values in spread(start, end, (people, 0, *NONE))]


def test_ten_people_of_half_an_hour_are_five_in_each_quarter() -> None:
    shares = minutes(0, 1800, 10)
    assert (sum(shares[:15]), sum(shares[15:]), max(shares)) == (5, 5, 1)


@pytest.mark.parametrize(
    ("people", "halves"), [(1, (1, 0)), (2, (1, 1)), (3, (2, 1)), (7, (4, 3)), (31, (16, 15)), (45, (23, 22))]
)
def test_halves_of_a_report_differ_by_one_at_most(people: int, halves: tuple[int, int]) -> None:
    shares = minutes(3600, 3600 + 1800, people)
    assert (sum(shares[:15]), sum(shares[15:])) == halves


def test_a_minute_that_is_covered_half_gets_half() -> None:
    assert minutes(30, 120, 30) == [10, 20]


@given(st.integers(0, 10_000), st.integers(1, 7200), st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))
def test_nobody_is_lost_and_children_are_people(start: int, length: int, people: int, out: int, child: int) -> None:
    values: Values = (people, out, min(child, people), None, None, None, None, None)
    parts = spread(start, start + length, values)
    assert [sum(v[i] or 0 for _, _, v in parts) for i in range(3)] == [people, out, min(child, people)]
    assert sum(seconds for _, seconds, _ in parts) == length
    assert all(v[3:] == (None,) * 5 for _, _, v in parts)
    if start % 60 == 0 and length % 60 == 0:
        assert all((v[2] or 0) <= v[0] for _, _, v in parts)
