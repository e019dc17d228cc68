"""The short way of plain reports says what the long way says, whatever comes, in whatever order."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows import ordered
from infra.chain import Chain
from operators.memory import place_of
from operators.moment import Context, Output
from schemas.events import Plain, event_id
from schemas.forms import whole_rows
from schemas.sites import Device, Line, Site

NOON = 1_785_240_000
"""2026-07-28 12:00 UTC."""
_DOOR = Device("a", "Door", lines={1: Line(1, "In", "entrance"), 2: Line(2, "Back", "entrance", swap=True)})
_OTHERS = (
    Device("b", "Trusted", lines={1: Line(1, "In", "entrance")}, clock="device", swap=True),
    Device(
        "c",
        "By trigger",
        lines={1: Line(1, "In", "checkout"), 2: Line(2, "Out", "entrance", counting="trigger")},
        interval_s=300,
    ),
    Device("d", "No clock", lines={1: Line(1, "In", "entrance")}, clock="arrival"),
)
SITE = Site("shop", "Shop", "Europe/Berlin", capacity_operational=20, devices={d.id: d for d in (_DOOR, *_OTHERS)})


class Sent(NamedTuple):
    """A plain report, its arrival (epoch ms), and what happens before it: nothing, a flush, a stop and a start."""

    plain: Plain
    arrival: int
    before: str


@st.composite
def histories(draw: st.DrawFn) -> list[Sent]:
    """Mostly in order; now and then late, again, other values, crossing windows, a clock that is wrong or stands still."""
    sent: list[Sent] = []
    clock = NOON
    for _ in range(draw(st.integers(1, 40))):
        clock += draw(st.sampled_from([0, 1, 20, 60, 60, 60, 300, 4000, 100_000]))
        before = draw(st.sampled_from(["", "", "", "flush", "restart"]))
        if sent and draw(st.integers(0, 4)) == 0:
            sent.append(Sent(draw(st.sampled_from(sent)).plain, clock * 1000, before))
            continue
        length = draw(st.sampled_from([60, 60, 60, 120, 1800, 45]))
        off = draw(st.sampled_from([0, 0, 0, 0, 30, 60, 600, 2000, 90_000, -400, -100, 40 * 86_400]))
        end = clock - off if draw(st.booleans()) else (clock - off) // 60 * 60
        counts = st.tuples(st.integers(0, 9), st.integers(0, 9))
        lines = draw(st.sampled_from([(1,), (1, 2), (1, 2), (2,), (1, 7)]))
        said = tuple(number for _ in lines for number in draw(counts))
        device = draw(st.sampled_from(["a", "a", "a", "b", "c", "d", "unknown"]))
        running = draw(st.sampled_from([None, clock - NOON, clock - NOON, 5]))
        text = draw(st.sampled_from([f"{end - length}|{end}"] * 5 + ["stuck"]))
        plain = Plain(
            device, "vs13x", text, end - length, end, lines, said, None, draw(st.sampled_from([None, "Name"])), "1.2", running
        )
        sent.append(Sent(plain, clock * 1000 + draw(st.integers(0, 999)), before))
    return sent


UNCAPPED = msgspec.structs.replace(SITE, capacity_operational=None)
"""Where nobody looks at the estimate after each report, all flows take runs."""


def play(flows: Sequence[str], history: Sequence[Sent], short: bool) -> tuple[dict[str, list[Any]], list[Any]]:
    """All rows ever written, sorted, and all transitions; the short way or the long one."""
    found, out = ordered(flows), Output({}, [])
    chain = Chain(SITE, found, None, Context())
    for position, (plain, arrival, before) in enumerate(history):
        if before == "flush":
            chain.flush(position % 2 == 0, out)
        elif before == "restart":
            chain = Chain(SITE, found, chain.state(), Context())
        came = msgspec.structs.replace(plain, site=SITE.id, arrival=arrival, place=place_of(3, position), stamp=position)
        if not short or not chain.handle_plains([came], 0, position - 2, out):
            chain.handle_plain(came, position - 2, out)
    chain.flush(True, out)
    return {table: sorted(rows, key=repr) for table, rows in whole_rows(out.rows).items() if rows}, out.transitions


@pytest.mark.parametrize("flows", [["ingest"], ["traffic"], ["queues"], ["alerts"]], ids=lambda f: f[0])
@settings(max_examples=80)
@given(history=histories())
def test_the_short_way_writes_what_the_long_way_writes(flows: list[str], history: list[Sent]) -> None:
    assert play(flows, history, short=True) == play(flows, history, short=False)


def play_runs(site: Site, history: Sequence[Sent], most: int) -> tuple[dict[str, list[Any]], list[Any], bytes]:
    """All rows of all flows, all transitions and the state; at most so many reports handed over at once."""
    found, out = ordered(["all"]), Output({}, [])
    chain, at, stamped = Chain(site, found, None, Context()), 0, []
    for position, (plain, arrival, _) in enumerate(history):
        stamped.append(
            msgspec.structs.replace(plain, site=site.id, arrival=arrival, place=place_of(3, position), stamp=position)
        )
    while at < len(history):
        if history[at].before == "flush":
            chain.flush(at % 2 == 0, out)
        elif history[at].before == "restart":
            chain = Chain(site, found, chain.state(), Context())
        end = next((n for n in range(at + 1, len(history)) if history[n].before), len(history))
        while at < end:
            went = chain.handle_plains(stamped[: min(end, at + most)], at, 0, out) if most else at
            if went == at:
                chain.handle_plain(stamped[at], 0, out)
                went = at + 1
            at = went
    chain.flush(True, out)
    rows = {table: sorted(rows, key=repr) for table, rows in whole_rows(out.rows).items() if rows}
    return rows, out.transitions, chain.state()


@pytest.mark.parametrize("site", [SITE, UNCAPPED], ids=["with a capacity", "without"])
@settings(max_examples=10)
@given(history=histories())
def test_runs_of_reports_write_what_one_after_the_other_writes(site: Site, history: list[Sent]) -> None:
    rows, transitions, _ = play_runs(site, history, 1000)
    assert (rows, transitions) == play_runs(site, history, 0)[:2]


def test_all_flows_take_reports_in_runs_where_nobody_set_a_capacity() -> None:
    doors = {name: msgspec.structs.replace(_DOOR, id=name) for name in ("e", "f", "g", "h")}
    site = msgspec.structs.replace(UNCAPPED, devices=doors)
    chain, out = Chain(site, ordered(["all"]), None, Context()), Output({}, [])
    work = [
        Plain(name, "vs13x", str(at), at, at + 60, (1, 2), (3, 0, 0, 1), arrival=1000 * (at + 61), place=at, stamp=n)
        for n, at in enumerate((NOON, NOON + 60, NOON + 120))
        for name in doors
    ]
    for plain in work[:8]:  # each sensor is known and heard, each flow knows when to begin
        chain.handle_plain(plain, 0, out)
    assert chain._take_plains(work, 8, 0, out) == len(work)


@given(history=histories())
def test_the_ids_of_a_plain_report_are_those_of_its_events(history: list[Sent]) -> None:
    for plain, _, _ in history:
        report = plain.report()
        assert plain.ids() == [event_id(report, event, index) for index, event in enumerate(report.events)]


def test_reports_in_order_take_the_short_way() -> None:
    chain, out = Chain(SITE, ordered(["ingest"]), None, Context()), Output({}, [])
    work = []
    for n in range(200):
        start = NOON + 60 * n
        work.append(
            Plain(
                "a", "vs13x", str(n), start, start + 60, (1, 2), (n % 5, 0, 0, 1), arrival=1000 * (start + 60), place=n, stamp=n
            )
        )  # fmt: skip
    assert chain.handle_plains(work, 0, 200, out) == 0, "the first makes its device known"
    chain.handle_plain(work[0], 0, out)
    assert chain.handle_plains(work, 1, 200, out) == len(work)
    memory = chain.ingest.ingest.devices["a"]
    assert len(memory.fresh) < 100, "what is older than the horizon is forgotten"
    assert memory.line(2).covered[NOON // 86_400].bit_count() == 200
