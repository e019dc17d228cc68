"""Names of places that people come from and go to: ids that stay the same, and the words that the registry has for them."""

from operators.paths import ENTRY, EXIT
from schemas.sites import Role, Site

CHECKOUT: frozenset[Role] = frozenset({"checkout", "service"})
"""Roles of zones at which people pay, or wait for it."""


def zone_place(device: str, number: int) -> str:
    """Id of a zone of a device."""
    return f"zone:{device}:{number}"


def line_place(device: str, number: int) -> str:
    """Id of a line of a device: as an origin people came in over it, as a destination they left over it."""
    return f"line:{device}:{number}"


def edge_place(device: str, letter: str) -> str:
    """Id of an edge of the polygon in which a device counts flows."""
    return f"edge:{device}:{letter}"


def place_name(site: Site, place: str) -> str:
    """A place for people to read."""
    if place in (ENTRY, EXIT):
        return place.capitalize()
    kind, _, rest = place.partition(":")
    device, _, part = rest.rpartition(":")
    entry = site.entry(device)
    if kind == "edge":
        return f"{entry.name or device} {part}"
    number = int(part)
    if kind == "line":
        return entry.line(number).name
    zone = entry.zones.get(number)
    return zone.name if zone is not None else "Whole view" if number == 0 else f"Zone {number}"


def checkouts(site: Site, places: frozenset[str]) -> frozenset[str]:
    """Those of the places that are zones with the role checkout or service."""
    found = set()
    for place in places:
        kind, _, rest = place.partition(":")
        device, _, part = rest.rpartition(":")
        zone = site.entry(device).zones.get(int(part)) if kind == "zone" else None
        if zone is not None and zone.role in CHECKOUT:
            found.add(place)
    return frozenset(found)
