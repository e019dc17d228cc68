"""How large an installation must be for so many stores: arithmetic over measured figures, shown in docs/sizing.md."""

import math
from dataclasses import dataclass

DAY, MONTH_DAYS = 86_400, 30.4


@dataclass(frozen=True)
class Measured:
    """The figures that everything else follows from; docs/performance.md and docs/sizing.md say where each comes from.

    CPU in microseconds a message, memory in MiB, sizes in bytes (of a row: on the store's disk, compressed and merged).
    """

    cpu_traffic_us: float = 39
    cpu_all_us: float = 110
    lane_mib: int = 556
    message_bytes: int = 722
    observation_row: float = 28.2
    line_minute_row: float = 5.7
    site_minute_row: float = 6.2
    occupancy_row: float = 18.7
    bucket_row: float = 7.4


@dataclass(frozen=True)
class Chain:
    """What is counted. `interval_s`: seconds between the reports of a device; `retention_days` and `replicas`: of the log."""

    stores: int
    devices: int = 4
    lines: int = 2
    interval_s: int = 60
    retention_days: int = 7
    replicas: int = 3


@dataclass(frozen=True)
class Size:
    """What it takes. Disk in GiB: of the store per month (without replicas), of all log brokers together."""

    messages_per_s: float
    cores: float
    lanes: int
    lane_memory_mib: int
    brokers: int
    log_gib: float
    store_gib_month: dict[str, float]

    @property
    def store_gib(self) -> float:
        return sum(self.store_gib_month.values())


FULL = 0.5
"""Share of a core that a lane is planned for: the other half drains a backlog as fast as it grows."""
BUCKETS_A_DAY = 96 + 24 + 1
KEPT_MONTHS = {"observations": 396 / MONTH_DAYS, "minutes": 1826 / MONTH_DAYS, "occupancy": 1826 / MONTH_DAYS}
LIMITS = {"lanes": 8.0, "log disk": 3 * 1024.0, "store disk": 4 * 1024.0}
"""A plain installation: eight partitions, three brokers of 1 TiB, a ClickHouse server of 4 TiB."""


def size(chain: Chain, measured: Measured = Measured(), every_flow: bool = True) -> Size:  # frozen
    """The size for a chain. Raises ValueError for one of nothing."""
    if min(chain.stores, chain.devices, chain.lines, chain.interval_s, chain.retention_days, chain.replicas) < 1:
        raise ValueError("stores, devices, lines, interval, retention and replicas are at least 1")
    rate = chain.stores * chain.devices / chain.interval_s
    cores = rate * (measured.cpu_all_us if every_flow else measured.cpu_traffic_us) / 1e6
    lanes = max(1, math.ceil(cores / FULL))
    log = rate * measured.message_bytes * DAY * chain.retention_days * chain.replicas / 2**30
    per_line = chain.devices * chain.lines
    rows = {  # bytes a day of one store
        "observations": chain.devices * chain.lines * DAY / chain.interval_s * measured.observation_row,
        "minutes": 1440 * (per_line * measured.line_minute_row + measured.site_minute_row),
        "occupancy": 1440 * measured.occupancy_row,
        "roll-ups": BUCKETS_A_DAY * (per_line + 1) * measured.bucket_row,
    }
    month = {name: chain.stores * of_day * MONTH_DAYS / 2**30 for name, of_day in rows.items()}
    return Size(rate, cores, lanes, lanes * measured.lane_mib, chain.replicas, log, month)


def first_to_give(found: Size) -> list[tuple[str, float]]:
    """Parts of the plain installation (`LIMITS`) with the share in use, the fullest first. Store: what is kept after a year."""
    kept = sum(gib * min(12.0, KEPT_MONTHS.get(name, 12.0)) for name, gib in found.store_gib_month.items())
    shares = {"lanes": found.lanes, "log disk": found.log_gib, "store disk": kept}
    return sorted(((name, shares[name] / most) for name, most in LIMITS.items()), key=lambda pair: -pair[1])
