"""The queries of docs/analysts.md run as the read-only user and give what was worked out by hand."""

import re
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.clickhouse import Store
from flows.detections import Detections
from schemas.rows import Occupancy, SiteBuckets
from schemas.rows_forecast import Forecast, ForecastError
from schemas.tables import GENERATION

DOCUMENT = Path(__file__).parents[2] / "docs" / "analysts.md"
QUERIES = re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
NAMES = ("today", "forecast", "errors", "week", "coverage", "as_of", "peak", "revisions", "draws")
QUARTER, HOUR, DAY = 900, 3600, 86400


def epoch(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def bucket(site: str, step: str, start: int, people: int, revision: int = 1, known: int = 0, **more: Any) -> tuple[Any, ...]:
    """A bucket of a store whose clock is UTC."""
    length = {"15m": QUARTER, "1h": HOUR, "1d": DAY}[step]
    values: dict[str, Any] = {
        "site": site, "step": step, "start": start, "end": start + length, "local_start": start, "utc_offset_s": 0,
        "people_in": people, "people_out": 0, "child_in": None, "child_out": None, "staff_in": None, "staff_out": None,
        "group_in": None, "group_out": None, "measured_s": length, "expected_s": length, "complete": 1,
        "revision": GENERATION + revision, "known_at_ms": (known or start + length) * 1000,
    }  # fmt: skip
    return SiteBuckets.row(**(values | more))


def minute(site: str, start: int, estimate: float, low: float, high: float) -> tuple[Any, ...]:
    return Occupancy.row(
        site=site, minute=start, estimate=estimate, low=low, high=high, raw=0, mode="learnt", limit_operational=80,
        limit_legal=None, over_operational=0.0, over_legal=None, coverage=1.0, factors_revision=1, complete=1,
        revision=GENERATION + 1, known_at_ms=start * 1000,
    )  # fmt: skip


def detection(
    what: str, start: int, number: int, value: float | None = None, confidence: float | None = None
) -> tuple[Any, ...]:
    return Detections.row(
        site="oslo", what=what, label="", device="cam", camera="", zone=2, start=start, end=start, confidence=confidence,
        value=value, link="", event_id=number, arrival_ms=start * 1000, rank=(1 << 63) - start * 1000,
    )  # fmt: skip


def forecast(target: int, made: int, mean: float) -> tuple[Any, ...]:
    ends = {f"{end}{share}": mean + way * share / 5 for share in (50, 80, 95) for end, way in (("lo", -1), ("hi", 1))}
    return Forecast.row(
        site="oslo", section="site", device="", part=0, step="1h", target=target, made_at=made, mean=mean, model="m", **ends
    )  # fmt: skip


def forecast_error(model: str, at: int, error: float, speaks: int) -> tuple[Any, ...]:
    return ForecastError.row(
        site="oslo", section="site", device="", part=0, ahead=1, model=model, at=at, error=error, late_error=error, bias=0.0,
        champion_error=10.0, hours=100, speaks=speaks, covered50=None, covered80=0.81 if speaks else None, covered95=None,
    )  # fmt: skip


YESTERDAY = int(time.time()) // HOUR * HOUR - DAY


@pytest.fixture
def answers(store: Store, reader: Store) -> dict[str, list[tuple[Any, ...]]]:
    quarter = int(time.time()) // QUARTER * QUARTER
    june2 = epoch("2026-06-02")
    rows = [
        # today: 12 in the current quarter; last week 10 in the same one. A quarter later and a day later do not count.
        bucket("oslo", "15m", quarter, 12),
        bucket("oslo", "15m", quarter - 7 * DAY, 10),
        bucket("oslo", "15m", quarter - 7 * DAY + QUARTER, 500),
        bucket("oslo", "15m", quarter - 6 * DAY, 700),
        bucket("bergen", "15m", quarter, 3),
        # 10:00 on three Mondays (1, 8 and 15 June 2026): (5 + 6 + 10) / 3 = 7; one Tuesday; an open hour does not count.
        bucket("oslo", "1h", epoch("2026-06-01T10:00"), 5),
        bucket("oslo", "1h", epoch("2026-06-08T10:00"), 6),
        bucket("oslo", "1h", epoch("2026-06-15T10:00"), 10),
        bucket("oslo", "1h", epoch("2026-06-15T11:00"), 99, complete=0),
        # The worked example: hour 10 is (3) at 10:02, (8) at 10:09 and (12) at 11:31; hour 11 is not known at 10:05.
        bucket("oslo", "1h", june2 + 10 * HOUR, 3, 1, june2 + 10 * HOUR + 62, complete=0),
        bucket("oslo", "1h", june2 + 10 * HOUR, 8, 3, june2 + 10 * HOUR + 540, complete=0),
        bucket("oslo", "1h", june2 + 10 * HOUR, 8, 3, june2 + 10 * HOUR + 540, complete=1),
        bucket("oslo", "1h", june2 + 10 * HOUR, 12, 4, june2 + 11 * HOUR + 1860),
        bucket("oslo", "1h", june2 + 11 * HOUR, 1, 1),
        # Half of the 2nd was measured, three quarters of the 3rd.
        bucket("oslo", "1d", june2, 40, measured_s=43200),
        bucket("oslo", "1d", june2 + DAY, 60, measured_s=64800),
    ]
    rows.append(bucket("oslo", "1h", YESTERDAY, 90))
    assert store.insert(SiteBuckets, rows) == []
    # A day ahead 100 were expected (84 to 116 at 80 %); what was said an hour ahead and before does not count.
    said = [forecast(YESTERDAY, YESTERDAY - ago * HOUR, mean) for ago, mean in ((40, 500.0), (20, 100.0), (1, 92.0))]
    assert store.insert(Forecast, said) == []
    errors = [("best", 3, 50.0, 1), ("best", 1, 10.0, 1), ("last-week", 1, 20.0, 0)]
    judged = [forecast_error(model, YESTERDAY + DAY - ago * HOUR, error, speaks) for model, ago, error, speaks in errors]
    assert store.insert(ForecastError, judged) == []
    peaks = [minute("oslo", june2 + 600, 30.0, 25.0, 36.0), minute("oslo", june2 + 660, 60.0, 52.5, 70.0)]
    assert store.insert(Occupancy, [*peaks, minute("oslo", june2 + 720, 59.0, 52.0, 69.0)]) == []
    # Two sure stops of 20 and 40 s and one that says no confidence (30 s), one unsure; one touch; an incident is no draw.
    noon = june2 + 12 * HOUR
    stops = [
        ("display_dwell", 20.0, 0.9),
        ("display_dwell", 40.0, 0.6),
        ("display_dwell", 30.0, None),
        ("display_dwell", 999.0, 0.5),
    ]
    more = [("product_interaction", None, 0.8), ("security_incident", None, 0.9)]
    seen = [detection(what, noon + n, n, value, sure) for n, (what, value, sure) in enumerate([*stops, *more])]
    assert store.insert(Detections, [*seen, seen[0]]) == []
    return {name: [tuple(r.values()) for r in reader.query(sql)] for name, sql in zip(NAMES, QUERIES, strict=True)}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_queries_of_the_analysts_page_give_what_was_worked_out_by_hand(answers: dict[str, list[tuple[Any, ...]]]) -> None:
    assert answers["today"] == [("bergen", 3, 0), ("oslo", 12, 10)]
    assert answers["forecast"] == [(datetime.fromtimestamp(YESTERDAY, UTC), 90, 100.0, 84.0, 116.0, 1)]
    assert answers["errors"] == [("oslo", 1, "best", 10.0, 0.5, 0.81)]
    assert answers["week"] == [(1, 10, 7.0, 3), (2, 10, 12.0, 1), (2, 11, 1.0, 1)]
    assert answers["coverage"] == [("oslo", date(2026, 6, 2), 40, 0.5), ("oslo", date(2026, 6, 3), 60, 0.75)]
    assert answers["as_of"] == [("oslo", at("2026-06-02T10:00"), 3, 12), ("oslo", at("2026-06-02T11:00"), None, 1)]
    assert answers["peak"] == [("oslo", at("2026-06-02T00:11"), 60.0, 52.5, 70.0, 0.75)]
    assert answers["revisions"] == [
        (1, at("2026-06-02T10:01:02"), 3, 0), (3, at("2026-06-02T10:09:00"), 8, 1), (4, at("2026-06-02T11:31:00"), 12, 1)
    ]  # fmt: skip
    assert answers["draws"] == [(2, date(2026, 6, 2), 3, 1, 30.0, 0.33)]
