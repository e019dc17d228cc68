"""Back-fill: a year of hourly data of 1,000 lines (8.76 million counts of a line and hour) through a lane with flow `traffic`.

500 sensors with two lines, one a store; everything is in the topic when the lane begins, each report with the arrival that it
once had. The lane spreads each over its minutes, so it writes 60 rows a count besides. Afterwards one day of the year is fed
anew in pieces of one hour, as a lane would meet it live, and all tables of that day must be equal.
"""

import json
from typing import Any

from connectors.clickhouse import Store
from connectors.log import NewRecord, open_log
from infra.stores import open_store
from tests.bench.lane import COMMAND, json_of, prepared
from tests.bench.memory import PARTITIONS, START, fill, reports
from tests.support.kafka import kafka_broker

STORES, DAYS, DAY_S, HOUR_S = 500, 365, 86_400, 3600
TABLES = ("line_minutes", "line_buckets", "site_minutes", "site_buckets")
Row = dict[str, Any]


def run(stores: int = STORES, days: int = DAYS) -> list[Row]:
    """One row. Raises AssertionError when the tables differ."""
    with kafka_broker() as broker:
        log = open_log(broker.url, "year.")
        log.ensure_topic("raw", PARTITIONS, 50 * 365 * DAY_S)
        fill(log.writer(), reports(stores, days * DAY_S, HOUR_S))
        log.close()
        with prepared(broker.url, stores, 1, "year.", HOUR_S) as (store, environment):
            said = json_of([*COMMAND, "run", "traffic", "--until-end"], environment)
            year = _first_day(open_store(store.settings))
        assert _live(broker.url, stores) == year, "the first day, fed hour by hour, gives other rows than the year at once"
    counts = said["events"]
    return [
        {"bench": "backfill", "what": f"{days} days of hourly data, {2 * stores} lines", "counts": counts,
         "counts_per_minute": round(counts / said["seconds"] * 60),
         "rows_per_minute": round(said["rows"] / said["seconds"] * 60),
         "seconds": said["seconds"], "cpu_s": said["cpu_s"], "rss_mib": said["rss_mib"], "first_day": "equal to live"}
    ]  # fmt: skip


def _live(log_url: str, stores: int) -> dict[str, list[Row]]:
    """What the first day gives when a lane reads it in pieces of an hour, and two hours more, so that it closes."""
    hours: dict[int, list[NewRecord]] = {}
    for record in reports(stores, DAY_S + 2 * HOUR_S, HOUR_S):
        hours.setdefault(record.timestamp // 3_600_000, []).append(record)
    log = open_log(log_url, "day.")
    log.ensure_topic("raw", PARTITIONS, 50 * 365 * DAY_S)
    with prepared(log_url, stores, 1, "day.", HOUR_S) as (store, environment):
        for hour in sorted(hours):
            fill(log.writer(), iter(hours[hour]))
            json_of([*COMMAND, "run", "traffic", "--until-end"], environment)
        log.close()
        return _first_day(open_store(store.settings))


def _first_day(client: Store) -> dict[str, list[Row]]:
    """Rows and sums of each table in the first day, by store."""
    try:
        return {table: client.query(_sums(table), {"from": START, "to": START + DAY_S - HOUR_S}) for table in TABLES}
    finally:
        client.close()


def _sums(table: str) -> str:
    time = "minute" if table.endswith("minutes") else "start"
    step = "" if time == "minute" else " AND step != '1d'"
    return (
        f"SELECT site, count() AS n, sum(people_in) AS ins, sum(people_out) AS outs, sum(measured_s) AS measured, "
        f"sum(cityHash64({time}, people_in, people_out, measured_s)) AS hash FROM {table} "
        f"WHERE {time} >= toDateTime({{from:UInt32}}) AND {time} < toDateTime({{to:UInt32}}){step} GROUP BY site ORDER BY site"
    )


if __name__ == "__main__":
    for row in run():
        print(json.dumps(row))
