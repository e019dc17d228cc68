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
from collections.abc import Callable, Mapping
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
LIMIT_S = 300


def run(shared: Path = _ROOT.parent / "shared", messages: int = MESSAGES, runs: int = RUNS) -> list[dict[str, Any]]:
    """One row per contender with the median of its runs, and the ratios of Footstream to both."""
    peer = shared / "tools" / "peer.py"
    if not peer.is_file():
        raise FileNotFoundError(f"{peer}: the comparison program is not there; name its folder with --shared")
    quix = _quix_python()
    with kafka_broker() as broker:
        words = ["--bootstrap", broker.bootstrap, "--topic", "raw"]
        _json([sys.executable, str(peer), "fill", *words, "--messages", str(messages), "--devices", str(DEVICES)])
        contenders: dict[str, Callable[[], dict[str, Any]]] = {
            "bare": lambda: _json([sys.executable, str(peer), "bare", *words]),
            "quix": lambda: _json([str(quix), str(peer), "quix", *words]),
            "footstream": lambda: footstream(broker.url),
        }
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
        for turn in range(runs):
            for name, contender in contenders.items():
                found[name].append(contender())
                print(f"lane: run {turn + 1} of {runs}, {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    _same_sums(found["bare"], found["footstream"])
    return _rows(found)


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


def _same_sums(bare: list[dict[str, Any]], ours: list[dict[str, Any]]) -> None:
    """Every message is stored, and the sums are those of the plain loop. Raises AssertionError."""
    wanted = {(r["messages"], r["groups"], r["entries"]) for r in [*bare, *ours]}
    assert len(wanted) == 1, f"messages, groups and entries differ: {sorted(wanted)}"
    assert all(r["observations"] == r["groups"] for r in ours), "each group is one report, so there is an observation for each"


def footstream(log: str) -> dict[str, Any]:
    """One run of a lane over the whole topic, with everything fresh; what it said and what the store holds then."""
    with tempfile.TemporaryDirectory(prefix="footstream-bench-") as name:
        folder = Path(name)
        (folder / "sites").mkdir()
        for number in range(DEVICES // 4):
            (folder / "sites" / f"site-{number:05d}.toml").write_text(registry(number))
        with StoreProcess(folder / "data", log_url=log, sites=folder / "sites") as store:
            outside = {k: v for k, v in os.environ.items() if not k.startswith("FOOTSTREAM_")}
            # The place of the store is told to the lane, its port to the store: both read the same settings.
            settings = {**store.settings.environment(), "FOOTSTREAM_TOPIC_PREFIX": ""}
            environment = {**outside, **settings}
            command = [sys.executable, "-m", "infra"]
            subprocess.run([*command, "migrate"], env=environment, check=True, timeout=60, stdout=subprocess.DEVNULL)
            said = _json([*command, "run", "traffic", "--until-end"], environment)
            client = open_store(store.settings)
            sums = client.query("SELECT count() AS groups, sum(people_in) AS entries FROM line_minutes")[0]
            observations = client.query("SELECT count() AS n FROM observations")[0]["n"]
            client.close()
    return {**said, **sums, "observations": observations}


def registry(number: int) -> str:
    """One store of four devices, each with two entrance lines, as `fill` numbers them."""
    lines = "".join(f'[[devices.lines]]\nnumber = {line}\nrole = "entrance"\n' for line in (1, 2))
    devices = "".join(f'[[devices]]\nid = "6384E{4 * number + n:011d}"\ninterval_s = 60\n{lines}' for n in range(4))
    return f'id = "site-{number:05d}"\nzone = "Europe/Berlin"\n{devices}'


def _json(command: list[str], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
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
