"""Device times as epoch seconds.

Three forms are met: ISO 8601 with offset (`2024-05-30T20:11:32+08:00`, UTC also as `-00:00`), the same with a space, and
wall-clock text without offset (`2022/12/20 18:15:52`) beside a zone label (`UTC+8:00`). Fractions of a second are cut off.
"""

import re
from datetime import UTC, datetime

LATEST = 2**32 - 1
"""Last second that the store's time columns hold (year 2106). Earlier than 1970 or later than this is no time at all."""
LONGEST_WINDOW_S = 48 * 3600
"""Longest report interval that is believed; devices allow 18 hours. A clock set right in mid-window makes windows of years."""
TEXT_MOST = 64

_ZONE = re.compile(r"\s*(?:UTC|GMT)\s*(?:([+-])\s*(\d{1,2})(?::?(\d{2}))?)?", re.IGNORECASE)
_SEEN: dict[str, int] = {}
_SEEN_MOST = 8192


def epoch(text: str) -> int | None:
    """Epoch seconds of an ISO text with offset; None when it has no offset, is unreadable or out of range.

    Texts repeat (all devices report the same minutes), so the last few thousand are remembered.
    """
    found = _SEEN.get(text)
    if found is not None:
        return found
    moment = _moment(text)
    if moment is None or moment.tzinfo is None:
        return None
    seconds = _within(moment)
    if seconds is not None:
        if len(_SEEN) >= _SEEN_MOST:
            _SEEN.clear()
        _SEEN[text] = seconds
    return seconds


def wall(text: str, zone_s: int) -> int | None:
    """Epoch seconds of a wall-clock text without offset in a zone `zone_s` seconds east of UTC."""
    moment = _moment(text)
    if moment is None or moment.tzinfo is not None:
        return None
    seconds = _within(moment.replace(tzinfo=UTC))
    return None if seconds is None or not 0 <= seconds - zone_s <= LATEST else seconds - zone_s


def zone(label: object) -> int | None:
    """Seconds east of UTC of a label such as `UTC+8:00 China Standard Time`; None when it says nothing readable."""
    found = _ZONE.match(label) if isinstance(label, str) and len(label) <= 256 else None
    if found is None:
        return None
    sign, hours, minutes = found.groups()
    seconds = int(hours or 0) * 3600 + int(minutes or 0) * 60
    if seconds > 15 * 3600:
        return None
    return -seconds if sign == "-" else seconds


def window(start: int | None, end: int | None) -> tuple[int, int] | None:
    """The window when both ends are known, in order, and not absurdly far apart."""
    if start is None or end is None or not 0 < end - start <= LONGEST_WINDOW_S:
        return None
    return start, end


def _moment(text: str) -> datetime | None:
    if len(text) > TEXT_MOST:
        return None
    try:
        return datetime.fromisoformat(text.strip().replace("/", "-"))
    except ValueError:
        return None


def _within(moment: datetime) -> int | None:
    try:
        seconds = int(moment.timestamp() // 1)
    except (OverflowError, ValueError):
        return None
    return seconds if 0 <= seconds <= LATEST else None
