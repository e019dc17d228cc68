"""One event per line, as text or as JSON, whoever wrote it."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from infra.say import event_of, wrapped, written

ROOT = Path(__file__).parents[3]


def run(code: str, **settings: str) -> list[str]:
    """Lines on standard error of a Python that runs the code."""
    environment = {f"FOOTSTREAM_{name.upper()}": value for name, value in settings.items()}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    return done.stderr.splitlines()


def test_an_event_is_one_object_with_time_level_role_and_event() -> None:
    line = written("bridge", "connected", at=datetime(2026, 7, 31, 10, 0, 0, 5000, UTC))
    assert line == '{"time": "2026-07-31T10:00:00.005Z", "level": "info", "role": "bridge", "event": "connected"}'


def test_a_line_that_is_an_event_stays_and_any_other_becomes_one() -> None:
    line = written("run", "x")
    assert wrapped("up", line) == line and event_of(line) == "x" == event_of("x")
    assert json.loads(wrapped("up", "footstream: no: way"))["event"] == "no: way"
    assert json.loads(wrapped("run", "run: a row"))["event"] == "a row"


def test_what_libraries_write_and_what_nobody_expected_are_single_events_of_the_role() -> None:
    code = (
        "import sys, threading, warnings; from infra.say import load_role, failed, say\n"
        "load_role('bridge'); say('bridge', 'two\\nlines', 'warning'); warnings.warn('old'); sys.stderr.write('half ')\n"
        "print('and half', file=sys.stderr)\n"
        "t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()\n"
    )
    said = [json.loads(line) for line in run(code, log_format="json")]
    assert {event["role"] for event in said} == {"bridge"}
    assert (said[0]["event"], said[0]["level"]) == ("two lines", "warning")
    assert any("UserWarning: old" in event["event"] for event in said)
    assert "half and half" in [event["event"] for event in said]
    assert said[-1]["level"] == "error" and "ZeroDivisionError" in said[-1]["traceback"]


def test_a_wrong_setting_is_an_event_too() -> None:
    code = "import sys; from infra.cli import main; sys.argv = ['footstream', 'bridge']; main()"
    [line] = run(code, log_format="json", log_partitions="none")
    assert json.loads(line)["role"] == "bridge" and "LOG_PARTITIONS" in json.loads(line)["event"].upper()
    [line] = run(code, log_format="xml")
    assert line.startswith("footstream: FOOTSTREAM_LOG_FORMAT is 'xml'")


def test_text_has_the_role_before_the_event() -> None:
    assert run("from infra.say import load_role, say; load_role('run'); say('run', 'hello')") == ["run: hello"]
