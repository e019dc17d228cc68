"""What the keys of a codec's object mean, in the spellings of several releases and platforms.

Keys are in lower case here. Spellings: SensorDecoders of 2023 and now, codecs of the Things Network repository, `akenza`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

import msgspec

from schemas.events import Kind
from schemas.sensors._channels import ALARMS
from schemas.sensors._json import COUNT_MOST, Object, count, fold, number, truth, words
from schemas.sensors._record import Record

SHAPES_MOST, SHAPE_TEXT_MOST = 1024, 2048
"""Objects whose keys are remembered, and the most characters of the keys of one."""
PERIOD_MOST = 65_535
"""A period has 16 bits in every frame."""

Put = Callable[[Record, object, str], None]
"""Puts the value of a key into a record. Raises Bad."""


class _Line(msgspec.Struct, frozen=True):
    """One of the counts of a line, by the names of `LineCount`."""

    kind: Kind
    line: int
    field: str

    def __call__(self, record: Record, value: object, key: str) -> None:
        people = count(value, key, COUNT_MOST if self.kind == "total" else PERIOD_MOST)
        if people is not None:
            record.part((self.kind, self.line), ((self.field, people),))


def zone_count(zone: int, field: str) -> Put:
    def put(record: Record, value: object, key: str) -> None:
        people = count(value, key)
        if people is not None:
            record.zone(zone, field, people)

    return put


def occupied(zone: int) -> Put:
    def put(record: Record, value: object, key: str) -> None:
        found = state_of(value, "occupied", "vacant")
        if found is not None:
            record.zone(zone, "occupied", found)

    return put


def _dwell(zone: int, child: bool, field: str) -> Put:
    def put(record: Record, value: object, key: str) -> None:
        seconds = count(value, key)
        if seconds is not None:
            record.dwelt(zone, child, **{field: seconds})

    return put


def _cell(name: str) -> Put:
    def put(record: Record, value: object, key: str) -> None:
        people = count(value, key)
        if people is not None:
            record.cells[name] = people

    return put


def _figure(name: str) -> Put:
    def put(record: Record, value: object, key: str) -> None:
        found = number(value)
        if found is not None:
            record.status[name] = found

    return put


def _text(name: str) -> Put:
    def put(record: Record, value: object, key: str) -> None:
        found = words(value)
        if found is not None and found != "unknown":
            record.status[name] = found

    return put


def _alarm(name: str) -> Put:
    """Words of an alarm, however they are written; a codec that shows raw numbers gives the alarm byte."""

    def put(record: Record, value: object, key: str) -> None:
        found = ALARMS.get(value) if type(value) is int else words(value)
        if found is not None:
            record.status[name] = snake(found)

    return put


def _flag(name: str, yes: str, no: str) -> Put:
    def put(record: Record, value: object, key: str) -> None:
        found = state_of(value, yes, no)
        if found is not None:
            record.status[name] = found

    return put


def state_of(value: object, yes: str, no: str) -> bool | None:
    """A state in words, as a number or as a boolean; None for anything else, such as `unknown`."""
    word = snake(value) if isinstance(value, str) else ""
    return True if word == yes else False if word == no else truth(value)


def snake(text: str) -> str:
    return text.strip().lower().replace(" ", "_")


_WAYS = ("in", "out")
_KEYS: dict[str, Put] = {
    **{f"people_{way}": _Line("window", 1, f"people_{way}") for way in _WAYS},
    **{f"period_{way}": _Line("window", 1, f"people_{way}") for way in _WAYS},
    **{f"periodic_counter_{way}": _Line("window", 1, f"people_{way}") for way in _WAYS},
    **{f"people_total_{way}": _Line("total", 1, f"people_{way}") for way in _WAYS},
    **{f"total_{way}": _Line("total", 1, f"people_{way}") for way in _WAYS},
    **{f"total_counter_{way}": _Line("total", 1, f"people_{way}") for way in _WAYS},
    **{f"line_{way}": _Line("trigger", 1, f"people_{way}") for way in _WAYS},
    **dict.fromkeys(("people_count_all", "people_counter_all", "people_total_counts"), zone_count(0, "present")),
    **dict.fromkeys(("people_count_max", "people_max"), zone_count(0, "peak")),
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
_PLAIN_KEYS: dict[str, Put] = {
    **{way: _Line("window", 1, f"people_{way}") for way in _WAYS},
    "max": zone_count(0, "peak"),
    "occupancy": occupied(0),
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


def named(key: str) -> Put | None:
    """What to do with a key that carries no number."""
    return _KEYS.get(key) or _PLAIN_KEYS.get(key)


@lru_cache(2048)
def numbered(key: str) -> Put | None:
    """What to do with a key that carries a number or an edge."""
    if key.startswith("line_"):
        if found := _LINE.fullmatch(key):
            line, before, kind, after, way = found.groups()
            return _Line("total" if kind == "total" else "window", int(line), f"{before or after or 'people'}_{way}")
    elif key.endswith("_occlusion_alarm"):
        if found := _OCCLUSION.fullmatch(key):
            return _flag(f"occlusion_{found[1]}", "alarm_triggered", "alarm_released")
    elif key.startswith("region_"):
        if found := _REGION.fullmatch(key):
            zone, who, people, dwell = int(found[1]), found[2], found[3], found[4]
            return (
                zone_count(zone, who or "present")
                if people
                else _dwell(zone, who == "child", f"{dwell}_s")
                if dwell
                else occupied(zone)
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
        elif "_" in key and numbered(key) is not None:
            return True
    return False


class Pair(NamedTuple):
    """The keys under which an object says people in and out of a line."""

    kind: Kind
    line: int
    key_in: str
    key_out: str


class Shape(NamedTuple):
    """What follows from the keys of an object alone."""

    puts: tuple[tuple[str, Put | None], ...]
    """What to do with each value that is neither a list nor an object; None where it depends on more."""
    pairs: tuple[Pair, ...]
    others: tuple[tuple[str, Put | None], ...]
    """People in and out of each line, and all other values; together the same as `puts`."""
    counter: bool
    """Whether it is of a VS133 or VS135."""
    quantities: bool
    """Whether it names quantities, in keys that stand as they should."""


_SHAPES: dict[tuple[str, ...], Shape] = {}


def shape_of(message: Object) -> Shape:
    """Devices send the same keys again and again."""
    keys = tuple(message)
    found = _SHAPES.get(keys)
    if found is None:
        found = _new_shape(keys)
        if len(_SHAPES) < SHAPES_MOST and sum(map(len, keys)) <= SHAPE_TEXT_MOST:
            _SHAPES[keys] = found
    return found


def names_by_key(message: Object) -> bool:
    """`names_quantities` of an object without lists and objects in it, but only when `fold` would leave it as it is."""
    return shape_of(message).quantities


def _new_shape(keys: tuple[str, ...]) -> Shape:
    counter = any(key.startswith("line_") and key not in ("line_in", "line_out") for key in keys)
    puts = tuple((key, _put_of(key)) for key in keys)
    pairs = _pairs(puts)
    names = dict.fromkeys(keys)
    quantities = list(fold(names)) == list(keys) and names_quantities(names)
    paired = {key for pair in pairs for key in pair[2:]}
    return Shape(puts, tuple(pairs), tuple((key, put) for key, put in puts if key not in paired), counter, quantities)


def _pairs(puts: Iterable[tuple[str, Put | None]]) -> list[Pair]:
    """None of them when a count is said twice, or when the order in which lines are met would change."""
    found: dict[tuple[Kind, int], dict[str, str]] = {}
    for key, put in puts:
        if put is None and key.startswith("line_"):
            return []
        if isinstance(put, _Line) and found.setdefault((put.kind, put.line), {}).setdefault(put.field, key) != key:
            return []
    if not all(keys.keys() >= {"people_in", "people_out"} for keys in found.values()):
        return []
    return [Pair(kind, line, keys["people_in"], keys["people_out"]) for (kind, line), keys in found.items()]


def _put_of(key: str) -> Put | None:
    if key.startswith("region_") and key[7:].isdecimal():
        return None  # other keys say where regions begin, and which are in use
    return named(key) or (numbered(key) if "_" in key else None)
