"""Records that the log no longer holds although the lane has not read them: told, and stepped over only when a person says so.

A gap stands in `quarantine` as one row with the reason `gap`: `position` is its first record, `detail` names the range. It
counts as a part (`partial`), because a range is no message. Positions that begin anew (the topic was deleted and made again, or
cut) are no gap to step over: rows are known by their positions, and new records would take those of old ones.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from connectors.clickhouse import Store
from connectors.log import RAW
from infra.errors import Problem
from infra.lane import LogSource
from infra.say import say
from schemas.rows import Quarantine

STOP, SKIP = "stop", "skip"
REASON = "gap"
_ITEM = 65_535
"""No part of a message has this number, so a gap replaces no refused part of its first record."""


class Gap(NamedTuple):
    """Records `first` to `end` - 1 of a partition; `stored`: how many of them stand in the store already."""

    partition: int
    first: int
    end: int
    stored: int = 0

    def __str__(self) -> str:
        known = f", {self.stored} of them stored before" if self.stored else ""
        return f"partition {self.partition}: {self.first} to {self.end - 1} ({self.end - self.first} records{known})"


def gaps(
    positions: Mapping[int, int], bounds: Mapping[int, tuple[int, int]], stored: Mapping[int, int]
) -> tuple[list[Gap], list[str]]:
    """What is gone between where the lane is and what the log keeps, and partitions whose positions begin anew.

    `stored`: everything before that position stands in the store. A lane at 0 has read nothing and begins where the log does.
    """
    lost, anew = [], []
    for partition, at in sorted(positions.items()):
        first, end = bounds[partition]
        if at > end:
            anew.append(f"partition {partition} ends at {end}, the lane is at {at}")
        elif 0 < at < first:
            lost.append(Gap(partition, at, first, max(0, min(stored.get(partition, 0), first) - at)))
    return lost, anew


class GapSource(LogSource):
    """The lane's source, which looks for a gap before it reads. `on_gap`: `stop` raises Problem, `skip` notes it, goes on."""

    def __init__(self, *given: Any, store: Store, on_gap: str) -> None:
        super().__init__(*given)
        self.store, self.on_gap = store, on_gap

    def start(self, resume: Any) -> None:
        """See `infra.engine.Source`. Raises Problem."""
        saved = {p: at for p, at in resume["positions"].items() if p in self.partitions} if resume else {}
        if saved:
            skipped = self._look(saved)
            resume = {**resume, "positions": {**resume["positions"], **skipped}}
        super().start(resume)

    def _look(self, saved: dict[int, int]) -> dict[int, int]:
        """Where to go on in partitions with a gap."""
        lost, anew = gaps(saved, self.log.bounds(RAW), _stored(self.store))
        if anew:
            raise Problem(
                f"log: topic {RAW} was made anew or cut: {'; '.join(anew)}; the tables know records by their position, so these"
                " cannot be stored beside the old ones: restore the topic, or begin with a new FOOTSTREAM_STORE_DATABASE and"
                " without the lane's folder under FOOTSTREAM_DATA"
            )
        if not lost:
            return {}
        words = "; ".join(map(str, lost))
        if self.on_gap != SKIP:
            raise Problem(
                f"log: topic {RAW}: deleted before the lane read it: {words}; put the records back, or say"
                " `footstream run … --on-gap skip` to note them as lost and go on"
            )
        self.store.insert(Quarantine, [_row(gap, int(self.now())) for gap in lost])
        say("run", f"lost, noted in quarantine and stepped over: {words}", "warning")
        return {gap.partition: gap.end for gap in lost}


def _stored(store: Store) -> dict[int, int]:
    rows = store.query("SELECT partition_no, position FROM progress WHERE topic = {topic:String}", {"topic": RAW})
    return {r["partition_no"]: r["position"] for r in rows}


def _row(gap: Gap, now: int) -> tuple[Any, ...]:
    return Quarantine.row(
        topic=RAW,
        partition_no=gap.partition,
        position=gap.first,
        item=_ITEM,
        arrived=now,
        site="",
        device="",
        reason=REASON,
        place="",
        detail=str(gap),
        partial=1,
        size=0,
        payload="",
    )


def noted(store: Store) -> Iterator[str]:
    """Every gap that was stepped over, with the moment (UTC), as long as `quarantine` is kept."""
    rows = store.query(
        "SELECT detail, toString(arrived, 'UTC') AS at FROM quarantine"
        " WHERE reason = {reason:String} AND topic = {topic:String} ORDER BY arrived, partition_no, position",
        {"reason": REASON, "topic": RAW},
    )
    return (f"{r['detail']}, noted {r['at']} UTC" for r in rows)
