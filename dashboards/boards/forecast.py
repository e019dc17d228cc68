"""One store's forecasts: what is expected, what came against it, how far off it was yesterday, and which model speaks."""

from dashboards.board import Board, Field, Panel
from dashboards.sql import NOW, lines

_HERE = "site IN (${store:singlequote})"
_OFFSET = f"""(SELECT argMax(utc_offset_s, start) FROM site_buckets
    WHERE step = '15m' AND {_HERE} AND start > {NOW} - INTERVAL 26 HOUR AND start <= {NOW})"""

_BAND = "argMax(mean, made_at) AS said, argMax(lo80, made_at) AS low, argMax(hi80, made_at) AS high"
_STORE = "section = 'site' AND step = '1h'"
AHEAD = 12
"""Hours to come that are shown."""


def _as_expected() -> Panel:
    """What came by the hour, in the band of what was said of each hour before it began; and the hours to come."""
    sql = f"""SELECT time, sumOrNull(came) AS people_in, sumOrNull(said) AS expected, sumOrNull(low) AS at_least,
    sumOrNull(high) AS at_most
FROM (
    SELECT start AS time, toNullable(toInt64(b.people_in)) AS came, CAST(NULL, 'Nullable(Float64)') AS said,
        CAST(NULL, 'Nullable(Float64)') AS low, CAST(NULL, 'Nullable(Float64)') AS high
    FROM site_buckets AS b WHERE step = '1h' AND {_HERE} AND $__timeFilter(start) AND end <= {NOW}
    UNION ALL
    SELECT target AS time, NULL, {_BAND}
    FROM forecast WHERE {_STORE} AND {_HERE} AND target >= $__fromTime AND target <= {NOW} + INTERVAL {AHEAD} HOUR
        AND made_at <= least(target, {NOW}) GROUP BY target
) GROUP BY time ORDER BY time"""
    return Panel(
        id="expected",
        title="Do people come as expected?",
        description="People in per hour, against what was expected of each hour before it began, with its 80 % interval: eight "
        f"of ten hours lie in it. Here the next {AHEAD} hours, too, where the range is open to them.",
        kind="timeseries",
        sql=sql,
        fields=(
            Field("time", "Time", "time", "time"),
            Field("people_in", "People in", "people"),
            Field("expected", "Expected", "people", "compare"),
            Field("at_least", "At least (80 %)", "people", "low"),
            Field("at_most", "At most (80 %)", "people", "high"),
        ),
        width=24,
        height=10,
        step_s=3600,
        empty="Nothing was forecast in this range. Forecasts begin after a day of counts.",
    )


def _to_come() -> Panel:
    """The next hours as a table."""
    return Panel(
        id="to-come",
        title="How many people will come in?",
        description=f"People expected in this hour and the next {AHEAD}, with the 80 % interval, as it was said last.",
        kind="table",
        sql=f"""SELECT target AS hour, round(argMax(mean, made_at)) AS expected, round(argMax(lo80, made_at)) AS at_least,
    round(argMax(hi80, made_at)) AS at_most
FROM forecast WHERE {_STORE} AND {_HERE} AND target > {NOW} - INTERVAL 1 HOUR AND target <= {NOW} + INTERVAL {AHEAD} HOUR
    AND made_at <= {NOW}
GROUP BY target ORDER BY target LIMIT 20""",
        fields=(
            Field("hour", "Hour from", "time", "label"),
            Field("expected", "Expected", "people"),
            Field("at_least", "At least", "people", "note"),
            Field("at_most", "At most", "people", "note"),
        ),
        width=10,
        height=8,
        empty="Nothing is forecast yet. Forecasts begin after a day of counts.",
    )


def _said(words: str, hours: int) -> str:
    """What was said at least so many hours before each hour of the last days."""
    return f"""SELECT target AS start, '{words}' AS ahead, NULL, {_BAND}, argMax(model, made_at) AS model
    FROM forecast WHERE {_STORE} AND {_HERE} AND target > {NOW} - INTERVAL 3 DAY AND target <= {NOW}
        AND made_at <= target - INTERVAL {hours} HOUR GROUP BY target"""


def _yesterday() -> Panel:
    """What came yesterday against what was said an hour and a day before."""
    day = f"toDate(toDateTime(toUnixTimestamp({NOW}) + ifNull({_OFFSET}, 0), 'UTC')) - 1"
    sql = f"""SELECT ahead, sum(came) AS people_in, round(sum(said)) AS expected, round(avg(abs(came - said)), 1) AS off,
    sum(abs(came - said)) / nullIf(sum(came), 0) AS off_share, avg(came >= low AND came <= high) AS within,
    topK(1)(model)[1] AS model
FROM (
    SELECT start, ahead, max(came) AS came, max(said) AS said, max(low) AS low, max(high) AS high, max(model) AS model FROM (
    SELECT start, arrayJoin(['an hour before', 'a day before']) AS ahead, toNullable(toInt64(b.people_in)) AS came,
        CAST(NULL, 'Nullable(Float64)') AS said, CAST(NULL, 'Nullable(Float64)') AS low,
        CAST(NULL, 'Nullable(Float64)') AS high, '' AS model
    FROM site_buckets AS b WHERE step = '1h' AND {_HERE} AND complete AND start > {NOW} - INTERVAL 3 DAY AND start <= {NOW}
        AND toDate(local_start) = {day}
    UNION ALL
    {_said("an hour before", 0)}
    UNION ALL
    {_said("a day before", 18)}
    ) GROUP BY start, ahead HAVING came IS NOT NULL AND said IS NOT NULL AND (came > 0 OR said >= 1)
) GROUP BY ahead ORDER BY ahead DESC"""
    return Panel(
        id="forecast-yesterday",
        title="How good was yesterday's forecast?",
        description="People in on the store's yesterday against what was said before each hour began and about a day before "
        "it; by how many an hour was off, as a share of all people, and how many hours lay in the 80 % interval.",
        kind="table",
        sql=sql,
        fields=(
            Field("ahead", "Said", "text", "label"),
            Field("people_in", "Came", "people"),
            Field("expected", "Expected", "people"),
            Field("off", "Off per hour", "people"),
            Field("off_share", "Off", "share", "note"),
            Field("within", "Hours in the interval", "share", "note"),
            Field("model", "Model", "text", "note"),
        ),
        width=14,
        height=8,
        empty="No hour of yesterday was forecast and counted.",
    )


_MODELS = Panel(
    id="forecast-models",
    title="Which model speaks, and how far off is it?",
    description="Mean error in people of each model over about the last hundred hours with people, for the store and each of "
    "several entrances; over the last ten hours, where a figure far above it means that something has changed; and "
    "whether too many (above 0) or too few came.",
    kind="table",
    sql=f"""SELECT if(section = 'site', 'store', if(line_name = '', concat(device, ' ', toString(part)), line_name)) AS series,
    ahead, model, if(speaks, 'speaks', 'waits') AS state, error, late_error, bias, covered80
FROM (
    SELECT section, device, part, ahead, model, argMax(e.speaks, at) AS speaks, argMax(e.error, at) AS error,
        argMax(e.late_error, at) AS late_error, argMax(e.bias, at) AS bias, argMax(e.covered80, at) AS covered80
    FROM forecast_error AS e WHERE {_HERE} AND at > {NOW} - INTERVAL 8 DAY AND at <= {NOW}
    GROUP BY section, device, part, ahead, model
) AS f
LEFT JOIN (SELECT device AS of, line, any(line_name) AS line_name FROM ({lines(_HERE)}) GROUP BY of, line) AS l
    ON l.of = f.device AND l.line = f.part
ORDER BY section = 'line', device, part, ahead, speaks DESC, error LIMIT 100""",
    fields=(
        Field("series", "Of", "text", "label"),
        Field("ahead", "Hours ahead", "count", "label"),
        Field("model", "Model", "text", "label"),
        Field("state", "State", "text", "label", states=(("speaks", "speaks", "ok"), ("waits", "is judged", "off"))),
        Field("error", "Off per hour", "people"),
        Field("late_error", "Of late", "people", "note"),
        Field("bias", "Came minus said", "count", "note"),
        Field("covered80", "In the 80 % interval", "share", "note"),
    ),
    width=24,
    height=8,
    empty="No model was judged in the last week.",
)

BOARD = Board(
    uid="footstream-forecast",
    title="Forecast",
    description="How many people one store expects, and how good that was.",
    scope="store",
    panels=(_as_expected(), _to_come(), _yesterday(), _MODELS),
    refresh_s=60,
    order=25,
)
