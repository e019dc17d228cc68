"""The chain: which stores, doors and sensors there are, the registry that describes them, and the truth about people."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from operators.calendar import WEEKDAYS, civil_day, day_bounds, is_open, utc_offset
from operators.simulator.floor import Area, Dwell, Floor, dwells
from operators.simulator.people import Crossing, Shop, Spot, crossings
from operators.simulator.registry_text import floor_plan, site_toml
from operators.simulator.sensing import Dialect, Eye, Sensor
from operators.simulator.stream import Stream, drain
from operators.simulator.told import Faults, Sent
from schemas.sites import Device, Line, Role, Site, Zone

CITIES = (
    ("berlin", "Berlin Mitte", "Europe/Berlin", "DE"),
    ("london", "London Bridge", "Europe/London", "GB"),
    ("new-york", "New York SoHo", "America/New_York", "US"),
    ("denver", "Denver Union", "America/Denver", "US"),
    ("los-angeles", "Los Angeles Grove", "America/Los_Angeles", "US"),
    ("honolulu", "Honolulu Ala Moana", "Pacific/Honolulu", "US"),
    ("auckland", "Auckland Queen Street", "Pacific/Auckland", "NZ"),
    ("sydney", "Sydney Pitt Street", "Australia/Sydney", "AU"),
    ("tokyo", "Tokyo Ginza", "Asia/Tokyo", "JP"),
    ("singapore", "Singapore Orchard", "Asia/Singapore", "SG"),
    ("mumbai", "Mumbai Bandra", "Asia/Kolkata", "IN"),
    ("dubai", "Dubai Marina", "Asia/Dubai", "AE"),
    ("sao-paulo", "São Paulo Paulista", "America/Sao_Paulo", "BR"),
    ("madrid", "Madrid Gran Vía", "Europe/Madrid", "ES"),
)


class _Wall(NamedTuple):
    """A sensor of a store's plan: lines as (spot, role, miss in, miss out)."""

    model: str
    dialect: Dialect
    name: str
    lines: tuple[tuple[int, Role, float, float], ...]
    interval_s: int = 60
    reversed: bool = False
    counting: str = "window"
    phase_s: int = 0
    delay_s: float = 2.0
    dies: bool = False
    full: bool = False


class _Ceiling(NamedTuple):
    """A sensor of a store's plan that watches zones."""

    model: str
    dialect: Dialect
    name: str
    floor: Floor
    singles: bool = False


class _Plan(NamedTuple):
    """A kind of store. `limit`: operational capacity as a share of the daily visitors."""

    daily: float
    stay_min: float
    staff: int
    limit: float
    spots: tuple[Spot, ...]
    walls: tuple[_Wall, ...]
    ceilings: tuple[_Ceiling, ...] = ()


def _area(number: int, name: str, role: Role, share: float = 0, stay_s: float = 60, capacity: int | None = None) -> Area:
    shape = name.lower().replace(" ", "-")
    return Area(Zone(number, name, role, capacity, shape=shape), share, stay_s)


_SALES_FLOOR = Floor(
    (
        _area(1, "New arrivals", "department", 0.55, 50, 12),
        _area(2, "Home", "department", 0.4, 110, 15),
        _area(3, "Checkout", "checkout", capacity=6),
        _area(4, "Tills", "service"),
    ),
    tills=2,
)
_CHECKOUT = Floor((_area(1, "Checkout", "checkout", capacity=4), _area(2, "Counter", "service")), 0.6, 1, 40)

PLANS = (
    _Plan(
        1900, 16, 12, 0.1,
        (Spot("Main door", 0.6), Spot("Side door", 0.25), Spot("Car park", 0.15), Spot("Upper floor", 0.4, outer=False)),
        (
            _Wall("VS125", "vs125", "Main door", ((0, "entrance", 0.02, 0.03),), full=True, delay_s=1.5),
            _Wall("VS133", "vs13x", "Side door", ((1, "entrance", 0.03, 0.02),), reversed=True, delay_s=3),
            _Wall("VS135", "lora13x", "Car park", ((2, "entrance", 0.04, 0.04),), 600, delay_s=4),
            _Wall("VS121-P", "vs121p", "Upper floor", ((3, "inner", 0.03, 0.03),), delay_s=2.5),
        ),
        (_Ceiling("VS125", "vs125", "Sales floor", _SALES_FLOOR, singles=True),),
    ),
    _Plan(
        900, 11, 5, 0.065,
        (Spot("Street door", 0.8), Spot("Back door", 0.2), Spot("Basement", 0.3, outer=False)),
        (
            _Wall("VS135", "vs13x", "Street door", ((0, "entrance", 0.02, 0.05), (2, "inner", 0.03, 0.03)), delay_s=2),
            _Wall("VS121", "lora121", "Back door", ((1, "entrance", 0.05, 0.04),), 600, reversed=True, delay_s=5),
        ),
        (_Ceiling("VS133-P", "vs13x", "Checkout", _CHECKOUT),),
    ),
    _Plan(
        700, 13, 4, 0.11,
        (Spot("Left entrance", 0.5), Spot("Right entrance", 0.5), Spot("Fitting rooms", 0.06, outer=False)),
        (
            _Wall("VS125", "vs125", "Entrance", ((0, "entrance", 0.02, 0.02), (1, "entrance", 0.02, 0.03)), full=True),
            _Wall("VS121-P", "vs121p", "Fitting rooms", ((2, "service", 0.02, 0.02),), counting="trigger"),
        ),
    ),
    _Plan(
        1200, 15, 7, 0.11,
        (Spot("Main door", 0.7), Spot("Garden", 0.3), Spot("Café", 0.2, outer=False)),
        (
            _Wall("VS121-P", "vs121p", "Main door", ((0, "entrance", 0.03, 0.03),), delay_s=1),
            _Wall("VS133", "lora13x", "Garden", ((1, "entrance", 0.03, 0.05),), 600, delay_s=6),
            _Wall("VS133", "vs13x", "Café", ((2, "department", 0.03, 0.03),), dies=True),
        ),
    ),
)  # fmt: skip


class Chain:
    """A chain of stores from `origin` on (epoch seconds); before `live` sensors report in long windows, from it on each minute.

    `speed`: from `live` on the stores' day passes that much faster (more people, shorter stays); stamps stay real.
    """

    def __init__(
        self, seed: int, origin: int, live: int, shops: Iterable[Shop], sensors: Mapping[str, tuple[Sensor, ...]],
        speed: float = 1.0, faults: Faults | None = None, past: Faults | None = None,
    ) -> None:  # fmt: skip
        self.seed, self.origin, self.live, self.speed = seed, origin, live, speed
        self.shops = {shop.site.id: shop for shop in shops}
        self.sensors = dict(sensors)
        self.faults = faults or Faults()
        self.past = past or Faults(missed=0.003, doubled=0.005, late=0.005, disorder=0.05, garbage_s=6 * 3600)
        self.crossings: Callable[[str, date], list[Crossing]] = lru_cache(maxsize=64)(self._crossings)
        self.dwells: Callable[[str, Floor, date], list[Dwell]] = lru_cache(maxsize=16)(self._dwells)

    def _dwells(self, site: str, floor: Floor, day: date) -> list[Dwell]:
        return dwells(self.seed, self.shops[site], floor, day)

    def _crossings(self, site: str, day: date) -> list[Crossing]:
        return crossings(self.seed, self.shops[site], day)

    def interval(self, at: float) -> int:
        """Report interval of the JSON sensors then: 30 minutes long ago, 5 on the last day, 1 from `live` on."""
        if at >= self.live // 300 * 300:
            return 60
        return 300 if at >= (self.live - 86400) // 1800 * 1800 else 1800

    def faults_at(self, at: float) -> Faults:
        return self.faults if at >= self.live else self.past

    def stamp(self, world: float) -> int:
        """Second in which something of the stores' own time happens."""
        return int(world) if world < self.live else int(self.live + (world - self.live) / self.speed)

    def world(self, stamp: float) -> float:
        """The stores' own time at a second of ours."""
        return stamp if stamp < self.live else self.live + (stamp - self.live) * self.speed

    def stream(self) -> Stream:
        """A fresh stream of messages from `origin` on."""
        return Stream(self)

    def messages(self, end: float) -> Iterable[Sent]:
        """Everything up to `end`, then what is held back, in the order of sending."""
        return drain(self.stream(), end)

    @property
    def sites(self) -> list[Site]:
        return [shop.site for shop in self.shops.values()]

    def registry_toml(self) -> dict[str, str]:
        """The site registry: file name -> text, a TOML file per store and the floor plans (SVG) that they name."""
        texts = {f"{site.id}.toml": site_toml(site) for site in self.sites}
        return texts | {site.plan: floor_plan(site) for site in self.sites if site.plan}

    def people(self, site: str, start: int, end: int) -> tuple[int, int]:
        """People who really went in and out of a store by its outer doors in [start, end)."""
        ways = [c.way for c in self._outer(site, start, end)]
        return ways.count(1), ways.count(-1)

    def present(self, site: str, at: int) -> int:
        """People really in the store at a moment; it is empty at the start of its civil day."""
        day = civil_day(self.shops[site].site.zone, int(self.world(at)))
        begin = self.stamp(day_bounds(self.shops[site].site.zone, day)[0])
        return sum(c.way for c in self._outer(site, begin, at))

    def _outer(self, site: str, start: int, end: int) -> list[Crossing]:
        shop = self.shops[site]
        first = civil_day(shop.site.zone, int(self.world(start))) - timedelta(days=1)
        last = civil_day(shop.site.zone, int(self.world(end)))
        days = [first + timedelta(days=i) for i in range((last - first).days + 1)]
        made = (c for day in days for c in self.crossings(site, day))
        return [c for c in made if shop.spots[c.spot].outer and start <= self.stamp(c.at) < end]


def chain(
    stores: int = 4, seed: int = 1, live: int = 1_772_000_000, weeks: float = 0, speed: float = 1.0,
    faults: Faults | None = None, past: Faults | None = None,
) -> Chain:  # fmt: skip
    """A chain whose sensors report live from `live` on (epoch seconds), with `weeks` of history before it.

    Cities are chosen so that most stores are open at `live`; the last of four or more is on the other side of the world. The
    second store has an unusual day.
    """
    origin = live // 1800 * 1800 - int(weeks * 7 * 86400)
    shops, sensors = [], {}
    for number, city in enumerate(_cities(stores, live)):
        plan = PLANS[number % len(PLANS)]
        shop = _shop(number, city, plan, seed, live)
        hung = tuple(_sensor(shop.site.id, i, wall, live) for i, wall in enumerate(plan.walls))
        hung += tuple(_overhead(shop.site.id, len(hung) + i, ceiling) for i, ceiling in enumerate(plan.ceilings))
        site = _with_devices(shop.site, hung)
        shops.append(Shop(site, shop.daily, shop.spots, shop.stay_min, shop.staff, shop.unusual))
        sensors[site.id] = hung
    return Chain(seed, origin, live, shops, sensors, speed, faults, past)


def _cities(stores: int, live: int) -> list[tuple[str, str, str, str]]:
    """The most awake cities first; with many stores they repeat with a number."""
    ranked = sorted(CITIES, key=lambda c: (not is_open(_site(*c), live), abs(_hour(c[2], live) - 14.5)))
    if 4 <= stores <= len(ranked):
        return [*ranked[: stores - 1], ranked[-1]]
    rounds = [[c if not i else (f"{c[0]}-{i + 1}", f"{c[1]} {i + 1}", *c[2:]) for c in ranked] for i in range(stores)]
    return [city for turn in rounds for city in turn][:stores]


def _hour(zone: str, at: int) -> float:
    return (at + utc_offset(zone, at // 900)) % 86400 / 3600


def _site(id: str, name: str, zone: str, country: str) -> Site:
    hours = dict.fromkeys(WEEKDAYS, ((600, 1200),)) | {"fri": ((600, 1260),), "sat": ((570, 1260),)}
    hours["sun"] = ((660, 1080),)
    return Site(id, name, zone, country, hours=hours)


def _shop(number: int, city: tuple[str, str, str, str], plan: _Plan, seed: int, live: int) -> Shop:
    bare = _site(*city)
    limit = round(plan.daily * plan.limit / 5) * 5
    site = Site(
        bare.id, bare.name, bare.zone, bare.country, capacity_operational=limit, capacity_legal=limit * 3 // 2, hours=bare.hours
    )
    unusual = {civil_day(site.zone, live).isoformat(): 1.9} if number == 1 else {}
    return Shop(site, plan.daily, plan.spots, plan.stay_min, plan.staff, unusual)


def _serial(site: str, number: int, dialect: Dialect) -> str:
    tail = blake2b(f"{site}/{number}".encode(), digest_size=8).hexdigest()
    if dialect.startswith("lora"):
        return f"24e124{tail[:10]}"
    if dialect == "vs121p":
        return f"36{int(tail, 16) % 10**10:010d}"
    return f"6{tail[:15]}".upper()


def _sensor(site: str, number: int, wall: _Wall, live: int) -> Sensor:
    serial = _serial(site, number, wall.dialect)
    lines = {i + 1: Line(i + 1, f"{wall.name} {i + 1}" if i else wall.name, role) for i, (_, role, *_) in enumerate(wall.lines)}
    view = {1: Zone(1, f"{wall.name}: in view")} if wall.dialect in ("vs125", "vs13x") else {}
    entry = Device(
        serial.lower(), wall.name, wall.model, lines, view, wall.interval_s, swap=wall.reversed,
        counting="trigger" if wall.counting == "trigger" else "window",
    )  # fmt: skip
    eyes = tuple(Eye(i + 1, spot, miss_in, miss_out) for i, (spot, _, miss_in, miss_out) in enumerate(wall.lines))
    return Sensor(
        entry, serial, wall.dialect, eyes, wall.reversed, wall.delay_s, wall.phase_s,
        dead_from=live // 60 * 60 - 2400 if wall.dies else None, groups=wall.full, demography=wall.full,
    )  # fmt: skip


def _overhead(site: str, number: int, ceiling: _Ceiling) -> Sensor:
    serial = _serial(site, number, ceiling.dialect)
    zones = {area.zone.number: area.zone for area in ceiling.floor.areas}
    entry = Device(serial.lower(), ceiling.name, ceiling.model, zones=zones)
    return Sensor(entry, serial, ceiling.dialect, (), floor=ceiling.floor, singles=ceiling.singles)


def _with_devices(site: Site, hung: Sequence[Sensor]) -> Site:
    return Site(
        site.id, site.name, site.zone, site.country, site.capacity_operational, site.capacity_legal, site.reset_minute,
        site.hours, site.exceptions, {s.entry.id: s.entry for s in hung},
        plan=f"{site.id}.svg" if any(s.floor for s in hung) else "",
    )  # fmt: skip
