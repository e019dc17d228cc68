"""All stores at a glance: who is full, who is busier than usual, where something is wrong."""

from dashboards.board import Board, Field, Panel
from dashboards.sql import DEVICES, NOW, OFF, STORE_NAMES, open_alerts, stores_now

_CHOSEN = "$__conditionalAll(site IN (${store:singlequote}), $store)"
_SEVERITY = Field(
    "severity",
    "Severity",
    "text",
    "label",
    states=(("critical", "critical", "alarm"), ("warning", "warning", "warn"), ("info", "info", "ok")),
)

_GLANCE = Panel(
    id="stores",
    title="How is every store doing right now?",
    description="People present with their 90 % interval against the store's capacity, people in today against the "
    "same weekday last week up to this time, open alerts, sensors that are off, and the age of the newest message.",
    kind="stores",
    sql=f"SELECT * FROM ({stores_now(_CHOSEN)}) ORDER BY site_name, site",
    fields=(
        Field("site", "Store id", "text", "key"),
        Field("site_name", "Store", "text", "label"),
        Field("zone", "Zone", "text", "key"),
        Field("minute", "As of", "time", "key"),
        Field("estimate", "People present", "people"),
        Field("low", "At least (90 %)", "people", "low"),
        Field("high", "At most (90 %)", "people", "high"),
        Field("capacity", "Capacity", "people", "limit"),
        Field("share", "Share of capacity", "share", warn=0.8, alarm=0.9),
        Field("over", "Probability of being full", "share", "key"),
        Field("in_today", "In today", "people"),
        Field("in_before", "In last week by now", "people", "compare"),
        Field("out_today", "Out today", "people"),
        Field("out_before", "Out last week by now", "people", "compare"),
        Field("share_today", "Measured today", "share", "note"),
        Field("alerts", "Open alerts", "count", alarm=1),
        Field("worst", "Worst alert", "text", "key"),
        Field("sensors", "Sensors", "count", "note"),
        Field("sensors_off", "Sensors off", "count", warn=1),
        Field("last_seen", "Newest message", "time", "key"),
        Field("age_s", "Age of data", "seconds", warn=180, alarm=600),
    ),
    width=24,
    height=10,
    live=True,
    empty="No store has reported yet. Start a bridge and a lane, or `footstream demo`.",
)

_PEOPLE = Panel(
    id="people",
    title="How many people are in each store?",
    description="Drift-corrected estimate per store (mean of the step).",
    kind="timeseries",
    sql=f"""SELECT $__timeInterval(minute) AS time, if(names.site_name = '', o.site, names.site_name) AS store,
    avg(estimate) AS estimate
FROM occupancy AS o LEFT JOIN {STORE_NAMES} AS names ON names.site = o.site
WHERE $__conditionalAll(o.site IN (${{store:singlequote}}), $store) AND $__timeFilter(minute)
GROUP BY time, store ORDER BY time, store""",
    fields=(
        Field("time", "Time", "time", "time"),
        Field("store", "Store", "text", "label"),
        Field("estimate", "People present", "people"),
    ),
    width=12,
    height=9,
    step_s=300,
)

_ALERTS = Panel(
    id="alerts",
    title="Which alerts are open?",
    description="Episodes that are firing, the worst and the newest first.",
    kind="table",
    sql=f"""SELECT e.site AS site, if(names.site_name = '', e.site, names.site_name) AS store,
    severity, rule, subject, summary, since
FROM ({open_alerts(_CHOSEN)}) AS e LEFT JOIN {STORE_NAMES} AS names ON names.site = e.site
ORDER BY indexOf(['critical', 'warning', 'info'], severity), since DESC LIMIT 100""",
    fields=(
        Field("site", "Store id", "text", "key"),
        Field("store", "Store", "text", "label"),
        _SEVERITY,
        Field("rule", "Alert", "text", "key"),
        Field("subject", "Subject", "text", "key"),
        Field("summary", "What", "text", "label"),
        Field("since", "Since", "time"),
    ),
    width=12,
    height=9,
    empty="No open alerts.",
)

_OFF = Panel(
    id="off",
    title="Which sensors are off?",
    description="Sensors that never reported, or that have missed three reports in a row.",
    kind="table",
    sql=f"""SELECT d.site AS site, if(names.site_name = '', d.site, names.site_name) AS store,
    if(name = '', device, name) AS sensor, device,
    if(last_ms > 0, toDateTime(intDiv(last_ms, 1000), 'UTC'), NULL) AS last_seen
FROM ({DEVICES}) AS d LEFT JOIN {STORE_NAMES} AS names ON names.site = d.site
WHERE {OFF} AND $__conditionalAll(d.site IN (${{store:singlequote}}), $store)
ORDER BY store, sensor LIMIT 200""",
    fields=(
        Field("site", "Store id", "text", "key"),
        Field("store", "Store", "text", "label"),
        Field("sensor", "Sensor", "text", "label"),
        Field("device", "Serial number", "text", "note"),
        Field("last_seen", "Last message", "time"),
    ),
    width=12,
    height=8,
    empty="All sensors report.",
)

_UNUSUAL = Panel(
    id="unusual",
    title="Where was the traffic unusual?",
    description="What was more unusual than the store's budget of false alarms asks for, the newest first.",
    kind="table",
    sql=f"""SELECT a.site AS site, if(names.site_name = '', a.site, names.site_name) AS store, start, kind, reason, score
FROM (SELECT site, start, argMax(kind, position) AS kind, argMax(reason, position) AS reason,
    argMax(unusual, position) AS unusual, argMax(a.score, position) AS score
    FROM anomalies AS a WHERE $__timeFilter(start) AND start <= {NOW} GROUP BY site, start) AS a
LEFT JOIN {STORE_NAMES} AS names ON names.site = a.site
WHERE unusual = 1 AND $__conditionalAll(a.site IN (${{store:singlequote}}), $store)
ORDER BY start DESC, score DESC LIMIT 100""",
    fields=(
        Field("site", "Store id", "text", "key"),
        Field("store", "Store", "text", "label"),
        Field("start", "Quarter of an hour", "time"),
        Field("kind", "Kind", "text", "label"),
        Field("reason", "What", "text", "label"),
        Field("score", "Score", "score"),
    ),
    width=12,
    height=8,
    empty="Nothing unusual in this range.",
)

BOARD = Board(
    uid="footstream-chain",
    title="All stores",
    description="Every store of the chain now.",
    scope="chain",
    panels=(_GLANCE, _ALERTS, _PEOPLE, _OFF, _UNUSUAL),
    refresh_s=30,
    hours=12,
    order=10,
)
