"""Forecasts of a seeded store: hours of two days and of the next one, each as it was said about a day and 40 minutes before."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.seed import Seed

HOUR, DAY = 3600, 86400
_SAID = ((20 * HOUR, 1.1), (2400, 1.0))
"""So many seconds before, and what was said as a multiple of what is usual."""
_MODELS = (("best", 1, 8.0, 0.8), ("last-week", 0, 13.0, None))
_ENDS = {"lo50": -0.53, "hi50": 0.53, "lo80": -1.0, "hi80": 1.0, "lo95": -1.53, "hi95": 1.53}
"""Ends of the intervals in halves of the 80 % interval."""


def forecasts(made: "Seed", site: str, rate: Callable[[int], float]) -> None:
    """`rate`: people an hour at a minute (epoch s)."""
    first = made.now - made.now % HOUR - 2 * DAY
    for target in range(first, first + 3 * DAY, HOUR):
        usual = sum(rate(target + m) for m in range(0, HOUR, 60)) / 60
        half = 1.28 * math.sqrt(usual * 1.3 + 0.5)
        for before, times in _SAID:
            if target - before <= made.now:
                series = {
                    "site": site,
                    "section": "site",
                    "device": "",
                    "part": 0,
                    "step": "1h",
                    "model": "hour-week-regression",
                }
                ends = {name: max(0.0, times * usual + half * by) for name, by in _ENDS.items()}
                made.add("forecast", **series, target=target, made_at=target - before, mean=times * usual, **ends)
    for ahead in (1, 24):
        for model, speaks, error, covered in _MODELS:
            made.add(
                "forecast_error",
                site=site,
                section="site",
                device="",
                part=0,
                ahead=ahead,
                model=model,
                at=first + DAY,
                error=error,
                late_error=error,
                bias=0.5,
                champion_error=8.0,
                hours=500,
                speaks=speaks,
                covered50=covered,
                covered80=covered,
                covered95=covered,
            )
