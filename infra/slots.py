"""The keyed step of a lane: one slot holds the chains of its stores, encoded, and encodes again only what changed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from infra.chain import Chain, arrival_of
from infra.lane import Item, Lane, Work
from operators.ingest import MIN_HORIZON_S, Known
from operators.memory import unplaced
from operators.moment import FOREVER, Context, Flow, Output
from schemas.events import Plain
from schemas.sites import Registry

Recall = Callable[[set[tuple[str, int]], int, int], Mapping[tuple[str, int], Sequence[Known]]]
"""(device, UTC day) wanted, partition and first position of the batch -> what the store knows from before that position."""


class StateUnreadable(Exception):
    """The kept state of a store cannot be read: it is damaged, or of another version."""


class Mark(msgspec.Struct, gc=False):
    """One of `fan` parts of batch `seq` was handled; with the last one everything before `end` is."""

    seq: int
    fan: int
    partition: int
    end: int
    log_ms: int


class Result(msgspec.Struct, gc=False):
    """What one activation of a slot hands to the sink. `flush`: a flush tick was among it, so rows should go out now."""

    out: Output
    marks: list[Mark]
    flush: bool = False


class SiteSlot:
    """Chains of the stores of one slot. `saved`: store -> (next due time, encoded chain)."""

    def __init__(
        self, key: str, saved: Any, lane: Lane, registry: Registry, flows: Sequence[Flow], context: Context, recall: Recall
    ) -> None:
        self.key, self.lane, self.registry, self.flows, self.context, self.recall = key, lane, registry, flows, context, recall
        self.encoded: dict[str, tuple[int, bytes]] = dict(saved or {})
        self.chains: dict[str, Chain] = {}

    def chain(self, site_id: str) -> Chain:
        found = self.chains.get(site_id)
        if found is None:
            state = self.encoded.get(site_id)
            site = self.registry.site(site_id)
            try:
                found = self.chains[site_id] = Chain(site, self.flows, state[1] if state else None, self.context)
            except Exception as error:
                if state is None:
                    raise
                raise StateUnreadable(
                    f"the state of store {site_id} cannot be read ({type(error).__name__}: {error})"
                ) from error
        return found

    def handle(self, items: list[Item]) -> Iterable[Result]:
        """Handle items in order; everything that leaves goes out as one result."""
        out, marks = Output({}, []), []
        for item in items:
            for table, rows in item.rows.items():
                out.rows.setdefault(table, []).extend(rows)
            if item.work:
                self._work(item, out)
            if item.seq:
                marks.append(Mark(item.seq, item.fan, item.partition, item.end, item.log_ms))
            if item.tick:
                self._tick(item, out)
        self.lane.hints[self.key] = self._hint()
        flush = any(item.flush for item in items)
        return [Result(out, marks, flush)] if marks or out.rows or out.transitions else []

    def _work(self, item: Item, out: Output) -> None:
        """Records of each store in order: as far as the short way goes, then, once late ones are looked up, the rest."""
        rest: dict[str, list[Plain | Work]] = {}
        for site_id, work in item.work.items():
            at = self._plains(site_id, work, 0, item, out)
            if at < len(work):
                rest[site_id] = work[at:]
        if not rest:
            return
        late = self._late(rest)
        if late:
            self._recall(item, late)
        for site_id, work in rest.items():
            at = 0
            while at < len(work):
                self._one(site_id, work[at], item, out)
                at = self._plains(site_id, work, at + 1, item, out)

    def _plains(self, site_id: str, work: list[Plain | Work], at: int, item: Item, out: Output) -> int:
        """Plain reports of one store from `work[at]` on, on the short way; where it ended."""
        chain = self.chain(site_id)
        try:
            return chain.handle_plains(work, at, self.lane.durable, out)
        except BaseException:
            self.lane.handling = unplaced(chain.failed.place) if isinstance(chain.failed, Plain) else None
            raise

    def _one(self, site_id: str, work: Plain | Work, item: Item, out: Output) -> None:
        """One record of one store at length."""
        chain, durable = self.chain(site_id), self.lane.durable
        try:
            if isinstance(work, Plain):
                chain.handle_plain(work, durable, out)
            else:
                chain.handle(work.arrivals(item.partition), work.entry, work.payload, item.seq, durable, out)
        except BaseException:
            self.lane.handling = (item.partition, unplaced(work.place)[1] if isinstance(work, Plain) else work.position)
            raise

    def _late(self, rest: Mapping[str, Sequence[Plain | Work]]) -> dict[str, list[Plain | Work]]:
        """Work that may be late by the time of its store, by store. That time goes on over a restart, the log's may go back."""
        found: dict[str, list[Plain | Work]] = {}
        for site_id, work in rest.items():
            limit = self.chain(site_id).now - MIN_HORIZON_S
            for w in work:
                reached = w.arrival // 1000 - MIN_HORIZON_S
                if reached > limit:
                    limit = reached
                if (w.end if isinstance(w, Plain) else w.oldest) <= limit:
                    found.setdefault(site_id, []).append(w)
        return found

    def _recall(self, item: Item, late: Mapping[str, Sequence[Plain | Work]]) -> None:
        """Ask the store about late reports, once for the whole item."""
        wanted: dict[str, set[tuple[str, int]]] = {}
        for site_id, work in late.items():
            chain = self.chain(site_id)
            arrivals = [a for w in work for a in ([arrival_of(w)] if isinstance(w, Plain) else w.arrivals(item.partition))]
            now = max(chain.now, item.log_ms // 1000)
            needs = chain.ingest.ingest.needs(arrivals, now)
            if needs:
                wanted[site_id] = needs
        if not wanted:
            return
        known = self.recall(set().union(*wanted.values()), item.partition, item.first)
        for site_id, needs in wanted.items():
            self.chain(site_id).ingest.ingest.recall({need: known.get(need, ()) for need in needs}, item.seq)

    def _tick(self, item: Item, out: Output) -> None:
        for site_id, (due, _) in list(self.encoded.items()):
            if due <= item.tick and site_id not in self.chains:
                self.chain(site_id)
        for chain in self.chains.values():
            if item.tick > chain.now:
                if item.tick >= chain.due:
                    chain.advance(item.tick, out)
                else:
                    chain.now = item.tick
            if item.force or (item.flush and chain.flush_due() <= chain.now):
                chain.flush(item.force, out)

    def _hint(self) -> int:
        """When this slot next wants a tick: 0 at the next flush, else the store time of the next timer."""
        soonest = min((due for site, (due, _) in self.encoded.items() if site not in self.chains), default=FOREVER)
        for chain in self.chains.values():
            wants = chain.flush_due()
            if wants == 0:
                return 0
            soonest = min(soonest, wants, chain.due)
        return soonest

    def snapshot(self) -> Any:
        """Encoded chains; only those that changed are encoded again."""
        for site_id, chain in self.chains.items():
            if chain.changed or site_id not in self.encoded:
                wants = chain.flush_due()
                self.encoded[site_id] = (min(wants, chain.due), chain.state())
                chain.changed = False
        return dict(self.encoded)
