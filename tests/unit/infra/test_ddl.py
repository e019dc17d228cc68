"""DDL that follows from the row classes."""

import pytest

from connectors._native import TYPES
from infra.changes import add_columns, add_indexes, change_codecs, change_settings, change_ttl, check_types
from infra.codecs import codec_of
from infra.ddl import (
    Cluster,
    Keep,
    create_all,
    create_as_of,
    create_distributed,
    create_table,
    create_view,
    keep_of,
    shard_key,
    text,
)
from infra.errors import Problem
from infra.inventory import Found
from schemas.rows import TABLES, Duplicates, LineMinutes, Observations, Progress, SiteBuckets, Transitions
from schemas.tables import Table


def test_every_column_of_every_table_has_a_type_that_the_client_can_write_and_a_comment() -> None:
    for table in TABLES.values():
        assert {c.type for c in table.columns.values()} <= TYPES, table.name
        statement = create_table(table, Keep(table.keep_days, 35))
        assert all(f"COMMENT {text(c.comment)}" in statement for c in table.columns.values() if c.comment)
        assert all(c.comment for c in table.columns.values()), table.name


def test_a_stored_row_of_a_figure_is_identified_by_key_and_revision_and_decided_by_completeness() -> None:
    statement = create_table(LineMinutes, Keep(1826))
    assert "`line_minutes_revisions`" in statement
    assert "ENGINE = ReplacingMergeTree(complete)\n" in statement
    assert "ORDER BY (site, device, line, minute, revision)\n" in statement
    assert "PARTITION BY toYYYYMM(minute)\n" in statement
    assert "TTL minute + toIntervalDay(1826)\n" in statement


def test_a_stored_fact_is_identified_by_its_key() -> None:
    assert "ENGINE = ReplacingMergeTree(position)\nORDER BY (topic, partition_no)\n" in create_table(Progress, Keep(None))
    assert "ENGINE = ReplacingMergeTree\n" in create_table(Duplicates, Keep(90))
    assert "FROM `progress_rows` FINAL" in create_view(Progress)


def test_what_is_kept_for_ever_has_no_ttl() -> None:
    assert "TTL" not in create_table(SiteBuckets, Keep(None))
    assert "TTL" not in create_table(Duplicates, Keep(0))
    assert "ttl_only_drop_parts" not in create_table(Transitions, Keep(396))  # no months, so rows go one by one


def test_the_view_of_a_moment_filters_before_it_chooses_the_newest() -> None:
    statement = create_as_of(SiteBuckets)
    assert statement.index("known_at_ms <= {at_ms:Int64}") < statement.index("LIMIT 1 BY step, site, start")


ALTER = "ALTER TABLE `x`"


def as_it_should_be(table: type[Table]) -> dict[str, tuple[str, str]]:
    return {n: (c.type, codec_of(table, n)) for n, c in table.columns.items()}


def test_a_missing_column_is_added_in_its_place() -> None:
    there = {n: c for n, c in as_it_should_be(Progress).items() if n != "position"}
    column = "`position` UInt64 COMMENT 'Everything before this position is stored' CODEC(Delta(8), ZSTD(1))"
    added = f"ADD COLUMN IF NOT EXISTS {column} AFTER `partition_no`"
    assert add_columns(Progress, there, ALTER) == [f"{ALTER} {added}"]


def test_a_column_of_another_type_is_refused_with_the_way_out() -> None:
    found = Found("", "", as_it_should_be(Progress) | {"position": ("String", "")}, set())
    with pytest.raises(Problem, match=r"progress_rows\.position is String, not UInt64; .*rebuild"):
        check_types(Progress, found)


def test_codecs_indexes_and_settings_change_only_where_they_differ() -> None:
    names = {index.split()[1] for index in Observations.indexes}
    engine = "ReplacingMergeTree(rank) ORDER BY x SETTINGS ttl_only_drop_parts = 1, index_granularity = 8192"
    found = Found(engine, "", as_it_should_be(Observations), names)
    assert change_codecs(Observations, found, ALTER) == add_indexes(Observations, found, ALTER) == []
    found.columns["skew_s"], found.indexes = ("Int32", ""), names - {"by_arrival"}
    assert change_codecs(Observations, found, ALTER) == [
        f"{ALTER} MODIFY COLUMN `skew_s` Int32 COMMENT 'Arrival minus device time in seconds' CODEC(T64, ZSTD(1))"
    ]
    assert add_indexes(Observations, found, ALTER) == [
        f"{ALTER} ADD INDEX IF NOT EXISTS by_arrival arrival_ms TYPE minmax GRANULARITY 1, MATERIALIZE INDEX by_arrival"
    ]
    assert change_settings({"ttl_only_drop_parts": 1}, found, ALTER) == []
    assert change_settings({"ttl_only_drop_parts": 0}, found, ALTER) == [f"{ALTER} MODIFY SETTING ttl_only_drop_parts = 0"]


def test_retention_changes_only_when_it_differs() -> None:
    engine = "ReplacingMergeTree PARTITION BY toYYYYMM(arrived) ORDER BY x TTL arrived + toIntervalDay(90) SETTINGS a = 1"
    assert change_ttl(Duplicates, engine, Keep(90), ALTER) == []
    assert change_ttl(Duplicates, engine, Keep(9), ALTER) == [f"{ALTER} MODIFY TTL arrived + toIntervalDay(9)"]
    assert change_ttl(Duplicates, engine, Keep(None), ALTER) == [f"{ALTER} REMOVE TTL"]
    assert change_ttl(Duplicates, "ReplacingMergeTree ORDER BY x", Keep(None), ALTER) == []


def test_rows_of_figures_that_never_closed_stay_unless_somebody_asks() -> None:
    assert not [table.name for table in TABLES.values() if "complete = 0" in create_table(table, keep_of("all=9")[table.name])]
    assert "ttl_only_drop_parts = 1" in create_table(LineMinutes, keep_of("")["line_minutes"])


def test_open_rows_of_figures_go_before_the_others_and_facts_have_none() -> None:
    keep = keep_of("open=35")
    assert "TTL minute + toIntervalDay(1826), minute + toIntervalDay(35) WHERE complete = 0\n" in create_table(
        LineMinutes, keep["line_minutes"]
    )
    assert "TTL start + toIntervalDay(35) WHERE complete = 0\n" in create_table(SiteBuckets, keep["site_buckets"])
    assert "ttl_only_drop_parts = 0" in create_table(LineMinutes, keep["line_minutes"])  # else no single row would ever go
    assert "WHERE" not in create_table(Duplicates, keep["duplicates"])
    assert keep_of("open=9")["line_buckets"] == Keep(None, 9)
    assert keep_of("open=0")["line_buckets"] == Keep(None, None)


def test_retention_settings_change_the_defaults() -> None:
    keep = keep_of("observations=30, line_buckets=0")
    assert (keep["observations"].days, keep["line_buckets"].days, keep["line_minutes"].days) == (30, None, 1826)
    assert set(keep_of("all=0").values()) == {Keep(None, None)}


@pytest.mark.parametrize("spec", ["observation=3", "observations", "observations=x", "observations=-1", "sites=3", "open"])
def test_a_wrong_retention_setting_is_one_line(spec: str) -> None:
    with pytest.raises(Problem, match="FOOTSTREAM_KEEP_DAYS"):
        keep_of(spec)


CHAIN = Cluster("chain", "foot")


def test_in_a_cluster_each_server_holds_a_replica_and_the_stored_name_is_over_all_of_them() -> None:
    local, over, *views = create_all(LineMinutes, Keep(1826, 35), CHAIN)
    assert "TABLE IF NOT EXISTS `line_minutes_revisions_local` ON CLUSTER `chain` (" in local
    path = "'/clickhouse/tables/{shard}/foot/line_minutes_revisions_local', '{replica}', complete"
    assert f"ENGINE = ReplicatedReplacingMergeTree({path})\n" in local
    assert "non_replicated" not in local
    assert "TABLE IF NOT EXISTS `line_minutes_revisions` ON CLUSTER `chain` (" in over
    assert "ENGINE = Distributed('chain', 'foot', 'line_minutes_revisions_local', cityHash64(site))\n" in over
    assert all("ON CLUSTER `chain`" in view and "FROM `line_minutes_revisions`" in view for view in views)


def test_rows_of_one_key_are_on_one_shard() -> None:
    for table in TABLES.values():
        by = shard_key(table).removeprefix("cityHash64(").removesuffix(")").split(", ")
        assert set(by) <= set(table.key), table.name
    assert [shard_key(t) for t in (SiteBuckets, Observations, Progress)] == [
        "cityHash64(site)", "cityHash64(device)", "cityHash64(topic, partition_no)",
    ]  # fmt: skip
    assert create_distributed(Progress, CHAIN).count("progress_rows") == 2


def test_a_table_of_a_cluster_is_made_of_the_same_columns_as_that_of_one_server() -> None:
    for table in TABLES.values():
        keep = Keep(table.keep_days, 35 if table.revised else None)
        one, (local, *_) = create_table(table, keep), create_all(table, keep, CHAIN)
        assert one[one.index(" (\n") : one.index("\n)\nENGINE")] == local[local.index(" (\n") : local.index("\n)\nENGINE")]
