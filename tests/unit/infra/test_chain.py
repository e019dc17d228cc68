"""The worked example of docs/architecture.md, and what a chain of flows promises, without engine or store."""

import json
from datetime import UTC, datetime
from typing import Any

from flows import ordered
from infra.chain import Chain
from operators.ingest import Arrival
from operators.memory import place_of
from operators.moment import Context, Output
from schemas.events import Plain
from schemas.forms import whole_rows
from schemas.rows import TABLES
from schemas.sensors import read
from schemas.sites import Device, Line, Site

DEVICE = "6537f28778010000"
SITE = Site(
    id="shop",
    name="Shop",
    zone="UTC",
    capacity_operational=100,
    devices={DEVICE: Device(id=DEVICE, name="Door", lines={1: Line(1, "Door", "entrance")})},
)


def at(clock: str) -> int:
    """Epoch seconds of a time of the example's day."""
    return int(datetime.fromisoformat(f"2026-07-31T{clock}").replace(tzinfo=UTC).timestamp())


def window(start: str, people_in: int, people_out: int) -> bytes:
    minute = at(start)
    times = {k: datetime.fromtimestamp(t, UTC).isoformat() for k, t in (("start_time", minute), ("end_time", minute + 60))}
    line = {"line": 1, "line_name": "Door", "in": people_in, "out": people_out}
    return json.dumps({"device_info": {"device_sn": DEVICE}, "time_info": times, "line_periodic_data": [line]}).encode()


def trigger(time: str, people_in: int) -> bytes:
    line = {"line": 1, "line_name": "Door", "in": people_in, "out": 0}
    info = {"time": datetime.fromtimestamp(at(time), UTC).isoformat()}
    return json.dumps({"device_info": {"device_sn": DEVICE}, "time_info": info, "line_trigger_data": [line]}).encode()


EXAMPLE = [
    ("10:01:02", window("10:00", 3, 1)),
    ("10:01:02", window("10:00", 3, 1)),
    ("10:01:20", trigger("10:00:40", 1)),
    ("10:04:05", window("10:03", 0, 0)),
    ("10:09:00", window("10:01", 5, 0)),
    ("11:30:00", window("10:02", 2, 2)),
    ("11:31:00", window("10:02", 4, 2)),
]


class Play:
    """A chain fed with payloads; `newest` holds the newest revision of every row by table and key."""

    def __init__(self, flows: list[str], site: Site = SITE) -> None:
        self.chain = Chain(site, ordered(flows), None, Context())
        self.out = Output({}, [])
        self.position = 0
        self.site = site

    def send(self, clock: str, payload: bytes) -> None:
        said, entry, arrival = read(payload), self.site.devices[DEVICE], at(clock) * 1000
        if isinstance(said, Plain):
            said.site, said.arrival, said.place, said.stamp = self.site.id, arrival, place_of(0, self.position), 1
            if not self.chain.handle_plains([said], 0, 0, self.out):
                self.chain.handle_plain(said, 0, self.out)
        else:
            arrivals = [Arrival(0, self.position, arrival, report) for report in said]
            self.chain.handle(arrivals, entry, payload, 1, 0, self.out)
        self.position += 1

    def flush(self) -> None:
        self.chain.flush(True, self.out)

    def rows(self, table: str) -> list[dict[str, Any]]:
        shape = TABLES[table]
        newest: dict[tuple[Any, ...], dict[str, Any]] = {}
        for row in whole_rows(self.out.rows).get(table, []):
            named = dict(zip(shape.columns, row, strict=True))
            key = tuple(named[k] for k in shape.key)
            if shape.revised and key in newest:
                old = newest[key]
                if (old["revision"], old.get("complete", 0)) > (named["revision"], named.get("complete", 0)):
                    continue
            newest[key] = named
        return list(newest.values())


def play(flows: list[str]) -> Play:
    p = Play(flows)
    for clock, payload in EXAMPLE:
        p.send(clock, payload)
        p.flush()
    return p


def test_every_message_of_the_example_has_one_outcome() -> None:
    p = play(["traffic"])
    stored = {r["position"] for r in p.rows("observations")}
    duplicates = {r["position"] for r in p.rows("duplicates")}
    assert (stored, duplicates) == ({0, 2, 3, 4, 5, 6}, {1})
    assert p.rows("quarantine") == []


def test_minutes_of_the_example_are_those_of_the_table() -> None:
    p = play(["traffic"])
    minutes = {r["minute"]: (r["people_in"], r["people_out"], r["revision"]) for r in p.rows("line_minutes")}
    assert minutes == {at("10:00"): (3, 1, 1), at("10:01"): (5, 0, 1), at("10:03"): (0, 0, 1)}


def test_the_hour_counts_what_came_within_the_horizon_and_the_day_counts_everything() -> None:
    p = play(["traffic"])
    buckets = {(r["step"], r["start"]): r for r in p.rows("site_buckets")}
    hour, day = buckets["1h", at("10:00")], buckets["1d", at("00:00")]
    assert (hour["people_in"], hour["people_out"], hour["revision"]) == (8, 1, 3)
    assert (day["people_in"], day["people_out"], day["revision"]) == (12, 3, 5)


def test_late_data_ask_for_a_repair_of_their_civil_day() -> None:
    p = play(["traffic"])
    assert [(r["day"], r["side"]) for r in p.rows("repairs")] == [("2026-07-31", "asked")]


def test_occupancy_from_the_corrected_minute_on_is_written_again() -> None:
    p = play(["occupancy"])
    rows = {r["minute"]: (r["estimate"], r["revision"]) for r in p.rows("occupancy")}
    assert rows[at("10:00")] == (2.0, 1)
    assert rows[at("10:01")] == (7.0, 2)
    assert rows[at("10:02")] == (9.0, 4)
    assert rows[at("10:03")] == (9.0, 5)


def test_the_example_once_more_changes_nothing() -> None:
    p = play(["traffic"])
    before = {t: p.rows(t) for t in ("line_minutes", "site_buckets", "observations")}
    recalled = list(p.chain.ingest.ingest.devices[DEVICE].line(1).windows)
    assert recalled, "the windows of the last batch are still remembered, because nothing was durable yet"
    for _, payload in EXAMPLE:
        p.send("11:32", payload)
    p.flush()
    assert {t: p.rows(t) for t in before} == before
    assert len(p.rows("duplicates")) == 8


def test_a_restart_from_saved_state_goes_on_as_if_nothing_had_happened() -> None:
    whole, cut = play(["alerts"]), Play(["alerts"])
    for clock, payload in EXAMPLE:
        cut.send(clock, payload)
        cut.chain = Chain(SITE, ordered(["alerts"]), cut.chain.state(), Context())
    cut.flush()
    for table in ("line_minutes", "site_minutes", "line_buckets", "site_buckets", "occupancy"):
        assert cut.rows(table) == whole.rows(table), table
