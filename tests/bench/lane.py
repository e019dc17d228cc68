"""Messages per second of one lane on a real Kafka, beside what a user would write instead, on the same topic and in turns.

`bare`: consumer, msgspec, a dict of minute sums; nothing is stored. `quix`: Quix Streams 3, one-minute windows per site;
nothing is stored. Footstream: ingest and traffic with all observations and minutes in the store. Its time runs from the start
of its dataflow (consumer connected, recovery store opened) to the last row stored, that of the others covers their messages.
Each run of Footstream has a fresh store, a fresh recovery folder, and must give exactly the sums of `bare`.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from infra.stores import open_store
from tests.support.kafka import kafka_broker
from tests.support.store import StoreProcess

MESSAGES, DEVICES, RUNS = 300_000, 1_000, 3
QUIX = "quixstreams==3.28.1"
_ROOT = Path(__file__).resolve().parents[2]
_VENV = _ROOT / ".venv-bench"
SHARED = _ROOT.parent / "shared"
COMMAND = [sys.executable, "-m", "infra"]
LIMIT_S = 900


def run(shared: Path = SHARED, messages: int = MESSAGES, runs: int = RUNS) -> list[dict[str, Any]]:
    """One row per contender with the median of its runs, and the ratios of Footstream to both."""
    peer, quix = peer_of(shared), _quix_python()
    with kafka_broker() as broker:
        words = ["--bootstrap", broker.bootstrap, "--topic", "raw"]
        json_of([sys.executable, str(peer), "fill", *words, "--messages", str(messages), "--devices", str(DEVICES)])
        contenders: dict[str, Callable[[], dict[str, Any]]] = {
            "bare": lambda: json_of([sys.executable, str(peer), "bare", *words]),
            "quix": lambda: json_of([str(quix), str(peer), "quix", *words]),
            "footstream": lambda: footstream(broker.url),
        }
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
        for turn in range(runs):
            for name, contender in contenders.items():
                found[name].append(contender())
                print(f"lane: run {turn + 1} of {runs}, {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    same_sums(found["bare"], found["footstream"])
    return _rows(found)


def peer_of(shared: Path) -> Path:
    """The comparison program. Raises FileNotFoundError."""
    peer = shared / "tools" / "peer.py"
    if not peer.is_file():
        raise FileNotFoundError(f"{peer}: the comparison program is not there; name its folder with --shared")
    return peer


def _rows(found: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    rates = {name: median(r["messages_per_s"] for r in runs) for name, runs in found.items()}
    rows = [
        {"bench": "lane", "what": name, "messages_per_s": rates[name], "runs": [r["messages_per_s"] for r in runs]}
        for name, runs in found.items()
    ]
    ours = rates["footstream"]
    rows[-1] |= {
        "ratio_to_bare": round(ours / rates["bare"], 3),
        "ratio_to_quix": round(ours / rates["quix"], 2),
        "cpu_s": median(r["cpu_s"] for r in found["footstream"]),
        "rss_mib": median(r["rss_mib"] for r in found["footstream"]),
    }
    return rows


def same_sums(bare: list[dict[str, Any]], ours: list[dict[str, Any]]) -> None:
    """Every message is stored, and the sums are those of the plain loop. Raises AssertionError."""
    wanted = {(r["messages"], r["groups"], r["entries"]) for r in [*bare, *ours]}
    assert len(wanted) == 1, f"messages, groups and entries differ: {sorted(wanted)}"
    assert all(r["observations"] == r["groups"] for r in ours), "each group is one report, so there is an observation for each"


def footstream(
    log: str, flows: str = "traffic", lanes: int = 1, stores: int = DEVICES // 4, devices: int = 4, prefix: str = ""
) -> dict[str, Any]:
    """One run of so many lanes side by side over the whole topic, with everything fresh; what they said, and what the store
    holds then. `devices`: of a store. `prefix`: of the topic's name."""
    with prepared(log, stores, devices, prefix) as (store, environment):
        said = _side_by_side([["run", flows, "--until-end", "--lane", f"{n}/{lanes}"] for n in range(lanes)], environment)
        client = open_store(store.settings)
        sums = client.query("SELECT count() AS groups, sum(people_in) AS entries FROM line_minutes")[0]
        observations = client.query("SELECT count() AS n FROM observations")[0]["n"]
        client.close()
    return {**said, **sums, "observations": observations}


@contextmanager
def prepared(
    log: str, stores: int, devices: int = 4, prefix: str = "", interval_s: int = 60
) -> Iterator[tuple[StoreProcess, dict[str, str]]]:
    """A fresh store with its tables, a registry, a folder for the lanes; and the environment of their commands."""
    with tempfile.TemporaryDirectory(prefix="footstream-bench-") as name:
        folder = Path(name)
        (folder / "sites").mkdir()
        for number in range(stores):
            (folder / "sites" / f"site-{number:05d}.toml").write_text(registry(number, devices, interval_s))
        with StoreProcess(folder / "data", log_url=log, sites=folder / "sites") as store:
            outside = {k: v for k, v in os.environ.items() if not k.startswith("FOOTSTREAM_")}
            # The place of the store is told to the lane, its port to the store: both read the same settings.
            environment = {**outside, **store.settings.environment(), "FOOTSTREAM_TOPIC_PREFIX": prefix}
            subprocess.run([*COMMAND, "migrate"], env=environment, check=True, timeout=60, stdout=subprocess.DEVNULL)
            yield store, environment


def _side_by_side(commands: list[list[str]], environment: Mapping[str, str]) -> dict[str, Any]:
    """What lanes said that ran at the same time, as if it were one: from the first dataflow's start to the last one's end."""

    def one(words: list[str]) -> tuple[dict[str, Any], float]:
        return json_of([*COMMAND, *words], environment), time.monotonic()

    with ThreadPoolExecutor(len(commands)) as threads:
        ended = list(threads.map(one, commands))
    seconds = max(at for _, at in ended) - min(at - said["seconds"] for said, at in ended)
    said = [s for s, _ in ended]
    total = {name: sum(s[name] for s in said) for name in ("messages", "events", "rows", "cpu_s", "rss_mib")}
    if len(said) == 1:
        seconds = said[0]["seconds"]
    return {**total, "seconds": round(seconds, 3), "messages_per_s": round(total["messages"] / seconds)}


def registry(number: int, devices: int = 4, interval_s: int = 60) -> str:
    """One store with its devices, each with two entrance lines, as `fill` numbers them."""
    lines = "".join(f'[[devices.lines]]\nnumber = {line}\nrole = "entrance"\n' for line in (1, 2))
    numbers = range(devices * number, devices * (number + 1))
    named = "".join(f'[[devices]]\nid = "6384E{n:011d}"\ninterval_s = {interval_s}\n{lines}' for n in numbers)
    return f'id = "site-{number:05d}"\nzone = "Europe/Berlin"\n{named}'


def json_of(command: list[str], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The JSON object that a command prints as its last line."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, cwd=_ROOT)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:4])} ended with {done.returncode}: {done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _quix_python() -> Path:
    """Python of the environment with Quix Streams; made when it is not there. It pins other versions than ours."""
    python = _VENV / "bin" / "python"
    ready = _VENV / f".{QUIX}"
    if ready.exists():
        return python
    uv = shutil.which("uv")
    make = [uv, "venv", "-q", "--allow-existing"] if uv else [sys.executable, "-m", "venv"]
    subprocess.run([*make, str(_VENV)], check=True, timeout=120)
    install = [uv, "pip", "install", "-q", "--python", str(python)] if uv else [str(python), "-m", "pip", "install", "-q"]
    subprocess.run([*install, QUIX, "msgspec"], check=True, timeout=600)
    ready.touch()
    return python


if __name__ == "__main__":
    for row in run():
        print(json.dumps(row))
