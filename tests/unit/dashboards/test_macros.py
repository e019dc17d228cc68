"""Macros expand as the plugin documents it."""

import pytest

from dashboards.macros import MacroError, as_grafana, as_parameters


def grafana(sql: str, stores: list[str] | None = None) -> str:
    return as_grafana(sql, 1415792726, 1447328726, 300, {"store": stores})


def test_the_plugins_documented_examples_come_out() -> None:
    # docs/sources/query-editor.md of grafana/clickhouse-datasource
    assert grafana("$__timeFilter(t)") == "t >= toDateTime(1415792726) AND t <= toDateTime(1447328726)"
    assert grafana("$__fromTime") == "toDateTime(1415792726)"
    assert grafana("$__toTime") == "toDateTime(1447328726)"
    assert grafana("$__timeInterval(t)") == "toStartOfInterval(toDateTime(t), INTERVAL 300 second)"
    assert grafana("$__interval_s") == "300"


def test_conditional_all_keeps_the_condition_only_for_chosen_values() -> None:
    sql = "$__conditionalAll(coalesce(site, 'x') IN (${store:singlequote}), $store)"
    assert grafana(sql) == "1=1"
    assert grafana(sql, ["a", "b"]) == "coalesce(site, 'x') IN ('a','b')"


def test_quotes_and_backslashes_in_a_value_stay_inside_the_literal() -> None:
    assert grafana("IN (${store:singlequote})", ["a'); DROP TABLE x --", "\\"]) == r"IN ('a\'); DROP TABLE x --','\\')"


def test_on_the_live_board_values_of_a_caller_are_parameters_and_never_text() -> None:
    sql = "site IN (${store:singlequote}) AND $__timeFilter(t)"
    expected = "site IN ({stores:Array(String)}) AND t >= toDateTime({from:UInt32}) AND t <= toDateTime({to:UInt32})"
    assert as_parameters(sql, 60) == expected


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("$__columns(a, b)", "not one of ours"),
        ("$__timeFilter(a", "not closed"),
        ("$__timeFilter", "got 0 arguments"),
        ("$other", "dollar sign"),
        ("${store:singlequote}", "no value"),
    ],
)
def test_what_cannot_be_expanded_is_named(sql: str, words: str) -> None:
    with pytest.raises(MacroError, match=words):
        grafana(sql)
