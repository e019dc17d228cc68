"""CalIt2 as a VS133's half-hour windows, through log and lane to the day rows: `python -m tests.bench.calit2 --data FOLDER`.

The file (UCI "CalIt2 Building People Counts") has stamps of interval ends in Californian civil time; the clock change of
30 October 2005 is inside. Sums by civil day of the interval's start must equal the file's, to the unit.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from operators.series import stamp_of
from tests.support.ledger import System, bare_system
from tests.support.store import StoreProcess

ZONE = "America/Los_Angeles"
DEVICE = "6600CA1172000001"
SITE = f"""id = "calit2"
name = "CalIt2"
zone = "{ZONE}"
country = "US"
reset = "04:00"

[[devices]]
id = "{DEVICE.lower()}"
name = "Main door"
model = "VS133"
interval_s = 1800

[[devices.lines]]
number = 1
name = "Main door"
role = "entrance"
"""

Sums = dict[str, tuple[int, int]]


def sums_of(lines: Iterable[str]) -> Sums:
    """People in and out by civil day of the interval's start, from the file's rows: flow (7 out, 9 in), date, time, count."""
    into: Counter[str] = Counter()
    out: Counter[str] = Counter()
    for line in filter(str.strip, lines):
        flow, day, time, people = line.strip().split(",")
        start = (stamp_of(f"{day} {time}") - timedelta(minutes=30)).date().isoformat()
        (out if flow == "7" else into)[start] += int(people)
    return {day: (into[day], out[day]) for day in sorted(into.keys() | out.keys())}


def stored_sums(system: System, step: str) -> Sums:
    """People by civil day in the tables: buckets of a step, or minutes, by their start."""
    day = {"minutes": f"toDate(toTimeZone(minute, '{ZONE}'))"}.get(step, f"toDate(toTimeZone(start, '{ZONE}'))")
    table = "site_minutes" if step == "minutes" else f"(SELECT * FROM site_buckets WHERE step = '{step}')"
    rows = system.store.query(f"SELECT toString({day}) AS d, sum(people_in) AS i, sum(people_out) AS o FROM {table} GROUP BY d")
    return {r["d"]: (int(r["i"]), int(r["o"])) for r in rows}


class Outcome(NamedTuple):
    """What was compared, and every disagreement."""

    windows: int
    days: int
    people_in: int
    people_out: int
    wrong: list[str]


def replay(data: Path, store: StoreProcess, folder: Path) -> Outcome:
    """Replay a file of CalIt2's form into a fresh system, run, repair, and compare all figures by day."""
    wanted = sums_of(data.read_text().splitlines())
    with bare_system(store, folder, {"calit2.toml": SITE}) as system:
        system.command("replay", str(data), "--to", system.settings.log(), "--zone", ZONE, "--device", DEVICE)
        said = json.loads(system.command("run", "all", "--until-end").splitlines()[-1])
        system.command("repair")
        wrong = []
        for step in ("minutes", "15m", "1h", "1d"):
            found = stored_sums(system, step)
            for day in sorted(wanted.keys() | found.keys()):
                if found.get(day, (0, 0)) != wanted.get(day, (0, 0)):
                    wrong.append(f"{step} {day}: file {wanted.get(day)}, tables {found.get(day)}")
        system.command("audit")
    into, out = (sum(v[i] for v in wanted.values()) for i in (0, 1))
    return Outcome(said["messages"], len(wanted), into, out, wrong)


def synthetic(first: datetime, days: int) -> list[str]:
    """Rows like CalIt2's from a civil midnight on, each half hour with another count, also in the hours that clocks change."""
    rows = []
    for i in range(1, days * 48 + 1):
        stamp = first + timedelta(minutes=30 * i)
        rows += [f"7,{stamp:%m/%d/%y},{stamp:%H:%M:%S},{i * 7 % 23}", f"9,{stamp:%m/%d/%y},{stamp:%H:%M:%S},{i * 5 % 19}"]
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.bench.calit2")
    parser.add_argument("--data", type=Path, required=True, help="folder with CalIt2.data")
    given = parser.parse_args()
    began = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder, StoreProcess() as store:
        outcome = replay(given.data / "CalIt2.data", store, Path(folder))
    for line in outcome.wrong[:20]:
        print(line)
    said = outcome._asdict() | {"wrong": len(outcome.wrong), "seconds": round((datetime.now(UTC) - began).total_seconds(), 1)}
    print(json.dumps({"proof": "calit2", **said}))
    return int(bool(outcome.wrong))


if __name__ == "__main__":
    sys.exit(main())
