"""Runs a lane: opens log and store, guards its recovery store, wires the engine, repairs in the background."""

import json
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from connectors.clickhouse import Store, StoreDown
from connectors.log import RAW, TRANSITIONS
from connectors.store_hosts import StoreError
from flows import discovered, ordered
from infra.begin_lane import begin_lane
from infra.engine import Engine
from infra.errors import EXIT_BUG, Problem, problem_of
from infra.gaps import STOP, GapSource
from infra.history import recall
from infra.lane import MOST_RECORDS, Lane, Spread
from infra.lane_metrics import LaneMetrics
from infra.lane_reader import LaneReader
from infra.lanes import BEAT_S, Board, Claim
from infra.logs import open_settings_log
from infra.reader import ReaderProcess
from infra.recompute import repair
from infra.recovery import Recovery
from infra.say import complain, failed
from infra.say import say as spoken
from infra.settings import Settings
from infra.sink import StoreSink
from infra.slots import SiteSlot, StateUnreadable
from infra.stores import open_store
from operators.moment import Context
from schemas.rows import Lines, Sites
from schemas.rows_zones import ZoneNames
from schemas.sites import Registry

TRIES = 3
"""So often a record may make an operator fail before it is put into quarantine and the rest goes on."""
REPAIR_EVERY_S = 10.0


@dataclass(frozen=True)
class LaneSpec:
    """Which lane of how many, and what it runs."""

    flows: tuple[str, ...] = ("all",)
    number: int = 0
    of: int = 1
    until_end: bool = False
    on_gap: str = STOP

    @property
    def name(self) -> str:
        return f"run-{self.number}"


def say(line: str, level: str = "info") -> None:
    """One event of the role's log."""
    spoken("run", line, level)


def check_flows(names: Sequence[str]) -> None:
    for name in names:
        if name != "all" and name not in discovered():
            raise Problem(f"flow {name!r} does not exist; there are: {', '.join(sorted(discovered()))}, or all", 2)


def write_registry(store: Store, registry: Registry, now_ms: int) -> None:
    """The registry as tables, so that analysts can join names and capacities."""
    sites, lines, zones = [], [], []
    for site in registry.sites.values():
        sites.append(
            Sites.row(
                site=site.id,
                site_name=site.name,
                zone=site.zone,
                country=site.country,
                loaded_ms=now_ms,
                capacity_operational=site.capacity_operational,
                capacity_legal=site.capacity_legal,
            )
        )
        for device in site.devices.values():
            for line in device.lines.values():
                lines.append(
                    Lines.row(
                        site=site.id,
                        device=device.id,
                        device_name=device.name or device.id,
                        line=line.number,
                        line_name=line.name or f"Line {line.number}",
                        role=line.role,
                        loaded_ms=now_ms,
                    )
                )
            for zone in device.zones.values():
                zones.append(
                    ZoneNames.row(
                        site=site.id,
                        device=device.id,
                        device_name=device.name or device.id,
                        zone=zone.number,
                        zone_name=zone.name or f"Zone {zone.number}",
                        role=zone.role,
                        capacity=zone.capacity,
                        loaded_ms=now_ms,
                    )
                )
    for table, rows in ((Sites, sites), (Lines, lines), (ZoneNames, zones)):
        if rows:
            store.insert(table, rows)


class Repairer(threading.Thread):
    """Computes again, in the background, what late data asked for. What fails is tried again."""

    def __init__(self, lane: Lane, settings: Settings, registry: Registry, partitions: int, asked: Callable[[], int]) -> None:
        super().__init__(name="repair", daemon=True)
        self.lane, self.settings, self.registry, self.partitions, self.asked = lane, settings, registry, partitions, asked
        self.done = 0

    def run(self) -> None:
        seen = -1
        while not self.lane.stop.wait(REPAIR_EVERY_S):
            asked = self.asked()
            if asked == seen or not self.lane.caught_up:
                continue  # what people look at comes first: live figures before history
            try:
                self.done += repair(open_store(self.settings), self.registry, self.partitions)
                seen = asked
            except Exception as error:
                say(f"repair: {type(error).__name__}: {error}; tried again in {REPAIR_EVERY_S:.0f} s", "warning")


class Beats(threading.Thread):
    """Says every few seconds that the lane lives, and stops it when it may run no longer (`wrong` then says why)."""

    def __init__(self, lane: Lane, claim: Claim, settled: Callable[[], None], settle_s: float) -> None:
        super().__init__(name="beat", daemon=True)
        self.lane, self.claim, self.settled, self.settle_at = lane, claim, settled, time.monotonic() + settle_s
        self.wrong = ""

    def run(self) -> None:
        while not self.lane.stop.wait(BEAT_S):
            with suppress(StoreDown, StoreError):  # the lane itself waits for the store, and says so
                self.wrong = self.claim.beat(self.lane.stored, self.lane.caught_up)
            if time.monotonic() >= self.settle_at:
                self.settled()
            if self.wrong:
                self.lane.stop.set()


def run_lane(settings: Settings, spec: LaneSpec, registry: Registry) -> int:
    """Run until SIGTERM, or to the end of the log; the exit code. Raises Problem, LogError, StoreDown."""
    from schemas.sensors import read

    check_flows(spec.flows)
    log = open_settings_log(settings)
    partitions = log.ensure_topic(RAW, settings.log_partitions, settings.log_retention_days * 86_400)
    log.ensure_topic(TRANSITIONS, settings.log_partitions, settings.log_retention_days * 86_400)
    mine = [p for p in range(partitions) if p % spec.of == spec.number]
    recovery = Recovery(settings.data, spec.flows, spec.number, spec.of)
    store = open_store(settings)
    board = Board(store, recovery.flows)
    claim = Claim(board, recovery.holder, spec.number, spec.of, partitions)
    layout = claim.take(recovery.others())
    write_registry(store, registry, time.time_ns() // 1_000_000)
    lane = Lane()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: lane.stop.set())
    context = Context(alert_horizon_s=settings.alert_horizon_s)
    flows = ordered(spec.flows)
    begin = begin_lane(recovery, board, layout, log, store, registry, flows, context, frozenset(mine))
    metrics = LaneMetrics(lane, log, mine)
    sink = StoreSink(lane, store, log, settings.flush_ms / 1000, spec.name, metrics.counted)
    poison = {at: str(error) for at, (tries, error) in recovery.poison().items() if tries >= TRIES}
    source = GapSource(lane, log, mine, settings.flush_ms / 1000, spec.until_end, time.time, store=store, on_gap=spec.on_gap)
    source.begin = begin.source
    source.open = lambda positions: LaneReader(log, positions, lambda at: ReaderProcess(settings, at, poison, MOST_RECORDS))

    def stopped(error: BaseException) -> NoReturn:
        source.close()
        _failed(error, lane, recovery)

    engine = Engine(
        source=source,
        spread=Spread(lane, registry, read, poison),
        slot=lambda key, saved: SiteSlot(
            key,
            begin.slot(key, saved),
            lane,
            registry,
            flows,
            context,
            lambda want, part, position: recall(store, want, part, position),
        ),
        sink=sink,
        recovery=recovery.state,
        snapshot_s=settings.snapshot_s,
        failed=stopped,
    )
    server = metrics.serve(settings, spec.name)
    if not spec.until_end:
        Repairer(lane, settings, registry, partitions, lambda: sink.repairs_asked).start()
    beats = Beats(lane, claim, begin.settled, 3 * settings.snapshot_s)
    beats.start()
    began, cpu = time.monotonic(), _cpu_s()
    engine.run()
    source.close()
    server.close()
    begin.settled()
    if beats.wrong:
        say(beats.wrong)
    with suppress(StoreDown, StoreError):  # it is also dead when it says nothing any more
        claim.leave(lane.stored)
    if spec.until_end:
        print(json.dumps(_summary(lane, metrics, sink, time.monotonic() - began, _cpu_s() - cpu)), flush=True)
    elif not lane.stop.is_set():
        raise Problem("run: the dataflow ended although nobody asked for it; start it again and look at the lines above", 3)
    log.close()
    return 0


def _cpu_s() -> float:
    """Of this process and of those that it ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _summary(lane: Lane, metrics: LaneMetrics, sink: StoreSink, seconds: float, cpu: float) -> dict[str, Any]:
    return {
        "messages": lane.received,
        "events": metrics.events,
        "rows": sink.rows_written,
        "seconds": round(seconds, 3),
        "messages_per_s": round(lane.received / seconds) if seconds else 0,
        "cpu_s": round(cpu, 3),
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _failed(error: BaseException, lane: Lane, recovery: Recovery) -> NoReturn:
    """End the process. A record that makes an operator fail is tried again from the last snapshot, at last quarantined."""
    if os.environ.get("FOOTSTREAM_TRACEBACK"):
        traceback.print_exception(error)
    if isinstance(error, StateUnreadable):
        recovery.cannot_read(str(error))
        say(f"{error}; starting again without it")
        os.execv(sys.executable, [sys.executable, "-m", "infra", *sys.argv[1:]])
    problem = problem_of(error)
    if problem is not None or lane.handling is None:
        what = problem or f"{type(error).__name__}: {error}; this is a bug, FOOTSTREAM_TRACEBACK=1 shows where"
        if problem is not None or not failed(error):
            complain(str(what))
        os._exit(problem.code if problem else EXIT_BUG)
    partition, position = lane.handling
    why = f"{type(error).__name__}: {error}"[:300]
    tries = recovery.failed(lane.handling, why)
    then = "it goes to quarantine" if tries >= TRIES else "it is tried again"
    say(f"record {position} of partition {partition}: {why}; try {tries} of {TRIES}, {then}", "warning")
    os.execv(sys.executable, [sys.executable, "-m", "infra", *sys.argv[1:]])
