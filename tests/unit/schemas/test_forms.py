"""Short rows stand for whole ones."""

from typing import Any

import numpy as np
import pytest

from schemas.events import Plain
from schemas.forms import FORMS, MINUTE_RUNS, PLAIN_SITE_MINUTES, PLAIN_WINDOWS, SITE_RUNS, Form, Same, whole_rows
from schemas.rows import TABLES

SHORT: dict[str, tuple[list[Any], list[dict[str, Any]]]] = {
    PLAIN_WINDOWS.name: (
        [
            Plain("d", "vs13x", "08:00|08:01", 480, 540, (1, 4), (3, 1, 0, 2), site="shop", arrival=541_007, place=5 << 48 | 9),
            Plain("e", "vs13x", "08:00|08:02", 480, 600, (2,), (7, 7), site="mall", arrival=601_000, place=10),
        ],
        [
            {"site": "shop", "device": "d", "part": 1, "people_in": 3, "people_out": 1, "skew_s": 1, "resolution_s": 60},
            {"site": "shop", "device": "d", "part": 4, "people_in": 0, "people_out": 2, "partition_no": 5, "position": 9},
            {"site": "mall", "device": "e", "part": 2, "people_in": 7, "people_out": 7, "rank": (1 << 63) - 601_000},
        ],
    ),
    MINUTE_RUNS.name: (
        [
            ("shop", "d", 1, *np.array([[0, 60, 120], [1, 2, 3], [4, 5, 6], [7, 8, 9]]), 2, 1),
            ("shop", "d", 2, *np.array([[60], [0], [1], [8]]), 0, 5),
        ],
        [
            {"line": 1, "minute": 0, "people_in": 1, "people_out": 4, "complete": 1, "known_at_ms": 7, "measured_s": 60},
            {"line": 1, "minute": 60, "people_in": 2, "people_out": 5, "complete": 1, "known_at_ms": 8, "revision": 1},
            {"line": 1, "minute": 120, "people_in": 3, "people_out": 6, "complete": 0, "known_at_ms": 9, "child_in": None},
            {"line": 2, "minute": 60, "people_in": 0, "people_out": 1, "complete": 0, "revision": 5, "resolution_s": 60},
        ],
    ),
    SITE_RUNS.name: (
        [
            ("shop", *np.array([[0, 60], [1, 2], [4, 5], [2, 3], [7, 8]]), 1, 180, 0),
            ("mall", *np.array([[60], [0], [1], [1], [9]]), 0, 60, 1 << 40),
        ],
        [
            {"site": "shop", "minute": 0, "people_in": 1, "people_out": 4, "complete": 1, "known_at_ms": 7, "measured_s": 120},
            {"site": "shop", "minute": 60, "people_in": 2, "complete": 0, "expected_s": 180, "revision": 3, "child_in": None},
            {"site": "mall", "minute": 60, "people_out": 1, "complete": 0, "expected_s": 60, "revision": (1 << 40) + 1},
        ],
    ),
    PLAIN_SITE_MINUTES.name: (
        [("shop", 60, 3, 4, 120, 180, 1, 2, 99)],
        [
            {
                "site": "shop",
                "minute": 60,
                "people_in": 3,
                "group_out": None,
                "measured_s": 120,
                "expected_s": 180,
                "revision": 2,
            }
        ],
    ),
    "line_minutes without classes": (
        [("shop", "d", 1, 60, 3, 4, 50, 300, 0, 2, 99)],
        [{"site": "shop", "device": "d", "line": 1, "minute": 60, "people_out": 4, "measured_s": 50, "resolution_s": 300}],
    ),
}
"""By form: short rows, and some columns of the whole ones."""


@pytest.mark.parametrize("form", FORMS.values(), ids=lambda f: f.name)
def test_short_rows_give_the_rows_of_their_table(form: Form) -> None:
    short, expected = SHORT[form.name]
    rows = [dict(zip(form.table.columns, row, strict=True)) for row in form.rows(short)]
    assert [{name: row[name] for name in want} for row, want in zip(rows, expected, strict=True)] == expected
    assert all(row[name] == value for row in rows for name, value in form.same.items())
    assert [list(column) for column in form.columns(short)] == [[row[name] for row in rows] for name in form.table.columns]


def test_no_short_rows_are_no_rows() -> None:
    assert all(form.rows([]) == [] for form in FORMS.values())


def test_the_names_of_forms_are_not_those_of_tables() -> None:
    assert not FORMS.keys() & TABLES.keys()


def test_rows_of_a_table_and_of_its_form_come_together() -> None:
    short, _ = SHORT[MINUTE_RUNS.name]
    assert whole_rows({"line_minutes": [("x",)], MINUTE_RUNS.name: short}) == {
        "line_minutes": [("x",), *MINUTE_RUNS.rows(short)]
    }


def test_a_column_of_one_value_can_be_cut_and_looked_at_like_a_list() -> None:
    column = Same("x", 5)
    assert (len(column), column[0], column[-1], list(column[1:3]), len(column[3:9])) == (5, "x", "x", ["x", "x"], 2)
    with pytest.raises(IndexError):
        column[5]
