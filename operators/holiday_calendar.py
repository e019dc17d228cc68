"""Public holidays of a country and its subdivision, and exceptional opening hours, as a calendar of special hours.

Holidays come from the library `holidays`: rules, not lists, so that past and coming years are known alike.
"""

import re
from datetime import date, timedelta
from functools import lru_cache

from operators.calendar import WEEKDAYS
from operators.special_days import CLOSED, OPENED, ORDINARY, Calendar, plain_days
from schemas.sites import Site

_EPOCH = date(1970, 1, 1)
_ZONES = {
    "Australia/Melbourne": "VIC", "Australia/Sydney": "NSW", "Australia/Brisbane": "QLD", "Australia/Adelaide": "SA",
    "Australia/Perth": "WA", "Australia/Hobart": "TAS", "Australia/Darwin": "NT", "Europe/London": "ENG",
}  # fmt: skip
"""Subdivision that a time zone names; elsewhere it has to be stated."""


class UnknownCountry(ValueError):
    """No holidays are known of that country or subdivision: says which."""


@lru_cache(maxsize=256)
def _year(country: str, subdivision: str, year: int) -> dict[date, str]:
    """Holidays of a year, named so that one of another year on another weekday is the same."""
    import holidays  # takes 0.3 s; only a lane that forecasts needs it

    try:
        found = holidays.country_holidays(country, subdiv=subdivision or None, years=year, language="en_US")
    except (NotImplementedError, KeyError) as error:
        where = f"{country}-{subdivision}" if subdivision else country
        raise UnknownCountry(f"no holidays are known of {where}; give a country as DE or AU-VIC") from error
    return {day: re.sub(r" \((observed|substitute).*\)$", "", name.split("; ")[0]) for day, name in found.items()}


def holidays_of(country: str, zone: str = "") -> Calendar:
    """Public holidays of a country, `DE` or with a subdivision `DE-BE`; `zone` names the subdivision where it can.

    Raises UnknownCountry. The subdivision of a zone counts only where the library knows it.
    """
    if not country:
        return plain_days
    code, _, part = country.upper().partition("-")
    part = part or (_ZONES.get(zone, "") if zone.split("/")[0] in ("Australia", "Europe") and code in ("AU", "GB") else "")
    _year(code, part, 2000)
    return _days_of(code, part)


@lru_cache(maxsize=512)
def _days_of(code: str, part: str) -> Calendar:
    """One calendar for all stores of a country and subdivision."""

    def calendar(hour: int) -> str:
        return day_name(hour // 24)

    @lru_cache(maxsize=1024)
    def day_name(number: int) -> str:
        day = _EPOCH + timedelta(days=number)
        return _year(code, part, day.year).get(day, ORDINARY)

    return calendar


def calendar_of(site: Site) -> Calendar:
    """Holidays of a store's country, and hours that the registry's exceptions close or open on a day."""
    try:
        days = holidays_of(site.country, site.zone)
    except UnknownCountry:
        days = plain_days
    if not site.exceptions or site.hours is None:
        return days
    hours = site.hours

    def calendar(hour: int) -> str:
        day = _EPOCH + timedelta(days=hour // 24)
        ranges = site.exceptions.get(day.isoformat())
        if ranges is None:
            return days(hour)
        usual = hours.get(WEEKDAYS[day.weekday()], ())
        is_open, was_open = (any(a < 60 * (hour % 24) + 60 and 60 * (hour % 24) < b for a, b in r) for r in (ranges, usual))
        if is_open == was_open:
            return days(hour)
        return OPENED if is_open else CLOSED

    return calendar
