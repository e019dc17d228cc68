"""`make models`: the product's own models on real counts, beside the published references.

Every series goes through `footstream backtest`, strictly in time order and with one set of settings; the data's own scorer
(`tools/score.py`) says how good that was. Figures are kept in `docs/models.json` and shown as a table in `docs/models.md`.
References and what they are: `tools/README.md` beside the data.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
KEPT, PAGE = ROOT / "docs" / "models.json", ROOT / "docs" / "models.md"
BEGIN, END = "<!-- make models: begin -->", "<!-- make models: end -->"
SEEDS = (0, 1, 2)
MELBOURNE = ("southern_cross_station_2015_2016", "qv_market_elizabeth_st_west_2015_2016")
LEEDS = (
    ("albionstnorth_2009_2015", "2014-01-01", "2015-01-01", "2015-12-31 23:00"),
    ("briggate_2009_2015", "2014-01-01", "2015-01-01", "2015-12-31 23:00"),
    ("headrow_2009_2015", "2012-01-01", "2013-01-01", "2013-12-31 23:00"),
)
Figures = dict[str, Any]


class Measure(NamedTuple):
    """A row of the table: what is measured, a naive method, the best reference, what is asked; `ours` names the figure."""

    what: str
    simple: str
    best: str
    asked: str
    ours: str


MEASURES = (
    Measure("Melbourne, MASE one step", "0.408", "0.219", "≤ 0.20", "melbourne_one_step"),
    Measure("Melbourne, MASE hour 24", "0.417", "0.361", "≤ 0.33", "melbourne_hour24"),
    Measure("the same without a calendar, one step", "0.408", "0.219", "", "melbourne_plain_one_step"),
    Measure("the same without a calendar, hour 24", "0.417", "0.361", "", "melbourne_plain_hour24"),
    Measure("Leeds, MASE one step", "0.607", "0.333", "≤ 0.31", "leeds_one_step"),
    Measure("Leeds, MASE hour 24", "0.583", "0.524", "≤ 0.49", "leeds_hour24"),
    Measure("worst series against last week (1: as good)", "1", "", "< 1", "worst_rel"),
    Measure("80 % interval, coverage, lowest of all series and both steps", "", "0.78", "≥ 0.77", "coverage_least"),
    Measure("80 % interval, coverage, highest", "", "0.82", "≤ 0.83", "coverage_most"),
    Measure("its width in scales, Melbourne one step", "", "1.26", "narrower", "melbourne_width_one_step"),
    Measure("its width in scales, Melbourne hour 24", "", "1.64", "narrower", "melbourne_width_hour24"),
    Measure("its width in scales, Leeds one step", "", "1.85", "narrower", "leeds_width_one_step"),
    Measure("its width in scales, Leeds hour 24", "", "2.11", "narrower", "leeds_width_hour24"),
    Measure("CalIt2, of 30 events at 50 / 100 / 200 / 300", "8 / 15 / 16 / 25", "11 / 18 / 23 / 26", "≥ best", "calit2"),
    Measure("NAB, visible part, standard, one threshold", "30 to 44", "73.8 (HTM)", "≥ 70", "nab"),
    Measure("anomalies put in, recall at one false alarm a week", "0.64", "0.73", "≥ 0.80", "inject"),
    Measure("of these surges of half again", "0.35", "0.23", "> 0.35", "inject_surge15"),
    Measure("wait in a queue, mean absolute error, s", "76.2", "73.1", "≤ 66", "queue"),
)  # fmt: skip


class Runner:
    """Runs `footstream backtest` and the scorer; `folder`: where files go."""

    def __init__(self, shared: Path, folder: Path) -> None:
        self.data, self.scorer, self.folder = shared / "data", shared / "tools" / "score.py", folder
        for needed in (self.data, self.scorer):
            if not needed.exists():
                raise SystemExit(f"models: {needed} is not there; name the folder of data and tools with --shared")

    def backtest(self, what: str, source: Path, out: Path, *words: str) -> Path:
        out.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "infra", "backtest", what, str(source), str(out), *words]
        subprocess.run(command, check=True, cwd=ROOT, stderr=subprocess.DEVNULL)
        return out

    def score(self, *words: str) -> Figures:
        done = subprocess.run([sys.executable, str(self.scorer), *words], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"models: the scorer ended with {done.returncode}: {done.stderr.strip() or done.stdout[:500]}")
        found: Figures = json.loads(done.stdout)
        return found

    def forecast(self, name: str, zone: str, *window: str) -> Figures:
        source = self.data / f"{name}.csv.gz"
        out = self.backtest("forecast", source, self.folder / "forecast.csv", *(("--zone", zone) if zone else ()))
        _tell(f"forecast of {name}{'' if zone else ' without a calendar'}")
        return self.score("forecast", "--truth", str(source), "--pred", str(out), *window)


def _tell(line: str) -> None:
    print(f"models: {line}", file=sys.stderr, flush=True)


def forecasts(run: Runner) -> Figures:
    """MASE and intervals: the mean of Melbourne's sensors, the median of Leeds' cameras."""
    melbourne = [run.forecast(f"melbourne/{name}", "Australia/Melbourne", "--from-week", "9") for name in MELBOURNE]
    plain = [run.forecast(f"melbourne/{name}", "", "--from-week", "9") for name in MELBOURNE]
    leeds = [
        run.forecast(f"leeds/{name}", "Europe/London", "--history-from", before, "--from", first, "--until", last)
        for name, before, first, last in LEEDS
    ]
    found: Figures = {}
    for step in ("one_step", "hour24"):
        found |= {
            f"melbourne_{step}": fmean(s[step]["mase"] for s in melbourne),
            f"melbourne_plain_{step}": fmean(s[step]["mase"] for s in plain),
            f"leeds_{step}": median(s[step]["mase"] for s in leeds),
            f"melbourne_width_{step}": fmean(s[step]["width_over_scale"] for s in melbourne),
            f"leeds_width_{step}": median(s[step]["width_over_scale"] for s in leeds),
        }
    every = [s[step] for s in (*melbourne, *plain, *leeds) for step in ("one_step", "hour24")]
    covered = [s["coverage80"] for s in every]
    return found | {"worst_rel": max(s["rel"] for s in every), "coverage_least": min(covered), "coverage_most": max(covered)}


def calit2(run: Runner) -> Figures:
    source = run.data / "calit2" / "CalIt2.data"
    out = run.backtest("anomaly", source, run.folder / "calit2.csv")
    _tell("events of CalIt2")
    found = run.score("events", "--truth", str(source), "--scores", str(out))["found"]
    return {"calit2": " / ".join(str(found[budget]) for budget in ("50", "100", "200", "300"))}


def nab(run: Runner) -> Figures:
    data, out = run.data / "nab", run.folder / "nab"
    for source in sorted(data.glob("*/*.csv*")):
        run.backtest("anomaly", source, out / source.parent.name / source.name.removesuffix(".gz"))
    _tell("NAB")
    found = run.score("nab", "--labels", str(data / "combined_windows.json"), "--data", str(data), "--scores", str(out))
    return {"nab": found["standard"]["score"]}


def inject(run: Runner) -> Figures:
    """Anomalies that are made, in counts that are real."""
    made = run.folder / "inject"
    for seed in SEEDS:
        for name in MELBOURNE:
            source = run.data / "melbourne" / f"{name}.csv.gz"
            run.score("inject", "make", "--series", str(source), "--out", str(made), "--seed", str(seed))
    labels, flags = sorted((made / "labels").glob("*.json")), []
    for label in labels:
        source = next((made / "series").glob(f"{label.name.split('.')[0]}.csv*"))
        flags.append(run.backtest("anomaly", source, made / "flags" / f"{label.stem}.csv"))
    _tell("anomalies put into Melbourne's counts")
    found = run.score("inject", "score", "--labels", *map(str, labels), "--flags", *map(str, flags))
    return {"inject": found["recall"], "inject_surge15": found["by_kind"]["surge15"]["recall"]}


def queue(run: Runner) -> Figures:
    source = run.data / "callcentre" / "calls_1999_08_01_15.csv.gz"
    out = run.backtest("queue", source, run.folder / "queue.csv")
    _tell("waits of callers")
    return {"queue": run.score("queue", "--truth", str(source), "--pred", str(out))["mae_s"]}


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def table(figures: Mapping[str, object]) -> str:
    """The table of the page."""
    head = "| measure | simple | best reference | asked | ours |\n|---|---|---|---|---|"
    rows = [f"| {m.what} | {m.simple} | {m.best} | {m.asked} | **{_shown(figures[m.ours])}** |" for m in MEASURES]
    return "\n".join((head, *rows))


def placed(page: str, figures: Mapping[str, object]) -> str:
    """The page with the table between its marks. Raises ValueError where they are missing."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{table(figures)}\n{END}{rest.split(END)[1]}"


def main(words: Iterable[str]) -> int:
    """Measure everything, write both files, print the table."""
    parser = argparse.ArgumentParser(prog="tests.models")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder with data/ and tools/")
    shared = parser.parse_args(list(words)).shared
    figures: Figures = {}
    with tempfile.TemporaryDirectory(prefix="footstream-models-") as name:
        run = Runner(shared, Path(name))
        for part in (forecasts, calit2, nab, inject, queue):
            figures |= part(run)
    KEPT.write_text(json.dumps(figures, indent=1) + "\n")
    PAGE.write_text(placed(PAGE.read_text(), figures))
    print(table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
