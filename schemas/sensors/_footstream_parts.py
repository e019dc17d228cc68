"""The events of a footstream/v1 message, one small reader a type. Names are those of `schemas.events`, which stays the model.

A reader gets a `Part` and gives the event; what it cannot use raises `Bad`, and only that event is lost.
"""

import math
import re
from collections.abc import Callable
from typing import Any

from schemas.events import (
    Demographics,
    Detection,
    DeviceStatus,
    DwellSummary,
    Event,
    FlowMatrix,
    Heat,
    Kind,
    LineCount,
    QueueLength,
    Stay,
    ZoneCount,
)
from schemas.sensors import _times
from schemas.sensors._json import (
    COUNT_MOST,
    PER_MINUTE_MOST,
    UNKNOWN_WINDOW_MINUTES,
    Bad,
    Draft,
    Object,
    brief,
    count,
    fold,
    needed,
    number,
    place,
    truth,
    words,
)
from schemas.sensors._parts import DWELL_MOST_S

CELLS_MOST = 4096
"""Cells of one heat event: a grid of 64 x 64."""
CELLS_PER_ITEM = 16
"""Reading so many cells costs as much as an item of a section."""
GROUPS_MOST, FIELDS_MOST, LINK_MOST = 64, 64, 512
WHATS = ("security_incident", "product_interaction", "display_dwell", "sentiment")
TIME_KEYS = ("start", "end", "time")

GROUP = re.compile(r"(?:gender|age|class):[a-z0-9+_-]{1,24}")
WAY = re.compile(r"[^-\s][^-]{0,31}-[^-\s][^-]{0,31}")
_LINK = re.compile(r"https?://[^\s/@?#]+(?:[/?#][^\s]*)?")


class Span:
    """A period or a moment (start == end) in epoch seconds, both None when nothing was said; `texts`: as it was sent."""

    __slots__ = ("end", "start", "texts")

    def __init__(self, start: int | None = None, end: int | None = None, texts: tuple[str, ...] = ()) -> None:
        self.start, self.end, self.texts = start, end, texts


def seconds(value: object, where: str) -> int:
    """Epoch seconds of an ISO text with offset, or of a number. Raises Bad `bad_time`, `zone_missing`."""
    if isinstance(value, str):
        found = _times.epoch(value)
        if found is None and _times.wall(value, 0) is not None:
            raise Bad("zone_missing", where, f"{brief(value)} has no offset; add Z or +02:00")
    else:
        whole = number(value)
        found = int(whole // 1) if whole is not None and 0 <= whole <= _times.LATEST else None
    if found is None:
        raise Bad("bad_time", where, f"expected ISO 8601 with offset or epoch seconds, got {brief(value)}")
    return found


def span_of(item: Object, path: str, default: Span) -> Span:
    """What an object says of its time: `start` and `end`, or `time` for a moment; `default` when it says nothing.

    Raises Bad `bad_time`, `bad_window` (a start without an end after it).
    """
    said = {key: item[key] for key in TIME_KEYS if item.get(key) not in (None, "")}
    if not said:
        return default
    found = {key: seconds(value, f"{path}.{key}" if path else key) for key, value in said.items()}
    texts = tuple(brief(value, _times.TEXT_MOST) for value in said.values())
    start, end = found.get("start"), found.get("end", found.get("time"))
    if start is None:
        return Span(end, end, texts)
    if end is None or start > end:
        raise Bad("bad_window", path or "start", "it has a start: an end is needed, not before it")
    return Span(start, end, texts)


class Part:
    """One event as it was sent, with the time that holds for it."""

    __slots__ = ("draft", "item", "path", "span")

    def __init__(self, draft: Draft, path: str, item: Object, default: Span) -> None:
        self.draft, self.path, self.item = draft, path, item
        self.span = span_of(item, path, default)

    def where(self, key: str) -> str:
        return f"{self.path}.{key}"

    def count(self, key: str, most: int = COUNT_MOST) -> int | None:
        return count(self.item.get(key), self.where(key), most)

    def needed(self, key: str, most: int = COUNT_MOST) -> int:
        return needed(self.count(key, most), self.where(key))

    def figure(self, key: str, low: float, high: float) -> float | None:
        """A number within [low, high]; None when it is missing. Raises Bad `bad_number`, `missing_count`."""
        return _figure(self.item.get(key), self.where(key), low, high)

    def zone(self, default: int | None = None) -> int:
        """Number of a zone, 0 for the whole view. Raises Bad `bad_place`."""
        value = self.item.get("zone", default)
        return 0 if type(value) is int and value == 0 else place(value, self.where("zone"))

    def text(self, key: str) -> str:
        return words(self.item.get(key)) or ""

    def period(self) -> tuple[int | None, int | None]:
        """Start and end of a sum; both None when nothing was said. Raises Bad `bad_window`."""
        start, end = self.span.start, self.span.end
        if start is not None and start == end:
            raise Bad("bad_window", self.path, "a sum over a time needs start and end")
        if start is not None and end is not None and end - start > _times.LONGEST_WINDOW_S:
            raise Bad("bad_window", self.path, f"{end - start} s are more than {_times.LONGEST_WINDOW_S}")
        return start, end


def _figure(value: object, where: str, low: float, high: float) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
        raise Bad("bad_number", where, f"expected a number from {low:g} to {high:g}, got {brief(value)}")
    return float(value)


def _kind(part: Part) -> Kind:
    kind = part.item.get("kind", "window")
    if kind not in ("window", "trigger", "total"):
        raise Bad("bad_kind", part.where("kind"), f"expected window, trigger or total, got {brief(kind)}")
    return kind  # type: ignore[no-any-return]  # one of the three


def _times_for(part: Part, kind: Kind) -> tuple[int | None, int | None]:
    return part.period() if kind == "window" else (part.span.end, part.span.end)


def _line(part: Part) -> Event:
    kind = _kind(part)
    start, end = _times_for(part, kind)
    minutes = UNKNOWN_WINDOW_MINUTES if start is None or end is None else max(1, -(-(end - start) // 60))
    most = PER_MINUTE_MOST * minutes if kind == "window" else COUNT_MOST
    line = place(part.item.get("line"), part.where("line"))
    event = LineCount(line, kind, start, end, part.needed("people_in", most), part.needed("people_out", most))
    for way in ("in", "out"):
        for who in ("child", "staff", "group"):
            key = f"{who}_{way}"
            people = part.count(key, most)
            if people is not None and who != "group" and people > getattr(event, f"people_{way}"):
                raise Bad("class_exceeds_total", part.where(key), f"{people} of {getattr(event, f'people_{way}')}")
            setattr(event, key, people)
    return event


def _zone(part: Part) -> Event:
    present, peak, occupied = part.count("present"), part.count("peak"), truth(part.item.get("occupied"))
    if present is None and peak is None and occupied is None:
        raise Bad("missing_count", part.where("present"))
    kind = _kind(part)
    return ZoneCount(
        part.zone(), kind, *_times_for(part, kind), present, peak, part.count("child"), part.count("staff"), occupied
    )


def _stay(part: Part) -> Event:
    dwell_s = part.figure("dwell_s", 0, DWELL_MOST_S)
    start, end = part.span.start, part.span.end
    if dwell_s is None:
        if start is None or end is None or start == end:
            raise Bad("missing_count", part.where("dwell_s"), "say dwell_s, or start and end")
        dwell_s = _figure(end - start, part.where("end"), 0, DWELL_MOST_S)
    assert dwell_s is not None
    if start is not None and start == end:
        start = max(0, start - round(dwell_s))
    track = part.count("track")
    return Stay(part.zone(), start, end, dwell_s, track, truth(part.item.get("child")), truth(part.item.get("staff")))


def _dwell(part: Part) -> Event:
    average, longest = part.figure("avg_s", 0, DWELL_MOST_S), part.figure("max_s", 0, DWELL_MOST_S)
    if average is None or longest is None:
        raise Bad("missing_count", part.where("avg_s" if average is None else "max_s"))
    return DwellSummary(part.zone(), *part.period(), average, longest, truth(part.item.get("child")) is True)


def _flow(part: Part) -> Event:
    """Cells keep their spelling: places may be named, not only lettered."""
    value, where = part.item.get("cells"), part.where("cells")
    if not isinstance(value, dict) or not 0 < len(value) <= 256:
        raise Bad("bad_section", where, 'expected an object of 1 to 256 pairs, as {"A-B": 4}')
    cells = {}
    for way, people in value.items():
        if not WAY.fullmatch(way.strip()):
            raise Bad("bad_place", where, f"no pair of places with one hyphen: {way[:40]!r}")
        cells[way.strip()] = needed(count(people, f"{where}.{way[:40]}"), where)
    return FlowMatrix(*part.period(), dict(sorted(cells.items())))


def _heat(part: Part) -> Event:
    value, cells = part.figure("value", 0, 2**53), part.item.get("cells")
    columns, rows = (part.count(key, 65_535) for key in ("columns", "rows"))
    if (value is None) == (cells is None):
        raise Bad("missing_count", part.where("value"), "a heat says either value or cells")
    found = [] if cells is None else _cells(part, cells, columns, rows)
    return Heat(part.zone(0), *part.period(), value, found, columns, rows)


def _cells(part: Part, value: object, columns: int | None, rows: int | None) -> list[tuple[int, int, float]]:
    where = part.where("cells")
    if not isinstance(value, list) or len(value) > CELLS_MOST:
        raise Bad("bad_section", where, f"expected a list of at most {CELLS_MOST} [x, y, value]")
    part.draft.budget.left -= len(value) // CELLS_PER_ITEM
    found = []
    for at, cell in enumerate(value):
        if not isinstance(cell, list) or len(cell) != 3:
            raise Bad("bad_item", f"{where}[{at}]", "expected [x, y, value]")
        x, y = (needed(count(place, f"{where}[{at}]", 65_535), f"{where}[{at}]") for place in cell[:2])
        heat = _figure(cell[2], f"{where}[{at}]", 0, 2**53)
        if heat is None or x >= (columns or 65_536) or y >= (rows or 65_536):
            raise Bad("bad_place", f"{where}[{at}]", f"not a cell of {columns} x {rows}" if heat is not None else "no value")
        found.append((x, y, heat))
    return found


def _queue(part: Part) -> Event:
    wait_s, start, end = part.figure("wait_s", 0, DWELL_MOST_S), part.span.start, part.span.end
    served, lanes = part.count("served"), part.count("lanes_open", 65_535)
    return QueueLength(part.zone(), start, end, part.needed("length"), wait_s, served, lanes)


def _people(part: Part) -> Event:
    """Classes are told by gender:, age: or class:; nothing that describes one person has a place here."""
    line = None if part.item.get("line") is None else place(part.item["line"], part.where("line"))
    zone = None if part.item.get("zone") is None else part.zone()
    if (line is None) == (zone is None):
        raise Bad("bad_place", part.path, "people by class belong to one line or to one zone")
    value, where = fold(part.item.get("groups")), part.where("groups")
    if not 0 < len(value) <= GROUPS_MOST:
        raise Bad("bad_section", where, f'expected an object of 1 to {GROUPS_MOST} classes, as {{"age:18-30": 2}}')
    for name in value:
        if not GROUP.fullmatch(name):
            raise Bad("bad_class", where, f"expected gender:, age: or class: and a word, got {name[:40]!r}")
    groups = {name: needed(count(people, f"{where}.{name}"), f"{where}.{name}") for name, people in sorted(value.items())}
    return Demographics(line, zone, *part.period(), groups)


def is_link(text: str) -> bool:
    """Whether a text is an address that may be kept: http(s), no login."""
    return text.isascii() and _LINK.fullmatch(text) is not None


def _detection(part: Part) -> Event:
    what, link = part.item.get("what"), part.item.get("link")
    if what not in WHATS:
        raise Bad("bad_detection", part.where("what"), f"expected one of {', '.join(WHATS)}, got {brief(what)}")
    if link and not (isinstance(link, str) and len(link) <= LINK_MOST and is_link(link)):
        part.draft.refuse("bad_link", part.where("link"), "expected http(s)://, no login, at most 512 characters; left out")
        link = None
    zone = None if part.item.get("zone") is None else part.zone()
    confidence, value = part.figure("confidence", 0, 1), part.figure("value", -(2**53), 2**53)
    start, end = part.span.start, part.span.end
    return Detection(what, start, end, zone, part.text("camera"), part.text("label"), confidence, value, link or "")


def _status(part: Part) -> Event:
    """Names of figures in lower case, except for degrees Celsius (`temperature_C`)."""
    fields: dict[str, float | int | str | bool] = {}
    for key, value in fold(part.item.get("fields")).items():
        kept = value if isinstance(value, bool) else words(value) if isinstance(value, str) else number(value)
        if kept is None or len(key) > 64 or len(fields) == FIELDS_MOST:
            raise Bad("bad_item", part.where("fields"), f"{key[:40]}: expected a number, a short text, or true or false")
        fields[f"{key[:-2]}_C" if key.endswith("_c") else key] = kept
    if not fields:
        raise Bad("missing_count", part.where("fields"))
    return DeviceStatus(fields)


TYPES: dict[str, tuple[Callable[[Part], Event], type[Event]]] = {
    "line_count": (_line, LineCount),
    "zone_count": (_zone, ZoneCount),
    "stay": (_stay, Stay),
    "dwell_summary": (_dwell, DwellSummary),
    "flow_matrix": (_flow, FlowMatrix),
    "heat": (_heat, Heat),
    "queue_length": (_queue, QueueLength),
    "demographics": (_people, Demographics),
    "detection": (_detection, Detection),
    "device_status": (_status, DeviceStatus),
}
"""By `type`: the reader, and the event whose fields may be sent."""
_KEYS = {kind: frozenset((*event.__struct_fields__, "type", *TIME_KEYS)) for kind, (_, event) in TYPES.items()}


def read_event(draft: Draft, path: str, item: Object, default: Span) -> tuple[Event, Span]:
    """One event and the time that it holds for. Raises Bad."""
    kind: Any = item.get("type")
    found = TYPES.get(kind) if isinstance(kind, str) else None
    if found is None:
        raise Bad("unknown_type", f"{path}.type", f"expected one of {', '.join(TYPES)}, got {brief(kind)}")
    part = Part(draft, path, item, default)
    event = found[0](part)
    for key in sorted(item.keys() - _KEYS[kind]):
        draft.flag(f"unknown:{kind}.{key[:40]}")
    return event, part.span


__all__ = ["TYPES", "Span", "read_event", "span_of"]
