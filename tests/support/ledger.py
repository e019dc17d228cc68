"""Ledgers of raw records with faults that must not matter, systems to run them through, and what two systems disagree in."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from connectors.log import RAW, NewRecord, open_log
from infra.balance import Store as Reader
from infra.balance import line_differences, site_differences, zone_differences
from infra.migrate import migrate
from infra.settings import Settings
from infra.simulate import record
from infra.stores import open_store, writer_password
from operators.simulator import Chain, Sent, Window, chain
from operators.simulator.stream import Faults
from schemas.rows import TABLES
from tests.support.store import StoreProcess

MIDDAY = 1_772_000_000
"""2026-02-25 06:13 UTC: the three stores of the chain, from Singapore to Sydney, are open."""
DAY_LATE_S = 86_400
TWENTY_YEARS = 20 * 365
PROVENANCE = ("topic", "partition_no", "position")
FIGURES = ("line_minutes", "site_minutes", "line_buckets", "site_buckets", "occupancy")
_number = count(1)


class Ledger(NamedTuple):
    """Records in the order of arrival, the chain that said them, and the windows that the tables must hold because of them."""

    chain: Chain
    sent: list[Sent]

    @property
    def records(self) -> list[NewRecord]:
        return [record(s) for s in self.sent]

    @property
    def windows(self) -> list[Window]:
        return [w for s in self.sent for w in s.windows]

    def shuffled(self, seed: int) -> list[NewRecord]:
        """The same records in another order; each keeps its arrival."""
        records = self.records
        Random(seed).shuffle(records)
        return records

    def outcomes(self) -> dict[str, int]:
        said = [s.expect for s in self.sent]
        return {word: said.count(word) for word in ("stored", "duplicate", "quarantined")}


def stores(start: int, seed: int, faults: Faults) -> Chain:
    """Three stores of neighbouring zones that report each minute from `start` on."""
    picked = chain(3, seed, MIDDAY)
    return Chain(seed, start, start, picked.shops.values(), picked.sensors, faults=faults)


def ledger(start: int, hours: float, seed: int) -> Ledger:
    """Within one day from reset to reset of all stores, and what arrives up to a day later: copies, disorder, late, garbage.

    One sensor is silent for 25 minutes, so that there is an alert.
    """
    faults = Faults(doubled=0.06, late=0.03, late_s=6 * 3600, disorder=0.15, garbage_s=17)
    shops, rng = stores(start, seed, faults), Random(seed)
    quiet = next(s.entry.id for s in shops.sensors[shops.sites[0].id] if s.dialect == "vs125")
    low, high = start + 1800, start + 1800 + 1500
    kept = [s for s in shops.messages(start + hours * 3600) if not (s.device == quiet and low <= s.at < high)]
    kept = [s._replace(at=s.at + DAY_LATE_S) if s.expect == "stored" and rng.random() < 0.01 else s for s in kept]
    return Ledger(shops, sorted(_first_is_stored(kept), key=lambda s: (s.at, s.device)))


def _first_is_stored(sent: Iterable[Sent]) -> Iterator[Sent]:
    """Of the copies of a message the first to arrive says something new, the others are duplicates."""
    first: dict[tuple[str, bytes], Sent] = {}
    ordered = sorted(sent, key=lambda s: (s.at, s.device))
    meant = {(s.device, s.payload): s for s in ordered if s.expect == "stored"}
    for s in ordered:
        said = (s.device, s.payload)
        if not s.device or said not in meant:
            if s.device == "" or s.expect == "quarantined":
                yield s
        elif said in first:
            yield s._replace(expect="duplicate", windows=(), levels=(), stays=())
        else:
            first[said] = s
            yield s._replace(expect="stored", windows=meant[said].windows, levels=meant[said].levels, stays=meant[said].stays)


class System:
    """A log and a store of their own with everything that runs over them, as processes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        migrate(settings)
        self.store = open_store(settings)

    def command(self, *words: str, code: int = 0) -> str:
        """Run one of our commands to its end; what it printed."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FOOTSTREAM_")}
        done = subprocess.run(
            [sys.executable, "-m", "infra", *words],
            env={**kept, **self.settings.environment()},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == code, f"footstream {' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def append(self, records: Sequence[NewRecord]) -> None:
        log = open_log(self.settings.log(), self.settings.topic_prefix)
        log.ensure_topic(RAW, self.settings.log_partitions, TWENTY_YEARS * 86_400)
        writer = log.writer()
        for i in range(0, len(records), 2000):
            writer.append_many(RAW, records[i : i + 2000])
        writer.close()
        log.close()

    def take(self, records: Sequence[NewRecord]) -> dict[str, Any]:
        """Append, run to the end of the log, repair; what the run said."""
        self.append(records)
        said = json.loads(self.command("run", "all", "--until-end").splitlines()[-1])
        self.command("repair")
        return dict(said)

    def table(self, name: str, without: Sequence[str] = ()) -> dict[tuple[Any, ...], dict[str, Any]]:
        """Rows of a plain view by their key, without some columns."""
        shape = TABLES[name]
        names = [c for c in shape.columns if c not in without]
        found = self.store.columns(f"SELECT {', '.join(f't.{n} AS {n}' for n in names)} FROM {name} AS t")
        rows = (dict(zip(names, row, strict=True)) for row in zip(*(found[n] for n in names), strict=True))
        return {tuple(row[k] for k in shape.key): row for row in rows}

    def rows(self, name: str) -> int:
        return int(self.store.query(f"SELECT count() AS n FROM {name}")[0]["n"])

    def balance(self, book: Ledger) -> list[str]:
        """What the ledger and the tables disagree in, by the demo's own comparison."""
        s = self.settings
        reader = Reader(s.store(), s.store_database, s.store_user, writer_password(s))
        levels, stays = ([x for s in book.sent for x in getattr(s, name)] for name in ("levels", "stays"))
        found = line_differences(reader, book.windows) + site_differences(reader, book.chain, book.windows)
        return found + zone_differences(reader, levels, stays)

    def close(self) -> None:
        self.store.close()


@contextmanager
def bare_system(base: StoreProcess, folder: Path, sites: Mapping[str, str], log_url: str = "") -> Iterator[System]:
    """A fresh system: an own database and recovery folder, an own log (SQLite, or a prefix of Kafka). `sites`: TOML by name."""
    number = next(_number)
    own = folder / f"system-{number}"
    (own / "sites").mkdir(parents=True)
    for name, text in sites.items():
        (own / "sites" / name).write_text(text)
    settings = replace(
        base.settings,
        data=own,
        sites=own / "sites",
        log_url=log_url or f"sqlite:///{own / 'log'}",
        topic_prefix=f"ledger{os.getpid()}x{number}.",
        store_url=base.url,
        store_database=f"ledger_{os.getpid()}_{number}",
        store_password=writer_password(base.settings),
        log_retention_days=TWENTY_YEARS,
        keep_days="all=0",
    )
    made = System(settings)
    try:
        yield made
    finally:
        made.close()
        admin = open_store(replace(settings, store_database="default"))
        admin.command(f"DROP DATABASE {settings.store_database} SYNC")
        admin.close()


def system(base: StoreProcess, folder: Path, book: Ledger, log_url: str = "") -> AbstractContextManager[System]:
    """A fresh system with the stores of a ledger."""
    return bare_system(base, folder, book.chain.registry_toml(), log_url)


Table = dict[tuple[Any, ...], dict[str, Any]]


def differences(name: str, a: Table, b: Table, most: int = 5) -> list[str]:
    """Keys that two tables disagree in, with the columns that differ. Estimates may differ in the last bits only."""
    out = []
    for key in sorted(a.keys() | b.keys(), key=str):
        if key not in a or key not in b:
            out.append(f"{name} {key}: only in the {'first' if key in a else 'second'}: {a.get(key) or b.get(key)}")
        elif wrong := {n: (v, b[key][n]) for n, v in a[key].items() if not _same(v, b[key][n])}:
            out.append(f"{name} {key}: {wrong}")
    return [*out[:most], f"{name}: {len(out)} keys differ"] if out else []


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= 1e-9 * max(1.0, abs(a))
    return bool(a == b)
