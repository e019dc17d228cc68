"""The estimate of who went where from what lines and zones counted in one hour (operators/flow_estimate.py).

A door is an origin of those who came in over it and a destination of those who left over it; an inner line bounds a
department, a zone counts by its stays. Where a line and a zone have the same name they are one place, and the line counts.
"""

from typing import NamedTuple

import numpy as np

from operators.flow_estimate import fit
from operators.place_names import checkouts, line_place, place_name
from operators.sums import Sums
from schemas.sites import Role, Site

INNER: frozenset[Role] = frozenset({"inner", "department", "checkout", "service"})

UNUSUAL = 0.05
"""Weight of a step that people rarely take, against 1. Chosen by hand with one supermarket's paths in view (docs/floor.md):
share of its steps put wrong by hour with a weight of 1: 44 %; of 0.1: 17 %; of 0.05: 14 %; of 0.01: 11 %."""


class Margin(NamedTuple):
    """People that left a place for others, and that came to it from others. `door`: who leaves for there is out of the
    store."""

    place: str
    left: float
    came: float
    door: bool


class Flow(NamedTuple):
    """People from place to place, and what the sums allow at all."""

    origin: str
    destination: str
    people: float
    low: float
    high: float


class Estimated(NamedTuple):
    """The flows of an hour. `unbalanced` as in operators.flow_estimate."""

    flows: list[Flow]
    unbalanced: float


def line_margin(site: Site, device: str, line: int, sums: Sums) -> Margin | None:
    """What a line says of its place; None for lines that lead nowhere (outside)."""
    role = site.entry(device).line(line).role
    people_in, people_out = float(sums[0]), float(sums[1])
    if role == "entrance":
        return Margin(line_place(device, line), people_in, people_out, True)
    return Margin(line_place(device, line), people_out, people_in, False) if role in INNER else None


def zone_visits(presence_s: float, average_s: float) -> float:
    """Visits of a zone from people present and their average dwell (Little's law; exact when as many are there before and
    after)."""
    return presence_s / average_s if average_s > 0 else 0.0


def _usual(a: Margin, b: Margin, tills: frozenset[str], inner: bool) -> float:
    """Where people go before anything was counted: evenly, but hardly ever straight out again, out past the checkout,
    straight to the checkout, or back into the store from there."""
    if a.place == b.place and not a.door:
        return 0.0
    paid, pays = a.place in tills, b.place in tills
    unusual = (a.door and inner and (b.door or pays)) or (paid and not b.door) or (bool(tills) and b.door and not paid)
    return UNUSUAL if unusual else 1.0


def estimate(site: Site, margins: list[Margin]) -> Estimated | None:
    """The estimate of one hour; None where there is nothing to tell apart (fewer than two places, or no door)."""
    lines = {place_name(site, m.place) for m in margins if m.place.startswith("line:")}
    used = [m for m in sorted(margins) if m.place.startswith("line:") or place_name(site, m.place) not in lines]
    if len(used) < 2 or not any(m.door for m in used):
        return None
    left, came = np.array([m.left for m in used]), np.array([m.came for m in used])
    inner = not all(m.door for m in used)
    tills = checkouts(site, frozenset(m.place for m in used))
    seed = np.array([[_usual(a, b, tills, inner) for b in used] for a in used])
    fitted = fit(left, came, seed)
    flows = [
        Flow(a.place, b.place, float(fitted.people[i, j]), float(fitted.low[i, j]), float(fitted.high[i, j]))
        for i, a in enumerate(used)
        for j, b in enumerate(used)
        if seed[i, j]
    ]
    return Estimated(flows, fitted.unbalanced)
