"""Does what the tables say equal what was sent? Compares a ledger with the store, to the unit. Reads over HTTP only."""

import json
import urllib.error
import urllib.parse
import urllib.request
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from infra.errors import Problem
from operators.simulator import Chain, Level, StayTold, Window
from operators.tallies import rounded_s

SHOWN = 5
"""Differences that are named; all are counted."""


class Store:
    """Read-only SQL over the ClickHouse HTTP interface. Raises Problem when the store refuses or does not answer."""

    def __init__(self, url: str, database: str, user: str, password: str) -> None:
        self._url = f"{url}/?{urllib.parse.urlencode({'database': database})}"
        self._headers = {"X-ClickHouse-User": user, "X-ClickHouse-Key": password}

    def rows(self, sql: str) -> list[list[Any]]:
        """Rows as lists of JSON values (64-bit integers as numbers)."""
        body = f"{sql} FORMAT JSONCompactEachRow SETTINGS output_format_json_quote_64bit_integers = 0"
        request = urllib.request.Request(self._url, body.encode(), self._headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return [json.loads(line) for line in answer.read().splitlines()]
        except urllib.error.HTTPError as error:
            raise Problem(
                f"store {self._url}: {error.read().decode(errors='replace').strip()[:300]}; query: {sql[:200]}"
            ) from None
        except OSError as error:
            raise Problem(f"store {self._url}: {error}; is it running?") from None

    def value(self, sql: str) -> Any:
        return self.rows(sql)[0][0]


def outcomes(store: Store) -> dict[str, Any]:
    """Messages of `raw` by outcome; quarantined by reason (a message with good parts counts as stored)."""
    place = "(topic, partition_no, position)"
    reasons = store.rows(
        f"SELECT reason, count() FROM (SELECT {place} AS p, argMin(reason, item) AS reason FROM quarantine "
        f"WHERE partial = 0 GROUP BY p) GROUP BY reason ORDER BY reason"
    )
    return {
        "stored": store.value(f"SELECT uniqExact({place}) FROM observations"),
        "duplicates": store.value(f"SELECT uniqExact({place}) FROM duplicates"),
        "quarantined": {str(reason): int(count) for reason, count in reasons},
    }


def _merged(windows: Iterable[Window]) -> list[tuple[int, int, int, int]]:
    """Spans of whole minutes that no window crosses the edge of: (start, end, in, out), in order."""
    spans: list[list[int]] = []
    for w in sorted(windows, key=lambda w: (w.start, w.end)):
        start, end = w.start // 60 * 60, max(-(-w.end // 60) * 60, w.start // 60 * 60 + 60)
        if spans and start < spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], end)
            spans[-1][2] += w.people_in
            spans[-1][3] += w.people_out
        else:
            spans.append([start, end, w.people_in, w.people_out])
    return [(a, b, i, o) for a, b, i, o in spans]


class _Minutes:
    """Sums of one line's minute rows over any span, by prefix sums."""

    def __init__(self, rows: Sequence[tuple[int, int, int]]) -> None:
        ordered = sorted(rows)
        self._at = [r[0] for r in ordered]
        self._in = [0, *accumulate(r[1] for r in ordered)]
        self._out = [0, *accumulate(r[2] for r in ordered)]

    def sums(self, start: int, end: int) -> tuple[int, int]:
        a, b = bisect_left(self._at, start), bisect_left(self._at, end)
        return self._in[b] - self._in[a], self._out[b] - self._out[a]

    def all(self) -> tuple[int, int]:
        return self._in[-1], self._out[-1]


def line_differences(store: Store, windows: Iterable[Window]) -> list[str]:
    """Every span of windows whose minute rows do not sum to what was sent, and people that nobody sent. Empty: equal."""
    minutes: dict[tuple[str, int], list[tuple[int, int, int]]] = defaultdict(list)
    for (device,) in store.rows("SELECT DISTINCT device FROM line_minutes"):  # one at a time: a reader's queries are capped
        sql = "SELECT line, toUnixTimestamp(minute), people_in, people_out FROM line_minutes "
        for line, minute, into, out in store.rows(f"{sql} WHERE device = '{device}' AND people_in + people_out > 0"):
            minutes[device, line].append((minute, into, out))
    sent: dict[tuple[str, int], list[Window]] = defaultdict(list)
    for w in windows:
        sent[w.device, w.line].append(w)
    wrong = []
    for key in sorted(sent.keys() | minutes.keys()):
        table, total_in, total_out = _Minutes(minutes[key]), 0, 0
        for start, end, into, out in _merged(sent[key]):
            total_in, total_out = total_in + into, total_out + out
            if (found := table.sums(start, end)) != (into, out):
                wrong.append(f"{key[0]} line {key[1]} {start}-{end}: sent {into}/{out}, table {found[0]}/{found[1]}")
        if table.all() != (total_in, total_out):
            wrong.append(f"{key[0]} line {key[1]}: sent {total_in}/{total_out} in all, table {table.all()[0]}/{table.all()[1]}")
    return wrong


def site_differences(store: Store, chain: Chain, windows: Iterable[Window]) -> list[str]:
    """Stores whose day rows do not sum to what their entrance lines were sent. Empty: equal."""
    entrance = {
        (d.id, n): s.id for s in chain.sites for d in s.devices.values() for n in d.lines if d.line(n).role == "entrance"
    }
    sent: dict[str, list[int]] = {s.id: [0, 0] for s in chain.sites}
    for w in windows:
        if (site := entrance.get((w.device, w.line))) is not None:
            sent[site][0] += w.people_in
            sent[site][1] += w.people_out
    wrong = []
    for step in ("15m", "1h", "1d"):
        sql = f"SELECT site, sum(people_in), sum(people_out) FROM site_buckets WHERE step = '{step}' GROUP BY site"
        found = {site: [into, out] for site, into, out in store.rows(sql)}
        for site, sums in sent.items():
            if found.get(site, [0, 0]) != sums:
                wrong.append(f"{site} {step}: sent {sums[0]}/{sums[1]}, table {found.get(site, [0, 0])}")
    return wrong


def zone_differences(store: Store, levels: Iterable[Level], stays: Iterable[StayTold]) -> list[str]:
    """Hours (UTC) of a zone whose minutes do not hold the people and stays that were sent, and zones whose roll-ups do not sum
    to their stays. Empty: equal."""
    sent = _zone_hours(levels, stays)
    found: dict[tuple[str, int, int], list[int]] = {}
    for (device,) in store.rows("SELECT DISTINCT device FROM zone_minutes"):
        for zone, hour, *sums in store.rows(_ZONE_HOURS.format(device=device)):
            if any(sums):
                found[device, zone, hour] = [round(n or 0) for n in sums]
    zero = [0, 0, 0, 0]
    wrong = [
        f"{device} zone {zone} from {hour}: sent {sent.get(key, zero)}, table {found.get(key, zero)} (person-seconds, seconds "
        f"measured, stays, their seconds)"
        for key in sorted(sent.keys() | found.keys())
        if sent.get(key, zero) != found.get(key, zero)
        for device, zone, hour in (key,)
    ]
    whole: dict[tuple[str, int], int] = defaultdict(int)
    for (device, zone, _), sums in sent.items():
        whole[device, zone] += sums[2]
    for step in ("15m", "1h", "1d"):
        sql = f"SELECT device, zone, sum(stays) AS n FROM zone_buckets WHERE step = '{step}' GROUP BY device, zone"
        table = {(device, zone): int(n or 0) for device, zone, n in store.rows(sql)}
        wrong += [
            f"{device} zone {zone} {step}: sent {n} stays, table {table.get((device, zone), 0)}"
            for (device, zone), n in sorted(whole.items())
            if n != table.get((device, zone), 0)
        ]
    return wrong


_ZONE_HOURS = """SELECT zone, intDiv(toUnixTimestamp(minute), 3600) * 3600 AS hour, sum(present_mean * measured_s),
    sumIf(measured_s, present_mean IS NOT NULL), sum(stays), sum(stays * dwell_avg_s)
FROM zone_minutes WHERE device = '{device}' GROUP BY zone, hour"""


def _zone_hours(levels: Iterable[Level], stays: Iterable[StayTold]) -> dict[tuple[str, int, int], list[int]]:
    """By device, zone and hour: person-seconds, seconds measured, stays, their seconds. A stay counts where it ends."""
    sums: dict[tuple[str, int, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for level in levels:
        for hour in range(level.start // 3600 * 3600, level.end, 3600):
            seconds = min(level.end, hour + 3600) - max(level.start, hour)
            of_hour = sums[level.device, level.zone, hour]
            of_hour[0] += level.present * seconds
            of_hour[1] += seconds
    for stay in stays:
        of_hour = sums[stay.device, stay.zone, (stay.end - 1) // 3600 * 3600]
        of_hour[2] += 1
        of_hour[3] += rounded_s(stay.end - stay.start)
    return dict(sums)


def people_error(store: Store, chain: Chain, until: int) -> dict[str, float | None]:
    """How far the figures are from the people who were really there, over the 12 hours before `until` (epoch seconds).

    `footfall_percent`: sum of |counted - came| over the stores by all who came, in percent. `occupancy_people`: mean absolute
    error of the estimate at the full ten minutes, people; None without a row.
    """
    since = until - 12 * 3600
    missed, came, errors = 0, 0, []
    for site in chain.sites:
        sql = f"SELECT sum(people_in) FROM site_minutes WHERE site = '{site.id}' AND toUnixTimestamp(minute) >= {since} "
        counted = store.value(sql + f"AND toUnixTimestamp(minute) < {until}") or 0
        really = chain.people(site.id, since, until)[0]
        missed, came = missed + abs(counted - really), came + really
        sql = f"SELECT toUnixTimestamp(minute), estimate FROM occupancy WHERE site = '{site.id}' AND toUnixTimestamp(minute) "
        rows = store.rows(sql + f"BETWEEN {since} AND {until} AND complete AND toUnixTimestamp(minute) % 600 = 540")
        errors += [abs(estimate - chain.present(site.id, minute + 60)) for minute, estimate in rows]
    return {
        "footfall_percent": round(100 * missed / came, 2) if came else None,
        "occupancy_people": round(sum(errors) / len(errors), 2) if errors else None,
    }
