"""One class per stored table: columns, types, units, keys. The DDL is derived from them by `infra/ddl.py`.

Rows travel as plain tuples in the order of the columns. Times are whole epoch seconds (UTC) in DateTime columns, except
`*_ms` (epoch milliseconds). A NULL means "not measured", never zero.

Two kinds of table; either way the plain name is a view that shows each key once, and is what everybody reads:
- facts: rows that are written once, into `<name>_rows` (ReplacingMergeTree, `version` decides between copies of one key);
- revisions (`revised`): figures that grow with knowledge. The stored table is `<name>_revisions`, one row per (key, revision);
  the plain name shows the newest revision of each key, and `<name>_as_of(at_ms = ...)` what was known at a moment (epoch ms).
"""

from schemas import rows_floor as _floor  # noqa: F401  # who knows one table knows them all
from schemas import rows_forecast as _forecast  # noqa: F401
from schemas import rows_health as _health  # noqa: F401
from schemas import rows_zones as _zones  # noqa: F401
from schemas.tables import F64, MAYBE, MS, NAME, TEXT, TIME, U8, U16, U32, U64, Column, Table, counts, known
from schemas.tables import TABLES as TABLES


class Observations(Table):
    name = "observations"
    comment = "Every accepted event as the sensor said it (before any direction swap). The truth that all figures come from."
    key = ("device", "start", "event_id")
    version = "rank"
    time = "start"
    partition = "toYYYYMM(start)"
    keep_days = 396
    indexes = (
        "INDEX by_id event_id TYPE bloom_filter(0.001) GRANULARITY 1",
        "INDEX by_site site TYPE set(100) GRANULARITY 4",
        "INDEX by_arrival arrival_ms TYPE minmax GRANULARITY 1",
    )

    site = Column(NAME, "Store the device belonged to on arrival")
    device = Column(NAME, "Serial number or devEUI, lower case")
    event_id = Column(U64, "Identity of the event: hash of what the device said, never of when it arrived")
    section = Column(NAME, "line, zone, stay, dwell, flow, heat, queue, people, detection or status")
    kind = Column(NAME, "window, trigger or total; empty where that makes no sense")
    part = Column(U16, "Number of the line or zone; 0 the whole view")
    start = Column(TIME, "Chosen event time: start of the window, or the moment")
    end = Column(TIME, "Chosen event time: end of the window, or the moment")
    resolution_s = Column(U32, "Length of the window in seconds; 0 for a moment")
    people_in = Column(MAYBE, "People in, children and staff included")
    people_out = Column(MAYBE, "People out")
    child_in = Column(MAYBE, "Children in")
    child_out = Column(MAYBE, "Children out")
    staff_in = Column(MAYBE, "Staff in")
    staff_out = Column(MAYBE, "Staff out")
    group_in = Column(MAYBE, "Groups in (groups, not people)")
    group_out = Column(MAYBE, "Groups out")
    present = Column(MAYBE, "People present at the end; in a queue: people waiting")
    detail = Column(TEXT, "JSON of everything that has no column of its own; empty when there is nothing")
    dialect = Column(NAME, "Decoder that read it")
    device_time = Column(TEXT, "Device time exactly as sent; empty when the message has none")
    clock = Column(NAME, "device: event time is the device's; arrival: the device's clock is not trusted")
    flags = Column(NAME, "Comma-separated remarks: correction, overlap, ambiguous, replayed, swapped_clock, ...")
    skew_s = Column("Int32", "Arrival minus device time in seconds")
    arrival_ms = Column(MS, "Arrival of the earliest copy, epoch ms (the log's timestamp)")
    topic = Column(NAME, "Provenance: topic of the log")
    partition_no = Column(U16, "Provenance: partition")
    position = Column(U64, "Provenance: position in the partition")
    rank = Column(U64, "2^63 - arrival_ms: the earliest copy wins")


class Duplicates(Table):
    name = "duplicates"
    comment = "Messages that said nothing new: every event of them was already there."
    key = ("topic", "partition_no", "position")
    time = "arrived"
    partition = "toYYYYMM(arrived)"
    keep_days = 90

    site = Column(NAME, "Store")
    device = Column(NAME, "Device")
    arrived = Column(TIME, "Arrival")
    topic = Column(NAME, "Topic of the log")
    partition_no = Column(U16, "Partition")
    position = Column(U64, "Position")


class Quarantine(Table):
    name = "quarantine"
    comment = "What was not understood or not believed, with the reason and the bytes. `partial` = other parts were good."
    key = ("topic", "partition_no", "position", "item")
    time = "arrived"
    partition = "toYYYYMM(arrived)"
    keep_days = 90

    topic = Column(NAME, "Topic of the log")
    partition_no = Column(U16, "Partition")
    position = Column(U64, "Position")
    item = Column(U16, "Number of the refused part within the message")
    arrived = Column(TIME, "Arrival")
    site = Column(NAME, "Store, when known")
    device = Column(NAME, "Device, when known")
    reason = Column(NAME, "Why, as one stable word")
    place = Column(TEXT, "Where in the message: JSON path or byte")
    detail = Column(TEXT, "More words")
    partial = Column(U8, "1 when other parts of the message were stored")
    size = Column(U32, "Bytes of the payload")
    payload = Column(TEXT, "The payload, at most 4 kB of it")


class LineMinutes(Table):
    name = "line_minutes"
    comment = "Crossings per line and minute, direction already put right."
    revised = True
    key = ("site", "device", "line", "minute")
    version = "complete"
    time = "minute"
    partition = "toYYYYMM(minute)"
    keep_days = 1826

    site = Column(NAME, "Store")
    device = Column(NAME, "Device")
    line = Column(U16, "Line number of the device")
    minute = Column(TIME, "Start of the minute, UTC")
    people_in, people_out, child_in, child_out, staff_in, staff_out, group_in, group_out = counts().values()
    measured_s = Column(U16, "Seconds of the minute that a report covered (0 to 60)")
    resolution_s = Column(U32, "Longest report that contributed, in seconds: 60 means measured by the minute")
    complete, revision, known_at_ms = known().values()


class LineBuckets(Table):
    name = "line_buckets"
    comment = "Crossings per line in 15 minutes, hours and days of site-local civil time."
    revised = True
    key = ("step", "site", "device", "line", "start")
    version = "complete"
    time = "start"
    partition = "toYYYYMM(start)"

    site = Column(NAME, "Store")
    device = Column(NAME, "Device")
    line = Column(U16, "Line number of the device")
    step = Column(NAME, "15m, 1h or 1d")
    start = Column(TIME, "Start of the bucket, UTC")
    end = Column(TIME, "End of the bucket, UTC (a day may have 23 or 25 hours)")
    local_start = Column(
        "DateTime64(0, 'UTC')", "Start in the store's civil time (read it as a wall clock, it carries no zone)"
    )
    utc_offset_s = Column("Int32", "Civil time minus UTC at the start, seconds")
    people_in, people_out, child_in, child_out, staff_in, staff_out, group_in, group_out = counts().values()
    measured_s = Column(U32, "Seconds that a report covered")
    expected_s = Column(U32, "Seconds of the bucket: coverage = measured_s / expected_s")
    complete, revision, known_at_ms = known().values()


class SiteMinutes(Table):
    name = "site_minutes"
    comment = "Entrance crossings per store and minute: sum of the lines with role entrance."
    revised = True
    key = ("site", "minute")
    version = "complete"
    time = "minute"
    partition = "toYYYYMM(minute)"
    keep_days = 1826

    site = Column(NAME, "Store")
    minute = Column(TIME, "Start of the minute, UTC")
    people_in, people_out, child_in, child_out, staff_in, staff_out, group_in, group_out = counts().values()
    measured_s = Column(U32, "Line-seconds that a report covered")
    expected_s = Column(U32, "Line-seconds of the minute: 60 x entrance lines")
    complete, revision, known_at_ms = known().values()


class SiteBuckets(Table):
    name = "site_buckets"
    comment = "Entrance crossings per store in 15 minutes, hours and days of site-local civil time."
    revised = True
    key = ("step", "site", "start")
    version = "complete"
    time = "start"
    partition = "toYYYYMM(start)"

    site = Column(NAME, "Store")
    step = Column(NAME, "15m, 1h or 1d")
    start = Column(TIME, "Start of the bucket, UTC")
    end = Column(TIME, "End of the bucket, UTC")
    local_start = Column(
        "DateTime64(0, 'UTC')", "Start in the store's civil time (read it as a wall clock, it carries no zone)"
    )
    utc_offset_s = Column("Int32", "Civil time minus UTC at the start, seconds")
    people_in, people_out, child_in, child_out, staff_in, staff_out, group_in, group_out = counts().values()
    measured_s = Column(U32, "Line-seconds that a report covered")
    expected_s = Column(U32, "Line-seconds of the bucket: coverage = measured_s / expected_s")
    complete, revision, known_at_ms = known().values()


class Occupancy(Table):
    name = "occupancy"
    comment = "People in the store at the end of each minute: drift-corrected estimate with a 90 % interval."
    revised = True
    key = ("site", "minute")
    version = "complete"
    time = "minute"
    partition = "toYYYYMM(minute)"
    keep_days = 1826

    site = Column(NAME, "Store")
    minute = Column(TIME, "Minute at whose end the estimate holds, UTC")
    estimate = Column(F64, "People present")
    low = Column(F64, "Lower end of the 90 % interval")
    high = Column(F64, "Upper end of the 90 % interval")
    raw = Column("Int32", "Sum of in minus out since the reset, uncorrected")
    mode = Column(NAME, "How it was corrected: raw, learnt, reflected; unanchored: never known to be empty")
    limit_operational = Column(MAYBE, "Operational capacity")
    limit_legal = Column(MAYBE, "Legal capacity")
    over_operational = Column("Nullable(Float64)", "Probability of being at or over 90 % of the operational capacity")
    over_legal = Column("Nullable(Float64)", "Probability of being at or over 90 % of the legal capacity")
    coverage = Column("Nullable(Float64)", "Measured share of the entrance line-seconds since the reset, 0 to 1")
    factors_revision = Column(U32, "Revision of the learnt door factors in force")
    complete, revision, known_at_ms = known().values()


class DoorFactors(Table):
    name = "door_factors"
    comment = "Learnt log(in/out) per door, day type and hour block, frozen at each reset."
    key = ("site", "reset", "device", "line", "day_type", "block")
    version = "factors_revision"
    time = "reset"

    site = Column(NAME, "Store")
    reset = Column(TIME, "Reset from which it holds")
    device = Column(NAME, "Device")
    line = Column(U16, "Line")
    day_type = Column(U8, "0 weekday, 1 Saturday, 2 Sunday or holiday")
    block = Column(U8, "Block of four hours of the civil day, 0 to 5")
    log_ratio = Column(F64, "Learnt log(sum in / sum out)")
    weight = Column(F64, "Evidence behind it (decayed crossings)")
    error_rate = Column(F64, "Learnt error rate per crossing of the store")
    error_weight = Column(F64, "Days behind the error rate")
    level = Column(F64, "People present at the reset; not 0 only where a store is never known to be empty")
    level_variance = Column(F64, "Variance of the level")
    factors_revision = Column(U32, "Number of resets learnt from")


class Anomalies(Table):
    name = "anomalies"
    comment = (
        "Score of each closed quarter of an hour of a store against its usual week. What was said then is never rewritten."
    )
    key = ("site", "start")
    time = "start"
    version = "position"
    partition = "toYYYYMM(start)"
    keep_days = 1826

    site = Column(NAME, "Store")
    start = Column(TIME, "Start of the quarter of an hour, UTC")
    value = Column(F64, "People in")
    expected = Column("Nullable(Float64)", "What the model expected; NULL before it has data")
    low = Column("Nullable(Float64)", "Lower end of the usual range (90 %)")
    high = Column("Nullable(Float64)", "Upper end of the usual range (90 %)")
    score = Column(F64, "0 usual to 1 unheard of")
    unusual = Column(U8, "1: more unusual than the store's budget of false alarms asks for, and not for being closed")
    kind = Column(NAME, "surge, drop, dead (nobody) or stuck (one number again and again); empty when unusual is 0")
    reason = Column(TEXT, "What was unusual, in words; empty when unusual is 0")
    model = Column(NAME, "Name of the model")
    position = Column(U64, "Log time when it was said, epoch ms")


class Devices(Table):
    name = "devices"
    comment = (
        "What is known of each device: last message, clock, firmware. Only the newest is kept: it changes with each message."
    )
    key = ("device",)
    version = "revision"

    site = Column(NAME, "Store")
    device = Column(NAME, "Device")
    device_name = Column(TEXT, "Name in the registry, else what the device calls itself")
    dialect = Column(NAME, "Decoder of its last message")
    firmware = Column(TEXT, "Firmware as it says")
    expected_interval_s = Column(U32, "How often it should report")
    last_arrival_ms = Column(MS, "Arrival of its last message, epoch ms")
    last_skew_s = Column("Int32", "Arrival minus device time of that message")
    clock = Column(NAME, "device or arrival: whose time is used")
    silent = Column(U8, "1 when it has been silent for three report periods")
    messages = Column(U64, "Messages so far")
    revision = Column(U64, "Grows with every message and with silence")
    known_at_ms = Column(MS, "Newest arrival, epoch ms")


class Transitions(Table):
    name = "transitions"
    comment = "Changes of state of alerts, exactly as decided then."
    key = ("site", "rule", "transition_id")
    time = "happened"
    keep_days = 396

    transition_id = Column(TEXT, "Deterministic id")
    episode_id = Column(TEXT, "Episode it belongs to")
    fingerprint = Column(TEXT, "Rule and subject, stable over episodes")
    site = Column(NAME, "Store")
    rule = Column(NAME, "Rule")
    subject = Column(TEXT, "What within the store: a device, a zone; empty for the store itself")
    severity = Column(NAME, "critical, warning or info")
    kind = Column(NAME, "firing or resolved, ...")
    happened = Column(TIME, "Event time of the change")
    onset = Column(TIME, "Event time at which the episode began")
    value = Column("Nullable(Float64)", "Value that decided")
    summary = Column(TEXT, "One sentence for people")
    reason = Column(NAME, "Named reason")
    backfilled = Column(U8, "1 when it was decided on data older than the alert horizon: never sent")
    decided_ms = Column(MS, "Log time of the decision, epoch ms")


class Repairs(Table):
    name = "repairs"
    comment = "Civil days of stores that late data asked to be computed again, and up to which request that was done."
    key = ("site", "day", "side")
    version = "mark"

    site = Column(NAME, "Store")
    day = Column(TEXT, "Civil day of the store, ISO")
    side = Column(NAME, "asked, or done")
    mark = Column(U64, "Grows with every request; pending while asked > done")


class Progress(Table):
    name = "progress"
    comment = "How far each partition of the log has been processed and stored. Written after everything before it is stored."
    key = ("topic", "partition_no")
    version = "position"

    topic = Column(NAME, "Topic of the log")
    partition_no = Column(U16, "Partition")
    position = Column(U64, "Everything before this position is stored")
    log_ms = Column(MS, "Newest log timestamp before it, epoch ms")


class Lanes(Table):
    name = "lanes"
    comment = (
        "Who reads the log: one row per recovery folder of a lane, one for the layout in force (how many lanes share how many"
        " partitions), one for a request to stop. What several machines know of each other."
    )
    key = ("flows", "holder")
    version = "seen_ms"

    flows = Column(NAME, "What the lanes run")
    holder = Column(TEXT, "Id of the recovery folder; layout; request")
    state = Column(NAME, "claiming, running, stopped; layout; stop, drain, none")
    lane = Column(U16, "Number of the lane, from 0")
    of = Column(U16, "Number of lanes")
    partitions = Column(U16, "Partitions of the log")
    host = Column(TEXT, "Machine")
    pid = Column(U32, "Process there")
    positions = Column(TEXT, "JSON: by partition what is stored as [position, log time in ms]; layout: where it begins")
    started_ms = Column(U64, "When it began, by the store's clock, epoch ms")
    seen_ms = Column(U64, "Last sign of life, by the store's clock, epoch ms")


class Sites(Table):
    name = "sites"
    comment = "The registry as the lane last loaded it: one row per store."
    key = ("site",)
    version = "loaded_ms"

    site = Column(NAME, "Store")
    site_name = Column(TEXT, "Name for people")
    zone = Column(NAME, "IANA time zone")
    country = Column(NAME, "ISO country code")
    capacity_operational = Column(MAYBE, "Operational capacity, people")
    capacity_legal = Column(MAYBE, "Legal capacity, people")
    loaded_ms = Column(U64, "When the registry was loaded, epoch ms")


class Lines(Table):
    name = "lines"
    comment = "The registry as the lane last loaded it: one row per line."
    key = ("device", "line")
    version = "loaded_ms"

    site = Column(NAME, "Store")
    device = Column(NAME, "Device")
    device_name = Column(TEXT, "Name of the device for people")
    line = Column(U16, "Line number")
    line_name = Column(TEXT, "Name of the line for people")
    role = Column(NAME, "entrance, inner, outside, department, checkout or service")
    loaded_ms = Column(U64, "When the registry was loaded, epoch ms")
