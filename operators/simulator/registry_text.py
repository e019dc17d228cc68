"""A store as text of the site registry (TOML; the format of docs/example-site.toml)."""

from collections.abc import Iterable
from json import dumps

from schemas.sites import Device, Line, Site, Zone


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _ranges(ranges: Iterable[tuple[int, int]]) -> str:
    return "[" + ", ".join(f'"{_clock(a)}-{_clock(b if b <= 1440 else b - 1440)}"' for a, b in ranges) + "]"


def _text(value: str) -> str:
    return dumps(value, ensure_ascii=False)


def _line(line: Line) -> list[str]:
    rows = ["[[devices.lines]]", f"number = {line.number}", f"name = {_text(line.name)}", f'role = "{line.role}"']
    return [*rows, *(["swap = true"] if line.swap else []), *([f'counting = "{line.counting}"'] if line.counting else []), ""]


def _device(device: Device) -> list[str]:
    rows = ["[[devices]]", f"id = {_text(device.id)}", f"name = {_text(device.name)}", f"model = {_text(device.model)}"]
    rows += [f"interval_s = {device.interval_s}", f'counting = "{device.counting}"']
    rows += ["swap = true", ""] if device.swap else [""]
    rows += [row for line in device.lines.values() for row in _line(line)]
    return rows + [row for zone in device.zones.values() for row in _zone(zone)]


def _zone(zone: Zone) -> list[str]:
    rows = ["[[devices.zones]]", f"number = {zone.number}", f"name = {_text(zone.name)}", f'role = "{zone.role}"']
    rows += [f"capacity = {zone.capacity}"] if zone.capacity is not None else []
    rows += [f"queue = {zone.queue}"] if zone.queue is not None else []
    return [*rows, *([f"shape = {_text(zone.shape)}"] if zone.shape else []), ""]


def _rectangle(place: int, zone: Zone) -> str:
    x, y = 20 + 310 * (place % 2), 20 + 160 * (place // 2)
    return f'<rect id="{zone.shape}" x="{x}" y="{y}" width="290" height="140" rx="8"/>'


def floor_plan(site: Site) -> str:
    """A drawing with a rectangle for each zone that has a shape, two in a row (SVG)."""
    zones = [zone for device in site.devices.values() for zone in device.zones.values() if zone.shape]
    rows = [_rectangle(place, zone) for place, zone in enumerate(zones)]
    height = 40 + 160 * -(-len(zones) // 2)
    wall = f'<rect x="6" y="6" width="628" height="{height - 12}" fill="none" stroke="#8a97a5" stroke-width="4"/>'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 {height}">', wall, *rows, "</svg>", ""])


def site_toml(site: Site) -> str:
    """TOML text of one store."""
    rows = [f"id = {_text(site.id)}", f"name = {_text(site.name)}", f'zone = "{site.zone}"', f'country = "{site.country}"']
    rows += [f'reset = "{_clock(site.reset_minute)}"', *([f"plan = {_text(site.plan)}"] if site.plan else []), ""]
    if site.capacity_operational is not None or site.capacity_legal is not None:
        rows += ["[capacity]"]
        rows += [f"operational = {site.capacity_operational}"] if site.capacity_operational is not None else []
        rows += [f"legal = {site.capacity_legal}", ""] if site.capacity_legal is not None else [""]
    if site.hours is not None:
        rows += ["[hours]", *(f"{day} = {_ranges(ranges)}" for day, ranges in site.hours.items()), ""]
    if site.exceptions:
        rows += ["[exceptions]", *(f"{day} = {_ranges(ranges)}" for day, ranges in site.exceptions.items()), ""]
    return "\n".join(rows + [row for device in site.devices.values() for row in _device(device)])
