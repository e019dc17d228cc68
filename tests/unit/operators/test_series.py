"""Count series as a VS133's window reports."""

import json
from datetime import datetime

import pytest

from operators.series import Count, SeriesError, epoch_of, interval_of, missing, read_calit2, read_table, reports
from schemas.events import LineCount
from schemas.sensors import decode

ZONE = "America/Los_Angeles"
# The night of 2005-10-30: 01:00 to 02:00 happens twice; the file has each stamp once.
AUTUMN = [
    ["7", "10/30/05", "00:30:00", "2"], ["9", "10/30/05", "00:30:00", "1"],
    ["7", "10/30/05", "01:00:00", "0"], ["9", "10/30/05", "01:00:00", "4"],
    ["7", "10/30/05", "01:30:00", "3"], ["9", "10/30/05", "01:30:00", "5"],
    ["7", "10/30/05", "02:00:00", "6"], ["9", "10/30/05", "02:00:00", "7"],
]  # fmt: skip


def test_the_rows_of_calit2_are_pairs_of_out_and_in() -> None:
    assert read_calit2(AUTUMN)[0] == Count(datetime(2005, 10, 30, 0, 30), people_in=1, people_out=2)


def test_the_hour_that_happens_twice_gives_no_overlap_and_loses_nobody() -> None:
    told = list(reports(read_calit2(AUTUMN), "6600REPLAY000001", ZONE, 1800, ends=True))
    spans, people = [], 0
    for report in (decode(t.payload)[0] for t in told):
        (window,) = [e for e in report.events if type(e) is LineCount and e.kind == "window"]
        assert window.start is not None
        assert window.end is not None
        spans.append((window.start, window.end))
        people += window.people_in + window.people_out
    # 00:00-00:30, 00:30-01:00, 01:00-01:30 in summer time; 01:30-02:00 in winter time, an hour later
    first = 1130655600  # 2005-10-30 00:00 PDT
    assert spans == [(first + s, first + s + 1800) for s in (0, 1800, 3600, 3600 + 1800 + 3600)]
    assert people == 28


def test_a_time_that_does_not_exist_is_left_out_and_counted() -> None:
    counts = [Count(datetime(2026, 3, 29, 2, 30), 1, 0), Count(datetime(2026, 3, 29, 3, 30), 2, 0)]
    assert epoch_of(counts[0].stamp, "Europe/Berlin") is None
    assert missing(counts, "Europe/Berlin", 3600, ends=True) == 1
    assert len(list(reports(counts, "X1", "Europe/Berlin", 3600, ends=True))) == 1


def test_a_table_tells_by_its_header_what_its_columns_are() -> None:
    counts, ends = read_table([["Time", "Out", "In"], ["2026-03-01 10:00:00", "2", "3"], ["2026-03-01 10:15:00", "0", "1.0"]])
    assert counts[0] == Count(datetime(2026, 3, 1, 10), 3, 2)
    assert ends
    assert interval_of(counts) == 900
    assert not read_table([["start", "count"], ["2026-03-01 10:00:00", "2"]])[1]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([["when", "in"], ["x", "1"]], "header 'when,in' has no column"),
        ([["time", "in"], ["yesterday", "1"]], "time 'yesterday'"),
        ([["time", "in"], ["2026-03-01 10:00:00", "-1"]], "count '-1'"),
        ([["time", "in"], ["2026-03-01 10:00:00", "nan"]], "count 'nan'"),
        ([["time", "in"], ["2026-03-01 10:00:00"]], "row 2: 1 fields"),
    ],
)
def test_a_bad_table_is_refused_with_what_is_wrong(rows: list[list[str]], words: str) -> None:
    with pytest.raises(SeriesError, match=words):
        read_table(rows)


def test_the_running_total_and_the_running_time_grow() -> None:
    said = [json.loads(t.payload) for t in reports(read_calit2(AUTUMN), "X1", ZONE, 1800, ends=True)]
    assert [s["line_total_data"][0]["in_counted"] for s in said] == [1, 5, 10, 17]
    running = [s["device_info"]["running_time"] for s in said]
    assert running == sorted(running)
