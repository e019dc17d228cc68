"""Store or sensor: verdicts of the flow `health` on simulated stores with known truth, through decoder and flows.

`SEEDS` were not looked at when the rules were set (1 to 20 were). A case is judged if enough people were due for it by the time
that docs/models.md states (`due_by`); it is right when the verdict, and for a sensor the device, was said by then and no other
was said while it lasted. What was said while nothing was wrong counts as one more verdict, a wrong one.
"""

import sys
from collections import Counter
from collections.abc import Iterable
from math import log
from typing import Any, NamedTuple

from flows import ordered
from infra.chain import Chain
from operators.ingest import Arrival
from operators.memory import place_of
from operators.moment import Context, Output
from operators.simulator.trials import Case, Trial, between, trial
from schemas.events import Plain
from schemas.rows_health import SensorHealthRows
from schemas.sensors import read

SEEDS = range(101, 125)
QUARTER, AFTER = 900, 1200
"""A quarter is judged when the longest report and half a minute have passed after it: with LoRaWAN sensors 630 s."""
NATS = 13.0
"""Odds and cost of an explanation (operators/line_evidence.py)."""
PARTY, MARGIN, DOUBT = 2.0, 2.0, 0.06


class Said(NamedTuple):
    said: int
    began: int
    verdict: str
    kind: str
    device: str
    evidence: str


class Judged(NamedTuple):
    """One case, or something that was said without one."""

    kind: str
    right: bool
    took_s: int | None
    text: str


def due_by(case: Case, site_interval: int) -> int | None:
    """By when it is to be said (epoch s), None when too few people were due."""
    steps = {"dead": 3 * site_interval + 60, "stuck": 12 * site_interval, "tilt": 1800}
    if case.kind in steps:
        at = case.start + steps[case.kind] + 2 * QUARTER + AFTER
        return at if at <= case.end else None
    f, usual = max(case.factor, 0.02), {"quiet": 0.7, "busy": 1.43}.get(case.kind, 1.0)
    people = MARGIN * NATS * PARTY / max(1e-3, f * log(f / usual) + usual - f - DOUBT)
    if len(case.due) < people:
        return None
    reached = sorted(case.due)[int(people) - 1]
    least = 4 if case.kind in ("quiet", "busy") else 2
    at = int(max(reached, case.start + least * QUARTER)) + QUARTER + AFTER
    return at if at <= case.end else None


def judge(made: Trial, said: Iterable[Said]) -> list[Judged]:
    """Every case that can be told in time, and everything that was said wrongly."""
    found, used = [], set[Said]()
    everything = sorted(said)
    for case in made.cases:
        mine = [s for s in everything if case.start < s.said <= case.end + 2 * AFTER]
        good = [s for s in mine if s.verdict == case.verdict and (s.device == case.device or not case.device)]
        used |= set(good)
        sensor = made.site.devices.get(case.device)
        by = due_by(case, sensor.interval_s if sensor else 300)
        if by is not None:
            right = bool(good) and good[0].said <= by
            text = f"{case.kind} f {case.factor:.2f} {case.device} due {len(case.due)}: " + "; ".join(s.evidence for s in mine)
            found.append(Judged(case.kind, right, good[0].said - case.start if good else None, text))
    for s in everything:
        if s not in used and not (not s.device and between(made, s.said)):
            found.append(Judged(f"said {s.kind}", False, None, f"{s.verdict} {s.device}: {s.evidence}"))
    return found


def play(made: Trial) -> list[Said]:
    """What the flow says from the first moment that counts on."""
    site, out = made.site, Output({}, [])
    chain, rows, said = Chain(site, ordered(["health"]), None, Context()), list[dict[str, Any]](), list[Said]()
    last = 0
    for position, sent in enumerate(made.chain.stream().until(made.end)):
        if not sent.device:
            continue
        arrival = last = max(last, int(sent.at * 1000))
        report = read(sent.payload)
        if isinstance(report, Plain):
            report.site, report.arrival, report.place, report.stamp = site.id, arrival, place_of(0, position), 1
            if not chain.handle_plains([report], 0, 0, out):
                chain.handle_plain(report, 0, out)
        else:
            arrivals = [Arrival(0, position, arrival, one) for one in report]
            chain.handle(arrivals, site.entry(report[0].device), sent.payload, 1, 0, out)
        if position % 500 == 0:
            chain.flush(False, out)
            rows += [dict(zip(SensorHealthRows.columns, r, strict=True)) for r in out.rows.get("sensor_health", ())]
            out.rows.clear()
    rows += [dict(zip(SensorHealthRows.columns, r, strict=True)) for r in out.rows.get("sensor_health", ())]
    for r in rows:
        if r["ended_ms"] is None and r["said"] >= made.judged:
            said.append(Said(r["said"], r["began"], r["verdict"], r["kind"], r["device"], r["evidence"]))
    return said


def run(seeds: Iterable[int] = SEEDS) -> list[dict[str, Any]]:
    judged = [j for made in map(trial, seeds) for j in judge(made, play(made))]
    right, cases = Counter(j.kind for j in judged if j.right), Counter(j.kind for j in judged)
    rows: list[dict[str, Any]] = []
    for kind, number in sorted(cases.items()):
        took = sorted(j.took_s for j in judged if j.kind == kind and j.took_s is not None)
        middle = took[len(took) // 2] / 60 if took else 0.0
        rows.append(
            {"bench": "health", "what": kind, "verdicts": number, "right": right[kind], "minutes_median": round(middle)}
        )
    share = sum(right.values()) / max(1, len(judged))
    rows.append(
        {"bench": "health", "what": "all", "verdicts": len(judged), "right": sum(right.values()), "share": round(share, 3)}
    )
    return rows


if __name__ == "__main__":
    first, last = int(sys.argv[1]), int(sys.argv[2])
    for seed in range(first, last + 1):
        made = trial(seed)
        for j in judge(made, play(made)):
            print(seed, "right" if j.right else "WRONG", j.took_s and j.took_s // 60, j.text, flush=True)
