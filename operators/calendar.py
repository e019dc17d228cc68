"""Civil time of a store: days, buckets, opening hours. Pure functions of epoch seconds and an IANA zone.

Civil time is what the clock on the wall says. A day may have 23, 24 or 25 hours; in the repeated hour both passes are told
apart by their epoch, the skipped hour does not exist.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from schemas.sites import Site

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
STEPS = {"15m": 900, "1h": 3600, "1d": 86400}


@lru_cache(maxsize=200_000)
def utc_offset(zone: str, quarter: int) -> int:
    """Civil time minus UTC in seconds during a quarter of an hour (epoch // 900). Zones change on quarters of an hour."""
    moment = datetime.fromtimestamp(quarter * 900, UTC).astimezone(ZoneInfo(zone))
    return int((moment.utcoffset() or timedelta()).total_seconds())


@lru_cache(maxsize=50_000)
def day_bounds(zone: str, day: date) -> tuple[int, int]:
    """Epoch seconds of the start and the end of a civil day."""
    return _midnight(zone, day), _midnight(zone, day + timedelta(days=1))


def _midnight(zone: str, day: date) -> int:
    """The first moment whose civil date is `day` (a skipped midnight begins when the clock jumps)."""
    guess = int(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).timestamp())
    while civil_day(zone, guess) < day:
        guess += 900
    return guess


def civil_day(zone: str, epoch: int) -> date:
    """Civil date of a moment."""
    return (datetime(1970, 1, 1) + timedelta(seconds=epoch + utc_offset(zone, epoch // 900))).date()


@lru_cache(maxsize=200_000)
def _bucket(zone: str, quarter: int, step: str) -> tuple[int, int]:
    """Epoch start and end of the bucket that holds a quarter of an hour."""
    epoch = quarter * 900
    if step == "1d":
        return day_bounds(zone, civil_day(zone, epoch))
    size = STEPS[step]
    local = epoch + utc_offset(zone, quarter)
    start = epoch - local % size
    end = start + size
    # A change of offset inside the bucket cuts it: civil time before and after are different buckets.
    while utc_offset(zone, start // 900) != utc_offset(zone, quarter):
        start += 900
    last = quarter
    while (last + 1) * 900 < end and utc_offset(zone, last + 1) == utc_offset(zone, quarter):
        last += 1
    return start, min(end, (last + 1) * 900)


def bucket(zone: str, epoch: int, step: str) -> tuple[int, int]:
    """Epoch seconds of start and end of the civil bucket (`15m`, `1h` or `1d`) that holds a moment."""
    return _bucket(zone, epoch // 900, step)


def local_start(zone: str, start: int) -> int:
    """Civil wall clock at a moment, as epoch seconds that carry no zone."""
    return start + utc_offset(zone, start // 900)


def reset_before(site: Site, epoch: int) -> int:
    """The newest moment, not after `epoch`, at which the store is known to be empty."""
    day = civil_day(site.zone, epoch)
    for back in (0, 1, 2):
        start, _ = day_bounds(site.zone, day - timedelta(days=back))
        reset = _wall(site.zone, day - timedelta(days=back), site.reset_minute)
        if reset <= epoch and reset >= start:
            return reset
    raise ValueError(f"no reset before {epoch} in {site.zone}")


@lru_cache(maxsize=50_000)
def _wall(zone: str, day: date, minute: int) -> int:
    """Epoch of a wall-clock minute of a civil day; the first pass of a repeated one, the jump itself for a skipped one."""
    moment = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)
    guess = int(moment.replace(tzinfo=ZoneInfo(zone)).timestamp())
    if local_start(zone, guess) != int(moment.replace(tzinfo=UTC).timestamp()):
        guess = _jump_before(zone, guess)  # Python places a skipped time as long after the jump as it was asked to be
    return max(guess, _midnight(zone, day)) if minute < 1440 else guess


def _jump_before(zone: str, epoch: int) -> int:
    """The newest change of offset, not after a moment."""
    quarter = epoch // 900
    offset = utc_offset(zone, quarter)
    while utc_offset(zone, quarter - 1) == offset:
        quarter -= 1
    return quarter * 900


def opening(site: Site, day: date) -> list[tuple[int, int]]:
    """Opening times that begin on a civil day, as epoch seconds [open, close). A store without hours is always open."""
    if site.hours is None:
        return [day_bounds(site.zone, day)]
    ranges = site.exceptions.get(day.isoformat())
    if ranges is None:
        ranges = site.hours.get(WEEKDAYS[day.weekday()], ())
    return [(_wall(site.zone, day, a), _wall(site.zone, day, b)) for a, b in ranges]


def open_seconds(site: Site, start: int, end: int) -> int:
    """Seconds of [start, end) in which the store is open."""
    if site.hours is None:
        return end - start
    day, last = civil_day(site.zone, start) - timedelta(days=1), civil_day(site.zone, end)
    days = [day + timedelta(days=i) for i in range((last - day).days + 1)]
    return sum(max(0, min(b, end) - max(a, start)) for d in days for a, b in opening(site, d))


def is_special(site: Site, epoch: int) -> bool:
    """Whether the civil day of a moment has opening hours of its own."""
    return bool(site.exceptions) and civil_day(site.zone, epoch).isoformat() in site.exceptions


def is_open(site: Site, epoch: int) -> bool:
    """Whether the store is open at a moment (ranges are start-inclusive, end-exclusive)."""
    if site.hours is None:
        return True
    day = civil_day(site.zone, epoch)
    return any(a <= epoch < b for d in (day, day - timedelta(days=1)) for a, b in opening(site, d))
