"""What repair computes again from observations is what the lane wrote, to the revision: heat and paths of random days."""

import random
from typing import Any

import pytest

from flows import discovered
from infra.recompute import _played
from operators.ingest import Accepted, Arrival, Ingest
from schemas.rows import TABLES
from schemas.sensors import read
from schemas.sites import Device, Site, Zone
from tests.support.play import message, newest, play

BEGIN = 1_785_492_000
SHOP = Site("shop", "Shop", "Europe/Oslo", devices={"cam1": Device("cam1", "Camera", zones={3: Zone(3, "Till", "checkout")})})
END = BEGIN + 40 * 3600


def messages(rng: random.Random) -> list[tuple[int, bytes]]:
    """Stays of up to an hour and a half, flow matrices, heat, people present; all told within five minutes, copies among
    them."""
    told = []
    for _ in range(250):
        start = BEGIN + rng.randrange(20 * 3600)
        end = start + rng.randint(1, rng.choice([60, 900, 5400]))
        kind = rng.choice(["stay", "stay", "stay", "heat", "zone_count", "flow_matrix"])
        event: dict[str, Any] = {"type": kind, "start": start, "end": end, "zone": rng.randint(1, 4)}
        if kind == "stay":
            event["track"] = rng.randint(1, 30)
        elif kind == "heat":
            event["cells"] = [[rng.randrange(3), rng.randrange(2), rng.randrange(9)] for _ in range(3)]
        elif kind == "zone_count":
            event["present"] = rng.randrange(9)
        else:
            event = {"type": kind, "start": start, "end": end, "cells": {"A-B": rng.randrange(9), "B-A": 1}}
        at = (end + rng.randrange(300)) * 1000
        told.append((at, message("cam1", event)))
        if rng.random() < 0.1:
            told.append((at + rng.randrange(100_000), told[-1][1]))
    return sorted(told)


def accepted(told: list[tuple[int, bytes]]) -> list[Accepted]:
    ingest, found = Ingest(SHOP), list[Accepted]()
    for position, (at, payload) in enumerate(told):
        for report in read(payload):  # type: ignore[union-attr]  # footstream/v1 is never plain
            found += ingest.take(Arrival(0, position, at, report), SHOP.entry("cam1"), at // 1000, 1)
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["heat", "paths"])
def test_computing_a_day_again_gives_what_the_lane_wrote(name: str, seed: int) -> None:
    told = messages(random.Random(seed))
    lane = play(SHOP, [name], told, until=END)
    flow = discovered()[name]
    lane_rows = {t.name: newest(lane, t.name) for t in flow.tables if t.revised}
    lane.rows = {t: list(rows) for t, rows in _played(flow, SHOP, accepted(told), END, 0).items()}
    for table, rows in lane_rows.items():
        assert rows, f"seed {seed}: nothing in {table}"
        assert newest(lane, table) == rows, f"seed {seed}: {table}"
        assert TABLES[table].revised
