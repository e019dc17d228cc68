"""DDL that follows from the row classes."""

import pytest

from connectors._native import TYPES
from infra.ddl import add_columns, change_ttl, create_as_of, create_table, create_view, keep_of, text
from infra.errors import Problem
from schemas.rows import TABLES, Duplicates, LineMinutes, Progress, SiteBuckets, Transitions


def test_every_column_of_every_table_has_a_type_that_the_client_can_write_and_a_comment() -> None:
    for table in TABLES.values():
        assert {c.type for c in table.columns.values()} <= TYPES, table.name
        statement = create_table(table, table.keep_days)
        assert all(f"COMMENT {text(c.comment)}" in statement for c in table.columns.values() if c.comment)
        assert all(c.comment for c in table.columns.values()), table.name


def test_a_stored_row_of_a_figure_is_identified_by_key_and_revision_and_decided_by_completeness() -> None:
    statement = create_table(LineMinutes, 1826)
    assert "`line_minutes_revisions`" in statement
    assert "ENGINE = ReplacingMergeTree(complete)\n" in statement
    assert "ORDER BY (device, line, minute, revision)\n" in statement
    assert "PARTITION BY toYYYYMM(minute)\n" in statement
    assert "TTL minute + toIntervalDay(1826)\n" in statement


def test_a_stored_fact_is_identified_by_its_key() -> None:
    assert "ENGINE = ReplacingMergeTree(position)\nORDER BY (topic, partition_no)\n" in create_table(Progress, None)
    assert "ENGINE = ReplacingMergeTree\n" in create_table(Duplicates, 90)
    assert "FROM `progress_rows` FINAL" in create_view(Progress)


def test_what_is_kept_for_ever_has_no_ttl() -> None:
    assert "TTL" not in create_table(SiteBuckets, None)
    assert "TTL" not in create_table(Duplicates, 0)
    assert "ttl_only_drop_parts" not in create_table(Transitions, 396)  # no months, so rows go one by one


def test_the_view_of_a_moment_filters_before_it_chooses_the_newest() -> None:
    statement = create_as_of(SiteBuckets)
    assert statement.index("known_at_ms <= {at_ms:Int64}") < statement.index("LIMIT 1 BY step, site, start")


def test_a_missing_column_is_added_in_its_place() -> None:
    there = {n: c.type for n, c in Progress.columns.items() if n != "position"}
    added = (
        "ADD COLUMN IF NOT EXISTS `position` UInt64 COMMENT 'Everything before this position is stored' AFTER `partition_no`"
    )
    assert add_columns(Progress, there) == [f"ALTER TABLE `progress_rows` {added}"]


def test_a_column_of_another_type_is_refused_with_the_way_out() -> None:
    there = {n: c.type for n, c in Progress.columns.items()} | {"position": "String"}
    with pytest.raises(Problem, match=r"progress_rows\.position is String, not UInt64; .*rebuild"):
        add_columns(Progress, there)


def test_retention_changes_only_when_it_differs() -> None:
    engine = "ReplacingMergeTree PARTITION BY toYYYYMM(arrived) ORDER BY x TTL arrived + toIntervalDay(90) SETTINGS a = 1"
    assert change_ttl(Duplicates, engine, 90) == []
    assert change_ttl(Duplicates, engine, 9) == ["ALTER TABLE `duplicates_rows` MODIFY TTL arrived + toIntervalDay(9)"]
    assert change_ttl(Duplicates, engine, None) == ["ALTER TABLE `duplicates_rows` REMOVE TTL"]
    assert change_ttl(Duplicates, "ReplacingMergeTree ORDER BY x", None) == []


def test_retention_settings_change_the_defaults() -> None:
    keep = keep_of("observations=30, line_buckets=0")
    assert (keep["observations"], keep["line_buckets"], keep["line_minutes"]) == (30, None, 1826)
    assert set(keep_of("all=0").values()) == {None}


@pytest.mark.parametrize("spec", ["observation=3", "observations", "observations=x", "observations=-1", "sites=3"])
def test_a_wrong_retention_setting_is_one_line(spec: str) -> None:
    with pytest.raises(Problem, match="FOOTSTREAM_KEEP_DAYS"):
        keep_of(spec)
