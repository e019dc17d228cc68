"""One store's queues and zones: how long people wait, how many lanes it takes, which zones are full, what was lost."""

from dashboards.board import Board, Field, Panel

_SITE = "site IN (${store:singlequote})"
_NAMES = f"""(SELECT device AS of_device, zone AS of_zone, argMax(zone_name, loaded_ms) AS label FROM zones WHERE {_SITE}
    GROUP BY of_device, of_zone)"""


def _named(number: str, word: str) -> str:
    """Name of a zone of the registry joined as `n`, else its number."""
    return f"if(n.label = '', concat('{word} ', toString({number})), n.label)"


def _joined(number: str) -> str:
    return f"LEFT JOIN {_NAMES} AS n ON n.of_device = f.device AND n.of_zone = f.{number}"


_NOW = Panel(
    id="now",
    title="How long are the queues, and how many lanes do they need?",
    description="The newest minute of the last hour, and the fewest lanes with which four of five people who come within a "
    "quarter of an hour wait no longer than two minutes. Without arrivals and service times nothing is advised.",
    kind="table",
    sql=f"""SELECT {_named("f.queue", "Queue")} AS name, if(people < long_mark, 'ok', 'long') AS state, people, long_mark,
    wait, open_now, wanted, good
FROM (
    SELECT device, queue, argMax(length, minute) AS people, argMax(long_from, minute) AS long_mark,
        argMax(wait_s, if(wait_s IS NULL, toDateTime(0, 'UTC'), minute)) AS wait, argMax(lanes_open, minute) AS open_now
    FROM queue_minutes WHERE {_SITE} AND minute > $__toTime - INTERVAL 1 HOUR AND minute <= $__toTime AND length IS NOT NULL
    GROUP BY device, queue
) AS f {_joined("queue")} LEFT JOIN (
    SELECT device AS a_device, queue AS a_queue, argMax(toNullable(lanes), at) AS wanted,
        argMax(toNullable(in_time), at) AS good
    FROM queue_advice WHERE {_SITE} AND at > $__toTime - INTERVAL 5 MINUTE AND at <= $__toTime GROUP BY a_device, a_queue
) AS a ON a.a_device = f.device AND a.a_queue = f.queue
ORDER BY people DESC, name LIMIT 50""",
    fields=(
        Field("name", "Queue", "text", "label"),
        Field("state", "State", "text", "label", states=(("ok", "short enough", "ok"), ("long", "too long", "alarm"))),
        Field("people", "People waiting", "people"),
        Field("long_mark", "Too long from", "people", "note"),
        Field("wait", "Wait", "seconds"),
        Field("open_now", "Lanes open", "count"),
        Field("wanted", "Lanes needed", "count"),
        Field("good", "In time with them", "share", "note"),
    ),
    width=24,
    height=6,
    empty="No zone with the role checkout has told people waiting in the last hour.",
)

_LENGTH = Panel(
    id="length",
    title="When were the queues long?",
    description="People waiting: mean over the measured seconds of each step.",
    kind="timeseries",
    sql=f"""SELECT time, {_named("f.queue", "Queue")} AS name, people FROM (
    SELECT $__timeInterval(minute) AS time, device, queue, sum(length_mean * measured_s) / nullIf(sum(measured_s), 0) AS people
    FROM queue_minutes WHERE {_SITE} AND $__timeFilter(minute) AND length_mean IS NOT NULL GROUP BY time, device, queue
) AS f {_joined("queue")} ORDER BY time, name""",
    fields=(
        Field("time", "Time", "time", "time"),
        Field("name", "Queue", "text", "label"),
        Field("people", "People waiting", "people"),
    ),
    width=12,
    height=8,
    empty="No queue has told its length in this range.",
)

_WAIT = Panel(
    id="wait",
    title="How long did people wait?",
    description="Wait by the quarter of an hour, of the best evidence there is: told by the sensor, stays in the queue, length "
    "by service and lanes, Little's law.",
    kind="timeseries",
    sql=f"""SELECT time, {_named("f.queue", "Queue")} AS name, wait FROM (
    SELECT $__timeInterval(start) AS time, device, queue,
        sum(wait_s * greatest(ifNull(arrivals, 0), 1)) / sum(greatest(ifNull(arrivals, 0), 1)) AS wait
    FROM queue_buckets WHERE step = '15m' AND {_SITE} AND $__timeFilter(start) AND wait_s IS NOT NULL
    GROUP BY time, device, queue
) AS f {_joined("queue")} ORDER BY time, name""",
    fields=(
        Field("time", "Time", "time", "time"),
        Field("name", "Queue", "text", "label"),
        Field("wait", "Wait", "seconds"),
    ),
    width=12,
    height=8,
    step_s=900,
    empty="Nothing is known of waits in this range.",
)

_SERVED = Panel(
    id="served",
    title="How were people served?",
    description="Arrivals, people served, waits of at most two minutes, time too long, and (arrivals - served) / arrivals: "
    "grade A by two lines, C where stays are among it. It is below zero where one of the two counts too little.",
    kind="table",
    sql=f"""SELECT {_named("f.queue", "Queue")} AS name, came, done, level, gone, graded, too_long, busy
FROM (
    SELECT device, queue, sum(arrivals) AS came, sum(served) AS done,
        sum(service_level * arrivals) / nullIf(sumIf(arrivals, service_level IS NOT NULL), 0) AS level,
        (sumIf(arrivals, abandonment_grade != '') - sumIf(served, abandonment_grade != ''))
            / nullIf(sumIf(arrivals, abandonment_grade != ''), 0) AS gone,
        max(abandonment_grade) AS graded, sum(over_s) AS too_long, avg(busy_share) AS busy
    FROM queue_buckets WHERE step = '15m' AND {_SITE} AND $__timeFilter(start) GROUP BY device, queue
) AS f {_joined("queue")} ORDER BY came DESC, name LIMIT 50""",
    fields=(
        Field("name", "Queue", "text", "label"),
        Field("came", "Joined", "people"),
        Field("done", "Served", "people"),
        Field("level", "Waited up to 2 min", "share"),
        Field("gone", "Left unserved", "share", "note"),
        Field("graded", "Grade", "text", "note"),
        Field("too_long", "Too long for", "seconds", "note"),
        Field("busy", "Tills busy", "share", "note"),
    ),
    width=24,
    height=6,
    step_s=900,
    empty="No queue has told anything in this range.",
)

_ZONES = Panel(
    id="zones",
    title="Which zones are full, and how long do people stay?",
    description="People at the newest minute as a share of the zone's capacity; visits (at least 30 s), bounces (below 10 s), "
    "the median and the 90 % point of stays since midnight of the store; share that was measured. Staff is left out of stays.",
    kind="table",
    sql=f"""SELECT {_named("f.zone", "Zone")} AS name, people, share_now, visits_n, bounce, median_s, longest_s, measured
FROM (
    SELECT device, zone, argMax(visits, start) AS visits_n,
        argMax(bounces, start) / nullIf(argMax(stays, start), 0) AS bounce, argMax(dwell_median_s, start) AS median_s,
        argMax(dwell_p90_s, start) AS longest_s, argMax(measured_s, start) / nullIf(least(
            toInt64(argMax(expected_s, start)), toInt64(dateDiff('second', max(start), $__toTime))), 0) AS measured
    FROM zone_buckets WHERE step = '1d' AND {_SITE} AND start > $__toTime - INTERVAL 26 HOUR AND start <= $__toTime
    GROUP BY device, zone
) AS f {_joined("zone")} LEFT JOIN (
    SELECT device AS m_device, zone AS m_zone, argMax(present, minute) AS people, argMax(share, minute) AS share_now
    FROM zone_minutes WHERE {_SITE} AND minute > $__toTime - INTERVAL 1 HOUR AND minute <= $__toTime AND present IS NOT NULL
    GROUP BY m_device, m_zone
) AS m ON m.m_device = f.device AND m.m_zone = f.zone
ORDER BY share_now DESC NULLS LAST, name LIMIT 100""",
    fields=(
        Field("name", "Zone", "text", "label"),
        Field("people", "People now", "people"),
        Field("share_now", "Share of capacity", "share", warn=0.8, alarm=1.0),
        Field("visits_n", "Visits today", "people"),
        Field("bounce", "Look in only", "share", "note"),
        Field("median_s", "Stay, median", "seconds"),
        Field("longest_s", "Stay, 90 %", "seconds", "note"),
        Field("measured", "Measured", "share", "note"),
    ),
    width=24,
    height=8,
    empty="No zone has told anything in the last day.",
)

_PRESENT = Panel(
    id="present",
    title="When was which zone used?",
    description="People present per zone: mean over the measured seconds of each step.",
    kind="timeseries",
    sql=f"""SELECT time, {_named("f.zone", "Zone")} AS name, people FROM (
    SELECT $__timeInterval(minute) AS time, device, zone, sum(present_mean * measured_s) / nullIf(sum(measured_s), 0) AS people
    FROM zone_minutes WHERE {_SITE} AND $__timeFilter(minute) AND present_mean IS NOT NULL GROUP BY time, device, zone
) AS f {_joined("zone")} ORDER BY time, name""",
    fields=(
        Field("time", "Time", "time", "time"),
        Field("name", "Zone", "text", "label"),
        Field("people", "People present", "people"),
    ),
    width=24,
    height=8,
    empty="No zone has told people present in this range.",
)

_PEOPLE = Panel(
    id="people",
    title="Who comes?",
    description="People by class over the hours in which no class of the kind had fewer than ten people; each hour rounded to "
    "five. Hours that are hidden are counted, not guessed. Off unless the registry allows it.",
    kind="table",
    sql=f"""SELECT place, kind, class_name, sum(p.people) AS people_n, count(p.people) AS hours_shown,
    count() - count(p.people) AS hours_hidden
FROM (
    SELECT concat(section, ' ', toString(part)) AS place, kind, class_name, start, argMax(h.people, said_ms) AS people
    FROM people_hours AS h WHERE {_SITE} AND $__timeFilter(start) GROUP BY device, place, kind, class_name, start
) AS p GROUP BY place, kind, class_name ORDER BY place, kind, class_name LIMIT 100""",
    fields=(
        Field("place", "Place", "text", "label"),
        Field("kind", "Kind", "text", "label"),
        Field("class_name", "Class", "text", "label"),
        Field("people_n", "People", "people"),
        Field("hours_shown", "Hours shown", "count", "note"),
        Field("hours_hidden", "Hours hidden", "count", "note"),
    ),
    width=12,
    height=8,
    step_s=3600,
    empty="No people by class are kept for this store.",
)

_LOST = Panel(
    id="lost",
    title="What was lost on the way?",
    description="Where running totals of a line tell more than its reports: time without a report and the people in it. They "
    "stand as imputed beside the counts, never in them.",
    kind="table",
    sql=f"""SELECT if(n.label = '', concat('Line ', toString(f.line)), n.label) AS name, begun, reason, missing,
    gone_in, gone_out
FROM (
    SELECT device, line, start AS begun, reason, missing_s AS missing, lost_in AS gone_in, lost_out AS gone_out
    FROM line_gaps WHERE {_SITE} AND $__timeFilter(start) AND reason != 'filled'
) AS f LEFT JOIN (
    SELECT device AS of_device, line AS of_line, argMax(line_name, loaded_ms) AS label FROM lines WHERE {_SITE}
    GROUP BY of_device, of_line
) AS n ON n.of_device = f.device AND n.of_line = f.line
ORDER BY begun DESC, name LIMIT 100""",
    fields=(
        Field("name", "Line", "text", "label"),
        Field("begun", "Since", "time"),
        Field(
            "reason",
            "What",
            "text",
            "label",
            states=(
                ("lost", "reports lost", "warn"),
                ("reset", "lost, counter set back", "warn"),
                ("mismatch", "totals disagree", "off"),
            ),
        ),
        Field("missing", "Without report", "seconds"),
        Field("gone_in", "People in", "people"),
        Field("gone_out", "People out", "people"),
    ),
    width=12,
    height=8,
    empty="Nothing is missing: totals and reports agree, or no line of this store tells totals.",
)

BOARD = Board(
    uid="footstream-queues",
    title="Queues and zones",
    description="One store's queues and zones, and what was lost on the way.",
    scope="store",
    panels=(_NOW, _LENGTH, _WAIT, _SERVED, _ZONES, _PRESENT, _PEOPLE, _LOST),
    refresh_s=10,
    order=24,
)
