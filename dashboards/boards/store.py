"""One store's floor now: how full, how busy against last week, which door, what is wrong."""

from dashboards.board import Board, Field, Panel
from dashboards.sql import AGE, DEVICES, NOW, OFF, lines, open_alerts, present, sensors, today

_HERE = "site IN (${store:singlequote})"
_OFFSET = f"""(SELECT argMax(utc_offset_s, start) FROM site_buckets
    WHERE step = '15m' AND {_HERE} AND start > {NOW} - INTERVAL 26 HOUR AND start <= {NOW})"""


_TODAY = today("site", "site_minutes", "site_buckets", _HERE)


def _tile(id: str, title: str, description: str, sql: str, fields: tuple[Field, ...], width: int) -> Panel:
    """A figure of the row of a store (`stores_now`), without what it does not need of it."""
    return Panel(id, title, description, "stat", sql, fields, width, 4, live=True)


_TILES = (
    _tile(
        "present",
        "How full is the store?",
        "People present at the end of the newest minute, drift-corrected, with the 90 % interval and the store's capacity.",
        f"""SELECT o.estimate AS estimate, o.low AS low, o.high AS high,
    coalesce(o.limit_then, s.capacity_operational, s.capacity_legal) AS capacity, o.estimate / nullIf(capacity, 0) AS share
FROM ({present(_HERE)}) AS o LEFT JOIN sites AS s ON s.site = o.site""",
        (
            Field("estimate", "People present", "people"),
            Field("low", "At least (90 %)", "people", "low"),
            Field("high", "At most (90 %)", "people", "high"),
            Field("capacity", "Capacity", "people", "limit"),
            Field("share", "Share of capacity", "share", "note", warn=0.8, alarm=0.9),
        ),
        8,
    ),
    _tile(
        "in",
        "How many came in today?",
        "People in through the entrances since midnight of the store; the same weekday last week up to this "
        "time; share that was measured.",
        f"SELECT in_today, in_before, share_today FROM ({_TODAY})",
        (
            Field("in_today", "In today", "people"),
            Field("in_before", "Last week by now", "people", "compare"),
            Field("share_today", "Measured", "share", "note"),
        ),
        5,
    ),
    _tile(
        "out",
        "How many went out today?",
        "People out through the entrances since midnight of the store; the same weekday last week up to this time.",
        f"SELECT out_today, out_before FROM ({_TODAY})",
        (Field("out_today", "Out today", "people"), Field("out_before", "Last week by now", "people", "compare")),
        5,
    ),
    _tile(
        "wrong",
        "Is anything wrong?",
        "Open alerts, sensors that are off out of all sensors of the store, and the age of the newest message.",
        f"""SELECT (SELECT count() FROM ({open_alerts(_HERE)})) AS alerts, sensors_off, sensors, {AGE} AS age_s
FROM ({sensors(_HERE)})""",
        (
            Field("alerts", "Open alerts", "count", alarm=1),
            Field("sensors_off", "Sensors off", "count", "note", warn=1),
            Field("sensors", "Sensors", "count", "key"),
            Field("age_s", "Age of data", "seconds", "note", warn=180, alarm=600),
        ),
        6,
    ),
)

_PRESENT = Panel(
    id="occupancy",
    title="How many people are in the store?",
    description="Drift-corrected estimate with its 90 % interval, against the store's capacity.",
    kind="timeseries",
    sql=f"""SELECT $__timeInterval(minute) AS time, avg(estimate) AS present, avg(low) AS at_least, avg(high) AS at_most,
    max(coalesce(limit_operational, limit_legal)) AS capacity
FROM occupancy WHERE {_HERE} AND $__timeFilter(minute) GROUP BY time ORDER BY time""",
    fields=(
        Field("time", "Time", "time", "time"),
        Field("present", "People present", "people"),
        Field("at_least", "At least (90 %)", "people", "low"),
        Field("at_most", "At most (90 %)", "people", "high"),
        Field("capacity", "Capacity", "people", "limit"),
    ),
    width=24,
    height=9,
)


def _flow(column: str, title: str, name: str) -> Panel:
    sql = f"""SELECT $__timeInterval(at) AS time, sum(now_count) AS count, sum(before_count) AS before FROM (
    SELECT start AS at, toNullable(toInt64({column})) AS now_count, CAST(NULL, 'Nullable(Int64)') AS before_count
    FROM site_buckets WHERE step = '15m' AND {_HERE} AND $__timeFilter(start)
    UNION ALL
    SELECT toDateTime(toUnixTimestamp(local_start) + 604800 - ifNull({_OFFSET}, utc_offset_s), 'UTC') AS at, NULL,
        toInt64({column})
    FROM site_buckets WHERE step = '15m' AND {_HERE}
        AND start >= $__fromTime - INTERVAL 8 DAY AND start <= $__toTime - INTERVAL 6 DAY AND $__timeFilter(at)
) GROUP BY time ORDER BY time"""
    fields = (
        Field("time", "Time", "time", "time"),
        Field("count", name, "people"),
        Field("before", "Same weekday last week", "people", "compare"),
    )
    description = f"{name} through the entrances per quarter of an hour, against the same wall-clock time a week earlier."
    return Panel(column.removeprefix("people_") + "-by-time", title, description, "bars", sql, fields, 12, 8, step_s=900)


_DOORS = Panel(
    id="lines",
    title="Which doors and lines are busy?",
    description="In and out since midnight per line, against the same weekday last week up to this time; "
    "share that was measured.",
    kind="table",
    sql=f"""SELECT line_name, device_name, role, in_today, in_before, out_today, out_before, share_today
FROM ({lines(_HERE)}) AS l
LEFT JOIN ({today("device, line", "line_minutes", "line_buckets", _HERE)}) AS t ON t.device = l.device AND t.line = l.line
WHERE l.site IN (${{store:singlequote}})
ORDER BY role != 'entrance', device_name, l.line LIMIT 100""",
    fields=(
        Field("line_name", "Line", "text", "label"),
        Field("device_name", "Sensor", "text", "label"),
        Field("role", "Role", "text", "note"),
        Field("in_today", "In", "people"),
        Field("in_before", "In last week", "people", "compare"),
        Field("out_today", "Out", "people"),
        Field("out_before", "Out last week", "people", "compare"),
        Field("share_today", "Measured", "share", "note"),
    ),
    width=14,
    height=8,
    empty="This store has no lines in the registry and none has counted.",
)

_ALERTS = Panel(
    id="alerts",
    title="Which alerts are open?",
    description="Episodes of this store that are firing, the worst and the newest first.",
    kind="table",
    sql=f"""SELECT severity, subject, summary, since FROM ({open_alerts(_HERE)})
ORDER BY indexOf(['critical', 'warning', 'info'], severity), since DESC LIMIT 50""",
    fields=(
        Field(
            "severity",
            "Severity",
            "text",
            "label",
            states=(("critical", "critical", "alarm"), ("warning", "warning", "warn"), ("info", "info", "ok")),
        ),
        Field("subject", "Subject", "text", "key"),
        Field("summary", "What", "text", "label"),
        Field("since", "Since", "time"),
    ),
    width=10,
    height=8,
    empty="No open alerts.",
)

_USUAL = Panel(
    id="usual",
    title="Is the traffic usual?",
    description="People in per quarter of an hour against the usual range (90 %) "
    "for this hour of the week, as it was said then.",
    kind="timeseries",
    sql=f"""SELECT start AS time, argMax(a.value, position) AS people_in, argMax(a.low, position) AS usual_from,
    argMax(a.high, position) AS usual_to
FROM anomalies AS a WHERE {_HERE} AND $__timeFilter(start) GROUP BY start ORDER BY time""",
    fields=(
        Field("time", "Time", "time", "time"),
        Field("people_in", "People in", "people"),
        Field("usual_from", "Usual from", "people", "low"),
        Field("usual_to", "Usual to", "people", "high"),
    ),
    width=14,
    height=8,
    step_s=900,
    empty="The model has not scored a quarter of an hour in this range yet.",
)

_UNUSUAL = Panel(
    id="unusual",
    title="What was unusual?",
    description="What was more unusual than the store's budget of false alarms asks for, and why, the newest first.",
    kind="table",
    sql=f"""SELECT start, kind, reason FROM (
    SELECT start, argMax(a.kind, position) AS kind, argMax(a.reason, position) AS reason, argMax(a.unusual, position) AS unusual
    FROM anomalies AS a WHERE {_HERE} AND $__timeFilter(start) GROUP BY start)
WHERE unusual = 1 ORDER BY start DESC LIMIT 50""",
    fields=(
        Field("start", "Quarter of an hour", "time"),
        Field("kind", "Kind", "text", "label"),
        Field("reason", "What", "text", "label"),
    ),
    width=14,
    height=8,
    empty="Nothing unusual in this range.",
)

_SENSORS = Panel(
    id="sensors",
    title="Which sensors are off?",
    description="Every sensor of the store; off means that it never reported or has missed three reports in a row.",
    kind="table",
    sql=f"""SELECT if({OFF}, if(last_ms = 0, 'never', 'off'), 'on') AS state, if(name = '', device, name) AS sensor, device,
    if(last_ms > 0, toDateTime(intDiv(last_ms, 1000), 'UTC'), NULL) AS last_seen
FROM ({DEVICES}) WHERE {_HERE} ORDER BY state = 'on', sensor LIMIT 200""",
    fields=(
        Field(
            "state",
            "State",
            "text",
            "label",
            states=(("on", "reports", "ok"), ("off", "off", "alarm"), ("never", "never reported", "off")),
        ),
        Field("sensor", "Sensor", "text", "label"),
        Field("device", "Serial number", "text", "note"),
        Field("last_seen", "Last message", "time"),
    ),
    width=10,
    height=8,
    empty="No sensor is assigned to this store.",
)

BOARD = Board(
    uid="footstream-store",
    title="One store",
    description="One store's floor now.",
    scope="store",
    panels=(
        *_TILES,
        _PRESENT,
        _flow("people_in", "When do people come in, against last week?", "People in"),
        _flow("people_out", "When do people go out, against last week?", "People out"),
        _DOORS,
        _ALERTS,
        _USUAL,
        _UNUSUAL,
        _SENSORS,
    ),
    refresh_s=10,
    order=20,
)
