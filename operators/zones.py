"""Zones of one store: people present, visits and dwell by minute and in civil buckets.

A stay counts when it ends, because nobody knows of it before; one of staff counts only as that. A summary (average and longest
dwell over a window) counts at the end of its window. What the tallies hold: see `operators.gauges`, and `dwell` (rounded
seconds -> stays), `staff_stay`, `average` (rounded seconds -> summaries) and `longest`.
"""

from collections.abc import Callable, Iterable

import msgspec

from operators.gauges import Level, minute_tally, minutes_of, put
from operators.ingest import Accepted
from operators.rollup import Rollup, RollupState, Strand
from operators.spread import MINUTE
from operators.tallies import Histogram, Tally, amount, at_least, difference, mean, quantile, rounded_s, total
from schemas.events import DwellSummary, Stay, ZoneCount
from schemas.sites import Site

VISIT_S = 30
"""A stay is a visit from here on (kpis.md 2.1: part of the definition of the figure)."""
BOUNCE_S = 10
"""A stay is a bounce below this (kpis.md 2.5)."""


class ZonesState(msgspec.Struct, array_like=True):
    """`levels`: samples by device, zone and minute, until the horizon has passed."""

    rollup: RollupState = msgspec.field(default_factory=RollupState)
    levels: dict[str, dict[int, dict[int, list[Level]]]] = {}


class Zones:
    """All zones of one store. `horizon`: seconds, None for the store's own; `generation`: see schemas.rows."""

    def __init__(self, site: Site, horizon: int | None, state: ZonesState | None = None, generation: int = 0) -> None:
        self.state = state or ZonesState()
        self.rollup = Rollup(site, horizon, self.state.rollup, generation)

    def take(self, a: Accepted, now: int, repairs: set[int]) -> None:
        """Take an accepted event; minutes that only a repair can write go to `repairs`."""
        event = a.event
        if not isinstance(event, (ZoneCount, Stay, DwellSummary)):
            return
        if a.verdict == "earlier":
            repairs.add(a.start)
            return
        device = a.from_.report.device
        if isinstance(event, ZoneCount):
            if event.kind != "total":
                self._level(device, event, a, now, repairs)
        elif isinstance(event, Stay) or not event.child:  # a summary of children is part of the one of all
            strand = self.rollup.strand(device, event.zone)
            minute = minute_of_end(a)
            if not self.rollup.gain(strand, minute, duration_tally(event), a.arrival, now):
                repairs.add(minute)

    def _level(self, device: str, e: ZoneCount, a: Accepted, now: int, repairs: set[int]) -> None:
        level = Level(a.start, a.end, a.event_id, a.arrival, e.present, e.peak, e.child, e.staff, e.occupied)
        strand = self.rollup.strand(device, e.zone)
        by_minute = self.state.levels.setdefault(device, {}).setdefault(e.zone, {})
        repairs |= gain_level(self.rollup, strand, by_minute, level, now)

    def forget(self, now: int) -> None:
        """Let go of samples that the horizon has passed."""
        for zones in self.state.levels.values():
            for by_minute in zones.values():
                for minute in [m for m in by_minute if self.rollup.late(m, now)]:
                    del by_minute[minute]


def gain_level(
    rollup: Rollup,
    strand: Strand,
    by_minute: dict[int, list[Level]],
    level: Level,
    now: int,
    tally: Callable[[list[Level], int], Tally] = minute_tally,
    name: str = "level",
) -> set[int]:
    """A sample changes the minutes that it touches; returns those that only a repair can write.

    `tally`: what samples say of a minute; `name`: under which their coverage is remembered.
    """
    late: set[int] = set()
    for minute in minutes_of(level):
        if rollup.late(minute, now):
            late.add(minute)
            if rollup.is_covered(strand, name, minute, minute + MINUTE):
                rollup.leave(strand, minute, now)
            else:
                rollup.gain(strand, minute, tally([level], minute), level.arrival, now)
        else:
            levels = by_minute.setdefault(minute, [])
            old = tally(levels, minute)
            put(levels, level)
            rollup.gain(strand, minute, difference(tally(levels, minute), old), level.arrival, now)
        rollup.cover(strand, name, minute, minute + MINUTE)
    return late


def minute_of_end(a: Accepted) -> int:
    """The minute in which an event ended; one that ends with a minute belongs to that minute."""
    last = max(a.end - 1, a.start)
    return last - last % MINUTE


def duration_tally(event: Stay | DwellSummary) -> Tally:
    """A stay, or the summary of some, as a tally."""
    if isinstance(event, DwellSummary):
        return {"average": {rounded_s(event.avg_s): 1}, "longest": {rounded_s(event.max_s): 1}}
    if event.staff:
        return {"staff_stay": {rounded_s(event.dwell_s): 1}}
    return {"dwell": {rounded_s(event.dwell_s): 1}}


class ZoneFigures(msgspec.Struct):
    """Figures of a zone over a minute or a bucket, from its tally. None: not measured."""

    present_mean: float | None
    peak: int | None
    child_mean: float | None
    staff_mean: float | None
    occupied_s: int | None
    stays: int | None
    visits: int | None
    bounces: int | None
    staff_stays: int | None
    dwell_median_s: int | None
    dwell_p90_s: int | None
    dwell_avg_s: float | None
    dwell_max_s: int | None
    dwell_source: str
    measured_s: int


def figures(tally: Tally) -> ZoneFigures:
    """Median and 90 % point come from single stays only; from summaries the longest, and the average when there is only one:
    without the number of stays behind them averages cannot be combined (kpis.md 2.5)."""
    dwell, averages = tally.get("dwell", {}), tally.get("average", {})
    staff = tally.get("staff_stay", {})
    told = bool(dwell or staff)
    stays = amount(dwell)
    source = "stays" if dwell else "summary" if amount(averages) == 1 else "not_combinable" if averages else ""
    occupied = tally.get("occupied", {})
    return ZoneFigures(
        present_mean=mean(tally.get("present", {})),
        peak=max(highest(tally.get("peak", {}), tally.get("present", {})), default=None),
        child_mean=mean(tally.get("child", {})),
        staff_mean=mean(tally.get("staff", {})),
        occupied_s=occupied.get(1, 0) if occupied else None,
        stays=stays if told else None,
        visits=at_least(dwell, VISIT_S) if told else None,
        bounces=stays - at_least(dwell, BOUNCE_S) if told else None,
        staff_stays=amount(staff) if told else None,
        dwell_median_s=quantile(dwell, 0.5),
        dwell_p90_s=quantile(dwell, 0.9),
        dwell_avg_s=total(dwell) / stays if stays else float(next(iter(averages))) if source == "summary" else None,
        dwell_max_s=max(highest(dwell, tally.get("longest", {})), default=None),
        dwell_source=source,
        measured_s=max(amount(occupied), amount(tally.get("present", {}))),
    )


def highest(*values: Histogram) -> Iterable[int]:
    """The highest value of each that has one."""
    return (max(v) for v in values if v)
