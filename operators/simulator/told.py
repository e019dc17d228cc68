"""What a chain sends, and what the tables must hold because of it."""

from typing import Literal, NamedTuple

import msgspec

Expected = Literal["stored", "duplicate", "quarantined"]


class Window(NamedTuple):
    """People that the tables must hold for a line because of one message: window [start, end), start == end for a trigger.
    `people_in` and `people_out` are meant as the registry directs (after its swap)."""

    device: str
    line: int
    start: int
    end: int
    people_in: int
    people_out: int


class Level(NamedTuple):
    """People present in a zone (0: the whole view) that the tables must hold for a window [start, end)."""

    device: str
    zone: int
    start: int
    end: int
    present: int


class StayTold(NamedTuple):
    """A stay of one person that the tables must hold."""

    device: str
    zone: int
    start: int
    end: int


class Sent(NamedTuple):
    """One message. `at`: epoch seconds at which it is sent; `expect`: its outcome; `device`: "" for foreign messages."""

    at: float
    site: str
    topic: str
    payload: bytes
    windows: tuple[Window, ...]
    expect: Expected
    device: str
    levels: tuple[Level, ...] = ()
    stays: tuple[StayTold, ...] = ()


class Faults(msgspec.Struct, frozen=True):
    """Share of messages that suffer from each fault; `late_s`: longest hold; `garbage_s`: mean seconds between foreign ones."""

    missed: float = 0.01
    doubled: float = 0.03
    late: float = 0.02
    late_s: float = 3 * 3600
    disorder: float = 0.1
    garbage_s: float = 25.0
