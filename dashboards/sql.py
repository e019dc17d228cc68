"""Pieces of SQL that several boards and the API share. All of it reads plain names of `schemas/rows.py`.

Tables of kind `facts` may hold a row twice until they merge, so they are grouped by their key. Civil time comes from the
columns `local_start` and `utc_offset_s` of the buckets: no query computes a zone.
"""

from schemas.rows import TABLES

NOW = "$__toTime"
LIVE_S = 10800
"""An estimate older than this is not "now" any more (3 h)."""

DEVICES = """SELECT
    device,
    argMax(site, (known, seen)) AS site,
    argMax(name, (known, length(name))) AS name,
    max(seen) AS last_ms,
    max(interval_s) AS every_s,
    max(silent_flag) AS silent,
    max(skew) AS skew_s,
    max(clock_used) AS clock_of,
    max(firmware_of) AS firmware,
    max(dialect_of) AS dialect,
    max(message_count) AS messages
FROM (
    SELECT site, device, device_name AS name, last_arrival_ms AS seen, expected_interval_s AS interval_s, silent AS silent_flag,
        last_skew_s AS skew, clock AS clock_used, firmware AS firmware_of, dialect AS dialect_of,
        messages AS message_count, 1 AS known
    FROM devices
    UNION ALL
    SELECT site, device, device_name, 0, 0, 0, 0, '', '', '', 0, 0 FROM lines
)
GROUP BY device"""
"""Every device that ever reported or that the registry names."""

OFF = f"(last_ms = 0 OR silent = 1 OR toUnixTimestamp({NOW}) * 1000 - last_ms > 3000 * greatest(every_s, 60))"
"""A sensor is off when it never reported or has missed three reports."""


def lines(only: str = "1=1") -> str:
    """Every line that the registry names or that counted in the last week. `only`: condition on the store of lines that nobody
    has named; a line of the registry belongs where the registry says, so the caller asks for its store again.

    Only keys are wanted of what counted, so the stored revisions need not be told apart: a day has one for each report.
    """
    return f"""SELECT device, line, argMax(site, loaded) AS site, argMax(name_of_line, loaded) AS line_name,
    argMax(name_of_device, loaded) AS device_name, argMax(role_of, loaded) AS role
FROM (
    SELECT device, line, site, line_name AS name_of_line, device_name AS name_of_device,
        role AS role_of, loaded_ms AS loaded FROM lines
    UNION ALL
    SELECT DISTINCT device, line, site, concat('Line ', toString(line)), device, 'entrance', 0
    FROM {TABLES["line_buckets"].stored()} WHERE step = '1d' AND start > {NOW} - INTERVAL 8 DAY AND start <= {NOW} AND {only}
)
GROUP BY device, line"""


EPISODES = f"""SELECT
    episode_id,
    any(site) AS site,
    any(rule) AS rule,
    any(subject) AS subject,
    any(severity) AS severity,
    argMax(kind, (happened, decided_ms, kind)) AS state,
    argMax(summary, (happened, decided_ms, kind)) AS summary,
    argMax(reason, (happened, decided_ms, kind)) AS reason,
    argMax(value, (happened, decided_ms, kind)) AS value,
    min(onset) AS since,
    max(happened) AS changed,
    max(backfilled) AS backfilled
FROM transitions
WHERE happened > {NOW} - INTERVAL 90 DAY AND happened <= {NOW}
GROUP BY episode_id"""
"""Alert episodes of the last 90 days with their newest state."""

_FOUND = ("episode_id", "severity", "kind", "summary", "reason", "value", "onset", "happened", "backfilled")
_NAMED = ("episode_id", "severity", "state", "summary", "reason", "value", "since", "changed", "backfilled")


def open_alerts(only: str = "1=1") -> str:
    """Episodes of the last 90 days that have not ended, in the columns of `EPISODES`. `only`: condition on the store.

    An alert (rule and subject of a store) has one open episode at most, which is that of its newest transition: so there are
    as many groups as alerts, not as episodes, of which there were many in 90 days. A transition that is stored twice until
    parts are merged changes nothing here, so the stored table is read: half the time of the view.
    """
    columns = ", ".join(f"tupleElement(newest, {n}) AS {name}" for n, name in enumerate(_NAMED, 1))
    return f"""SELECT site, rule, subject, {columns} FROM (
    SELECT site, rule, subject, argMax(({", ".join(_FOUND)}), (happened, decided_ms, kind)) AS newest
    FROM {TABLES["transitions"].stored()}
    WHERE happened > {NOW} - INTERVAL 90 DAY AND happened <= {NOW} AND {only} GROUP BY site, rule, subject
) WHERE state = 'firing'"""


STORE_NAMES = "(SELECT site, site_name FROM sites)"
"""The name of every store in the registry."""


def today(keys: str, minutes: str, buckets: str, only: str = "1=1") -> str:
    """In and out since midnight of the store, and on the same weekday last week up to the same time of the day.

    Sums the quarters of an hour (written at most every 10 s while open) up to the quarter before the current one, and the
    minutes after that, so the figure is as fresh as the minutes. Last week's current quarter counts by the part that has
    passed. `share_today` is the measured share of the quarters so far; a quarter without a row (a dead door has none) is
    missing once it is an hour old, because reports may be as long as that. NULL: nothing was measured. `only`: condition
    on the store.
    """
    # End and local start of a quarter follow from its start: two columns less to read, which is most of the time.
    # Windows instead of a join: a join filters the scan of the buckets at run time, and the engine's query condition cache
    # (26.9) then remembers that filter's answer for the next query, which got nothing where there was something.
    edge = f"(toStartOfInterval({NOW}, INTERVAL 15 MINUTE) - INTERVAL 15 MINUTE)"
    first = "argMin(offset_then, (fresh, NOT on_day, began))"  # the clock's offset at midnight: the day may have 23 or 25 hours
    quarters = f"intDiv(toInt64(toUnixTimestamp({edge})) - 3600 - toUnixTimestamp(any(midnight)) + {first}, 900)"
    missing = f"greatest(0, {quarters} - toInt64(countIf(on_day AND NOT fresh AND began < {edge} - INTERVAL 1 HOUR)))"
    return f"""SELECT {keys},
    sumOrNullIf(people_in, on_day) AS in_today,
    sumOrNullIf(people_out, on_day) AS out_today,
    round(sumOrNullIf(people_in * passed, NOT on_day)) AS in_before,
    round(sumOrNullIf(people_out * passed, NOT on_day)) AS out_before,
    sumIf(measured, on_day) / nullIf(sumIf(expected, on_day) + {missing} * argMax(expected, (expected > 0, began)), 0)
        AS share_today
FROM (
    SELECT {keys}, people_in, people_out, measured, expected, fresh, began, carried AS offset_then,
        toDateTime(toUnixTimestamp({NOW}) + offset_s, 'UTC') AS wall,
        toStartOfDay(wall) AS midnight,
        if(fresh, at + toIntervalSecond(offset_s), at) AS wall_at,
        wall_at >= midnight AS on_day,
        least(1, (toUnixTimestamp(wall) - 604800 - toUnixTimestamp(wall_at)) / 900) AS passed
    FROM (
        SELECT {keys}, at, people_in, people_out, measured, expected, fresh, began, carried,
            argMax(carried, began) OVER (PARTITION BY {keys}) AS offset_s,
            max(began) OVER (PARTITION BY {keys}) AS newest
        FROM (
            SELECT {keys}, start AS began, utc_offset_s AS carried, start + toIntervalSecond(utc_offset_s) AS at, 0 AS fresh,
                if(start < {edge}, toInt64(b.people_in), NULL) AS people_in,
                if(start < {edge}, toInt64(b.people_out), NULL) AS people_out,
                if(start < {edge}, measured_s, 0) AS measured, if(start < {edge}, expected_s, 0) AS expected
            FROM {buckets} AS b WHERE step = '15m' AND {only} AND start > {NOW} - INTERVAL 194 HOUR AND start <= {NOW}
                AND (start > {NOW} - INTERVAL 26 HOUR OR start <= {NOW} - INTERVAL 166 HOUR)
            UNION ALL
            SELECT {keys}, toDateTime(0, 'UTC'), 0, toDateTime(minute, 'UTC'), 1,
                toInt64(m.people_in), toInt64(m.people_out), 0, 0
            FROM {minutes} AS m WHERE minute >= {edge} AND minute <= {NOW} AND {only}
        )
    )
    WHERE newest > {NOW} - INTERVAL 26 HOUR
        AND (wall_at >= midnight OR (wall_at >= midnight - INTERVAL 7 DAY AND wall_at < wall - INTERVAL 7 DAY))
)
GROUP BY {keys}"""


def present(only: str = "1=1") -> str:
    """The newest estimate of every store that has one. `only`: condition on the store."""
    # The newest revision of the newest minute is the first row of a store from behind: half the time of asking the view.
    return f"""SELECT site, toNullable(minute) AS at, toNullable(o.estimate) AS estimate, toNullable(o.low) AS low,
    toNullable(o.high) AS high, coalesce(limit_operational, limit_legal) AS limit_then,
    coalesce(over_operational, over_legal) AS over
FROM {TABLES["occupancy"].stored()} AS o WHERE minute > {NOW} - INTERVAL {LIVE_S} SECOND AND minute <= {NOW} AND {only}
ORDER BY site DESC, minute DESC, revision DESC, complete DESC LIMIT 1 BY site"""


def sensors(only: str = "1=1") -> str:
    """Sensors of every store that has one, how many of them are off, and when the newest message came (epoch ms, 0: never)."""
    return f"""SELECT site, count() AS sensors, countIf({OFF}) AS sensors_off, max(last_ms) AS newest_ms
FROM ({DEVICES}) WHERE {only} GROUP BY site"""


AGE = f"if(newest_ms > 0, greatest(toUnixTimestamp({NOW}) - intDiv(newest_ms, 1000), 0), NULL)"
"""Seconds since the newest message of `sensors`; NULL: there was none."""


def stores_now(only: str = "1=1") -> str:
    """One row per store with everything that a glance needs. `only`: condition on `site`, applied before anything is summed."""
    return f"""SELECT
    p.site AS site,
    if(p.name_of = '', p.site, p.name_of) AS site_name,
    p.zone_of AS zone,
    o.at AS minute,
    o.estimate AS estimate,
    o.low AS low,
    o.high AS high,
    coalesce(o.limit_then, p.capacity_of) AS capacity,
    o.estimate / nullIf(capacity, 0) AS share,
    o.over AS over,
    t.in_today AS in_today,
    t.in_before AS in_before,
    t.out_today AS out_today,
    t.out_before AS out_before,
    toNullable(t.share_today) AS share_today,
    a.alerts AS alerts,
    a.worst AS worst,
    p.sensors_of AS sensors,
    p.off_of AS sensors_off,
    if(newest_ms > 0, toDateTime(intDiv(newest_ms, 1000), 'UTC'), NULL) AS last_seen,
    {AGE} AS age_s
FROM (
    SELECT site, max(name) AS name_of, max(zone_name) AS zone_of, max(limit_of) AS capacity_of,
        sum(sensors) AS sensors_of, sum(sensors_off) AS off_of, max(newest) AS newest_ms
    FROM (
        SELECT site, site_name AS name, zone AS zone_name, coalesce(capacity_operational, capacity_legal) AS limit_of,
            0 AS sensors, 0 AS sensors_off, 0 AS newest
        FROM sites WHERE {only}
        UNION ALL
        SELECT site, '', '', NULL, sensors, sensors_off, newest_ms FROM ({sensors(only)})
    )
    GROUP BY site
) AS p
LEFT JOIN ({present(only)}) AS o ON o.site = p.site
LEFT JOIN ({today("site", "site_minutes", "site_buckets", only)}) AS t ON t.site = p.site
LEFT JOIN (
    SELECT site, count() AS alerts, argMin(severity, indexOf(['critical', 'warning', 'info'], severity)) AS worst
    FROM ({open_alerts(only)}) GROUP BY site
) AS a ON a.site = p.site"""
