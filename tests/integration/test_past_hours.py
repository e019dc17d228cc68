"""Hours that forecasts are taught again are those that were known when they left the horizon."""

from typing import Any

from connectors.clickhouse import Store
from infra.past_hours import hours_before
from schemas.rows import LineBuckets, SiteBuckets
from schemas.tables import GENERATION

HOUR = 3600
T = 1_780_272_000
"""2026-06-01 00:00 UTC."""


def _hour(number: int, people: int, revision: int, known_after: int, measured: int = HOUR) -> dict[str, Any]:
    """An hour after T; `known_after`: seconds after its end."""
    start = T + number * HOUR
    return {
        "site": "oslo", "step": "1h", "start": start, "end": start + HOUR, "local_start": start, "utc_offset_s": 0,
        "people_in": people, "people_out": 0, "child_in": None, "child_out": None, "staff_in": None, "staff_out": None,
        "group_in": None, "group_out": None, "measured_s": measured, "expected_s": HOUR, "complete": 1,
        "revision": GENERATION + revision, "known_at_ms": (start + HOUR + known_after) * 1000,
    }  # fmt: skip


def test_late_knowledge_open_hours_and_what_was_hardly_measured_are_told_apart(store: Store) -> None:
    # Hour 0 was corrected within the horizon and once more after it; hour 1 was half measured; hour 3 is not over at 3:00.
    hours = [_hour(0, 8, 1, 60), _hour(0, 10, 2, 600), _hour(0, 99, 3, 900), _hour(1, 20, 1, 60, 1800), _hour(2, 30, 1, 60)]
    rows = [SiteBuckets.row(**h) for h in [*hours, _hour(3, 5, 1, 0)]]
    assert store.insert(SiteBuckets, rows) == []
    lines = [LineBuckets.row(**h, device="door", line=2) for h in hours[:2]]
    assert store.insert(LineBuckets, lines) == []
    found = hours_before(store, "oslo", T + 3 * HOUR, 900)
    assert found == {("", 0): [(T, 10.0), (T + HOUR, None), (T + 2 * HOUR, 30.0)], ("door", 2): [(T, 10.0)]}
    assert hours_before(store, "bergen", T + 3 * HOUR, 900) == {}
