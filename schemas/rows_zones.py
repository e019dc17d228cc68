"""Tables of zones, queues and people by class, and of what totals say was lost. Part of `schemas.rows`.

How rows travel, and what kinds of table there are, stands there.
"""

from schemas.rows import MAYBE, NAME, TIME, U16, U32, Column, Table, _known

_NUMBER = "Nullable(Float64)"


def _figures() -> dict[str, Column]:
    return {
        "present_mean": Column(_NUMBER, "People present, mean over the measured seconds"),
        "peak": Column(MAYBE, "Highest number of people told or seen"),
        "child_mean": Column(_NUMBER, "Children present, mean; NULL: not told"),
        "staff_mean": Column(_NUMBER, "Staff present, mean; NULL: not told"),
        "occupied_s": Column(MAYBE, "Measured seconds with anybody there"),
        "stays": Column(MAYBE, "Stays that ended, without staff; NULL: none told, which may mean none"),
        "visits": Column(MAYBE, "Of them at least 30 s long"),
        "bounces": Column(MAYBE, "Of them below 10 s"),
        "staff_stays": Column(MAYBE, "Stays of staff that ended"),
        "dwell_median_s": Column(
            MAYBE, "Median of the stays that ended (to 1 % above ten minutes); NULL: no single stays told"
        ),
        "dwell_p90_s": Column(MAYBE, "90 % point of them: nine of ten stays were no longer"),
        "dwell_avg_s": Column(_NUMBER, "Average of them; of the device's summary where there is only one"),
        "dwell_max_s": Column(MAYBE, "Longest of them, or of the summaries"),
        "dwell_source": Column(
            NAME, "stays: single stays; summary: one average of the device; not_combinable: several averages; empty: nothing"
        ),
        "capacity": Column(MAYBE, "Capacity of the zone in the registry, people"),
    }


def _bucket() -> dict[str, Column]:
    return {
        "step": Column(NAME, "15m, 1h or 1d"),
        "start": Column(TIME, "Start of the bucket, UTC"),
        "end": Column(TIME, "End of the bucket, UTC (a day may have 23 or 25 hours)"),
        "local_start": Column(
            "DateTime64(0, 'UTC')", "Start in the store's civil time (read it as a wall clock, it carries no zone)"
        ),
        "utc_offset_s": Column("Int32", "Civil time minus UTC at the start, seconds"),
    }


class ZoneMinutes(Table):
    name = "zone_minutes"
    comment = "People present, visits and dwell per zone and minute. Zone 0 is the whole view of a sensor."
    revised = True
    key = ("device", "zone", "minute")
    version = "complete"
    time = "minute"
    partition = "toYYYYMM(minute)"
    keep_days = 1826

    site = Column(NAME, "Store")
    device = Column(NAME, "Device")
    zone = Column(U16, "Number of the zone; 0 the whole view")
    minute = Column(TIME, "Start of the minute, UTC")
    present = Column(MAYBE, "People present at the end of the minute, as the newest report said")
    (
        present_mean, peak, child_mean, staff_mean, occupied_s, stays, visits, bounces, staff_stays,
        dwell_median_s, dwell_p90_s, dwell_avg_s, dwell_max_s, dwell_source, capacity,
    ) = _figures().values()  # fmt: skip
    share = Column(_NUMBER, "People present at the end of the minute as a share of the capacity")
    measured_s = Column(U16, "Seconds of the minute in which the number of people was known (0 to 60)")
    resolution_s = Column(U32, "Longest report that contributed, in seconds; 0 for triggers")
    complete, revision, known_at_ms = _known().values()


class ZoneBuckets(Table):
    name = "zone_buckets"
    comment = "People present, visits and dwell per zone in 15 minutes, hours and days of site-local civil time."
    revised = True
    key = ("step", "device", "zone", "start")
    version = "complete"
    time = "start"
    partition = "toYYYYMM(start)"

    site = Column(NAME, "Store")
    device = Column(NAME, "Device")
    zone = Column(U16, "Number of the zone; 0 the whole view")
    step, start, end, local_start, utc_offset_s = _bucket().values()
    (
        present_mean, peak, child_mean, staff_mean, occupied_s, stays, visits, bounces, staff_stays,
        dwell_median_s, dwell_p90_s, dwell_avg_s, dwell_max_s, dwell_source, capacity,
    ) = _figures().values()  # fmt: skip
    share_mean = Column(_NUMBER, "Mean of the people present as a share of the capacity")
    share_peak = Column(_NUMBER, "Highest number of people as a share of the capacity")
    measured_s = Column(U32, "Seconds in which the number of people was known: coverage = measured_s / expected_s")
    expected_s = Column(U32, "Seconds of the bucket")
    complete, revision, known_at_ms = _known().values()


__all__ = ["ZoneBuckets", "ZoneMinutes"]
