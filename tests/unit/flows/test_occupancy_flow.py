"""The flow around the occupancy operator: what it writes, and when."""

from flows.occupancy import OccupancyFlow
from operators.moment import Context, Moment, Output
from operators.traffic import Change
from schemas.sites import Device, Line, Site

SITE = Site("oslo", "Oslo", "UTC", "NO", devices={"d": Device("d", "Door", "VS133", {1: Line(1, "Door", "entrance")})})
NOON = 20_000 * 86_400 + 12 * 3600
DAYS = 4


def moment(at: int, out: Output, changes: list[Change] | None) -> Moment:
    return Moment(at, at * 1000, None, out, [], changes, set(), {})


def test_days_that_pass_without_a_flush_between_are_written_too() -> None:
    flow, out = OccupancyFlow(SITE, None, Context()), Output({}, [])
    for day in range(DAYS):
        at = NOON + day * 86_400
        while flow.due() <= at:
            flow.advance(moment(flow.due(), out, None))
        flow.take(moment(at + 62, out, [Change("d", 1, at, 3, 1, 60, (at + 62) * 1000)]))
    flow.flush(NOON + DAYS * 86_400, True, out)
    minutes = {row[1] for row in out.rows["occupancy"]}
    assert minutes >= {NOON + day * 86_400 for day in range(DAYS)}
