"""What every flow in `flows/` is held to: its SAMPLE gives its EXPECTED, however the log is cut.

A flow's file holds SAMPLE, a list of (arrival as ISO time, payload), and EXPECTED, which says for every table that the flow
writes the newest rows in order of their keys, with the columns worth looking at (times as ISO text, UTC). The samples play in
one store: open all day, zone UTC, 100 people, one entrance, which reports every minute and sees the zones 2 (a shelf, ten
people), 3 (a queue, six people) and 4 (its till). It may keep people by class.
"""

import random
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest

from flows import discovered, ordered
from infra.chain import Chain
from operators.ingest import Arrival
from operators.memory import place_of
from operators.moment import Context, Output
from schemas.events import Plain
from schemas.forms import whole_rows
from schemas.rows import TABLES
from schemas.sensors import read
from schemas.sites import Device, Line, Site, Zone

DEVICE = "6537f28778010000"
ZONES = {
    2: Zone(2, "Shelf", capacity=10),
    3: Zone(3, "Queue", "checkout", capacity=6),
    4: Zone(4, "Till", "service"),
}
SITE = Site(
    id="shop",
    name="Shop",
    zone="UTC",
    capacity_operational=100,
    demographics=True,
    devices={DEVICE: Device(id=DEVICE, name="Door", lines={1: Line(1, "Door", "entrance")}, zones=ZONES)},
)
FLOWS = sorted(discovered())
SEEDS = range(20)

Record = tuple[str, bytes]
Tables = dict[str, list[dict[str, Any]]]


def sample(name: str) -> list[Record]:
    found: list[Record] = import_module(f"flows.{name}").SAMPLE
    return found


def expected(name: str) -> Tables:
    found: Tables = import_module(f"flows.{name}").EXPECTED
    return found


def ms(iso: str) -> int:
    return round(datetime.fromisoformat(iso).timestamp() * 1000)


def run(name: str, cuts: random.Random | None = None) -> Output:
    """Everything that a store's chain writes for the flow's sample. `cuts`: flush, tick and restart at random moments."""
    flows, out = ordered([name]), Output({}, [])
    chain = Chain(SITE, flows, None, Context())
    for position, (iso, payload) in enumerate(sample(name)):
        if cuts is not None:
            chain = disturb(chain, ms(iso) // 1000, cuts, out, name)
        said = read(payload)
        if isinstance(said, Plain):
            said.site, said.arrival, said.place, said.stamp = SITE.id, ms(iso), place_of(0, position), 1
            if not chain.handle_plains([said], 0, 0, out):
                chain.handle_plain(said, 0, out)
        else:
            chain.handle([Arrival(0, position, ms(iso), r) for r in said], SITE.devices[DEVICE], payload, 1, 0, out)
    chain.flush(True, out)
    return out


def disturb(chain: Chain, until: int, cuts: random.Random, out: Output, name: str) -> Chain:
    """What may happen between two records: ticks at any time up to the next record's, flushes, a stop and a start."""
    if chain.now and cuts.random() < 0.5:
        chain.advance(cuts.randint(chain.now, until), out)
    if cuts.random() < 0.5:
        chain.flush(cuts.random() < 0.5, out)
    if cuts.random() < 0.5:
        chain = Chain(SITE, ordered([name]), chain.state(), Context())
    return chain


def newest(out: Output) -> Tables:
    """The newest rows of all tables, as the store's views show them, in order of their keys."""
    found: Tables = {}
    for table, rows in whole_rows(out.rows).items():
        shape, by_key = TABLES[table], dict[tuple[Any, ...], dict[str, Any]]()
        for row in rows:
            named = dict(zip(shape.columns, row, strict=True))
            key = tuple(named[k] for k in shape.key)
            rank = [named.get("revision", 0), named[shape.version] if shape.version else 0]
            before = by_key.get(key)
            if before is None or rank >= [before.get("revision", 0), before[shape.version] if shape.version else 0]:
                by_key[key] = named
        found[table] = [by_key[key] for key in sorted(by_key)]
    return {table: rows for table, rows in found.items() if rows}


def shown(table: str, row: dict[str, Any], columns: dict[str, Any]) -> dict[str, Any]:
    """Those columns of a row, times as ISO text."""
    of = TABLES[table].columns
    return {c: _iso(row[c]) if of[c].type.startswith("DateTime") else row[c] for c in columns}


def _iso(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize("name", FLOWS)
def test_every_flow_says_what_it_expects_in_each_of_its_tables(name: str) -> None:
    assert sample(name), "SAMPLE is empty"
    missing = {t.name for t in discovered()[name].tables} - expected(name).keys()
    assert not missing, f"flows/{name}.py: EXPECTED says nothing of {', '.join(sorted(missing))}"
    assert any(expected(name).values()), "EXPECTED has no row"


@pytest.mark.parametrize("name", FLOWS)
def test_the_sample_gives_what_is_expected(name: str) -> None:
    rows = newest(run(name))
    for table, wanted in expected(name).items():
        there = rows.get(table, [])
        assert [shown(table, row, columns) for row, columns in zip(there, wanted, strict=False)] == wanted, table
        assert len(there) == len(wanted), f"{table}: {there[len(wanted) :]}"


@pytest.mark.parametrize("name", FLOWS)
def test_neither_flushes_nor_ticks_nor_restarts_change_the_newest_rows(name: str) -> None:
    whole = run(name)
    for seed in SEEDS:
        cut = run(name, random.Random(seed))
        assert newest(cut) == newest(whole), f"seed {seed}"
        assert cut.transitions == whole.transitions, f"seed {seed}"


@pytest.mark.parametrize("name", FLOWS)
def test_what_is_declared_is_what_is_written(name: str) -> None:
    declared = {t.name for flow in ordered([name]) for t in flow.tables}
    assert {table for table, rows in whole_rows(run(name).rows).items() if rows} <= declared
