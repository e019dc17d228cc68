"""What the store knows of older days: for copies that come late, and for computing days again from `observations`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from connectors.clickhouse import Store
from connectors.log import RAW
from operators.ingest import Accepted, Arrival, Known, values_of
from operators.memory import DAY, LineMemory, accept_window, place_of
from schemas.events import Event, LineCount, Report
from schemas.sites import Device, Registry

COUNTS = ("people_in", "people_out", "child_in", "child_out", "staff_in", "staff_out", "group_in", "group_out")

_KNOWN = f"""
SELECT device, section, kind, part, toUnixTimestamp(start) AS s, toUnixTimestamp(end) AS e, event_id, arrival_ms, flags,
  partition_no, position, {", ".join(COUNTS)}
FROM observations
WHERE device IN {{devices:Array(String)}} AND intDiv(toUnixTimestamp(start), 86400) IN {{days:Array(UInt32)}}
  AND NOT (topic = {{topic:String}} AND partition_no = {{partition:UInt16}} AND position >= {{position:UInt64}})
"""

_SAID = f"""
SELECT device, section, detail, kind, part, toUnixTimestamp(start) AS s, toUnixTimestamp(end) AS e, event_id, arrival_ms,
  flags, dialect, clock, partition_no, position, {", ".join(COUNTS)}
FROM observations
WHERE site = {{site:String}} AND section IN {{sections:Array(String)}} AND kind != 'total'
  AND start >= fromUnixTimestamp({{low:Int64}} - 172800) AND start < fromUnixTimestamp({{high:Int64}})
  AND (end > fromUnixTimestamp({{low:Int64}}) OR start >= fromUnixTimestamp({{low:Int64}}))
ORDER BY arrival_ms, partition_no, position, event_id
"""


def recall(
    store: Store, wanted: set[tuple[str, int]], partition: int, position: int
) -> Mapping[tuple[str, int], Sequence[Known]]:
    """Observations of (device, UTC day), without those of this partition from `position` on: our own replay is no copy."""
    days = sorted({d for _, day in wanted for d in (day - 1, day)})
    parameters = {
        "devices": sorted({device for device, _ in wanted}),
        "days": days,
        "topic": RAW,
        "partition": partition,
        "position": position,
    }
    found: dict[tuple[str, int], list[Known]] = {need: [] for need in wanted}
    for r in store.query(_KNOWN, parameters):
        values = tuple(r[c] for c in COUNTS)
        counted = "overlap" not in r["flags"]
        known = Known(
            r["section"],
            r["kind"],
            r["part"],
            r["s"],
            r["e"],
            r["event_id"],
            r["arrival_ms"],
            values,
            counted,
            place_of(r["partition_no"], r["position"]),
        )
        for day in {r["s"] // DAY, max(r["e"] - 1, r["s"]) // DAY}:
            if (r["device"], day) in found:
                found[r["device"], day].append(known)
    return found


def accepted(
    store: Store, registry: Registry, site: str, low: int, high: int, sections: Sequence[str] = ("line",)
) -> list[Accepted]:
    """Events of a store that touch [low, high), judged again by the lane's own rules, in order of arrival.

    No report is longer than two days: the decoders refuse it.
    """
    asked = {"site": site, "low": low, "high": high, "sections": list(sections)}
    return list(judged(store.query(_SAID, asked), registry))


def judged(rows: Iterable[Mapping[str, Any]], registry: Registry) -> Iterable[Accepted]:
    """Observations (rows of the store, in order of arrival) as accepted events."""
    lines: dict[tuple[str, int], LineMemory] = {}
    for r in rows:
        entry = registry.find(r["device"], r["arrival_ms"] / 1000)[1]
        report = Report(r["device"], r["dialect"], "", r["e"], [])
        arrival = Arrival(r["partition_no"], r["position"], r["arrival_ms"], report)
        yield judged_one(r, entry, arrival, lines)


def judged_one(r: Mapping[str, Any], entry: Device, arrival: Arrival, lines: dict[tuple[str, int], LineMemory]) -> Accepted:
    """One observation as the event that was accepted, judged again by what `lines` remembers of those before it.

    Only events of other sections need the column `detail`.
    """
    verdict, before = "new", None
    event: Event
    if r.get("section", "line") == "line":
        event = LineCount(r["part"], r["kind"], r["s"], r["e"], *(r[c] for c in COUNTS))
        if r["kind"] == "window":
            line = lines.setdefault((r["device"], r["part"]), LineMemory())
            stated, replayed = "derived" not in r["flags"], "replayed" in r["flags"]
            verdict, before, _ = accept_window(
                line, r["event_id"], r["s"], r["e"], values_of(event), r["arrival_ms"], 0, 0, stated, replayed and not stated
            )
    else:
        event = _EVENT.decode(r["detail"])
    return Accepted(
        entry,
        event,
        r["event_id"],
        r["s"],
        r["e"],
        verdict,
        before,
        r["arrival_ms"],
        0,
        r["clock"],
        False,
        arrival,
        r["flags"],
        0,
    )


_EVENT = msgspec.json.Decoder(Event)
