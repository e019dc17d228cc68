"""Opening hours of the site registry: the week and its exceptions, minutes of the civil day; mistakes go to the file."""

import re
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, Final

from infra.registry_file import Place, TomlFile

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_RANGE = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([0-4]\d):([0-5]\d)")

Ranges = tuple[tuple[int, int], ...]


def _ranges(file: TomlFile, value: Any, at: Place) -> Ranges:
    """Opening ranges of one day in minutes; a close before the open is past midnight."""
    if value == "closed":
        return ()
    found = []
    for text in value if isinstance(value, list) else [value]:
        match = _RANGE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            file.wrong(at, f'{text!r} is not an opening time; write ["09:00-20:00"], or "closed"')
            continue
        start = int(match[1]) * 60 + int(match[2])
        end = int(match[3]) * 60 + int(match[4])
        if end > 1440 and end - start > 1440:
            file.wrong(at, f"{text!r} is longer than a day; after midnight goes on as 00:00, or as 24:00")
            continue
        if start == end:
            file.wrong(at, f'{text!r} has no length; the whole day is "00:00-24:00"')
            continue
        found.append((start, end if end > start else end + 1440))
    found.sort()
    for (a, b), (c, d) in pairwise(found):
        if c < b:
            file.wrong(at, f"{_shown(a, b)} and {_shown(c, d)} overlap; make one of them")
    return tuple(found)


def _shown(start: int, end: int) -> str:
    end = end if end == 1440 else end % 1440
    return f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"


def _spill(file: TomlFile, at: Place, before: Ranges, after: Ranges, days: str) -> None:
    """A day that ends past midnight must not run into the first opening of the next day."""
    if before and after and before[-1][1] - 1440 > after[0][0]:
        file.wrong(at, f"{_shown(*before[-1])} runs into {_shown(*after[0])} of the next day ({days}); shorten one of them")


def week(file: TomlFile, table: dict[str, Any]) -> dict[str, Ranges] | None:
    """Usual hours by weekday; None when the store says none."""
    raw = file.get(table, "hours", dict, (), None)
    if raw is None:
        return None
    file.keys(raw, ("hours",), WEEKDAYS)
    hours = {day: _ranges(file, raw[day], ("hours", day)) if day in raw else () for day in WEEKDAYS}
    for day, following in zip(WEEKDAYS, (*WEEKDAYS[1:], WEEKDAYS[0]), strict=True):
        _spill(file, ("hours", day), hours[day], hours[following], f"{day} and {following}")
    return hours


def exceptions(file: TomlFile, table: dict[str, Any], hours: dict[str, Ranges] | None) -> dict[str, Ranges]:
    """Hours of single days by ISO date."""
    raw = file.get(table, "exceptions", dict, (), {})
    if raw and hours is None:
        file.wrong(("exceptions",), "have no meaning without [hours]; add the usual hours of the week")
    found: dict[str, Ranges] = {}
    for key, value in raw.items():
        day = _date(key)
        if day is None:
            file.wrong(("exceptions", key), "is not a date; write it as 2026-12-24")
        else:
            found[key] = _ranges(file, value, ("exceptions", key))
    for key, ranges in found.items():
        day = date.fromisoformat(key)
        before, after = day - timedelta(days=1), day + timedelta(days=1)
        if before.isoformat() not in found:
            _spill(file, ("exceptions", key), _usual(hours, before), ranges, f"{before} and {day}")
        _spill(file, ("exceptions", key), ranges, found.get(after.isoformat(), _usual(hours, after)), f"{day} and {after}")
    return found


def _usual(hours: dict[str, Ranges] | None, day: date) -> Ranges:
    return (hours or {}).get(WEEKDAYS[day.weekday()], ())


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else None
    except ValueError:
        return None
