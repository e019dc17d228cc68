"""Civil hours of a store and its lines as they were known when forecasts learnt them, read from stored revisions."""

from connectors.clickhouse import Store
from operators.memory import DAY

DAYS = 120
"""So much of the past is taught to forecasts again; they forget all but single holidays in seven weeks."""
COVERED = 0.8
"""Least measured share of an hour that counts as one."""
_HOURS = """
SELECT device, line, toUnixTimestamp(start) AS s, argMax((people_in, measured_s, expected), revision) AS v FROM (
  SELECT '' AS device, 0 AS line, start, end, people_in, measured_s, expected_s AS expected, revision, known_at_ms
  FROM site_buckets_revisions AS t
  WHERE t.step = '1h' AND t.site = {site:String} AND t.start >= fromUnixTimestamp({low:Int64})
  UNION ALL
  SELECT device, line, start, end, people_in, measured_s, toUInt32(end - start), revision, known_at_ms
  FROM line_buckets_revisions AS t
  WHERE t.step = '1h' AND t.site = {site:String} AND t.start >= fromUnixTimestamp({low:Int64})
) WHERE toUnixTimestamp(end) <= {begin:Int64} AND known_at_ms < (toUnixTimestamp(end) + {horizon:Int64}) * 1000
GROUP BY device, line, start ORDER BY start
"""


def hours_before(store: Store, site: str, begin: int, horizon: int) -> dict[tuple[str, int], list[tuple[int, float | None]]]:
    """(start, people in; None: not measured) in order of the hours that ended by `begin` (epoch s), by device and line; ("", 0)
    is the store. `horizon`: seconds after its end in which an hour was still corrected."""
    asked = {"site": site, "begin": begin, "horizon": horizon, "low": begin - DAYS * DAY}
    out: dict[tuple[str, int], list[tuple[int, float | None]]] = {}
    for r in store.query(_HOURS, asked):
        people, measured, expected = r["v"]
        value = float(people) if measured >= COVERED * expected else None
        out.setdefault((r["device"], r["line"]), []).append((r["s"], value))
    return out
