"""All flows together, and two lanes side by side, beside a plain loop on the same topic in turns; then what a message costs a
lane as one of one, two, four and eight.

Topic, store and checks are those of `tests/bench/lane.py`. Two lanes share the cores with broker and store. For the CPU by
number of lanes they run one after the other, once, flow `traffic`: what it costs must not depend on how many there are.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.lane import COMMAND, DEVICES, MESSAGES, RUNS, SHARED, footstream, json_of, peer_of, prepared, same_sums
from tests.support.kafka import kafka_broker

LANES = (1, 2, 4, 8)
Row = dict[str, Any]


def run(shared: Path = SHARED, messages: int = MESSAGES, runs: int = RUNS) -> list[Row]:
    """One row per contender with its ratio to `bare`, and one per number of lanes."""
    peer = str(peer_of(shared))
    with kafka_broker() as broker:
        words = ["--bootstrap", broker.bootstrap, "--topic", "raw"]
        json_of([sys.executable, peer, "fill", *words, "--messages", str(messages), "--devices", str(DEVICES)])
        contenders: dict[str, Callable[[], Row]] = {
            "bare": lambda: json_of([sys.executable, peer, "bare", *words]),
            "all flows": partial(footstream, broker.url, "all"),
            "two lanes": partial(footstream, broker.url, "traffic", 2),
        }
        found: dict[str, list[Row]] = {name: [] for name in contenders}
        for turn in range(runs):
            for name, contender in contenders.items():
                found[name].append(contender())
                print(f"lanes: run {turn + 1} of {runs}, {name}: {found[name][-1]}", file=sys.stderr, flush=True)
        same_sums(found["bare"], [*found["all flows"], *found["two lanes"]])
        return [*(_row(name, found) for name in found), *(_cpu(broker.url, lanes) for lanes in LANES)]


def _row(name: str, found: dict[str, list[Row]]) -> Row:
    rate, bare = (median(r["messages_per_s"] for r in found[n]) for n in (name, "bare"))
    row = {"bench": "lanes", "what": name, "messages_per_s": rate, "runs": [r["messages_per_s"] for r in found[name]]}
    if name == "bare":
        return row
    figures = {n: median(r[n] for r in found[name]) for n in ("cpu_s", "rss_mib")}
    return {**row, "ratio_to_bare": round(rate / bare, 3), **figures}


def _cpu(log: str, lanes: int) -> Row:
    """Microseconds of the processor a message, over all lanes of so many."""
    with prepared(log, DEVICES // 4) as (_, environment):
        said = [
            json_of([*COMMAND, "run", "traffic", "--until-end", "--lane", f"{n}/{lanes}"], environment) for n in range(lanes)
        ]
    cpu, messages = sum(s["cpu_s"] for s in said), sum(s["messages"] for s in said)
    return {
        "bench": "lanes",
        "what": f"{lanes} one after the other",
        "cpu_us": round(cpu / messages * 1e6, 1),
        "messages": messages,
    }


if __name__ == "__main__":
    for row in run():
        print(json.dumps(row))
