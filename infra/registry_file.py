"""A TOML file while it is checked: where its keys stand, and the mistakes found in it."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_ENTRY = re.compile(r"""\s*(?:"([^"]+)"|'([^']+)'|([\w-]+))\s*=""")

Place = tuple[str | int, ...]
"""Where in a file: keys, and positions in arrays."""


def line_numbers(text: str) -> dict[Place, int]:
    """Line of each table and key of a TOML text (keys inside inline tables stand for their line's key)."""
    found: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    for number, line in enumerate(text.splitlines(), 1):
        header, entry = _HEADER.match(line), _ENTRY.match(line)
        if header is not None:
            table = _table(header[2], header[1] == "[[", counts)
            found.setdefault(table, number)
            if header[1] == "[[":
                found.setdefault(table[:-1], number)
        elif entry is not None:
            found.setdefault((*table, entry[1] or entry[2] or entry[3]), number)
    return found


def _table(name: str, many: bool, counts: dict[Place, int]) -> Place:
    path: Place = ()
    parts = [part.strip().strip("\"'") for part in name.split(".")]
    for part in parts[:-1]:
        path = (*path, part)
        if path in counts:
            path = (*path, counts[path] - 1)
    path = (*path, parts[-1])
    if many:
        counts[path] = counts.get(path, 0) + 1
        path = (*path, counts[path] - 1)
    return path


def _kind(value: Any) -> str:
    names = {bool: "true/false", int: "whole number", float: "number", str: "text", list: "list", dict: "table"}
    return names.get(type(value), type(value).__name__)


def _shown(value: Any) -> str:
    """A value in a message: short. Python refuses to write out whole numbers of thousands of digits."""
    if isinstance(value, int) and abs(value) >= 10**30:
        return "of more than 30 digits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


class TomlFile:
    """One file while it is read: takes values out of tables and collects mistakes."""

    def __init__(self, name: str, text: str = "") -> None:
        self.name, self.mistakes = name, list[tuple[int, str]]()
        self.places: dict[tuple[str, int], Place] = {}  # of each device entry, by id and since
        self._lines = line_numbers(text)

    def wrong(self, at: Place, what: str) -> None:
        """Add a mistake; `what` says what is wrong and what to do."""
        where = at
        while where and where not in self._lines:
            where = where[:-1]
        line = self._lines.get(where, 0)
        key = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in at).lstrip(".")
        place = f"{self.name}:{line}" if line else self.name
        self.mistakes.append((line, f"{place}: {key}: {what}" if key else f"{place}: {what}"))

    def keys(self, table: Mapping[str, Any], at: Place, known: tuple[str, ...]) -> None:
        """Every key that is not known is a mistake."""
        for key in table:
            if key not in known:
                near = get_close_matches(key, known, 1, 0.6)
                hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
                self.wrong((*at, key), f"unknown key; {hint}")

    def get(self, table: Mapping[str, Any], key: str, kind: type, at: Place, default: Any = None, remedy: str = "") -> Any:
        """The value of a key when it has that type, else `default` (and a mistake when it is there)."""
        if key not in table:
            return default
        value = table[key]
        if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
            return value
        wanted = {str: "text in quotes", int: "a whole number", bool: "true or false", dict: "a table", list: "a list"}[kind]
        self.wrong((*at, key), f"must be {wanted}, not {_kind(value)} {_shown(value)}" + (f"; {remedy}" if remedy else ""))
        return default

    def choice(self, table: Mapping[str, Any], key: str, among: tuple[str, ...], at: Place, default: Any) -> Any:
        value = self.get(table, key, str, at, default)
        if value is None or value in among:
            return value
        near = get_close_matches(value, among, 1, 0.6)
        hint = f"did you mean {near[0]!r}?" if near else f"choose {', '.join(among)}"
        self.wrong((*at, key), f"{value!r} is not possible; {hint}")
        return default

    def number(self, table: Mapping[str, Any], key: str, least: int, most: int, at: Place, default: int | None) -> int | None:
        value = self.get(table, key, int, at, None)
        if value is None:
            return default
        if not least <= value <= most:
            self.wrong((*at, key), f"{_shown(value)} is out of range; it must lie between {least} and {most}")
            return default
        return int(value)

    def tables(self, table: Mapping[str, Any], key: str, at: Place) -> list[tuple[Place, dict[str, Any]]]:
        """The tables of an array of tables, with their places."""
        found = []
        remedy = f"write [[{'.'.join(part for part in (*at, key) if isinstance(part, str))}]] tables"
        for position, item in enumerate(self.get(table, key, list, at, [], remedy)):
            if isinstance(item, dict):
                found.append(((*at, key, position), item))
            else:
                self.wrong((*at, key, position), f"must be a table, not {_kind(item)}; {remedy}")
        return found
