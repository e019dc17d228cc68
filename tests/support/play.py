"""Payloads through the flows of one store, without log, lane or store: rows as the store's views would show them."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from flows import ordered
from infra.chain import Chain
from operators.ingest import Arrival
from operators.memory import place_of
from operators.moment import Context, Output
from schemas.events import Plain
from schemas.forms import whole_rows
from schemas.rows import TABLES
from schemas.sensors import read
from schemas.sites import Site
from schemas.tables import Table

Row = dict[str, Any]


def message(device: str, *events: dict[str, Any]) -> bytes:
    """Events as a footstream/v1 message."""
    return json.dumps({"format": "footstream/v1", "device": device, "events": events}).encode()


def play(site: Site, flows: Sequence[str], records: Iterable[tuple[int, bytes]], until: int = 0) -> Output:
    """Everything that the flows write for records (arrival in epoch ms, payload), with a tick at `until` (epoch s)."""
    chain, out = Chain(site, ordered(flows), None, Context()), Output({}, [])
    for position, (arrival, payload) in enumerate(records):
        said = read(payload)
        if isinstance(said, Plain):
            said.site, said.arrival, said.place, said.stamp = site.id, arrival, place_of(0, position), 1
            if not chain.handle_plains([said], 0, 0, out):
                chain.handle_plain(said, 0, out)
        else:
            entry = site.entry(said[0].device)
            chain.handle([Arrival(0, position, arrival, report) for report in said], entry, payload, 1, 0, out)
    if until:
        chain.advance(until, out)
    chain.flush(True, out)
    return out


def newest(out: Output, table: str) -> list[Row]:
    """The newest row of each key of a table, in order of the keys."""
    shape, found = TABLES[table], dict[tuple[Any, ...], Row]()
    for row in whole_rows(out.rows).get(table, []):
        named = dict(zip(shape.columns, row, strict=True))
        key = tuple(named[k] for k in shape.key)
        before = found.get(key)
        if before is None or _rank(shape, named) >= _rank(shape, before):
            found[key] = named
    return [found[key] for key in sorted(found)]


def _rank(shape: type[Table], row: Row) -> tuple[Any, ...]:
    return (row.get("revision", 0), row[shape.version] if shape.version else 0)
