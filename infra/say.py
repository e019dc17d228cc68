"""What a role says: one event per line, as text or, with `FOOTSTREAM_LOG_FORMAT=json`, as one JSON object per line.

A JSON line has `time` (UTC, ISO 8601 with milliseconds), `level` (`info`, `warning`, `error`), `role` and `event`; an error
that nobody expected adds `traceback`. Whatever else Python code writes to standard error (warnings, libraries) becomes an
event, too, because `begin` puts a net under it. Not caught: what native code writes by itself before it dies.
"""

import io
import json
import os
import sys
import threading
import traceback
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TextIO

from infra.settings import Settings, load

_json_role: str | None = None
_out: TextIO | None = None


def written(role: str, event: str, level: str = "info", at: datetime | None = None, trace: str = "") -> str:
    """An event as a JSON line, without its end. `at`: aware, now when not given."""
    moment = (at or datetime.now(UTC)).astimezone(UTC)
    said = {
        "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z",
        "level": level,
        "role": role,
        "event": event,
    }
    return json.dumps(said | ({"traceback": trace} if trace else {}), ensure_ascii=False)


def texts() -> bool:
    """Whether this process speaks text."""
    return _json_role is None


def say(role: str, event: str, level: str = "info", trace: str = "") -> None:
    """One event of a role, to standard error. A log that is full or gone must not end a role."""
    one_line = " ".join(event.splitlines())
    with suppress(OSError):
        if _json_role is None:
            print(f"{role}: {one_line}", file=sys.stderr, flush=True)
        else:
            print(written(role, one_line, level, trace=trace), file=_out, flush=True)


def complain(problem: str) -> None:
    """The one line with which a process ends that cannot go on."""
    say(_json_role or "footstream", problem, "error")


def begin(role: str, form: str) -> None:
    """From here on this process speaks in that form, under the name of that role."""
    global _json_role, _out
    if form != "json" or _json_role is not None:
        return
    _json_role, _out = role, sys.stderr
    sys.stderr = Net(role, sys.stderr)
    threading.excepthook = _thread_failed


def load_role(role: str, **options: Any) -> Settings:
    """The settings in force for a process that is this role from now on. Raises SettingsError."""
    begin(role, os.environ.get("FOOTSTREAM_LOG_FORMAT", ""))  # settings that are wrong are said in it, too
    settings = load(**options)
    begin(role, settings.log_format)
    return settings


def failed(error: BaseException) -> bool:
    """Say an error that nobody expected; False when this process speaks text, where the traceback stands as it is."""
    if _json_role is None:
        return False
    say(_json_role, f"{type(error).__name__}: {error}; this is a bug", "error", "".join(traceback.format_exception(error)))
    return True


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    failed(failure.exc_value or failure.exc_type())


def wrapped(role: str, line: str) -> str:
    """A line of somebody else as a JSON line: unchanged when it is one already."""
    if line.startswith('{"time": '):
        return line
    return written(role, line.removeprefix(f"{role}: ").removeprefix("footstream: "))


def event_of(line: str) -> str:
    """The event in a line, whichever form it has."""
    try:
        return str(json.loads(line)["event"]) if line.startswith('{"time": ') else line
    except (ValueError, KeyError):
        return line


class Net(io.TextIOBase):
    """Takes the place of standard error: each line that is written becomes an event."""

    def __init__(self, role: str, out: TextIO) -> None:
        self._role, self._out, self._rest = role, out, ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        self.writelines(lines)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]  # of text only
        for line in filter(str.strip, lines):
            with suppress(OSError):
                self._out.write(wrapped(self._role, line) + "\n")

    def flush(self) -> None:
        with suppress(OSError):
            self._out.flush()

    def fileno(self) -> int:
        return self._out.fileno()

    def isatty(self) -> bool:
        return False
