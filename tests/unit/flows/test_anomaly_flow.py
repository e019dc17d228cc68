"""The flow `anomaly` in a chain: what is called unusual, by the store's registry, its hours and its own usual week."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flows import ordered
from infra.chain import Chain
from operators.calendar import WEEKDAYS
from operators.ingest import Arrival
from operators.moment import Context, Output
from operators.past import Past, Seeded
from schemas.events import LineCount, Report
from schemas.forms import whole_rows
from schemas.rows import Anomalies
from schemas.sites import Device, Line, Site

WEEKS = 6
BEGIN = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp())
"""A Monday."""
THEN = BEGIN + WEEKS * 7 * 86_400
NOON = THEN + 12 * 3600
DOOR = Device(id="d", name="Door", lines={1: Line(1, "Door", "entrance")})
HOURS = dict.fromkeys(WEEKDAYS, ((540, 1200),))


def _site(**changed: Any) -> Site:
    return Site(id="shop", name="Shop", zone="UTC", hours=HOURS, devices={"d": DOOR}, **changed)


def _usual() -> list[tuple[int, float]]:
    rng = random.Random(1)
    return [
        (BEGIN + 900 * n, float(sum(rng.random() < 0.4 for _ in range(100))) if 36 <= n % 96 < 80 else 0.0)
        for n in range(WEEKS * 672)
    ]


PAST = Past(begin=THEN, quarters=_usual())


def _play(site: Site, people: list[int], begin: int = NOON) -> tuple[list[dict[str, Any]], list[Any]]:
    """Rows and transitions of quarters of an hour from `begin`, each reported as it ends."""
    chain, out = Chain(site, ordered(["anomaly", "alerts"]), None, Context()), Output({}, [])
    chain.now = begin
    past = Past(begin=begin, quarters=PAST.quarters)
    for flow in chain.built.values():
        if isinstance(flow, Seeded):
            flow.seed(past)
    for n, count in enumerate(people):
        start, end = begin + 900 * n, begin + 900 * (n + 1)
        report = Report("d", "made_up", str(end), end, [LineCount(1, "window", start, end, count, 0)])
        chain.handle([Arrival(0, n, (end + 2) * 1000, report)], DOOR, b"", 1, 0, out)
        chain.advance(end + 120, out)
    rows = [dict(zip(Anomalies.columns, row, strict=True)) for row in whole_rows(out.rows)["anomalies"]]
    return rows, [t for t in out.transitions if t.rule == "unusual_traffic"]


def test_a_usual_quarter_gives_a_row_without_words_and_no_alert() -> None:
    rows, said = _play(_site(), [41, 39, 42])
    assert [row["unusual"] for row in rows] == [0, 0, 0] and {row["reason"] for row in rows} == {""}
    assert not said


def test_a_surge_is_said_in_words_and_alerted_until_it_is_usual_again() -> None:
    rows, said = _play(_site(), [40, 90, 40, 41, 39, 40, 41, 40])
    assert rows[1]["unusual"] == 1 and rows[1]["kind"] == "surge"
    assert rows[1]["reason"].startswith("90 in the last 15 minutes, usual ") and rows[1]["reason"].endswith(" on a Monday")
    assert [t.kind for t in said] == ["firing", "resolved"]
    assert said[0].summary == f"Shop: {rows[1]['reason']}"


def test_quarters_that_are_not_learnt_yet_are_seen_together() -> None:
    rows, _ = _play(_site(), [53, 54, 53, 54, 55, 54])
    assert rows[0]["unusual"] == 0
    assert any("in the last hour" in row["reason"] or "in the last 30 minutes" in row["reason"] for row in rows)


def test_an_empty_store_is_unusual_while_it_is_open_and_not_when_its_registry_says_that_it_is_closed() -> None:
    rows, _ = _play(_site(), [40, 0, 0])
    assert rows[2]["unusual"] == 1 and rows[2]["kind"] == "dead" and rows[2]["reason"].startswith("nobody in the last")
    closed = {datetime.fromtimestamp(NOON, UTC).date().isoformat(): ()}
    rows, said = _play(_site(exceptions=closed), [0, 0, 0])
    assert [row["unusual"] for row in rows] == [0, 0, 0] and rows[2]["score"] > 0.5 and not said


def test_people_in_a_closed_store_are_unusual() -> None:
    night = THEN + 3 * 3600
    rows, _ = _play(_site(), [0, 12], night)
    assert rows[1]["unusual"] == 1 and rows[1]["kind"] == "surge"


@pytest.mark.parametrize(("budget", "unusual"), [(1, 0), (1000, 1)])
def test_the_registry_says_how_often_a_store_may_be_called_unusual(budget: int, unusual: int) -> None:
    rows, _ = _play(_site(unusual_a_month=budget), [58])
    assert rows[0]["unusual"] == unusual


def test_a_day_with_hours_of_its_own_teaches_nothing() -> None:
    day = datetime.fromtimestamp(NOON, UTC).date()
    later = {(day + timedelta(days=7 * n)).isoformat(): () for n in range(2)}
    expected = [row["expected"] for row in _play(_site(exceptions=later), [0] * 24)[0]]
    assert expected[-1] == pytest.approx(expected[0], rel=0.25)
