"""The state of a lane from the store, where its recovery folder is lost or stands for another layout.

For each store the observations since a reset are played once more to its flows, in the order of the log and with the timers
that fell due, and nothing of what comes out is written: it was written before. What is older than that reset is handed to the
flows as a summary (`operators/past.py`): frozen factors, quarters, transitions. What is still open at the end is then written
again, with the same values and revisions, because the lost lane may not have come to it.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast
from zlib import crc32

import msgspec

from connectors.clickhouse import Store
from connectors.log import RAW, partition_of
from flows.ingest import IngestFlow
from infra.alert_store import transitions_of
from infra.chain import Chain
from infra.history import COUNTS, judged_one, recall
from infra.lane import SLOTS
from infra.lanes import Stored
from infra.past_hours import hours_before
from infra.recompute import checked, factors_at, within, write
from operators.calendar import civil_day, day_bounds, reset_before
from operators.ingest import Accepted, Arrival, horizon_of
from operators.memory import DAY, DeviceMemory, LineMemory
from operators.moment import FOREVER, Context, Flow, Moment, Output, SiteFlow
from operators.past import Past
from schemas.alerts import Transition
from schemas.events import Report
from schemas.forms import whole_rows
from schemas.sites import Device, Registry, Site

AT_ONCE = 25
"""Stores that are asked about together."""
QUIET_DAYS = 40
"""A store that has said nothing for longer begins anew: the days of its sensors' memories are looked up anyway."""
LEARN_DAYS = 366
"""So much of the past is taught to the anomaly model again; it forgets in weeks."""
MEMORY_DAYS = 3
"""UTC days whose observations are remembered at once, so that ids of sensors without a clock are there; older are looked up."""
QUARTER, COVERED = 900, 0.8
KEPT_ROWS = 50_000


def slot_key(partition: int, site: str) -> str:
    """Key of the slot that holds a store's chain."""
    return f"{partition:05d}.{crc32(site.encode()) % SLOTS}"


class Where(NamedTuple):
    """Which stores a lane has, and up to where. `stored`: positions and log times of its partitions; `begins`: by partition
    where the records of this layout begin, older ones stand where another number of partitions put them."""

    partitions: int
    mine: frozenset[int]
    stored: Stored
    begins: Mapping[int, int]

    def chain_of(self, site: str, partition: int, position: int) -> int | None:
        """The partition in whose slots a record's chain lives now; None when it is not this lane's or not yet stored."""
        if position < self.begins.get(partition, 0) or partition >= self.partitions:
            home = partition_of(site, self.partitions)
            return home if home in self.mine else None
        return partition if partition in self.mine and position < self.stored.get(partition, (0, 0))[0] else None


class Said(NamedTuple):
    """One record as the store knows it. `rows`: its observations, none for a copy or for what was refused."""

    partition: int
    position: int
    arrival: int
    device: str
    rows: list[dict[str, Any]]


class Rebuilt(NamedTuple):
    """Slots by key as a snapshot would hold them, and what was done."""

    slots: dict[str, dict[str, tuple[int, bytes]]]
    sites: int
    records: int
    rows: int


class _Played(IngestFlow):
    """The ingest of a chain that is played: it hands on what was accepted then."""

    accepted: Sequence[Accepted] = ()

    def accept(self, arrivals: list[Arrival], entry: Device, m: Moment, stamp: int, durable: int, payload: bytes) -> None:
        for one in self.accepted:
            one.late = one.end <= m.now - self.ingest.horizon
        m.accepted = list(self.accepted)


def _build_played(site: Site, state: bytes | None, upstream: Mapping[str, SiteFlow], context: Context) -> SiteFlow:
    return _Played(site, state)


def rebuild_state(
    store: Store,
    registry: Registry,
    flows: Sequence[Flow],
    context: Context,
    where: Where,
    only: set[str] | None = None,
    each: Callable[[int, int], None] = lambda done, of: None,
) -> Rebuilt:
    """State of all stores of a lane, or of those in `only`. `each` hears how many of how many stores are done."""
    newest = max((ms for _, ms in where.stored.values()), default=0) // 1000
    homes = _sites(store, where, newest)
    todo = sorted(s for s in homes if only is None or s in only)
    played = [msgspec.structs.replace(f, build=_build_played) if f.name == "ingest" else f for f in flows]
    made = Rebuilt({}, len(todo), 0, 0)
    kept: dict[str, list[tuple[Any, ...]]] = {}
    records = rows = 0
    for at in range(0, len(todo), AT_ONCE):
        few = {registry.site(s).id: registry.site(s) for s in todo[at : at + AT_ONCE]}
        look = _Look(store, few, {s: homes[s] for s in few}, where, newest)
        for site in few.values():
            for partition, said in look.chains(site).items():
                chain = _play(site, played, context, registry, look.past(site), said)
                look.remember(site, partition, chain, said)
                told = newest_of(t for t in look.told(site) if t.decided_ms <= chain.now * 1000)
                for flow in chain.built.values():
                    if hasattr(flow, "agree"):
                        flow.agree(told)
                chain.due = chain._due()
                for table, found in _open_rows(chain, look.begins[site.id]).items():
                    kept.setdefault(table, []).extend(found)
                wants = chain.flush_due()
                state = min(wants, chain.due), chain.state()
                made.slots.setdefault(slot_key(partition, site.id), {})[site.id] = state
                records += len(said)
        if sum(map(len, kept.values())) >= KEPT_ROWS:
            rows, kept = rows + write(store, kept), {}
        each(min(at + AT_ONCE, len(todo)), len(todo))
    rows += write(store, kept)
    return made._replace(records=records, rows=rows)


def _sites(store: Store, where: Where, newest: int) -> dict[str, int]:
    """Stores that said something lately -> time of their newest record, epoch s."""
    found = store.query(
        "SELECT site, max(s) AS newest FROM ("
        " SELECT site, intDiv(last_arrival_ms, 1000) AS s FROM devices"
        " UNION ALL SELECT site, toInt64(toUnixTimestamp(start)) AS s FROM line_buckets AS t"
        " WHERE t.step = '1d' AND t.start >= fromUnixTimestamp({since:Int64})"
        ") WHERE s >= {since:Int64} GROUP BY site",
        {"since": max(0, newest - QUIET_DAYS * DAY)},
    )
    return {r["site"]: min(r["newest"], newest) for r in found}


def begin_of(site: Site, newest: int) -> int:
    """The reset from which the observations tell everything that a lane still holds at `newest` (epoch s): open minutes,
    buckets and days, the running day of occupancy and the one before until it closes."""
    low = day_bounds(site.zone, civil_day(site.zone, newest - 2 * horizon_of(site) - 3600))[0]
    return reset_before(site, low)


_OBSERVED = f"""
SELECT site, device, event_id, section, kind, part, toUnixTimestamp(start) AS s, toUnixTimestamp(end) AS e, detail, dialect,
  device_time, clock, flags, arrival_ms, partition_no, position, {", ".join(COUNTS)}
FROM observations WHERE device IN {{devices:Array(String)}} AND site IN {{sites:Array(String)}} AND topic = {{topic:String}}
  AND start >= fromUnixTimestamp({{low:Int64}} - 172800)
"""
_COUNTED = """
SELECT DISTINCT device FROM line_buckets AS t
WHERE t.step = '1d' AND t.site IN {s:Array(String)} AND t.start >= fromUnixTimestamp({low:Int64})
"""
_OTHERS = """
SELECT site, device, partition_no, position, toInt64(toUnixTimestamp(min(arrived))) AS s FROM (
  SELECT site, device, partition_no, position, arrived FROM duplicates AS d
  WHERE d.topic = {topic:String} AND d.arrived >= fromUnixTimestamp({low:Int64}) AND d.site IN {sites:Array(String)}
  UNION ALL SELECT site, device, partition_no, position, arrived FROM quarantine AS q
  WHERE q.topic = {topic:String} AND q.arrived >= fromUnixTimestamp({low:Int64}) AND q.site IN {sites:Array(String)}
    AND q.partial = 0
) GROUP BY site, device, partition_no, position
"""
_QUARTERS = """
SELECT site, toUnixTimestamp(start) AS s, argMax((people_in, measured_s, expected_s), revision) AS v
FROM site_buckets_revisions AS t
WHERE t.step = '15m' AND t.site IN {sites:Array(String)} AND t.start >= fromUnixTimestamp({low:Int64})
  AND t.known_at_ms < (toUnixTimestamp(t.start) + 900 + {horizon:Int64}) * 1000
GROUP BY site, start ORDER BY site, start
"""
_FIRST = """
SELECT site, intDiv(min(known_at_ms), 1000) AS s FROM site_buckets_revisions AS t
WHERE t.step = '15m' AND t.site IN {sites:Array(String)} GROUP BY site
"""
_SCORES = """
SELECT site, toUnixTimestamp(start) AS s, score FROM anomalies AS t WHERE t.site IN {sites:Array(String)}
  AND t.start >= fromUnixTimestamp({low:Int64}) ORDER BY s
"""
_HEARD = """
SELECT device, intDiv(max(arrival_ms), 1000) AS s,
  max(intDiv(arrival_ms, 1000) + 3 * if(section = 'line', resolution_s, 0)) AS h
FROM observations AS t WHERE t.device IN {devices:Array(String)} AND t.site = {site:String}
  AND t.start >= fromUnixTimestamp({low:Int64}) AND t.arrival_ms < {begin:Int64} * 1000 GROUP BY device
"""


class _Look:
    """What the store says of a few stores, asked once for all of them."""

    def __init__(self, store: Store, sites: Mapping[str, Site], newest: Mapping[str, int], where: Where, now: int) -> None:
        self.store, self.sites, self.where, self.now = store, sites, where, now
        self.begins = {s: begin_of(site, newest[s]) for s, site in sites.items()}
        names = list(sites)
        self.devices = {
            r["device"]: r for r in store.query("SELECT * FROM devices AS t WHERE t.site IN {s:Array(String)}", {"s": names})
        }
        known = {d.id for site in sites.values() for d in site.devices.values()}
        strangers = sorted(known - self.devices.keys())
        found = store.query("SELECT * FROM devices AS t WHERE t.device IN {d:Array(String)}", {"d": strangers})
        self.devices |= {r["device"]: r for r in found}
        counted = store.query(_COUNTED, {"s": names, "low": min(self.begins.values()) - 2 * DAY})
        self.all_devices = sorted(known | self.devices.keys() | {r["device"] for r in counted})
        low = min(self.begins.values())
        self.asked = {"sites": names, "devices": self.all_devices, "low": low, "topic": RAW}
        self._told: dict[str, list[Transition]] = {}
        self.said: dict[str, list[Said]] = {}
        self.later: dict[str, list[tuple[int, int, int]]] = {}
        self._records()

    def _records(self) -> None:
        """Records by store; those that are not stored for good are noted by device in `later`."""
        found: dict[tuple[str, str, int, int], Said] = {}
        for r in self.store.query(_OBSERVED, self.asked):
            key = r["site"], r["device"], r["partition_no"], r["position"]
            said = found.get(key)
            if said is None:
                said = found[key] = Said(r["partition_no"], r["position"], r["arrival_ms"], r["device"], [])
            said.rows.append(r)
        for r in self.store.query(_OTHERS, self.asked):
            key = r["site"], r["device"], r["partition_no"], r["position"]
            found.setdefault(key, Said(r["partition_no"], r["position"], r["s"] * 1000, r["device"], []))
        for (site, device, partition, position), said in found.items():
            if self.where.chain_of(site, partition, position) is None:
                if partition in self.where.mine and position >= self.where.begins.get(partition, 0):
                    self.later.setdefault(device, []).append((partition, position, said.arrival))
                continue
            if self.begins[site] < max([said.arrival // 1000, *(r["e"] for r in said.rows)]):
                rows = [r for r in said.rows if r["e"] > self.begins[site]]
                self.said.setdefault(site, []).append(said._replace(rows=rows))

    def chains(self, site: Site) -> dict[int, list[Said]]:
        """Records of a store by the partition of their chain, in order; at least the chain where the store belongs."""
        out: dict[int, list[Said]] = {}
        for said in self.said.get(site.id, ()):
            home = self.where.chain_of(site.id, said.partition, said.position)
            if home is not None:
                out.setdefault(home, []).append(said)
        for records in out.values():
            one = len({r.partition for r in records}) == 1
            records.sort(key=lambda r: (r.position, 0) if one else (r.arrival, r.position))
        home = partition_of(site.id, self.where.partitions)
        if not out and home in self.where.mine:
            out[home] = []
        return out

    def past(self, site: Site) -> Past | None:
        """What is known from before; None when the store's first report came after `begin`."""
        begin, horizon = self.begins[site.id], horizon_of(site)
        one = {"sites": [site.id]}
        first = self.store.query(_FIRST, one)
        heard = self._heard(site, begin)
        if not heard and (not first or first[0]["s"] >= begin):
            return None
        since = max(begin - LEARN_DAYS * DAY, first[0]["s"] // QUARTER * QUARTER if first else begin)
        until = -(-begin // QUARTER) * QUARTER
        quarters = [
            (r["s"], float(r["v"][0]) if r["v"][1] >= COVERED * r["v"][2] else None)
            for r in self.store.query(_QUARTERS, {**one, "low": since, "horizon": horizon})
            if r["s"] < until
        ]
        scores = [r for r in self.store.query(_SCORES, {**one, "low": begin - 7 * DAY}) if r["s"] < until]
        told = self.told(site)
        return Past(
            begin,
            factors_at(self.store, site, begin),
            quarters,
            hours_before(self.store, site.id, begin, horizon),
            [r["score"] for r in scores[-4:]],
            scores[-1]["s"] if scores else 0,
            newest_of(t for t in told if t.decided_ms < begin * 1000),
            heard,
        )

    def told(self, site: Site) -> list[Transition]:
        """Everything that was said of a store's alerts."""
        if site.id not in self._told:
            self._told[site.id] = list(transitions_of(self.store, site.id))
        return self._told[site.id]

    def _heard(self, site: Site, begin: int) -> dict[str, int]:
        """Until when each sensor counts as heard, by what came before `begin`."""
        asked = {"devices": self.all_devices, "site": site.id, "begin": begin, "low": begin - 3 * DAY}
        found = {r["device"]: (r["s"], r["h"]) for r in self.store.query(_HEARD, asked)}
        out = {}
        for entry in site.devices.values():
            row = self.devices.get(entry.id)
            if entry.id in found:
                last, by_length = found[entry.id]
                out[entry.id] = max(last + 3 * entry.interval_s, by_length)
            elif row is not None and row["site"] == site.id and row["last_arrival_ms"] // 1000 < begin:
                out[entry.id] = row["last_arrival_ms"] // 1000 + 3 * entry.interval_s
        return out

    def remember(self, site: Site, partition: int, chain: Chain, said: list[Said]) -> None:
        """Fill the memory that tells copies apart, also for sensors that stood in another store before."""
        names = {d.id for d in site.devices.values()} | {s.device for s in said}
        names |= {d for d, r in self.devices.items() if r["site"] == site.id}
        today = max(chain.now, self.begins[site.id]) // DAY
        wanted = {(name, day) for name in names for day in range(today - MEMORY_DAYS + 1, today + 1)}
        ingest = chain.ingest.ingest
        ingest.recall(recall(self.store, wanted, partition, self.where.stored.get(partition, (0, 0))[0]), 0)
        newest: dict[str, Said] = {}
        for one in said:
            if one.arrival >= newest.get(one.device, one).arrival:
                newest[one.device] = one
        for name in names:
            row = self.devices.get(name)
            if row is not None:
                _describe(
                    ingest.devices.setdefault(name, DeviceMemory(device=name)), row, newest.get(name), self.later.get(name, [])
                )
            elif not ingest.devices.get(name, DeviceMemory()).lines:
                ingest.devices.pop(name, None)  # never heard of: as if nobody had asked


def _describe(memory: DeviceMemory, row: Mapping[str, Any], last: Said | None, later: list[tuple[int, int, int]]) -> None:
    """What the table `devices` knows, without the messages that will be read again."""
    memory.messages, memory.last_arrival = row["messages"], row["last_arrival_ms"]
    memory.dialect, memory.firmware, memory.name = row["dialect"], row["firmware"], row["device_name"]
    memory.skew_s, memory.clock = row["last_skew_s"], row["clock"]
    if later and row["last_arrival_ms"] >= max(arrival for _, _, arrival in later):
        memory.messages -= len({(p, position) for p, position, _ in later})
        memory.last_arrival = last.arrival if last is not None else 0
    if last is not None and last.rows and "clock_stopped" in last.rows[-1]["flags"]:
        memory.last_time_text, memory.standing_still = last.rows[-1]["device_time"], True


def newest_of(told: Iterable[Transition]) -> dict[tuple[str, str], Transition]:
    """The newest transition of each alert, by (rule, subject)."""
    out: dict[tuple[str, str], Transition] = {}
    for t in sorted(told, key=lambda t: (t.onset_ms, t.happened_ms, t.ordinal)):
        out[t.rule, t.subject] = t
    return out


def _play(
    site: Site, flows: Sequence[Flow], context: Context, registry: Registry, past: Past | None, said: list[Said]
) -> Chain:
    """A chain that has seen these records."""
    chain = Chain(site, flows, None, context)
    if past is not None:
        chain.now = past.begin
        for flow in chain.built.values():
            if hasattr(flow, "seed"):
                flow.seed(past)
        chain.due = chain._due()
    ingest = cast(_Played, chain.built["ingest"])
    lines: dict[tuple[str, int], LineMemory] = {}
    for one in said:
        entry = registry.find(one.device, one.arrival / 1000)[1]
        report = Report(one.device, one.rows[0]["dialect"] if one.rows else "", "", None, [])
        arrival = Arrival(one.partition, one.position, one.arrival, report)
        rows = sorted(one.rows, key=lambda r: (r["section"], r["kind"], r["part"], r["s"]))
        ingest.accepted = [judged_one(r, entry, arrival, lines) for r in rows]
        chain.handle([arrival], entry, b"", 0, 0, Output({}, []))
    ingest.accepted = ()
    return chain


def _open_rows(chain: Chain, begin: int) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that is still held, as rows; only what lies wholly after `begin`."""
    out = Output({}, [])
    chain.flush(True, out)
    held = {}
    for table, rows in whole_rows(out.rows).items():
        if table in checked():
            held[table] = within(table, rows, begin, FOREVER)
    return held


def progress_line(done: int, of: int) -> None:
    """One line a tenth, for a log that a person reads."""
    if of > AT_ONCE and (done * 10 // of) > ((done - AT_ONCE) * 10 // of):
        print(f"run: state of {done} of {of} stores is rebuilt", file=sys.stderr, flush=True)
