"""The simulated chain: the same seed gives the same bytes, the ledger is what the payloads say, the people are plausible."""

import base64
import itertools
import json
import struct
import tomllib
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta

import pytest

from operators.calendar import is_open
from operators.floor_plan import clean_plan
from operators.simulator import Chain, Sent, chain
from operators.simulator.floor import MOST_WALK_S, Floor
from operators.simulator.stream import Faults

LIVE = 1_772_800_000  # Friday 2026-03-06 12:26:40 UTC
CALM = Faults(missed=0, doubled=0, late=0, disorder=0, garbage_s=0)


def _messages(made: Chain, seconds: int = 1800) -> list[Sent]:
    return list(made.messages(LIVE + seconds))


@pytest.fixture(scope="module")
def half_hour() -> list[Sent]:
    return _messages(chain(4, seed=7, live=LIVE))


def test_the_same_seed_gives_the_same_bytes_however_the_stream_is_cut(half_hour: list[Sent]) -> None:
    stream = chain(4, seed=7, live=LIVE).stream()
    cut: list[Sent] = []
    moment = LIVE - 1800.0
    while moment < LIVE + 1800:
        cut += stream.until(moment)
        moment += 7.3
    assert cut + stream.until(LIVE + 1800) + stream.rest() == half_hour


def test_another_seed_gives_another_day() -> None:
    assert _messages(chain(2, 1, LIVE), 300) != _messages(chain(2, 2, LIVE), 300)


def test_messages_come_in_the_order_of_sending(half_hour: list[Sent]) -> None:
    assert half_hour == sorted(half_hour, key=lambda m: m.at)
    assert len(half_hour) > 400


def test_a_duplicate_is_an_earlier_message_again(half_hour: list[Sent]) -> None:
    seen = {m.payload for m in half_hour if m.expect == "stored"}
    again = [m for m in half_hour if m.expect == "duplicate"]
    assert again
    assert all(m.payload in seen and m.windows == () for m in again)


def test_no_two_stored_messages_are_equal(half_hour: list[Sent]) -> None:
    counts = Counter(m.payload for m in half_hour if m.expect == "stored")
    assert counts.most_common(1)[0][1] == 1


def test_every_dialect_and_every_fault_is_there(half_hour: list[Sent]) -> None:
    keys = Counter(key for m in half_hour if m.device for key in json.loads(m.payload))
    assert {"line_periodic_data", "line_total_data", "line_trigger_data", "in_counted", "devEUI", "region_data"} <= keys.keys()
    assert Counter(m.expect for m in half_hour).keys() == {"stored", "duplicate", "quarantined"}
    late = [m for m in half_hour for w in m.windows if m.at - w.end > 900]
    assert late


def _said(message: Sent) -> list[tuple[str, int, str, str, int, int]]:
    """Brute force, independent of the encoders: (device, line, start text, end text, in, out) of the windows of a payload."""
    raw = json.loads(message.payload)
    if "devEUI" in raw:
        frame, found, i = base64.b64decode(raw["data"]), [], 0
        sizes = {0xC9: 4, 0xCC: 4, 0xCD: 1, 0x85: 4, 0xD2: 4}
        while i < len(frame):
            channel, kind = frame[i], frame[i + 1]
            if kind == 0xCC and channel in (5, 8, 11, 14):
                into, out = struct.unpack_from("<HH", frame, i + 2)
                found.append((raw["devEUI"], (channel - 2) // 3, "", raw["time"][:19], into, out))
            i += 2 + sizes[kind]
        return found
    device, time = raw["device_info"]["device_sn"].lower(), raw["time_info"]
    stamps = (time.get("start_time", time.get("time")), time.get("end_time", time.get("time")))
    if "in_counted" in raw:
        return [(device, 1, *stamps, raw["in_counted"], raw["out_counted"])]
    if isinstance(raw.get("line_trigger_data"), dict):
        return [(device, 1, *stamps, raw["line_trigger_data"]["in"], raw["line_trigger_data"]["out"])]
    items = raw.get("line_periodic_data", [])
    return [(device, i["line"], *stamps, *[i.get("total", i)[k] for k in ("in", "out")]) for i in items]


def _epoch(text: str, message: Sent, made: Chain) -> int:
    if "/" in text:
        time = json.loads(message.payload)["time_info"]
        hours, minutes = time["timezone"].removeprefix("UTC").split(":")
        offset = int(hours) * 3600 + (-1 if hours.startswith("-") else 1) * int(minutes) * 60 + 3600 * time["dst_status"]
        return int(datetime.strptime(text, "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC).timestamp()) - int(offset)
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def test_the_ledger_is_what_the_payloads_say_after_the_swap(half_hour: list[Sent]) -> None:
    made = chain(4, seed=7, live=LIVE)
    entries = {d.id: d for site in made.sites for d in site.devices.values()}
    swapped = 0
    for message in half_hour:
        if message.expect != "stored":
            continue
        counting = entries[message.device].counting
        raw = json.loads(message.payload)
        is_trigger = "line_trigger_data" in raw
        if is_trigger != (counting == "trigger"):
            assert message.windows == ()
            continue
        said = _said(message)
        assert len(said) == len(message.windows)
        for (device, line, start, end, into, out), window in zip(said, message.windows, strict=True):
            stop = _epoch(end, message, made)
            begin = _epoch(start, message, made) if start else stop - entries[device].interval_s
            if entries[device].swap:
                into, out = out, into
                swapped += 1
            assert window == (device, line, begin, stop, into, out)
    assert swapped > 10


def test_windows_of_a_line_never_overlap() -> None:
    made = chain(4, seed=3, live=LIVE, weeks=0.3)
    by_line = defaultdict(list)
    for message in made.messages(LIVE + 600):
        for w in message.windows:
            by_line[w.device, w.line].append((w.start, w.end))
    for spans in by_line.values():
        spans.sort()
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans) if a != b)


def test_without_faults_the_sensors_say_what_they_saw_and_little_is_missed() -> None:
    made = chain(1, seed=5, live=LIVE, weeks=2 / 7, faults=CALM, past=CALM)
    (site,) = made.sites
    entrances = {(d.id, n) for d in site.devices.values() for n, line in d.lines.items() if line.role == "entrance"}
    whole = LIVE // 86400 * 86400
    windows = [w for m in made.messages(LIVE) for w in m.windows if (w.device, w.line) in entrances]
    counted = sum(w.people_in for w in windows if whole - 86400 <= w.start < whole)
    came, went = made.people(site.id, whole - 86400, whole)
    assert came == went > 500
    assert 0.93 * came < counted < came


def test_the_store_is_empty_at_night_and_full_in_the_afternoon() -> None:
    made = chain(1, seed=5, live=LIVE)
    (site,) = made.sites
    day = LIVE // 86400 * 86400
    hours = {t: made.present(site.id, t) for t in range(day, day + 86400, 3600)}
    assert all(n >= 0 for n in hours.values())
    assert max(hours.values()) > 60
    assert all(
        n == 0 for t, n in hours.items() if not is_open(site, t) and not is_open(site, t - 4800) and not is_open(site, t + 2400)
    )


def test_one_sensor_dies_and_the_others_do_not() -> None:
    last: dict[str, int] = {}
    for message in chain(4, seed=1, live=LIVE, weeks=0.05).messages(LIVE + 900):
        for w in message.windows:
            last[message.device] = max(last.get(message.device, 0), w.end)
    windows = [d for d, end in last.items() if end < LIVE - 2000]
    assert len(windows) == 1


def test_totals_grow_with_the_windows_and_start_again_after_a_reset() -> None:
    made = chain(1, seed=2, live=LIVE, weeks=3, past=CALM)
    before: dict[str, tuple[int, int]] = {}
    resets = 0
    for message in made.stream().until(LIVE):
        raw = json.loads(message.payload)
        for item in raw.get("line_total_data", []):
            total = item.get("total", item)["in_counted"]
            period = raw["line_periodic_data"][0].get("total", raw["line_periodic_data"][0])["in"]
            if message.device in before and total != before[message.device][0] + period:
                assert total == period
                resets += 1
            before[message.device] = (total, raw["device_info"]["running_time"])
    assert resets >= 6  # two devices, three Mondays; reboots come on top


def test_speed_brings_more_people_with_real_stamps() -> None:
    slow = sum(w.people_in for m in chain(1, 1, LIVE, speed=1).messages(LIVE + 600) for w in m.windows if w.start >= LIVE)
    fast = [w for m in chain(1, 1, LIVE, speed=20).messages(LIVE + 600) for w in m.windows if w.start >= LIVE]
    assert sum(w.people_in for w in fast) > 5 * slow
    assert max(w.end for w in fast) <= LIVE + 600


def test_the_stores_are_awake_but_for_the_last() -> None:
    for hour in range(0, 24, 3):
        made = chain(4, 1, LIVE + hour * 3600)
        awake = [is_open(site, LIVE + hour * 3600) for site in made.sites]
        assert awake[:3] == [True, True, True]


def test_the_registry_text_is_toml_with_every_device() -> None:
    made = chain(4, 1, LIVE)
    texts = made.registry_toml()
    assert texts.keys() == {f"{site.id}.toml" for site in made.sites} | {site.plan for site in made.sites if site.plan}
    for site in made.sites:
        parsed = tomllib.loads(texts[f"{site.id}.toml"])
        assert parsed["zone"] == site.zone


def test_a_store_with_zones_has_a_plan_in_which_each_of_them_is_drawn() -> None:
    made = chain(4, 1, LIVE)
    texts = made.registry_toml()
    drawn = {site.id: clean_plan(texts[site.plan].encode()).ids for site in made.sites if site.plan}
    zones = {site.id: {z.shape for d in site.devices.values() for z in d.zones.values() if z.shape} for site in made.sites}
    assert drawn == {site: shapes for site, shapes in zones.items() if shapes}
    assert sorted(map(len, drawn.values())) == [2, 4]


def _sales_floor(made: Chain) -> tuple[str, Floor]:
    return next((site, s.floor) for site, sensors in made.sensors.items() for s in sensors if s.floor and s.singles)


def test_people_are_served_in_the_order_in_which_they_joined_by_as_many_tills_as_there_are() -> None:
    made = chain(4, 7, LIVE)
    site, floor = _sales_floor(made)
    stays = made.dwells(site, floor, date(2026, 3, 6))
    waited = {d.person: d for d in stays if d.zone == 3}
    served = {d.person: d for d in stays if d.zone == 4}
    assert len(waited) > len(served) > 300, "some give up"
    assert all(waited[person].end == d.start for person, d in served.items())
    firsts = [d for person, d in served.items() if person - 1 not in served or served[person - 1].start < d.start - 0.8]
    begun = [d.start for d in sorted(firsts, key=lambda d: waited[d.person].start)]
    assert all(later > earlier - MOST_WALK_S for earlier, later in itertools.pairwise(begun)), "but for the steps to the till"
    edges = sorted([(d.start, 1) for d in firsts] + [(d.end, -1) for d in firsts])
    assert max(itertools.accumulate(way for _, way in edges)) == floor.tills


def test_what_a_sensor_of_zones_says_is_who_was_there() -> None:
    made = chain(4, 7, LIVE, weeks=1 / 7, faults=CALM, past=CALM)
    site, floor = _sales_floor(made)
    sensor = next(s for s in made.sensors[site] if s.singles)
    days = [date(2026, 3, 4) + timedelta(days=i) for i in range(4)]
    really = [(d.zone, int(d.start), int(d.end)) for day in days for d in made.dwells(site, floor, day)]
    told = [m for m in made.messages(LIVE) if m.device == sensor.entry.id]
    stays = [s for m in told for s in m.stays]
    assert len(stays) > 500
    assert {(s.zone, s.start, s.end) for s in stays} <= set(really)
    ended = [d for d in really if stays[0].end <= d[2] < LIVE - 60 and d[2] > d[1]]
    assert 0.96 < len(stays) / len(ended) < 1.0
    last = max((level for m in told for level in m.levels), key=lambda level: level.end).end
    present = {level.zone: level.present for m in told for level in m.levels if level.end == last}
    there = Counter(zone for zone, start, end in really if start < last <= end)
    assert sum(present.values()) == pytest.approx(there.total(), abs=2)


def test_twenty_stores_have_names_and_devices_of_their_own() -> None:
    made = chain(20, 1, LIVE)
    devices = [d for site in made.sites for d in site.devices]
    assert len(made.shops) == 20
    assert len(set(devices)) == len(devices)
