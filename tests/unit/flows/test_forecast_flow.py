"""Forecasts in a chain: what is said when, of which series, what is seeded, and the alert that comes of it."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flows import ordered
from flows.forecast import ForecastFlow
from infra.chain import Chain
from operators.memory import place_of
from operators.moment import Context, Output
from operators.past import Past
from schemas.events import Plain
from schemas.rows_forecast import Forecast
from schemas.sites import Device, Line, Site

T = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp())
DOOR = Device("door", lines={1: Line(1, "Door")})
SITE = Site("shop", "Shop", "UTC", devices={"door": DOOR})
TWO = Site("shop", "Shop", "UTC", devices={"door": Device("door", lines={1: Line(1), 2: Line(2), 3: Line(3, role="inner")})})
TURN = 186
Row = dict[str, Any]


def _usual(hour: int) -> int:
    clock = hour % 24
    return round(100 + 60 * math.sin((clock - 9) / 11 * math.pi)) if 9 <= clock < 20 else 0


def _played(
    hours: int, site: Site = SITE, people: Callable[[int], int] = _usual, flow: str = "forecast"
) -> tuple[Chain, Output]:
    """So many hours of reports over a quarter each, and half an hour more of time."""
    chain, out = Chain(site, ordered([flow]), None, Context()), Output({}, [])
    lines = tuple(site.devices["door"].lines)
    for n in range(4 * hours):
        end = T + 900 * (n + 1)
        count = people(n // 4) // 4
        said = Plain("door", "made_up", "", end - 900, end, lines, (count, count) * len(lines))
        said.site, said.arrival, said.place, said.stamp = site.id, (end + 2) * 1000, place_of(0, n), 1
        if not chain.handle_plains([said], 0, 0, out):
            chain.handle_plain(said, 0, out)
        if n % 96 == 0:
            chain.flush(True, Output({}, []))
    chain.advance(T + 3600 * hours + 1800, out)
    return chain, out


def _said(out: Output) -> list[Row]:
    return [dict(zip(Forecast.columns, row, strict=True)) for row in out.rows.get("forecast", [])]


def test_an_hour_is_forecast_after_it_left_the_horizon_at_the_stores_own_second() -> None:
    rows = _said(_played(30)[1])
    assert {(row["made_at"] - T) % 3600 for row in rows} == {900 + TURN}
    assert min(row["made_at"] for row in rows) == T + 24 * 3600 + 900 + TURN
    other = Site("other", "Other", "UTC", devices={"door": DOOR})
    assert {(row["made_at"] - T) % 3600 for row in _said(_played(30, other)[1])} != {900 + TURN}


def test_six_hours_are_forecast_every_hour_two_days_every_sixth_and_the_quarters_that_are_still_to_come() -> None:
    rows = _said(_played(31)[1])
    made = {at: [r for r in rows if r["made_at"] == at] for at in {r["made_at"] for r in rows}}
    hours = {(at - T) // 3600: [r for r in found if r["step"] == "1h"] for at, found in made.items()}
    assert {hour: len(found) for hour, found in hours.items()} == {24: 48, 25: 6, 26: 6, 27: 6, 28: 6, 29: 6, 30: 48, 31: 6}
    quarters = sorted(r["target"] - T for r in made[T + 25 * 3600 + 900 + TURN] if r["step"] == "15m")
    assert quarters == [25 * 3600 + 1800, 25 * 3600 + 2700, *(26 * 3600 + 900 * i for i in range(4))]


def test_each_entrance_of_several_has_its_own_forecast_and_inner_lines_have_none() -> None:
    rows = [r for r in _said(_played(24 * 8 + 11, TWO)[1]) if r["step"] == "1h"]
    assert {(r["section"], r["device"], r["part"]) for r in rows} == {("site", "", 0), ("line", "door", 1), ("line", "door", 2)}
    newest = max(r["made_at"] for r in rows)
    first = {r["part"]: r["mean"] for r in rows if r["made_at"] == newest and r["target"] == newest - 900 - TURN}
    assert 1.8 < first[0] / first[1] < 2.2
    assert all(r["section"] == "site" for r in _said(_played(30)[1]))


def test_a_store_that_measured_nothing_for_a_week_is_forecast_no_more() -> None:
    chain, out = _played(24 * 3)
    chain.advance(T + 24 * 3600 * 12, out)
    newest = max(r["made_at"] for r in _said(out))
    assert 9.8 * 86400 < newest - T <= 10.1 * 86400


def test_forecasts_come_close_to_what_comes() -> None:
    rows = [r for r in _said(_played(24 * 16)[1]) if r["step"] == "1h" and r["target"] > T + 14 * 86400]
    for row in rows:
        usual = _usual((row["target"] - T) // 3600) // 4 * 4
        assert abs(row["mean"] - usual) <= 0.05 * usual + 1.0
        assert row["lo95"] <= row["lo80"] <= row["lo50"] <= row["mean"] <= row["hi50"] <= row["hi80"] <= row["hi95"]


def test_what_is_seeded_says_what_the_one_that_lived_says() -> None:
    begin = T + 24 * 3600 * 9 + 4 * 3600
    lived, _ = _played(24 * 9 + 4)
    hours = [(T + 3600 * h, float(_usual(h) // 4 * 4)) for h in range(24 * 9 + 4)]
    quarters = [(start + 900 * i, people / 4) for start, people in hours for i in range(4)]
    fresh = Chain(SITE, ordered(["forecast"]), None, Context())
    flow = fresh.built["forecast"]
    assert isinstance(flow, ForecastFlow)
    flow.seed(Past(begin, quarters=quarters, hours={("", 0): hours}))
    known = lived.built["forecast"]
    assert isinstance(known, ForecastFlow)
    assert flow._load("", 0).tell(range(1, 49)) == known._load("", 0).tell(range(1, 49))
    assert flow.saved.shares == known.saved.shares and flow.saved.next_quarter == begin
    assert (flow.saved.hours, flow.saved.measured) == (known.saved.hours, known.saved.measured)


def _rush(hour: int) -> int:
    """From noon to five on the last day, a Tuesday, there are three times as many as usual."""
    return _usual(hour) * (3 if 24 * 15 + 12 <= hour < 24 * 15 + 17 else 1)


def test_high_traffic_is_told_once_before_it_comes_and_never_on_usual_days() -> None:
    _, out = _played(24 * 16, people=_rush, flow="alerts")
    told = [t for t in out.transitions if t.rule == "high_traffic_expected"]
    assert [t.kind for t in told] == ["firing", "resolved"]
    first = told[0]
    assert T + 3600 * (24 * 15 + 13) < first.happened_ms // 1000 < T + 3600 * (24 * 15 + 16)
    assert first.severity == "info" and "people expected from" in first.summary and "on a Tuesday" in first.summary
