"""Table of what was said of the health of sensors. Shapes and rules as in schemas/rows.py, which loads it."""

from schemas.tables import F64, MS, NAME, TEXT, TIME, U16, U64, Column, Table


class SensorHealthRows(Table):
    name = "sensor_health"
    comment = (
        "What was said of sensors and store: store or sensor, with its evidence. One row per episode, again when it ended."
    )
    key = ("site", "device", "line", "kind", "began")
    version = "position"
    time = "began"
    partition = "toYYYYMM(began)"
    keep_days = 396

    site = Column(NAME, "Store")
    device = Column(NAME, "Device; empty: the store as a whole")
    line = Column(U16, "Line of the device; 0: all of it")
    kind = Column(
        NAME,
        "silent, stuck, repeated, blind, undercounts, overcounts, imbalance, tilt, clock, reboots, missed (sensor);"
        " connection; closed, quiet, busy, door (store)",
    )
    began = Column(TIME, "When it began by the reports, UTC")
    device_name = Column(TEXT, "Device for people to read")
    verdict = Column(NAME, "sensor, store, or connection: no sensor of the store gets through")
    said = Column(TIME, "When it was said: log time, UTC")
    ended_ms = Column(f"Nullable({MS})", "When it ended, epoch ms; NULL while it lasts")
    evidence = Column(TEXT, "Why, in plain words")
    value = Column(f"Nullable({F64})", "The figure behind it: people counted, degrees, seconds, reports; by kind")
    usual = Column(f"Nullable({F64})", "What was usual of that")
    position = Column(U64, "Log time of the row, epoch ms")
