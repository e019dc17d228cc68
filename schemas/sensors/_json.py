"""Tolerant reading of sensor JSON: spellings of keys, numbers and booleans; refusals instead of exceptions.

A part that cannot be used raises `Bad`; whoever loops over parts turns it into a `Refusal` and goes on with the next part.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

from schemas.events import DeviceStatus, Event, Refusal, Report
from schemas.sensors import _times

Object = dict[str, Any]

COUNT_MOST = 2**32 - 1
"""Largest count that the tables hold."""
PER_MINUTE_MOST = 10_000
"""More people than this over one line in a minute is no crowd but a fault."""
UNKNOWN_WINDOW_MINUTES = 1440
KEYS_MOST = 256
ITEMS_MOST = 512
REFUSALS_MOST = 64
FLAGS_MOST = 24
TEXT_MOST = 128


class Bad(Exception):
    """A part of a message that is not used."""

    def __init__(self, reason: str, where: str = "", detail: str = "") -> None:
        super().__init__(reason)
        self.refusal = Refusal(reason, where, detail)


class Budget:
    """How many items of a message are still looked at, so that no message takes long; a refusal costs as much as an item."""

    __slots__ = ("left",)

    def __init__(self, left: int = ITEMS_MOST) -> None:
        self.left = left


class Draft:
    """A report being written. `status` becomes one DeviceStatus at the end."""

    __slots__ = ("budget", "events", "flags", "refusals", "status")

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.events: list[Event] = []
        self.refusals: list[Refusal] = []
        self.flags: dict[str, None] = {}
        self.status: dict[str, float | int | str | bool] = {}

    def refuse(self, reason: str, where: str = "", detail: str = "") -> None:
        self.budget.left -= 1
        if len(self.refusals) < REFUSALS_MOST:
            self.refusals.append(Refusal(reason, where, detail[:200]))

    def flag(self, name: str) -> None:
        if len(self.flags) < FLAGS_MOST:
            self.flags[name] = None

    def part(self, where: str, read: Callable[[], None]) -> None:
        """Run the reader of one part; what it cannot use becomes a refusal."""
        try:
            read()
        except Bad as bad:
            self.refuse(bad.refusal.reason, bad.refusal.where or where, bad.refusal.detail)

    def items(self, value: object, where: str) -> Iterator[tuple[str, Object]]:
        """The objects of a section with their JSON paths; a single object counts as a list of one."""
        if value is None:
            return
        if isinstance(value, dict):
            value = [value]
        if not isinstance(value, list):
            self.refuse("bad_section", where, f"expected a list, got {type(value).__name__}")
            return
        for number, item in enumerate(value):
            path = f"{where}[{number}]"
            if self.budget.left <= 0:
                self.refuse("too_many_items", path, f"more than {ITEMS_MOST} items in one message")
                return
            self.budget.left -= 1
            try:
                if not isinstance(item, dict):
                    raise Bad("bad_item", path, f"expected an object, got {type(item).__name__}")
                item = fold(item)
            except Bad as bad:
                self.refuse(bad.refusal.reason, path, bad.refusal.detail)
                continue
            yield path, item

    def finish(self) -> None:
        """Close the draft: status last, and a reason when nothing else is in it."""
        if self.status:
            self.events.append(DeviceStatus(self.status))
        if not self.events and not self.refusals:
            unknown = [name.removeprefix("unknown:") for name in self.flags if name.startswith("unknown:")]
            if unknown:
                self.refuse("no_known_section", unknown[0], ", ".join(unknown))
            else:
                self.refuse("empty_report", "", "the message reports nothing")


_KEYS: dict[str, str] = {}


def _key(key: str) -> str:
    folded = key.strip().lower().replace(" ", "_")
    if len(_KEYS) < 4096 and len(key) <= 40:
        _KEYS[key] = folded
    return folded


def fold(value: object, exact: tuple[str, ...] = ()) -> Object:
    """An object with its keys trimmed, in lower case, spaces as underscores (one level); anything else as an empty object.

    Of several spellings of one key the last counts, but those of `exact` before all others. Raises Bad `too_many_keys` above
    256 keys.
    """
    if not isinstance(value, dict):
        return {}
    if len(value) > KEYS_MOST:
        raise Bad("too_many_keys", "", f"{len(value)} keys")
    known = _KEYS.get
    folded = {known(key) or _key(key): item for key, item in value.items()}
    if len(folded) < len(value):
        folded |= {name.lower(): value[name] for name in exact if name in value}
    return folded


def brief(value: object, most: int = 40) -> str:
    """A value for people to read; of a list or an object only what it is, since writing out a large one takes long."""
    return type(value).__name__ if isinstance(value, list | dict) else str(value)[:most]


def count(value: object, where: str, most: int = COUNT_MOST) -> int | None:
    """A number of people: int, integral float or digits; None when it is missing.

    Raises Bad `bad_number`, `negative_count`, or `absurd_count` above `most`.
    """
    number = integer(value, where)
    if number is None:
        return None
    if number < 0:
        raise Bad("negative_count", where, str(number))
    if number > most:
        raise Bad("absurd_count", where, f"{number} is more than {most}" if number < 10**30 else "a huge number")
    return number


def integer(value: object, where: str) -> int | None:
    """A signed whole number in any of its spellings. Raises Bad `bad_number`."""
    if type(value) is int or value is None:
        return value
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    if isinstance(value, str) and len(value) <= 20:
        digits = value.strip()
        if digits.isascii() and digits.lstrip("+-").isdigit() and len(digits) - len(digits.lstrip("+-")) <= 1:
            return int(digits)
    raise Bad("bad_number", where, f"expected a whole number, got {type(value).__name__} {brief(value)}")


def needed(value: int | None, where: str) -> int:
    """The number, which must be there. Raises Bad `missing_count`: missing is not zero."""
    if value is None:
        raise Bad("missing_count", where)
    return value


def place(value: object, where: str) -> int:
    """Number of a line or zone, from 1. Raises Bad `bad_place`."""
    try:
        number = integer(value, where)
    except Bad:
        number = None
    if number is None or not 1 <= number <= 65535:
        raise Bad("bad_place", where, f"expected a line or region number, got {brief(value)}")
    return number


def truth(value: object) -> bool | None:
    """A boolean in any of its spellings; None when it is none."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return True if value == 1 else False if value == 0 else None
    if isinstance(value, str):
        word = value.strip().lower()
        return True if word in ("true", "1", "yes") else False if word in ("false", "0", "no") else None
    return None


def words(value: object) -> str | None:
    """A short text; numbers become text; empty and anything else is None."""
    if type(value) is int and abs(value) < 10**30:
        value = str(value)
    return value[:TEXT_MOST] or None if isinstance(value, str) else None


def number(value: object) -> float | int | None:
    """A figure that is no count (health): below 2^53, so that all readers of JSON agree on it; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 2**53 else None


def identity(value: object) -> str:
    """A serial number, lower case; empty when there is none. Raises Bad `bad_device` for one that cannot be a name."""
    text = (words(value) or "").strip().lower()
    if text and not (len(text) <= 64 and text.isascii() and text.replace("-", "").replace("_", "").replace(".", "").isalnum()):
        raise Bad("bad_device", "", f"not a serial number: {text[:40]!r}")
    return text


class Clock:
    """The device times of one message. `dst` in force adds an hour to the label's zone; both count only without ISO offset."""

    __slots__ = ("_draft", "_dst", "_zone", "added_s", "texts")

    def __init__(self, draft: Draft, label: object, dst: object) -> None:
        self._draft = draft
        self._zone = _times.zone(label)
        self._dst = 3600 if truth(dst) else 0
        self.added_s = 0
        self.texts: list[str] = []

    def read(self, value: object, where: str, said: bool = True) -> int | None:
        """Epoch seconds; None when missing or refused. `said`: the text belongs to the identity of the message."""
        if value is None or value == "":
            return None
        text = brief(value, _times.TEXT_MOST)
        if said:
            self.texts.append(text)
        seconds = self._seconds(value) if isinstance(value, str) else None
        if seconds is None:
            self._draft.refuse("bad_time", where, text)
        return seconds

    def _seconds(self, text: str) -> int | None:
        seconds = _times.epoch(text)
        if seconds is not None:
            return seconds
        if self._zone is None:
            seconds = _times.wall(text, 0)
            if seconds is not None:
                self._draft.flag("zone_missing")
            return seconds
        seconds = _times.wall(text, self._zone + self._dst)
        if seconds is not None:
            self.added_s = self._dst
        return seconds


def refused(reason: str, where: str = "", detail: str = "", *, device: str = "", dialect: str = "") -> Report:
    """A message of which nothing is used."""
    return Report(device, dialect, "", None, [], [Refusal(reason, where, detail[:200])])
