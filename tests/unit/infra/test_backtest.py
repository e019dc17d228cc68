"""`footstream backtest`: formats in and out, and that no row looks ahead."""

import csv
import gzip
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.backtest import anomaly_rows, forecast_rows, queue_rows, read_series
from infra.cli import _register, app
from infra.errors import Problem


def _series(path: Path, rows: int, step_min: int = 60, name: str = "count") -> Path:
    start = datetime(2026, 3, 2)
    lines = [f"ts_local,{name}"] + [
        f"{start + timedelta(minutes=step_min * n):%Y-%m-%d %H:%M},{(n * 7919) % 50 + n % 24 * 3}" for n in range(rows)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_forecast_is_made_every_hour_and_for_a_day_every_six(tmp_path: Path) -> None:
    rows = list(forecast_rows(read_series(_series(tmp_path / "a.csv", 400))))
    assert sum(r[0] == "2026-03-10 06:00" for r in rows) == 24
    assert [r[1] for r in rows if r[0] == "2026-03-10 07:00"] == ["2026-03-10 08:00"]
    assert all(0.0 <= float(lo) <= float(hi) for *_, lo, hi in rows)


@pytest.mark.parametrize("cut", [200, 333])
def test_rows_do_not_depend_on_what_comes_after_them(tmp_path: Path, cut: int) -> None:
    whole, part = (read_series(_series(tmp_path / f"{n}.csv", n)) for n in (400, cut))
    told = list(forecast_rows(part))
    assert told == list(forecast_rows(whole))[: len(told)]
    scored = list(anomaly_rows(part))
    assert scored == list(anomaly_rows(whole))[: len(scored)]


def test_shorter_steps_are_added_up_to_hours(tmp_path: Path) -> None:
    rows = list(forecast_rows(read_series(_series(tmp_path / "a.csv", 800, step_min=15))))
    assert len({r[0] for r in rows}) == 200


def test_modelled_and_negative_rows_are_not_measured(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("ts_local,count,modelled\n2026-03-02 00:00,5,0\n2026-03-02 01:00,900,1\n2026-03-02 02:00,-3,0\n")
    rows = list(forecast_rows(read_series(file)))
    assert max(float(r[2]) for r in rows) < 10.0


def test_calit2_is_recognised_and_keeps_the_stamps_of_interval_ends(tmp_path: Path) -> None:
    file = tmp_path / "CalIt2.data"
    file.write_text("7,07/24/05,00:00:00,1\n9,07/24/05,00:00:00,2\n7,07/24/05,00:30:00,1\n9,07/24/05,00:30:00,0\n")
    series = read_series(file)
    assert series.ends and series.step == 1800 and [r.value for r in series.rows] == [3.0, 1.0]
    assert [stamp for stamp, _ in anomaly_rows(series)] == ["2005-07-24 00:00:00", "2005-07-24 00:30:00"]


def test_a_call_log_gives_a_wait_to_everyone_who_joins(tmp_path: Path) -> None:
    header = "date,vru_line,call_id,priority,type,q_start,q_exit,outcome,ser_start,ser_exit,server"
    calls = [
        "1999-08-01,AA01,1,0,PS,10:00:00,10:01:00,AGENT,10:01:00,10:03:00,S1",
        "1999-08-01,AA02,2,2,PS,10:00:30,10:00:50,HANG,0:00:00,0:00:00,",
        "1999-08-01,AA03,3,0,IN,0:00:00,0:00:00,AGENT,10:02:00,10:03:00,S2",
    ]
    file = tmp_path / "calls.csv"
    file.write_text("\n".join([header, *calls]) + "\n")
    assert [row[:3] for row in queue_rows(file)] == [("1999-08-01", "AA01", "1"), ("1999-08-01", "AA02", "2")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no rows"),
        ("when,what\n1,2\n", "no column count or value"),
        ("ts_local,count\nyesterday,5\n", "row 2: time 'yesterday'"),
        ("ts_local,count\n2026-03-02 00:00,many\n", "'many' is not a number"),
        ("ts_local,count\n2026-03-02T00:00+01:00,1\n", "carries a zone"),
        ("ts_local,count\n2026-03-02 00:00,1\n", "fewer than two rows"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(Problem, match=said):
        read_series(file)


def test_the_command_writes_a_packed_file(tmp_path: Path) -> None:
    if not app.registered_commands:
        _register()
    source, out = _series(tmp_path / "a.csv", 200), tmp_path / "new" / "out.csv.gz"
    result = CliRunner().invoke(app, ["backtest", "forecast", str(source), str(out), "--zone", "Europe/London"])
    assert result.exit_code == 0, result.output
    with gzip.open(out, "rt") as file:
        assert next(csv.reader(file)) == ["made_at", "target", "mean", "lo", "hi"]
