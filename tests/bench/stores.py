"""The same messages from 100, 1,000 and 10,000 stores: one lane with flow `traffic`, stores of four entrance lines, in turns.

The rate at 10,000 stores as a share of that at 100 says what many stores cost. Everything is fresh for each run, and each must
give every message and the sums of a plain loop.
"""

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.lane import MESSAGES, RUNS, SHARED, footstream, json_of, peer_of, same_sums
from tests.support.kafka import kafka_broker

STORES, DEVICES = (100, 1_000, 10_000), 2
Row = dict[str, Any]


def run(shared: Path = SHARED, messages: int = MESSAGES, runs: int = RUNS) -> list[Row]:
    """One row per number of stores."""
    peer = str(peer_of(shared))
    found: dict[int, list[Row]] = {stores: [] for stores in STORES}
    with kafka_broker() as broker:
        for stores in STORES:
            words = ["--bootstrap", broker.bootstrap, "--topic", f"s{stores}.raw"]
            made = ["--messages", str(messages), "--devices", str(stores * DEVICES)]
            json_of([sys.executable, peer, "fill", *words, *made])
        for turn in range(runs):
            for stores in STORES:
                found[stores].append(footstream(broker.url, stores=stores, devices=DEVICES, prefix=f"s{stores}."))
                print(f"stores: run {turn + 1} of {runs}, {stores}: {found[stores][-1]}", file=sys.stderr, flush=True)
        for stores in STORES:
            words = ["--bootstrap", broker.bootstrap, "--topic", f"s{stores}.raw"]
            same_sums([json_of([sys.executable, peer, "bare", *words])], found[stores])
    return [_row(stores, found) for stores in STORES]


def _row(stores: int, found: dict[int, list[Row]]) -> Row:
    rates = {s: median(r["messages_per_s"] for r in found[s]) for s in STORES}
    figures = {n: median(r[n] for r in found[stores]) for n in ("cpu_s", "rss_mib")}
    row = {"bench": "stores", "what": f"{stores} stores", "messages_per_s": rates[stores]}
    share = round(rates[stores] / rates[STORES[0]], 3)
    return {**row, "ratio_to_first": share, "runs": [r["messages_per_s"] for r in found[stores]], **figures}


if __name__ == "__main__":
    for row in run():
        print(json.dumps(row))
