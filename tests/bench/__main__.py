"""`python -m tests.bench [NAME…] [--out FOLDER] [--shared FOLDER]`: run the benches, print one table, write one JSON file.

A bench is a module of this folder with `run() -> list[dict]`; one that takes `shared` gets the folder of the comparison tools.
Each bench repeats its own measurement three times and reports medians, unless it says otherwise in the row.
"""

import argparse
import importlib
import inspect
import json
import os
import pkgutil
import platform
import sys
import time
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.table import Table

SHARED = Path(__file__).resolve().parents[3] / "shared"
ORDER = (
    "decode", "operators", "log", "store", "queries", "bridge", "http_in", "lane", "lanes", "stores", "memory", "backfill",
    "latency", "webhook", "recovery", "idle",
)  # fmt: skip
SLOW = ("queries", "memory", "backfill", "health")
"""Run only when they are named: each takes a quarter of an hour or more."""
Row = dict[str, Any]


def benches() -> dict[str, ModuleType]:
    """Modules of this folder that can be run, by name: the usual ones in their order, then any other."""
    names = [m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if not m.name.startswith("_")]
    names.sort(key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    found = {name: importlib.import_module(f"tests.bench.{name}") for name in names}
    return {name: module for name, module in found.items() if hasattr(module, "run")}


def _machine() -> Row:
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.system(),
        "python": sys.version.split()[0],
    }


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def table_of(rows: list[Row]) -> Table:
    """One line per row: its bench, its words, its figures."""
    table = Table("bench", "what", "figures", title="Medians")
    for row in rows:
        words = [str(v) for k, v in row.items() if k not in ("bench", "unit", "why") and isinstance(v, str)]
        figures = [f"{k} {_value(v)}" for k, v in row.items() if not isinstance(v, str)]
        table.add_row(str(row["bench"]), ", ".join(words), ", ".join([*figures, str(row.get("unit", ""))]).rstrip(", "))
    return table


def main() -> int:
    """Exit code 1 when a bench failed; the others are run and kept all the same."""
    known = benches()
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which: {', '.join(known)}; default all but {', '.join(SLOW)}"
    )
    parser.add_argument("--out", type=Path, default=Path("bench-results"))
    parser.add_argument("--shared", type=Path, default=SHARED, help="folder with tools/peer.py")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"no bench {', '.join(unknown)}; there are {', '.join(known)}")
    say = Console(stderr=True)
    rows: list[Row] = []
    failed = []
    for name in options.names or [name for name in known if name not in SLOW]:
        began = time.monotonic()
        say.print(f"{name} …")
        run = known[name].run
        try:
            rows += run(shared=options.shared) if "shared" in inspect.signature(run).parameters else run()
        except Exception:  # the other benches are worth having
            traceback.print_exc()
            failed.append(name)
        say.print(f"{name}: {time.monotonic() - began:.0f} s")
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    path.write_text(json.dumps({"machine": _machine(), "rows": rows, "failed": failed}, indent=1) + "\n")
    Console(width=160).print(table_of(rows))
    print(path)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
