"""Objects that a vendor's codec made of LoRaWAN frames, in the spellings of several releases and platforms.

A codec runs on the network server and nobody knows which release it is, so its object counts only where the bytes are missing.
Keys are in lower case here. Spellings: SensorDecoders of 2023 and now, codecs of the Things Network repository, `akenza`.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from msgspec.json import encode
from xxhash import xxh3_64_hexdigest

from schemas.events import Kind, Refusal, Report
from schemas.sensors._channels import ALARMS
from schemas.sensors._frame import Uplink
from schemas.sensors._frames import OLDEST_HISTORY
from schemas.sensors._json import COUNT_MOST, Bad, Budget, Object, brief, count, fold, integer, number, truth, words
from schemas.sensors._record import Record
from schemas.sensors._times import LATEST
from schemas.sensors._vs373_words import EVENTS, STATES

DIALECT = "milesight_codec"
KEYS_PER_ITEM = 8
"""So many keys of an object cost as much of the budget as an item."""
REFUSALS_MOST = 16
PERIOD_MOST = 65_535
"""A period has 16 bits in every frame."""

_Put = Callable[[Record, object, str], None]
"""Puts the value of a key into a record. Raises Bad."""


def _line(kind: Kind, line: int, field: str) -> _Put:
    most = COUNT_MOST if kind == "total" else PERIOD_MOST

    def put(record: Record, value: object, key: str) -> None:
        people = count(value, key, most)
        if people is not None:
            record.part((kind, line), ((field, people),))

    return put


def _zone(zone: int, field: str) -> _Put:
    def put(record: Record, value: object, key: str) -> None:
        people = count(value, key)
        if people is not None:
            record.zone(zone, field, people)

    return put


def _occupied(zone: int) -> _Put:
    def put(record: Record, value: object, key: str) -> None:
        found = _state(value, "occupied", "vacant")
        if found is not None:
            record.zone(zone, "occupied", found)

    return put


def _dwell(zone: int, child: bool, field: str) -> _Put:
    def put(record: Record, value: object, key: str) -> None:
        seconds = count(value, key)
        if seconds is not None:
            record.dwelt(zone, child, **{field: seconds})

    return put


def _cell(name: str) -> _Put:
    def put(record: Record, value: object, key: str) -> None:
        people = count(value, key)
        if people is not None:
            record.cells[name] = people

    return put


def _figure(name: str) -> _Put:
    def put(record: Record, value: object, key: str) -> None:
        found = number(value)
        if found is not None:
            record.status[name] = found

    return put


def _text(name: str) -> _Put:
    def put(record: Record, value: object, key: str) -> None:
        found = words(value)
        if found is not None and found != "unknown":
            record.status[name] = found

    return put


def _alarm(name: str) -> _Put:
    """Words of an alarm, however they are written; a codec that shows raw numbers gives the alarm byte."""

    def put(record: Record, value: object, key: str) -> None:
        found = ALARMS.get(value) if type(value) is int else words(value)
        if found is not None:
            record.status[name] = _snake(found)

    return put


def _flag(name: str, yes: str, no: str) -> _Put:
    def put(record: Record, value: object, key: str) -> None:
        found = _state(value, yes, no)
        if found is not None:
            record.status[name] = found

    return put


def _state(value: object, yes: str, no: str) -> bool | None:
    """A state in words, as a number or as a boolean; None for anything else, such as `unknown`."""
    word = _snake(value) if isinstance(value, str) else ""
    return True if word == yes else False if word == no else truth(value)


def _snake(text: str) -> str:
    return text.strip().lower().replace(" ", "_")


_WAYS = ("in", "out")
_KEYS: dict[str, _Put] = {
    **{f"people_{way}": _line("window", 1, f"people_{way}") for way in _WAYS},
    **{f"period_{way}": _line("window", 1, f"people_{way}") for way in _WAYS},
    **{f"periodic_counter_{way}": _line("window", 1, f"people_{way}") for way in _WAYS},
    **{f"people_total_{way}": _line("total", 1, f"people_{way}") for way in _WAYS},
    **{f"total_{way}": _line("total", 1, f"people_{way}") for way in _WAYS},
    **{f"total_counter_{way}": _line("total", 1, f"people_{way}") for way in _WAYS},
    **{f"line_{way}": _line("trigger", 1, f"people_{way}") for way in _WAYS},
    **dict.fromkeys(("people_count_all", "people_counter_all", "people_total_counts"), _zone(0, "present")),
    **dict.fromkeys(("people_count_max", "people_max"), _zone(0, "peak")),
    "dwell_time_avg": _dwell(0, False, "avg_s"),
    "dwell_time_max": _dwell(0, False, "max_s"),
    **{f"{name}_count_alarm": _alarm(f"{name}_count_alarm") for name in ("total", "period")},
    "detection_status": _flag("detection_available", "normal", "unavailable"),
    "battery_node": _figure("battery_node_pct"),
    "battery_main": _figure("battery_pct"),
    "current_sensitivity": _figure("sensitivity"),
    **dict.fromkeys(("calibration_status", "calibration"), _flag("calibrated", "success", "failed")),
}
"""Keys that only a codec of a people counter or room sensor writes."""
_PLAIN_KEYS: dict[str, _Put] = {
    **{way: _line("window", 1, f"people_{way}") for way in _WAYS},
    "max": _zone(0, "peak"),
    "occupancy": _occupied(0),
    "battery": _figure("battery_pct"),
    "temperature": _figure("temperature_C"),
    "humidity": _figure("humidity_pct"),
    "distance": _figure("distance_mm"),
    **{f"{name}_alarm": _alarm(f"{name}_alarm") for name in ("temperature", "humidity")},
    **dict.fromkeys(("illuminance_status", "illuminance"), _flag("bright", "bright", "dim")),
    "sn": _text("serial"),
    "hardware_version": _text("hardware_version"),
    "firmware_version": _text("firmware_version"),
}
"""Keys that others write, too: they say nothing of who wrote the object."""
_LISTS = ("history", "event", "events", "regions")

_LINE = re.compile(r"line_([1-9])_(?:(child|staff)_)?(total|period)_(?:(child|staff)_)?(in|out)")
_REGION = re.compile(r"region_([0-9]{1,2})(?:_occupancy|_(?:(child|staff)_)?(?:(counter|count)|(avg|max)_dwell))?")
_EDGES = re.compile(r"([a-d])_to_([a-d])")
_OCCLUSION = re.compile(r"(master|(?:node|region)_[0-9]{1,3})_occlusion_alarm")


@lru_cache(2048)
def _numbered(key: str) -> _Put | None:
    """What to do with a key that carries a number or an edge."""
    if key.startswith("line_"):
        if found := _LINE.fullmatch(key):
            line, before, kind, after, way = found.groups()
            return _line("total" if kind == "total" else "window", int(line), f"{before or after or 'people'}_{way}")
    elif key.endswith("_occlusion_alarm"):
        if found := _OCCLUSION.fullmatch(key):
            return _flag(f"occlusion_{found[1]}", "alarm_triggered", "alarm_released")
    elif key.startswith("region_"):
        if found := _REGION.fullmatch(key):
            zone, who, people, dwell = int(found[1]), found[2], found[3], found[4]
            return (
                _zone(zone, who or "present")
                if people
                else _dwell(zone, who == "child", f"{dwell}_s")
                if dwell
                else _occupied(zone)
            )
    elif found := _EDGES.fullmatch(key):
        return _cell(f"{found[1]}-{found[2]}".upper())
    return None


def names_quantities(message: Mapping[str, object], *, surely: bool = False) -> bool:
    """Whether an object looks like a codec's; `surely`: by keys that nobody else writes."""
    for key, value in message.items():
        if key in _KEYS or (not surely and key in _PLAIN_KEYS):
            return True
        if isinstance(value, list):
            if key in _LISTS and value and isinstance(value[0], dict):
                return True
        elif isinstance(value, dict):
            if key.startswith("line_"):
                return True
        elif "_" in key and _numbered(key) is not None:
            return True
    return False


class _Reading:
    """One object being read, with what is refused of it."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.refusals: list[Refusal] = []

    def refuse(self, bad: Refusal) -> None:
        self.budget.left -= 1
        if len(self.refusals) < REFUSALS_MOST:
            self.refusals.append(bad)

    def fill(self, record: Record, message: Object) -> None:
        """Put all of an object into a record; what it cannot use becomes a refusal."""
        self.budget.left -= 1 + len(message) // KEYS_PER_ITEM
        from_zero = "region_0" in message
        for key, value in message.items():
            try:
                self._put(record, message, key, value, from_zero)
            except Bad as bad:
                self.refuse(bad.refusal)

    def _put(self, record: Record, message: Object, key: str, value: object, from_zero: bool) -> None:
        put = _KEYS.get(key) or _PLAIN_KEYS.get(key)
        if put is not None:
            put(record, value, key)
        elif isinstance(value, dict) and key.startswith("line_"):
            for name, item in fold(value).items():
                inner = _numbered(f"{key}_{name}")
                if inner is not None:
                    inner(record, item, f"{key}.{name}")
        elif isinstance(value, list):
            self._list(record, key, value)
        elif key.startswith("region_") and key[7:].isdecimal() and len(key) <= 9:
            if _state(message.get(f"{key}_enable"), "enable", "disable") is not False:
                _occupied(int(key[7:]) + from_zero)(record, value, key)
        elif "_" in key and (put := _numbered(key)) is not None:
            put(record, value, key)

    def _list(self, record: Record, key: str, items: list[object]) -> None:
        if key == "regions":
            for item in items[:16]:
                region = fold(item)
                index = integer(region.get("index"), "regions.index")
                if index is not None and 0 <= index < 64:
                    _zone(index + 1, "present")(record, region.get("count"), "regions.count")
        elif key in ("event", "events"):
            for item in items[:32]:
                _event(record, fold(item))


def _event(record: Record, event: Object) -> None:
    """VS360: type and status. VS373: number, type and status of an alarm."""
    kind, state = event.get("type"), event.get("status")
    if isinstance(kind, str) and isinstance(state, str):
        record.status[_snake(kind)[:40]] = _snake(state) == "alarm"
    alarm, state = event.get("alarm_type"), event.get("alarm_status")
    if type(alarm) is int and 0 <= alarm < len(EVENTS):
        alarm = EVENTS[alarm]
    if type(state) is int:
        state = STATES.get(state)
    if isinstance(alarm, str) and isinstance(state, str):
        words_of = {"alarm_triggered": "raised", "alarm_deactivated": "resolved", "alarm_ignored": "ignored"}
        record.status |= {"alarm": _snake(alarm)[:40], "alarm_state": words_of.get(_snake(state), _snake(state)[:40])}


def _measured(message: Object) -> int | None:
    """When the figures were measured. From a VS133 or VS135 `timestamp` is the echo of a command to set its clock."""
    if any(key.startswith("line_") and key not in ("line_in", "line_out") for key in message):
        return None
    return _epoch(message.get("timestamp"))


def _epoch(value: object) -> int | None:
    try:
        seconds = integer(value, "timestamp")
    except Bad:
        return None
    return seconds if seconds is not None and OLDEST_HISTORY <= seconds <= LATEST else None


def read_object(uplink: Uplink, message: Object, budget: Budget) -> list[Report]:
    """The live report of a codec's object, if any, and one report per stored moment."""
    reading = _Reading(budget)
    record = Record(_measured(message))
    reading.fill(record, message)
    live = record.events()
    stored: dict[int, Record] = {}
    history = message.get("history")
    for place, item in enumerate(history if isinstance(history, list) else ()):
        if budget.left <= 0:
            reading.refuse(Refusal("too_many_items", f"history[{place}]"))
            break
        _stored(reading, stored, item, f"history[{place}]")
    reports = [
        Report(uplink.device, DIALECT, str(time), time, events, name=uplink.name, retransmission=True, flags=("history",))
        for time, moment in stored.items()
        if (events := moment.events())
    ]
    refusals = reading.refusals + [Refusal("repeated_channel", name) for name in record.repeated[:16]]
    if live or refusals or not reports:
        firmware = record.status.get("firmware_version")
        report = Report(uplink.device, DIALECT, uplink.time_text, record.time or uplink.time, live, refusals)
        report.name, report.frame = (
            uplink.name,
            None if uplink.count is None else f"{uplink.count}:{xxh3_64_hexdigest(encode(message, order='deterministic'))}",
        )
        report.firmware = firmware if isinstance(firmware, str) else None
        if not live and not refusals:
            report.refusals = [Refusal("empty_report", "", "the object reports nothing")]
        reports.insert(0, report)
    return reports


def _stored(reading: _Reading, stored: dict[int, Record], item: object, where: str) -> None:
    """Entries of one moment, each of one quantity, become one record."""
    try:
        entry = fold(item)
        time = _epoch(entry.get("timestamp"))
        if time is None:
            raise Bad("bad_time", where, f"stored at {brief(entry.get('timestamp'))}: the clock was not set")
    except Bad as bad:
        reading.refuse(bad.refusal)
        return
    reading.fill(stored.setdefault(time, Record(time)), entry)
