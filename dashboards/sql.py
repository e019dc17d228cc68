"""Pieces of SQL that several boards and the API share. All of it reads plain names of `schemas/rows.py`.

Tables of kind `facts` may hold a row twice until they merge, so they are grouped by their key. Civil time comes from the
columns `local_start` and `utc_offset_s` of the buckets: no query computes a zone.
"""

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

LINES = """SELECT device, line, argMax(site, loaded) AS site, argMax(name_of_line, loaded) AS line_name,
    argMax(name_of_device, loaded) AS device_name, argMax(role_of, loaded) AS role
FROM (
    SELECT device, line, site, line_name AS name_of_line, device_name AS name_of_device,
        role AS role_of, loaded_ms AS loaded FROM lines
    UNION ALL
    SELECT DISTINCT device, line, site, concat('Line ', toString(line)), device, 'entrance', 0 FROM line_buckets
    WHERE step = '1d' AND start > $__toTime - INTERVAL 8 DAY
)
GROUP BY device, line"""
"""Every line that the registry names or that counted in the last week."""

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


STORE_NAMES = "(SELECT site, argMax(site_name, loaded_ms) AS site_name FROM sites GROUP BY site)"
"""The newest name of every store in the registry."""


def today(keys: str, minutes: str, buckets: str, only: str = "1=1") -> str:
    """In and out since midnight of the store, and on the same weekday last week up to the same time of the day.

    Sums the quarters of an hour (written at most every 10 s while open) up to the quarter before the current one, and the
    minutes after that, so the figure is as fresh as the minutes. Last week's current quarter counts by the part that has
    passed. `share_today` is the measured share of the quarters so far; a quarter without a row (a dead door has none) is
    missing once it is an hour old, because reports may be as long as that. NULL: nothing was measured. `only`: condition
    on the store.
    """
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
            SELECT {keys}, start AS began, utc_offset_s AS carried, toDateTime(local_start, 'UTC') AS at, 0 AS fresh,
                if(end <= {edge}, toInt64(b.people_in), NULL) AS people_in,
                if(end <= {edge}, toInt64(b.people_out), NULL) AS people_out,
                if(end <= {edge}, measured_s, 0) AS measured, if(end <= {edge}, expected_s, 0) AS expected
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


def stores_now(only: str = "1=1") -> str:
    """One row per store with everything that a glance needs. `only`: condition on `site`, applied before anything is summed."""
    return f"""SELECT
    places.site AS site,
    if(names.site_name = '', places.site, names.site_name) AS site_name,
    names.zone AS zone,
    o.at AS minute,
    o.estimate AS estimate,
    o.low AS low,
    o.high AS high,
    coalesce(o.capacity, names.capacity) AS capacity,
    o.estimate / nullIf(coalesce(o.capacity, names.capacity), 0) AS share,
    o.over AS over,
    t.in_today AS in_today,
    t.in_before AS in_before,
    t.out_today AS out_today,
    t.out_before AS out_before,
    toNullable(t.share_today) AS share_today,
    a.alerts AS alerts,
    a.worst AS worst,
    d.sensors AS sensors,
    d.sensors_off AS sensors_off,
    if(d.newest_ms > 0, toDateTime(intDiv(d.newest_ms, 1000), 'UTC'), NULL) AS last_seen,
    if(d.newest_ms > 0, greatest(toUnixTimestamp({NOW}) - intDiv(d.newest_ms, 1000), 0), NULL) AS age_s
FROM (SELECT DISTINCT site FROM (SELECT site FROM sites UNION ALL SELECT site FROM devices) WHERE {only}) AS places
LEFT JOIN (
    SELECT site, argMax(site_name, loaded_ms) AS site_name, argMax(zone, loaded_ms) AS zone,
        tupleElement(argMax(tuple(coalesce(capacity_operational, capacity_legal)), loaded_ms), 1) AS capacity
    FROM sites GROUP BY site
) AS names ON names.site = places.site
LEFT JOIN (
    SELECT site, toNullable(at) AS at, toNullable(tupleElement(found, 1)) AS estimate,
        toNullable(tupleElement(found, 2)) AS low, toNullable(tupleElement(found, 3)) AS high,
        tupleElement(found, 4) AS capacity, tupleElement(found, 5) AS over
    FROM (
        SELECT site, max(minute) AS at, argMax(
            (estimate, low, high, coalesce(limit_operational, limit_legal), coalesce(over_operational, over_legal)), minute
        ) AS found
        FROM occupancy WHERE minute > {NOW} - INTERVAL {LIVE_S} SECOND AND minute <= {NOW} AND {only} GROUP BY site
    )
) AS o ON o.site = places.site
LEFT JOIN ({today("site", "site_minutes", "site_buckets", only)}) AS t ON t.site = places.site
LEFT JOIN (
    SELECT site, count() AS alerts,
        argMin(severity, indexOf(['critical', 'warning', 'info'], severity)) AS worst
    FROM ({EPISODES}) WHERE state = 'firing' GROUP BY site
) AS a ON a.site = places.site
LEFT JOIN (
    SELECT site, count() AS sensors, countIf({OFF}) AS sensors_off, max(last_ms) AS newest_ms FROM ({DEVICES}) GROUP BY site
) AS d ON d.site = places.site"""
