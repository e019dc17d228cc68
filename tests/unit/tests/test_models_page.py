"""The page of the models shows what was measured last."""

import json

from tests.models import BEGIN, END, KEPT, MEASURES, PAGE, placed, table


def test_the_table_of_the_page_is_what_the_last_run_measured() -> None:
    figures = json.loads(KEPT.read_text())
    assert {m.ours for m in MEASURES} == set(figures)
    assert placed(PAGE.read_text(), figures) == PAGE.read_text()


def test_another_figure_would_show() -> None:
    figures = json.loads(KEPT.read_text())
    page = PAGE.read_text()
    assert placed(page, figures | {"nab": 1.0}) != page
    assert table(figures | {"nab": 1.0}).count("**1**") == 1 and page.count(BEGIN) == page.count(END) == 1
