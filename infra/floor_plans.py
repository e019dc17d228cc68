"""Floor plans of stores: the drawings that the registry names, clean, with the shapes of the zones; read again when they
change."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from operators.floor_plan import PREFIX, Plan, PlanError, clean_plan
from schemas.sites import Registry, Site


def read_plan(path: Path) -> Plan:
    """A drawing. Raises PlanError, also where it cannot be read."""
    try:
        return clean_plan(path.read_bytes())
    except OSError as error:
        raise PlanError(f"cannot be read: {error.strerror}; check path and rights") from None


def plans_of(registry: Registry) -> Callable[[str], dict[str, Any] | None]:
    """By store: `svg`, and `shapes`, which gives the id of an element by "device:zone". None for a store without a plan, and
    for one whose drawing cannot be used any more."""
    kept: dict[str, tuple[float, dict[str, Any] | None]] = {}

    def plan(site_id: str) -> dict[str, Any] | None:
        site = registry.sites.get(site_id)
        if site is None or not site.plan:
            return None
        path = Path(site.plan)
        try:
            changed = path.stat().st_mtime
        except OSError:
            return None
        if site_id not in kept or kept[site_id][0] != changed:
            kept[site_id] = (changed, _shown(site, path))
        return kept[site_id][1]

    return plan


def _shown(site: Site, path: Path) -> dict[str, Any] | None:
    try:
        plan = read_plan(path)
    except PlanError:
        return None
    shapes = {
        f"{device.id}:{zone.number}": PREFIX + zone.shape
        for device in site.devices.values()
        for zone in device.zones.values()
        if zone.shape in plan.ids
    }
    return {"svg": plan.svg, "shapes": shapes}
