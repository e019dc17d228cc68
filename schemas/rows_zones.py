"""Tables of zones, queues and people by class, and of what totals say was lost. Part of `schemas.rows`.

How rows travel, and what kinds of table there are, stands there.
"""

from schemas.tables import COUNT, F64, MAYBE, NAME, TEXT, TIME, U16, U32, U64, Column, Table, known

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


class ZoneNames(Table):
    name = "zones"
    comment = "The registry as the lane last loaded it: one row per zone."
    key = ("device", "zone")
    version = "loaded_ms"

    site = Column(NAME, "Store")
    device = Column(NAME, "Device")
    device_name = Column(TEXT, "Name of the device for people")
    zone = Column(U16, "Number of the zone; 0 the whole view")
    zone_name = Column(TEXT, "Name of the zone for people")
    role = Column(NAME, "department, checkout (people wait here), service (people are served here), ...")
    capacity = Column(MAYBE, "People; NULL: no limit")
    loaded_ms = Column(U64, "When the registry was loaded, epoch ms")


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
    complete, revision, known_at_ms = known().values()


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
    complete, revision, known_at_ms = known().values()


def _queue() -> dict[str, Column]:
    return {
        "length_mean": Column(_NUMBER, "People waiting, mean over the measured seconds"),
        "length_max": Column(MAYBE, "Most people waiting"),
        "over_s": Column(MAYBE, "Measured seconds with at least `long_from` people waiting"),
        "long_from": Column(U32, "People from which the queue is too long: capacity of the zone, else 5"),
        "arrivals": Column(MAYBE, "People who joined"),
        "arrivals_source": Column(NAME, "line: crossings; stays: stays of at least 5 s that ended; empty: not known"),
        "served": Column(MAYBE, "People who were served"),
        "served_source": Column(NAME, "line: crossings to the tills; told: by the device; stays: stays at the tills; empty"),
        "wait_s": Column(_NUMBER, "Mean wait, seconds"),
        "wait_source": Column(
            NAME,
            "told: measured by the device; stays: stays in the queue; servers: length x service / lanes; little: length x time"
            " / arrivals, where the queue was as long before as after; empty: not known",
        ),
        "service_s": Column(_NUMBER, "Mean service, seconds: stays at the tills that ended"),
        "lanes_open": Column(_NUMBER, "Lanes open, mean, as the device told; NULL: not known"),
        "busy_share": Column(_NUMBER, "Share of the measured time of the tills in which somebody was there"),
        "utilisation": Column(_NUMBER, "People at the tills per open lane, mean"),
    }


class QueueMinutes(Table):
    name = "queue_minutes"
    comment = "Length, arrivals, wait and service per queue and minute. A queue is a zone with role checkout."
    revised = True
    key = ("device", "queue", "minute")
    version = "complete"
    time = "minute"
    partition = "toYYYYMM(minute)"
    keep_days = 1826

    site = Column(NAME, "Store")
    device = Column(NAME, "Device")
    queue = Column(U16, "Number of the zone where people wait")
    minute = Column(TIME, "Start of the minute, UTC")
    length = Column(MAYBE, "People waiting at the end of the minute")
    (
        length_mean, length_max, over_s, long_from, arrivals, arrivals_source, served, served_source,
        wait_s, wait_source, service_s, lanes_open, busy_share, utilisation,
    ) = _queue().values()  # fmt: skip
    measured_s = Column(U16, "Seconds of the minute in which the length was known (0 to 60)")
    complete, revision, known_at_ms = known().values()


class QueueBuckets(Table):
    name = "queue_buckets"
    comment = "Length, wait, service level and abandonment per queue in 15 minutes, hours and days of site-local civil time."
    revised = True
    key = ("step", "device", "queue", "start")
    version = "complete"
    time = "start"
    partition = "toYYYYMM(start)"

    site = Column(NAME, "Store")
    device = Column(NAME, "Device")
    queue = Column(U16, "Number of the zone where people wait")
    step, start, end, local_start, utc_offset_s = _bucket().values()
    (
        length_mean, length_max, over_s, long_from, arrivals, arrivals_source, served, served_source,
        wait_s, wait_source, service_s, lanes_open, busy_share, utilisation,
    ) = _queue().values()  # fmt: skip
    length_p95 = Column(MAYBE, "Length that was not exceeded in 95 % of the measured time")
    service_level = Column(_NUMBER, "Share of people who waited no longer than 120 s")
    service_level_source = Column(NAME, "counted: from told waits or stays; erlang_c: model; unstable: too few lanes; empty")
    abandonment = Column(_NUMBER, "(arrivals - served) / arrivals; below zero: one of them counts too little")
    abandonment_grade = Column(NAME, "A: both by lines; C: stays are among it; empty: not known")
    measured_s = Column(U32, "Seconds in which the length was known: coverage = measured_s / expected_s")
    expected_s = Column(U32, "Seconds of the bucket")
    complete, revision, known_at_ms = known().values()


class QueueAdvice(Table):
    name = "queue_advice"
    comment = "Lanes to open now, as it was said each minute. What was said then is never rewritten."
    key = ("device", "queue", "at")
    version = "said_ms"
    time = "at"
    partition = "toYYYYMM(at)"
    keep_days = 396

    site = Column(NAME, "Store")
    device = Column(NAME, "Device")
    queue = Column(U16, "Number of the zone where people wait")
    at = Column(TIME, "When it was said: a full minute and ten seconds, UTC")
    length = Column(U32, "People waiting, the newest number of the last three minutes")
    arrivals_h = Column(F64, "People who join per hour, from the last 15 minutes")
    service_s = Column(F64, "Mean service, seconds, of the last 15 minutes that had one")
    lanes_open = Column(_NUMBER, "Lanes open, as the device told last; NULL: not known")
    lanes = Column(U16, "Fewest lanes with which 80 % of those who come within 15 minutes wait no longer than 120 s")
    in_time = Column(F64, "Share of them that then does")
    said_ms = Column(U64, "Log time when it was said, epoch ms")


class PeopleHours(Table):
    name = "people_hours"
    comment = (
        "People by class per line (coming in) or zone (stays) and hour, where the registry allows it. Written once, when the"
        " hour is over. NULL: hidden, because a class of this kind had fewer than ten people."
    )
    key = ("device", "section", "part", "start", "kind", "class_name")
    version = "said_ms"
    time = "start"
    partition = "toYYYYMM(start)"
    keep_days = 1826

    site = Column(NAME, "Store")
    device = Column(NAME, "Device")
    section = Column(NAME, "line or zone")
    part = Column(U16, "Number of the line or zone")
    start = Column(TIME, "Start of the hour, UTC")
    end = Column(TIME, "End of the hour, UTC")
    local_start = Column(
        "DateTime64(0, 'UTC')", "Start in the store's civil time (read it as a wall clock, it carries no zone)"
    )
    utc_offset_s = Column("Int32", "Civil time minus UTC at the start, seconds")
    kind = Column(NAME, "class, gender, age; group: groups, not people")
    class_name = Column(NAME, "Class as the device names it; child, staff, other where it follows from counts")
    people = Column(MAYBE, "People, rounded to five; NULL: hidden")
    said_ms = Column(U64, "Log time when it was written, epoch ms")


class LineGaps(Table):
    name = "line_gaps"
    comment = "Where running totals of a line tell something else than its periods: lost reports, and the people in them."
    revised = True
    key = ("device", "line", "start")
    version = "complete"
    time = "start"
    partition = "toYYYYMM(start)"
    keep_days = 1826

    site = Column(NAME, "Store")
    device = Column(NAME, "Device")
    line = Column(U16, "Line number of the device")
    start = Column(TIME, "Time of the total before, UTC")
    end = Column(TIME, "Time of the total after, UTC")
    reason = Column(
        NAME,
        "lost: reports are missing; reset: the same, and a total was set back, so it is at least so many; filled: they came"
        " later; mismatch: periods and totals of the device disagree",
    )
    people_in = Column(COUNT, "People in by the totals")
    people_out = Column(COUNT, "People out by the totals")
    counted_in = Column("Int64", "People in by the reports that are there")
    counted_out = Column("Int64", "People out by the reports that are there")
    lost_in = Column("Int64", "People in of whom no report tells; below zero: the reports tell more than the totals")
    lost_out = Column("Int64", "People out of whom no report tells")
    missing_s = Column(U32, "Seconds that no report covers")
    complete, revision, known_at_ms = known().values()


class ImputedMinutes(Table):
    name = "imputed_minutes"
    comment = (
        "People of lost reports, spread evenly over the minutes that are missing: an estimate beside `line_minutes`,"
        " never in it."
    )
    revised = True
    key = ("device", "line", "minute", "gap_start")
    version = "complete"
    time = "minute"
    partition = "toYYYYMM(minute)"
    keep_days = 1826

    site = Column(NAME, "Store")
    device = Column(NAME, "Device")
    line = Column(U16, "Line number of the device")
    minute = Column(TIME, "Start of the minute, UTC")
    gap_start = Column(TIME, "Which gap (`line_gaps.start`)")
    people_in = Column(COUNT, "People in, imputed; 0 once a late report covers the minute")
    people_out = Column(COUNT, "People out, imputed")
    missing_s = Column(U16, "Seconds of the minute that no report covers: imputed share")
    complete, revision, known_at_ms = known().values()


__all__ = [
    "ImputedMinutes",
    "LineGaps",
    "PeopleHours",
    "QueueAdvice",
    "QueueBuckets",
    "QueueMinutes",
    "ZoneBuckets",
    "ZoneMinutes",
    "ZoneNames",
]
