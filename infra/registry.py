"""Loads the site registry from TOML: one file per store, a file or a folder of them. `docs/example-site.toml` shows every key.

All mistakes of all files are told at once, each with file, line, key, what is wrong and what to do. Times of day are wall-clock
times of the store's zone; device ids are compared in lower case and without colons.
"""

import re
import tomllib
from contextlib import suppress
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo, available_timezones

from connectors.camera import url_mistake
from infra.floor_plans import read_plan
from infra.registry_file import Place, TomlFile
from infra.registry_hours import exceptions, week
from operators.camera_plan import QUERIES
from operators.floor_plan import PlanError
from schemas.sites import Device, Line, Registry, Role, Site, Source, Zone

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DEVICE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{3,63}")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


class RegistryError(Exception):
    """The registry cannot be used; the text names every mistake."""

    footstream_problem = True

    def __init__(self, mistakes: list[str]) -> None:
        count = "one mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        super().__init__("\n".join([f"site registry: {count}", *(f"  {mistake}" for mistake in mistakes)]))
        self.mistakes = mistakes


_SITE_KEYS = (
    "id",
    "name",
    "zone",
    "country",
    "reset",
    "capacity",
    "hours",
    "exceptions",
    "plan",
    "devices",
    "demographics",
    "alerts",
)
_DEVICE_KEYS = (
    *("id", "name", "model", "interval_s", "counting", "clock", "dst", "trigger", "swap", "from", "lines", "zones"),
    *("camera", "camera_queries", "camera_zone"),
)


def _site(file: TomlFile, table: dict[str, Any], stem: str) -> Site:
    file.keys(table, (), _SITE_KEYS)
    zone = _zone(file, file.get(table, "zone", str, (), None), "zone" in table)
    capacity = file.get(table, "capacity", dict, (), {})
    file.keys(capacity, ("capacity",), ("operational", "legal"))
    operational = file.number(capacity, "operational", 1, 1_000_000, ("capacity",), None)
    legal = file.number(capacity, "legal", 1, 1_000_000, ("capacity",), None)
    if operational is not None and legal is not None and legal < operational:
        file.wrong(("capacity", "legal"), f"{legal} is below the operational capacity {operational}; lower that one")
    alerts = file.get(table, "alerts", dict, (), {})
    file.keys(alerts, ("alerts",), ("unusual_a_month",))
    hours = week(file, table)
    site_id = file.get(table, "id", str, (), stem)
    if not _ID.fullmatch(site_id):
        file.wrong(("id",), f"{site_id!r} cannot be used; up to 64 letters, digits, dots, dashes and underscores")
    return Site(
        id=site_id,
        name=file.get(table, "name", str, (), site_id),
        zone=zone,
        country=_country(file, table),
        capacity_operational=operational,
        capacity_legal=legal,
        reset_minute=_reset(file, table),
        hours=hours,
        exceptions=exceptions(file, table, hours),
        devices=(devices := _devices(file, table, zone)),
        plan=_plan(file, table, devices),
        demographics=file.get(table, "demographics", bool, (), False),
        unusual_a_month=file.number(alerts, "unusual_a_month", 1, 1000, ("alerts",), 4) or 4,
    )


def _plan(file: TomlFile, table: dict[str, Any], devices: dict[str, Device]) -> str:
    """Path of the floor plan, beside the registry file; every shape that a zone names must be in it."""
    name: str = file.get(table, "plan", str, (), "")
    shapes = {zone.shape for device in devices.values() for zone in device.zones.values() if zone.shape}
    if not name:
        if shapes:
            file.wrong((), f'zones have shapes ({", ".join(sorted(shapes))}) but there is no plan; add plan = "FILE.svg"')
        return ""
    path = Path(file.name).parent / name
    try:
        ids = read_plan(path).ids
    except PlanError as error:
        file.wrong(("plan",), f"{path} {error}")
        return ""
    for shape in sorted(shapes - ids):
        near = get_close_matches(shape, ids, 1, 0.6)
        hint = f"did you mean {near[0]!r}?" if near else "give the shape that id in the drawing"
        file.wrong(("plan",), f"no shape of {path} has the id {shape!r}; {hint}")
    return str(path)


def _zone(file: TomlFile, name: str | None, given: bool) -> str:
    if name is None:
        if not given:
            file.wrong(("zone",), 'is missing; add the IANA zone of the store, such as zone = "Europe/Berlin"')
        return "UTC"
    if _known_zone(name):
        return name
    zones = {zone.lower(): zone for zone in available_timezones()}
    near = get_close_matches(name.lower(), zones, 1, 0.6)
    city = [zone for low, zone in zones.items() if low.rpartition("/")[2] == name.lower()]
    hint = f"did you mean {(city or [zones[near[0]]])[0]!r}?" if city or near else 'give an IANA name such as "Europe/Berlin"'
    file.wrong(("zone",), f"{name!r} is not a known zone; {hint}")
    return "UTC"


def _known_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return False
    return True


def _country(file: TomlFile, table: dict[str, Any]) -> str:
    country: str = file.get(table, "country", str, (), "")
    if country and not re.fullmatch(r"[A-Z]{2}", country):
        file.wrong(("country",), f"{country!r} is not a country code; two capital letters (ISO 3166), such as DE")
    return country


def _reset(file: TomlFile, table: dict[str, Any]) -> int:
    text = file.get(table, "reset", str, (), "04:00", 'write it as "04:00"')
    found = _CLOCK.fullmatch(text)
    if found is None:
        file.wrong(("reset",), f'{text!r} is not a time of day; write it as "04:00"')
        return 240
    return int(found[1]) * 60 + int(found[2])


# -- opening hours


# -- devices


def _devices(file: TomlFile, table: dict[str, Any], zone: str) -> dict[str, Device]:
    """Entries by device id; a further entry of the same device (another `from`) by `id@epoch`."""
    found: dict[str, Device] = {}
    for at, raw in file.tables(table, "devices", ()):
        device = _device(file, raw, at, zone)
        if device is not None:
            since = device.since or 0
            if (device.id, since) in file.places:
                file.wrong((*at, "id"), f"device {device.id} stands here twice; take one away or give it another `from`")
            found[device.id if device.id not in found else f"{device.id}@{since}"] = device
            file.places[device.id, since] = (*at, "id")
    return found


def _device(file: TomlFile, raw: dict[str, Any], at: Place, zone: str) -> Device | None:
    file.keys(raw, at, _DEVICE_KEYS)
    device_id = file.get(raw, "id", str, at, None, "put the serial number in quotes, its leading zeros count")
    if device_id is None:
        if "id" not in raw:
            file.wrong(at, "has no id; add the serial number or devEUI of the device")
    elif not _DEVICE_ID.fullmatch(device_id):
        file.wrong((*at, "id"), f"{device_id!r} is not a serial number or devEUI; 4 to 64 letters and digits")
        device_id = None
    counting = file.choice(raw, "counting", get_args(Source), at, "window")
    trigger = file.choice(raw, "trigger", ("increment", "counter"), at, "increment")
    lines = _lines(file, raw, at)
    if trigger == "counter" and "trigger" in (counting, *(line.counting for line in lines.values())):
        file.wrong((*at, "trigger"), "triggers that are running totals count nobody; set counting to window")
    camera, queries, camera_zone = _camera(file, raw, at)
    device = Device(
        id=(device_id or "").lower().replace(":", ""),  # a MAC: the decoders leave the colons out
        name=file.get(raw, "name", str, at, device_id or ""),
        model=file.get(raw, "model", str, at, ""),
        lines=lines,
        zones=_zones(file, raw, at),
        interval_s=file.number(raw, "interval_s", 1, 86_400, at, 60) or 60,
        counting=counting,
        clock=file.choice(raw, "clock", ("auto", "device", "arrival"), at, "auto"),
        dst=file.choice(raw, "dst", ("add", "included"), at, "add"),
        trigger=trigger,
        swap=file.get(raw, "swap", bool, at, False),
        since=_since(file, raw, at, zone),
        camera=camera,
        camera_queries=queries,
        camera_zone=camera_zone,
    )
    return device if device_id is not None else None


def _camera(file: TomlFile, raw: dict[str, Any], at: Place) -> tuple[str, tuple[str, ...], str]:
    """Address, queries and zone of a camera that is polled."""
    url = file.get(raw, "camera", str, at, "", 'write camera = "http://10.0.0.5"')
    if url and (mistake := url_mistake(url)):
        file.wrong((*at, "camera"), mistake)
    zone = file.get(raw, "camera_zone", str, at, "")
    if zone and not _known_zone(zone):
        file.wrong((*at, "camera_zone"), f'{zone!r} is not a known zone; give an IANA name such as "Europe/Berlin"')
    queries = file.get(raw, "camera_queries", list, at, ["lines"], 'write camera_queries = ["lines", "heat"]')
    for query in queries:
        if query not in QUERIES:
            file.wrong((*at, "camera_queries"), f"{query!r} is not possible; choose {', '.join(QUERIES)}")
    return url, tuple(queries) if url else (), zone


def _since(file: TomlFile, raw: dict[str, Any], at: Place, zone: str) -> int | None:
    """Epoch seconds of `from`; a time without offset is in the store's zone."""
    value = raw.get("from")
    if value is None:
        return None
    if isinstance(value, str):
        with suppress(ValueError):
            value = datetime.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        file.wrong((*at, "from"), f"{value!r} is not a date and time; write from = 2026-03-01T06:00:00+01:00")
        return None
    return int((value if value.tzinfo else value.replace(tzinfo=ZoneInfo(zone))).timestamp())


def _numbered(file: TomlFile, raw: dict[str, Any], key: str, at: Place, least: int) -> list[tuple[int, Place, dict[str, Any]]]:
    found: list[tuple[int, Place, dict[str, Any]]] = []
    for place, item in file.tables(raw, key, at):
        number = file.number(item, "number", least, 65_535, place, None)
        if number is None:
            if "number" not in item:
                file.wrong(place, "has no number; add the number that the device reports")
        elif any(number == other for other, _, _ in found):
            file.wrong((*place, "number"), f"{number} stands here twice; each number once per device")
        found.append((-1 if number is None else number, place, item))
    return found


def _lines(file: TomlFile, raw: dict[str, Any], at: Place) -> dict[int, Line]:
    lines = {}
    for number, place, item in _numbered(file, raw, "lines", at, 1):
        file.keys(item, place, ("number", "name", "role", "swap", "counting", "queue"))
        lines[number] = Line(
            number=number,
            name=file.get(item, "name", str, place, f"Line {number}"),
            role=file.choice(item, "role", get_args(Role), place, "entrance"),
            swap=file.get(item, "swap", bool, place, False),
            counting=file.choice(item, "counting", get_args(Source), place, None),
            queue=file.number(item, "queue", 0, 65_535, place, None),
        )
    return lines


def _zones(file: TomlFile, raw: dict[str, Any], at: Place) -> dict[int, Zone]:
    zones = {}
    for number, place, item in _numbered(file, raw, "zones", at, 0):
        file.keys(item, place, ("number", "name", "role", "capacity", "queue", "shape"))
        zones[number] = Zone(
            number=number,
            name=file.get(item, "name", str, place, f"Zone {number}"),
            role=file.choice(item, "role", get_args(Role), place, "department"),
            capacity=file.number(item, "capacity", 1, 1_000_000, place, None),
            queue=file.number(item, "queue", 0, 65_535, place, None),
            shape=file.get(item, "shape", str, place, ""),
        )
    return zones


# -- files


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise RegistryError([f"{path}: does not exist; name a TOML file or a folder of them in FOOTSTREAM_SITES"])
    found = sorted(file for file in path.glob("*.toml") if not file.name.startswith("."))
    if not found:
        raise RegistryError([f"{path}: holds no *.toml file; add one per store, docs/example-site.toml shows how"])
    return found


def _read(path: Path) -> tuple[TomlFile, Site | None]:
    file = TomlFile(str(path))
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
        table = tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no TOML, a number of thousands of digits
        file.wrong((), f"cannot be read: {error}; mend the file")
        return file, None
    file = TomlFile(str(path), text)
    return file, _site(file, table, path.stem)


def _across(read: list[tuple[TomlFile, Site | None]]) -> None:
    """Mistakes between files: a store id or a device that stands in two of them."""
    sites: dict[str, str] = {}
    devices: dict[tuple[str, int], str] = {}
    for file, site in read:
        if site is None:
            continue
        if site.id in sites:
            file.wrong(("id",), f"store {site.id!r} stands in {sites[site.id]} too; give each store its own id")
        sites.setdefault(site.id, file.name)
        for device in site.devices.values():
            key = (device.id, device.since or 0)
            if devices.get(key, file.name) != file.name:
                file.wrong(file.places[key], f"device {device.id} stands in {devices[key]} too; say with `from` when it moved")
            devices.setdefault(key, file.name)


def _load(path: Path | None, default_zone: str) -> tuple[list[Site], list[str]]:
    general = (
        []
        if _known_zone(default_zone)
        else [f"FOOTSTREAM_DEFAULT_ZONE: {default_zone!r} is not a known zone; give an IANA name"]
    )
    read = [_read(one) for one in _files(path)] if path is not None else []
    _across(read)
    mistakes = [text for file, _ in read for _, text in sorted(file.mistakes, key=lambda mistake: mistake[0])]
    return [site for _, site in read if site is not None], general + mistakes


def load_registry(path: Path | None, default_zone: str = "UTC") -> Registry:
    """The stores of a TOML file or of a folder of them; None: no stores. Raises RegistryError that names every mistake."""
    sites, mistakes = _load(path, default_zone)
    if mistakes:
        raise RegistryError(mistakes)
    return Registry(sites={site.id: site for site in sites}, default_zone=default_zone)


def check_registry(path: Path) -> list[str]:
    """Every mistake of a registry, one line each; empty when it is sound."""
    try:
        return _load(path, "UTC")[1]
    except RegistryError as error:
        return error.mistakes
