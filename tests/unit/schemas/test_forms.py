"""Short rows stand for whole ones."""

import pytest

from schemas.forms import FORMS, Form, Same, whole_rows
from schemas.rows import TABLES


@pytest.mark.parametrize("form", FORMS.values(), ids=lambda f: f.name)
def test_short_rows_give_the_columns_of_the_whole_ones(form: Form) -> None:
    rows = [tuple(f"{column}{n}" for column in form.given) for n in range(3)]
    whole = [form.whole(row) for row in rows]
    assert [list(column) for column in form.columns(rows)] == [list(column) for column in zip(*whole, strict=True)]
    assert whole[1] == form.table.row(**form.same, **{column: f"{column}1" for column in form.given})


def test_the_names_of_forms_are_not_those_of_tables() -> None:
    assert not FORMS.keys() & TABLES.keys()


def test_rows_of_a_table_and_of_its_form_come_together() -> None:
    form = FORMS["line_minutes without classes"]
    short = tuple(range(len(form.given)))
    assert whole_rows({"line_minutes": [("x",)], form.name: [short]}) == {"line_minutes": [("x",), form.whole(short)]}


def test_a_column_of_one_value_can_be_cut_and_looked_at_like_a_list() -> None:
    column = Same("x", 5)
    assert (len(column), column[0], column[-1], list(column[1:3]), len(column[3:9])) == (5, "x", "x", ["x", "x"], 2)
    with pytest.raises(IndexError):
        column[5]
