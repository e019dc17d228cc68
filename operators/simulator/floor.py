"""What visitors do inside a store: stays in zones, the wait before the tills, service there. Truth, before any sensor sees it.

Parties come and go as `people` says; between, they stop in departments, and some buy: they join the one queue before the tills,
are served in the order of joining by the first free till, or give up when they have to leave first. Times are epoch seconds
(UTC) as floats; everything is a pure function of (seed, store, day).
"""

from collections.abc import Iterator
from datetime import date
from heapq import heapreplace
from random import Random
from typing import NamedTuple

import msgspec

from operators.simulator.people import Party, Shop, parties
from schemas.sites import Zone

LEAST_WALK_S, MOST_WALK_S = 6.0, 12.0
"""Nobody is served sooner after joining: so long it takes to walk up to a till."""

BEHIND_S = 0.7
"""The members of a party walk so far apart."""


class Area(msgspec.Struct, frozen=True):
    """A zone as people use it. `share`: of the parties that stop there; `stay_s`: the median of how long."""

    zone: Zone
    share: float = 0.0
    stay_s: float = 60.0


class Floor(msgspec.Struct, frozen=True):
    """The part of a store that one sensor sees. `buying`: share of the parties that join the queue; `tills`: how many serve;
    `service_s`: mean time of a service."""

    areas: tuple[Area, ...]
    buying: float = 0.5
    tills: int = 2
    service_s: float = 55.0

    def numbers(self, role: str) -> list[int]:
        return [area.zone.number for area in self.areas if area.zone.role == role]


class Dwell(NamedTuple):
    """One person in one zone, [start, end). `person`: counts the people of the day who stopped anywhere."""

    start: float
    end: float
    zone: int
    person: int
    child: bool


class _Buyer(NamedTuple):
    join: float
    service_s: float
    leave: float
    party: int


def dwells(seed: int, shop: Shop, floor: Floor, day: date) -> list[Dwell]:
    """All stays that follow from one civil day's opening times, in order of their start."""
    rng = Random(f"{seed}:{shop.site.id}:{day}:floor")
    made: list[Dwell] = []
    came = list(parties(seed, shop, day))
    first, people = [], 0
    buyers: list[_Buyer] = []
    for number, party in enumerate(came):
        first.append(people)
        people += len(party.children)
        service_s = min(240.0, max(15.0, rng.expovariate(1 / floor.service_s)))
        until = party.leave - service_s - 25 - 180 * rng.random()
        buys = rng.random() < floor.buying and until > party.at + 30
        if buys:
            buyers.append(_Buyer(until, service_s, party.leave, number))
        for zone, start, end in _stops(rng, floor, party.at + 10, (until if buys else party.leave) - 10):
            made += _persons(party, first[-1], zone, start, end)
    for buyer, zone, start, end in _served(rng, floor, buyers):
        made += _persons(came[buyer.party], first[buyer.party], zone, start, end)
    return sorted(made)


def _stops(rng: Random, floor: Floor, begin: float, end: float) -> Iterator[tuple[int, float, float]]:
    """Departments in the order of their numbers, each within a part of the time of its own."""
    chosen = [area for area in floor.areas if area.zone.role == "department" and rng.random() < area.share]
    width = (end - begin) / max(1, len(chosen))
    for place, area in enumerate(chosen):
        stay = min(0.9 * width, area.stay_s * rng.lognormvariate(0, 0.7))
        start = begin + width * place + (width - stay) * rng.random()
        if stay > 0:
            yield area.zone.number, start, start + stay


def _served(rng: Random, floor: Floor, buyers: list[_Buyer]) -> Iterator[tuple[_Buyer, int, float, float]]:
    """Stays in the queue and at the tills: first come, first served."""
    queues, tills = floor.numbers("checkout"), floor.numbers("service")
    free = [0.0] * floor.tills
    for buyer in sorted(buyers) if queues else ():
        begin = max(buyer.join + LEAST_WALK_S + (MOST_WALK_S - LEAST_WALK_S) * rng.random(), free[0])
        end = min(begin + buyer.service_s, buyer.leave - 4)
        if end < begin + 10:  # they have to go
            yield buyer, queues[0], buyer.join, buyer.leave - 4
            continue
        heapreplace(free, end)
        yield buyer, queues[0], buyer.join, begin
        if tills:
            yield buyer, tills[0], begin, end


def _persons(party: Party, first: int, zone: int, start: float, end: float) -> Iterator[Dwell]:
    """A party's members, one a little behind the other."""
    for i, child in enumerate(party.children):
        yield Dwell(start + i * BEHIND_S, end + i * BEHIND_S, zone, first + i, child)
