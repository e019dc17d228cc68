"""Anomaly: each closed quarter of an hour of a store is scored against its usual week (operators/anomaly.py).

A quarter is scored when it closes and learnt when it leaves the horizon, with what came late within it. What was said then is a
record and never rewritten. A quarter that the sensors covered badly is neither scored nor learnt as a count. While the store is
closed only a surge is unusual; a day with opening hours of its own (a holiday) teaches nothing.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from flows.traffic import TrafficFlow
from operators.anomaly import MODELS, alarm_score
from operators.anomaly_words import reason
from operators.calendar import is_open, is_special, local_start
from operators.models import Model, Point, Score, restore, slot_of
from operators.moment import FOREVER, Context, Flow, Moment, Output, SiteFlow
from operators.past import Past
from operators.sums import MEASURED
from operators.traffic import Change
from schemas.alerts import Sample
from schemas.events import Plain
from schemas.rows import Anomalies
from schemas.sites import Site

SCHEMA = 2
QUARTER = 900
LEAST_COVERAGE = 0.8
_MODEL = MODELS[0]
_MONTH = 365.25 / 12 * 96
"""Quarters of an hour in a month."""
_CALM = 10.0
"""An alarm is over when the score falls to what a store reaches so many times as often."""


class _Saved(msgspec.Struct, array_like=True):
    schema: int
    model: bytes
    next_score: int
    learn: list[int]


class AnomalyFlow:
    """The anomaly model of one store. `next_score`: start of the quarter that is scored next, FOREVER before any data."""

    def __init__(self, site: Site, state: bytes | None, traffic: TrafficFlow) -> None:
        self.site, self.traffic = site, traffic.traffic
        saved = msgspec.msgpack.decode(state, type=_Saved) if state else None
        restored = restore(_MODEL, saved.model) if saved else None
        self.model: Model = restored.model if restored else _MODEL.fresh()
        self.next_score = saved.next_score if saved else FOREVER
        self.to_learn: list[int] = saved.learn if saved else []
        self.alarm = alarm_score(site.unusual_a_month, _MONTH)
        self.calm = alarm_score(site.unusual_a_month * _CALM, _MONTH)

    def seed(self, past: Past) -> None:
        """Learn the quarters before a reset again, as they were known then. Without any it begins with a report."""
        for start, value in past.quarters:
            if is_special(self.site, start):
                continue
            self.model.learn(Point(start, slot_of(local_start(self.site.zone, start)), value))
        if past.quarters:
            self.next_score = -(-past.begin // QUARTER) * QUARTER

    def take(self, m: Moment) -> None:
        if self.next_score == FOREVER and m.accepted:
            self.next_score = m.now - m.now % QUARTER

    def in_runs(self) -> bool:
        """The first report says when to score."""
        return self.next_score != FOREVER

    def take_plains(self, reports: Sequence[Plain], changes: list[Change] | None, now: int) -> None:
        """Quarters are read from the traffic when they are over."""

    def due(self) -> int:
        score = self.next_score + QUARTER + self.traffic.close_after
        learn = self.to_learn[0] + QUARTER + self.traffic.horizon if self.to_learn else FOREVER
        return min(score, learn, FOREVER)

    def advance(self, m: Moment) -> None:
        while self.to_learn and self.to_learn[0] + QUARTER + self.traffic.horizon <= m.now:
            self._learn(self.to_learn.pop(0))
        if self.next_score + QUARTER + self.traffic.close_after <= m.now:
            self._score(self.next_score, m)
            self.to_learn.append(self.next_score)
            self.next_score += QUARTER

    def _learn(self, start: int) -> None:
        if not is_special(self.site, start):
            self.model.learn(self._point(start))

    def _alarming(self, score: Score, start: int) -> bool:
        if score.score < self.alarm or score.evidence is None:
            return False
        # A store that is closed for a part of the quarter may well be empty.
        is_whole = is_open(self.site, start) and is_open(self.site, start + QUARTER - 1)
        return is_whole or score.evidence.kind == "surge"

    def _point(self, start: int) -> Point:
        slot = slot_of(local_start(self.site.zone, start))
        sums = self.traffic.quarter(start)
        expected = self.traffic.entrances * QUARTER
        if sums is None or (expected and sums[MEASURED] < LEAST_COVERAGE * expected):
            return Point(start, slot, None)
        return Point(start, slot, float(sums[0]))

    def _score(self, start: int, m: Moment) -> None:
        point = self._point(start)
        before = [self._point(at) for at in self.to_learn if not is_special(self.site, at)]
        score = self.model.score(point, before)
        if point.value is None:
            return
        alarm = self._alarming(score, start)
        text = reason(score, point.value, point.slot)
        m.out.rows.setdefault("anomalies", []).append(
            Anomalies.row(
                site=self.site.id,
                start=start,
                value=point.value,
                expected=score.expected,
                low=score.low,
                high=score.high,
                score=score.score,
                unusual=int(alarm),
                kind=score.evidence.kind if alarm and score.evidence else "",
                reason=text if alarm else "",
                model=_MODEL.name,
                position=m.now_ms,
            )
        )
        at = (start + QUARTER) * 1000
        over = not alarm and (score.score < self.calm or score.evidence is None)
        m.notes["anomaly"] = Sample(at, alarm, over, point.value, f"{self.site.name}: {text}", "unusual_traffic")

    def dirty(self) -> bool:
        return False

    def flush(self, now: int, force: bool, out: Output) -> None:
        """Scores are written when they are said."""

    def state(self) -> bytes:
        return msgspec.msgpack.encode(_Saved(SCHEMA, self.model.to_bytes(), self.next_score, self.to_learn))


def _build(site: Site, state: bytes | None, upstream: Mapping[str, SiteFlow], context: Context) -> SiteFlow:
    return AnomalyFlow(site, state, cast(TrafficFlow, upstream["traffic"]))


SAMPLE = [
    (
        "2026-07-31T10:00:02Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T09:45:00+00:00", "end_time": "2026-07-31T10:00:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 30, "out": 20}]}""",
    ),
    (
        "2026-07-31T10:15:02Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T10:00:00+00:00", "end_time": "2026-07-31T10:15:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 40, "out": 30}]}""",
    ),
    (
        "2026-07-31T10:30:02Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T10:15:00+00:00", "end_time": "2026-07-31T10:30:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 20, "out": 20}]}""",
    ),
]


EXPECTED: dict[str, list[dict[str, object]]] = {
    "anomalies": [
        {"start": "2026-07-31T10:00:00Z", "value": 40.0, "expected": None, "score": 0.0},
    ],
}

FLOW = Flow(
    name="anomaly",
    summary="score of each quarter of an hour of a store against its usual week",
    after=("traffic",),
    tables=(Anomalies,),
    build=_build,
)
