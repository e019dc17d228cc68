"""`make chaos-full`: every fault of `tests/chaos/faults`, one after the other, and what must hold after each.

    python -m tests.chaos.full [--only F7,F9] [--seed N] [--out FILE]

Prints its seed first. A fault that fails stops no other; the exit code is 1 then. `--out`: a Markdown file with a table at its
end, in which the rows of these faults are written anew.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos.faults import Bench, Fault, faults


class Outcome(NamedTuple):
    fault: Fault
    wrong: list[str]
    figures: dict[str, Any]
    seconds: float


def run(fault: Fault, seed: int) -> Outcome:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        bench = Bench(seed, Path(folder), lambda line: print(f"    {line}", flush=True))
        try:
            fault.run(bench)
        except Exception as error:
            traceback.print_exc()
            bench.wrong.append(f"{type(error).__name__}: {error}")
    return Outcome(fault, bench.wrong, bench.figures, time.monotonic() - began)


HEAD = "| fault | what happens | must hold | result | seen | seconds | run |"


def table(outcomes: Sequence[Outcome], seed: int, kept: str) -> str:
    """Markdown: one row a fault; those of an earlier table `kept` stay until their fault was run again."""
    rows = {_key(line): line for line in kept.splitlines() if line.startswith("| F")}
    when = f"{time.strftime('%Y-%m-%d', time.gmtime())}, seed {seed}, {os.cpu_count()} cores"
    for o in outcomes:
        seen = ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in o.figures.items())
        result = "holds" if not o.wrong else f"FAILS: {o.wrong[0][:120]}".replace("|", "/").replace("\n", " ")
        line = f"| {o.fault.number} | {o.fault.what} | {o.fault.must} | {result} | {seen} | {o.seconds:.0f} | {when} |"
        rows[_key(line)] = line
    ordered = sorted(rows.values(), key=lambda line: int(line.split("|")[1].strip()[1:]))
    return "\n".join([HEAD, "|---|---|---|---|---|---|---|", *ordered]) + "\n"


def _key(line: str) -> tuple[str, ...]:
    return tuple(line.split("|")[1:3])


def write(path: Path, outcomes: Sequence[Outcome], seed: int) -> None:
    """Put the table at the end of the file; what stands above it stays."""
    text = path.read_text() if path.exists() else ""
    above, _, kept = text.partition(HEAD)
    path.write_text(above + table(outcomes, seed, kept))


def _short(value: object) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.chaos.full")
    parser.add_argument("--only", default="", help="numbers of faults, with commas between")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--out", type=Path, help="Markdown file whose table gets the results")
    given = parser.parse_args(words)
    chosen = [f for f in faults() if not given.only or f.number in given.only.split(",")]
    if not chosen:
        parser.error(f"no fault {given.only}; there are {', '.join(dict.fromkeys(f.number for f in faults()))}")
    command = f'make chaos-full ARGS="--seed {given.seed}{f" --only {given.only}" * bool(given.only)}"'
    print(f"{len(chosen)} faults; to do the same again: {command}", flush=True)
    outcomes = []
    for number, fault in enumerate(chosen, 1):
        print(f"{number}/{len(chosen)} {fault.number}: {fault.what}", flush=True)
        outcomes.append(made := run(fault, given.seed))
        print(f"  {'ok' if not made.wrong else 'WRONG'} in {made.seconds:.0f} s {json.dumps(made.figures)}", flush=True)
        for line in made.wrong[:10]:
            print(f"    {line[:600]}", flush=True)
        if given.out is not None:  # after each: a run that is cut off leaves what it knows
            write(given.out, outcomes, given.seed)
    failed = [o.fault.number for o in outcomes if o.wrong]
    print(json.dumps({"proof": "faults", "seed": given.seed, "faults": len(outcomes), "failed": failed}))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
