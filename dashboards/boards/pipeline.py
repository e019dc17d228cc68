"""Trust: what became of every message, how late it is, whose clock is wrong.

Counts of messages are distinct positions of the log over the arrivals of the range. There is no roll-up of them: they read
the newest days of `observations`, so this board refreshes slowly and looks at an hour or a day, not at months.
"""

from dashboards.board import Board, Field, Panel
from dashboards.sql import DEVICES, NOW, STORE_NAMES
from schemas.rows import TABLES

_RANGE = "arrival_ms >= toUnixTimestamp($__fromTime) * 1000 AND arrival_ms <= toUnixTimestamp($__toTime) * 1000"
# Positions are told apart here, so a row that is stored twice until parts are merged changes nothing: no FINAL. Per partition,
# because sets of one number are half the work of sets of three.
_OUTCOMES = f"""SELECT topic, partition_no, position, toDateTime(intDiv(arrival_ms, 1000), 'UTC') AS arrived,
        'stored' AS outcome
    FROM {TABLES["observations"].stored()} WHERE {_RANGE} AND start >= $__fromTime - INTERVAL 2 DAY
    UNION ALL
    SELECT topic, partition_no, position, arrived, 'duplicate' FROM {TABLES["duplicates"].stored()} WHERE $__timeFilter(arrived)
    UNION ALL
    SELECT topic, partition_no, position, arrived, 'quarantined' FROM {TABLES["quarantine"].stored()}
    WHERE $__timeFilter(arrived) AND partial = 0"""

_TOTALS = Panel(
    id="outcomes",
    title="What became of the messages?",
    description="Messages that arrived in the range: received = stored + duplicates + quarantined. "
    "Partly good ones count as stored.",
    kind="stat",
    sql=f"""SELECT sum(r) AS received, sum(s) AS stored, sum(d) AS duplicates, sum(q) AS quarantined FROM (
    SELECT uniqExact(position) AS r, uniqExactIf(position, outcome = 'stored') AS s,
        uniqExactIf(position, outcome = 'duplicate') AS d, uniqExactIf(position, outcome = 'quarantined') AS q
    FROM ({_OUTCOMES}) GROUP BY topic, partition_no
)""",
    fields=(
        Field("received", "Received", "count"),
        Field("stored", "Stored", "count", "note"),
        Field("duplicates", "Duplicates", "count", "note"),
        Field("quarantined", "Quarantined", "count", "note", warn=1),
    ),
    width=14,
    height=4,
)

_AGE = Panel(
    id="age",
    title="How old is the newest stored message?",
    description="Time since the log's newest record that is processed and stored. "
    "It grows when sensors are quiet or the lane lags.",
    kind="stat",
    sql=f"""SELECT if(count() > 0, greatest(toUnixTimestamp({NOW}) - intDiv(max(log_ms), 1000), 0), NULL) AS age_s,
    uniqExact((topic, partition_no)) AS partitions FROM progress""",
    fields=(
        Field("age_s", "Age", "seconds", warn=60, alarm=300),
        Field("partitions", "Partitions", "count", "note"),
    ),
    width=10,
    height=4,
)

_RATE = Panel(
    id="rate",
    title="How many messages arrive, and what becomes of them?",
    description="Messages per step by outcome.",
    kind="bars",
    sql=f"""SELECT time, outcome, toUInt32(sum(n)) AS messages FROM (
    SELECT $__timeInterval(arrived) AS time, outcome, uniqExact(position) AS n
    FROM ({_OUTCOMES}) GROUP BY time, outcome, topic, partition_no
) GROUP BY time, outcome ORDER BY time, outcome""",
    fields=(
        Field("time", "Time", "time", "time"),
        Field("outcome", "Outcome", "text", "label"),
        Field("messages", "Messages", "count"),
    ),
    width=24,
    height=8,
)

_REASONS = Panel(
    id="quarantine",
    title="What was refused, and why?",
    description="Messages and parts of messages in quarantine by reason and device; their bytes are in the table `quarantine`.",
    kind="table",
    sql="""SELECT reason, site, device, uniqExact((topic, partition_no, position, item)) AS refused,
    max(arrived) AS newest, any(detail) AS example
FROM quarantine WHERE $__timeFilter(arrived) GROUP BY reason, site, device ORDER BY refused DESC, reason LIMIT 100""",
    fields=(
        Field("reason", "Reason", "text", "label"),
        Field("site", "Store", "text", "label"),
        Field("device", "Device", "text", "note"),
        Field("refused", "Refused", "count", warn=1),
        Field("newest", "Newest", "time"),
        Field("example", "Example", "text", "note"),
    ),
    width=14,
    height=9,
    empty="Nothing was refused in this range.",
)

_PROGRESS = Panel(
    id="progress",
    title="How far is each partition of the log?",
    description="Everything before the position is processed and stored; the time is the log's own.",
    kind="table",
    sql="""SELECT topic, partition_no, max(position) AS stored_to, toDateTime(intDiv(max(log_ms), 1000), 'UTC') AS newest
FROM progress GROUP BY topic, partition_no ORDER BY topic, partition_no LIMIT 500""",
    fields=(
        Field("topic", "Topic", "text", "label"),
        Field("partition_no", "Partition", "count", "label"),
        Field("stored_to", "Stored up to", "count"),
        Field("newest", "Newest record", "time"),
    ),
    width=10,
    height=9,
    empty="No lane has stored anything yet.",
)

_CLOCKS = Panel(
    id="clocks",
    title="Whose clock is off?",
    description="Sensors by the difference between arrival and their own time at the last message; "
    "`arrival` means that their clock is not used.",
    kind="table",
    sql=f"""SELECT d.site AS site, if(names.site_name = '', d.site, names.site_name) AS store,
    if(name = '', device, name) AS sensor, clock_of AS clock, skew_s, messages, firmware, dialect
FROM ({DEVICES}) AS d LEFT JOIN {STORE_NAMES} AS names ON names.site = d.site
WHERE last_ms > 0 ORDER BY clock_of = 'device', abs(skew_s) DESC, sensor LIMIT 100""",
    fields=(
        Field("site", "Store id", "text", "key"),
        Field("store", "Store", "text", "label"),
        Field("sensor", "Sensor", "text", "label"),
        Field("clock", "Clock used", "text", "label", states=(("device", "its own", "ok"), ("arrival", "arrival", "warn"))),
        Field("skew_s", "Arrival minus device time", "seconds"),
        Field("messages", "Messages", "count"),
        Field("firmware", "Firmware", "text", "note"),
        Field("dialect", "Decoder", "text", "note"),
    ),
    width=24,
    height=9,
    empty="No sensor has reported yet.",
)

BOARD = Board(
    uid="footstream-pipeline",
    title="Data and pipeline",
    description="Whether the figures can be trusted.",
    scope="installation",
    panels=(_TOTALS, _AGE, _RATE, _REASONS, _PROGRESS, _CLOCKS),
    refresh_s=30,
    hours=1,
    order=90,
)
