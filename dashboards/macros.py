"""Grafana's ClickHouse macros, expanded: as the plugin does it (literals), or into typed parameters of the server.

The plugin's macros are documented in `grafana/clickhouse-datasource: docs/sources/query-editor.md`, code in
`pkg/macros/macros.go`; `$__conditionalAll` is expanded in the browser (`src/data/CHDatasource.ts`). Times go out as epoch
seconds, so the time zone never enters; the upper bound of the time filter is inclusive.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

MACROS = ("timeFilter", "timeInterval", "fromTime", "toTime", "interval_s", "conditionalAll")
"""The macros that boards may use: all of them work in Grafana >= 11.6 with plugin >= 4.20 (boards.md 2.3)."""

_MACRO = re.compile(r"\$__(\w+)")
_VARIABLE = re.compile(r"\$\{(\w+):singlequote\}")


class MacroError(ValueError):
    """The SQL uses a macro or variable that is not known or not closed: the message says which."""


@dataclass(frozen=True)
class Expansion:
    """What to put in place of the macros. `start` and `end`: SQL expressions of type DateTime; `variables`: name -> SQL list of
    the values, None for All; `interval_s`: step of series in seconds."""

    start: str
    end: str
    interval_s: int
    variables: Mapping[str, str | None]

    def apply(self, sql: str) -> str:
        """The SQL without macros. Raises MacroError."""
        sql = self._variables(self._macros(sql))
        if "$" in sql:
            raise MacroError(f"something with a dollar sign is left: {sql[sql.index('$') :][:40]!r}")
        return sql

    def _macros(self, sql: str) -> str:
        found = _MACRO.search(sql)
        while found:
            name, after = found.group(1), found.end()
            arguments: list[str] = []
            if after < len(sql) and sql[after] == "(":
                arguments, after = _arguments(sql, after)
            sql = sql[: found.start()] + self._value(name, arguments) + sql[after:]
            found = _MACRO.search(sql)
        return sql

    def _value(self, name: str, arguments: list[str]) -> str:
        simple: dict[str, Callable[..., str]] = {
            "timeFilter": lambda c: f"{c} >= {self.start} AND {c} <= {self.end}",
            "timeInterval": lambda c: f"toStartOfInterval(toDateTime({c}), INTERVAL {self.interval_s} second)",
            "fromTime": lambda: self.start,
            "toTime": lambda: self.end,
            "interval_s": lambda: str(self.interval_s),
            "conditionalAll": self._conditional,
        }
        if name not in simple:
            raise MacroError(f"macro $__{name} is not one of ours: {', '.join(MACROS)}")
        try:
            return simple[name](*arguments)
        except TypeError:
            raise MacroError(f"macro $__{name} got {len(arguments)} arguments") from None

    def _conditional(self, condition: str, variable: str) -> str:
        return condition if self.variables[variable.strip().removeprefix("$")] is not None else "1=1"

    def _variables(self, sql: str) -> str:
        def value(found: re.Match[str]) -> str:
            text = self.variables.get(found.group(1))
            if text is None:
                raise MacroError(f"variable {found.group(1)} has no value here")
            return text

        return _VARIABLE.sub(value, sql)


def _arguments(sql: str, opening: int) -> tuple[list[str], int]:
    """Arguments between the bracket at `opening` and its partner, split at top-level commas, and the position behind it."""
    found: list[str] = []
    depth, last = 0, opening + 1
    for at in range(opening, len(sql)):
        if sql[at] == "(":
            depth += 1
        elif sql[at] == ")":
            depth -= 1
            if not depth:
                rest = sql[last:at].strip()
                return [*found, rest] if rest or found else [], at + 1
        elif sql[at] == "," and depth == 1:
            found.append(sql[last:at].strip())
            last = at + 1
    raise MacroError(f"bracket is not closed: {sql[opening : opening + 40]!r}")


def quoted(values: Sequence[str]) -> str:
    """Values as Grafana's format `singlequote` writes them: 'a','b' with quotes escaped by a backslash."""
    return ",".join("'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'" for value in values)


def as_grafana(sql: str, start: int, end: int, interval_s: int, variables: Mapping[str, Sequence[str] | None]) -> str:
    """The SQL that Grafana would send: times in epoch seconds, values as literals, None for All."""
    texts = {name: None if values is None else quoted(values) for name, values in variables.items()}
    return Expansion(f"toDateTime({start:d})", f"toDateTime({end:d})", interval_s, texts).apply(sql)


def as_parameters(sql: str, interval_s: int, stores: bool = True) -> str:
    """The SQL with typed parameters `from` and `to` (epoch seconds) and `stores` (list of store ids; without it: All)."""
    texts = {"store": "{stores:Array(String)}" if stores else None}
    return Expansion("toDateTime({from:UInt32})", "toDateTime({to:UInt32})", interval_s, texts).apply(sql)
