"""Small groups stay hidden, also from somebody who knows the rule, every other class and the exact total."""

from collections import defaultdict
from itertools import product

import pytest

from operators.people import LEAST, by_kind, shown


def test_what_is_large_is_rounded_and_where_one_class_is_small_all_of_its_kind_are_hidden() -> None:
    assert shown({"female": 33, "male": 41}) == {"female": 35, "male": 40}
    assert shown({"a": 12, "b": 13, "c": 10}) == {"a": 10, "b": 15, "c": 10}
    assert shown({"female": 7, "male": 41}) == {"female": None, "male": None}
    assert shown({"a": 0, "b": 41, "c": 60}) == {"a": None, "b": None, "c": None}
    assert shown({}) == {}


def test_names_are_told_by_kind() -> None:
    assert by_kind({"gender:female": 3, "age:18-30": 2, "child": 1}) == {
        "gender": {"female": 3},
        "age": {"18-30": 2},
        "class": {"child": 1},
    }


@pytest.mark.parametrize("classes", [2, 3])
def test_no_difference_of_what_is_shown_and_the_total_tells_a_small_class(classes: int) -> None:
    """Everything that could be behind the same answer and the same exact total, for all numbers of people up to 34 in all.

    A small class could always be at least ten numbers, or all there are up to the total.
    """
    behind: dict[tuple[tuple[int | None, ...], int], list[tuple[int, ...]]] = defaultdict(list)
    for people in product(range(35), repeat=classes):
        if sum(people) < 35:  # of a larger total not all that is possible is here
            told = shown({str(i): n for i, n in enumerate(people)})
            behind[tuple(told.values()), sum(people)].append(people)
    checked = 0
    for (answer, total), possible in behind.items():
        for i, value in enumerate(answer):
            if any(people[i] < LEAST for people in possible):
                assert value is None
                assert len({people[i] for people in possible}) >= min(LEAST, total + 1), (answer, total)
                checked += 1
    assert checked == classes * 35


def test_one_person_more_or_less_changes_nothing_or_five() -> None:
    """Somebody compares two places, or two hours, that differ in one person."""
    for n in range(LEAST, 200):
        one, other = shown({"a": n, "b": 50})["a"], shown({"a": n + 1, "b": 50})["a"]
        assert one is not None and other is not None and other - one in (0, 5)
