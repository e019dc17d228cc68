"""`footstream decode`: what is printed, and that nothing ends as a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.decode import lines
from schemas.events import LineCount, Report, event_id
from schemas.sensors import MAX_BYTES, decode
from schemas.sites import Device, Line, Registry, Site

COUNT = (
    b'{"device_info":{"device_sn":"A1","device_name":"x"},"time_info":{"time":"2026-07-31T20:31:00-00:00"},'
    b'"line_trigger_data":[{"line":1,"total":{"in":5,"out":2},"staff":{"in":1,"out":0}},{"line":2,"in":-1,"out":0}]}'
)


def run(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "from infra.cli import main; main()", "decode", *arguments]
    return subprocess.run(
        command, input=given, capture_output=True, timeout=60, check=False, env=os.environ | {"NO_COLOR": "1"}
    )


def printed(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_events_and_refusals_of_several_files_as_json_lines(tmp_path: Path) -> None:
    (tmp_path / "count.json").write_bytes(COUNT)
    (tmp_path / "broken").write_bytes(b"\x00{")
    (tmp_path / "frame.json").write_text('{"fport": 85, "hex": "05CC03000200", "devEUI": "24E1"}')
    done = run(*(str(tmp_path / name) for name in ("count.json", "broken", "frame.json")))
    assert (done.returncode, done.stderr) == (0, b"")
    event, refused, broken, frame = printed(done.stdout)
    assert (event["type"], event["device"], event["dialect"], event["people_in"]) == ("line_count", "a1", "vs13x", 5)
    (report,) = decode(COUNT)
    assert event["event_id"] == event_id(report, report.events[0], 0)
    assert (refused["quarantine"], refused["where"]) == ("negative_count", "line_trigger_data[1].in")
    assert (broken["quarantine"], broken["file"]) == ("not_json", str(tmp_path / "broken"))
    assert (frame["device"], frame["people_in"], frame["people_out"]) == ("24e1", 3, 2)


def test_standard_input_is_read_for_a_dash() -> None:
    done = run("-", given=COUNT)
    assert done.returncode == 0
    assert [line.get("type", line.get("quarantine")) for line in printed(done.stdout)] == ["line_count", "negative_count"]


def test_an_unreadable_file_is_one_line_and_the_others_are_still_decoded(tmp_path: Path) -> None:
    (tmp_path / "count.json").write_bytes(COUNT)
    done = run(str(tmp_path / "missing.json"), str(tmp_path), str(tmp_path / "count.json"))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2
    assert b"missing.json: No such file" in done.stderr
    assert b"Traceback" not in done.stderr
    assert len(printed(done.stdout)) == 2


@pytest.mark.parametrize(
    ("shell", "said"),
    [
        ("- <&-", b"cannot read -: standard input is closed; give a payload file or -"),
        ("- >/dev/full", b"cannot write to standard output: No space left on device; write to a disk that has room"),
        ("- >&-", b"cannot write to standard output: it is closed; write to a disk that has room"),
    ],
)
def test_streams_that_are_closed_or_full_are_one_line(shell: str, said: bytes) -> None:
    command = f"exec {sys.executable} -c 'from infra.cli import main; main()' decode {shell}"
    done = subprocess.run(["sh", "-c", command], input=COUNT, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.splitlines()) == (1, [b"footstream: " + said])


def test_a_track_number_beyond_64_bits_is_printed_as_unmeasured() -> None:
    payload = b'{"device_info":{"device_sn":"A1"},"dwell_time_data":[{"region":1,"duration":5,"people_id":1e300}]}'
    (line,) = lines(payload, "x")
    assert (line["type"], line["track"]) == ("stay", None)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b"x" * (MAX_BYTES + 1), "oversize"),
        (b'{"fport":85,"hex":"0"}', "bad_hex"),
        (b'{"fport":85,"hex":"zz"}', "bad_hex"),
        (b'{"fport":85,"hex":""}', "empty_frame"),
        (b'{"fport":85,"hex":7}', "unknown_message"),
        (b'{"fport":85,"hex":"' + b"[" * 5000, "not_json"),
        (b'{"hex":' + b"[" * 5000, "too_deep"),
    ],
)
def test_bad_payloads_and_wrappers_have_a_reason(payload: bytes, reason: str) -> None:
    assert [line["quarantine"] for line in lines(payload, "x")] == [reason]


def test_the_registry_exchanges_directions() -> None:
    device = Device("a1", lines={1: Line(1, swap=True)})
    registry = Registry({"shop": Site("shop", "Shop", "Europe/Oslo", devices={"a1": device})})
    event = next(lines(COUNT, "x", registry))
    assert (event["people_in"], event["people_out"], event["staff_in"], event["staff_out"]) == (2, 5, 0, 1)
    assert event["event_id"] == next(lines(COUNT, "x"))["event_id"], "the id is of what the device said"


def test_the_registry_takes_an_added_daylight_saving_hour_back() -> None:
    payload = (
        b'{"device_info":{"device_sn":"7"},"time_info":{"timezone":"UTC+1:00","dst_status":true,'
        b'"start_time":"2026/07/01 10:00:00","end_time":"2026/07/01 11:00:00"},"in_counted":1,"out_counted":0}'
    )
    (report,) = decode(payload)
    assert isinstance(report, Report)
    assert isinstance(report.events[0], LineCount)
    device = Device("7", dst="included")
    registry = Registry({"shop": Site("shop", "Shop", "Europe/Oslo", devices={"7": device})})
    with_hour, without = next(lines(payload, "x")), next(lines(payload, "x", registry))
    assert (with_hour["start"], with_hour["end"]) == (1782892800, 1782896400)  # 08:00 and 09:00 UTC
    assert (without["start"], without["end"], without["time"]) == (1782896400, 1782900000, 1782900000)
