"""How many lanes to open now: the smallest number with which most people who come soon wait no longer than the target.

From the people who are there now, the chain of arrivals, services and lost patience is followed over the next minutes (exact
for exponential times; kpis.md 3.6 asks for a simulation from the present state, of which this is the mean without the noise).
In the long run it is Erlang-A. The ratio of kpis.md 1.10 is not used.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

TARGET_S = 120.0
"""Nobody should wait longer."""
GOAL = 0.8
"""Share of the people for which the target must hold."""
PATIENCE_S = 300.0
"""Mean time after which somebody gives up: an assumption, as in the known answers of kpis.md 2.6."""
MOST_LANES = 20
_MOST = 60
"""More people than this count as this many."""
_ROOM = 2 * _MOST

Vector = npt.NDArray[np.float64]


def lanes_wanted(people: int, arrivals_h: float, service_s: float, within_s: int) -> tuple[int, float]:
    """Lanes, and the share of those who come in the next `within_s` seconds that waits no longer than the target with them.

    `people`: at the tills and waiting; arrivals per hour (taken to about 5 %); mean service in seconds. At most `MOST_LANES`.
    """
    coarse = max(4, 1 << max(0, int(arrivals_h / 20)).bit_length())
    asked = round(arrivals_h / coarse) * coarse, max(5, round(service_s / 5) * 5)
    lanes = 1
    while lanes < MOST_LANES and in_time(people, *asked, lanes, within_s) < GOAL:
        lanes += 1
    return lanes, in_time(people, *asked, lanes, within_s)


def in_time(people: int, arrivals_h: int, service_s: int, lanes: int, within_s: int) -> float:
    """Share of those who come in the next `within_s` seconds that waits no longer than the target, if they stay."""
    return min(1.0, float(_in_time(arrivals_h, service_s, lanes, within_s)[min(people, _MOST)]))


@lru_cache(maxsize=5000)
def _in_time(arrivals_h: int, service_s: int, lanes: int, within_s: int) -> Vector:
    """The same by people who are there now."""
    arrivals, service, patience = arrivals_h / 3600, 1 / service_s, 1 / PATIENCE_S
    there = np.arange(_ROOM + 1)
    deaths = np.minimum(there, lanes) * service + np.maximum(0, there - lanes) * patience
    births = np.where(there < _ROOM, arrivals, 0.0)
    return _expected(births, deaths, _answered(lanes, service, patience), within_s, mean=True)


def _answered(lanes: int, service: float, patience: float) -> Vector:
    """By people found on arrival: probability that a lane is free within the target. Those ahead may give up, too."""
    ahead = np.arange(_ROOM - lanes + 2)  # departures until one's own turn
    deaths = np.where(ahead > 0, lanes * service + np.maximum(0, ahead - 1) * patience, 0.0)
    turn = _expected(np.zeros(len(ahead)), deaths, np.where(ahead == 0, 1.0, 0.0), TARGET_S, mean=False)
    found = np.ones(_ROOM + 1)
    found[lanes:] = turn[1:]
    return found


def _expected(births: Vector, deaths: Vector, values: Vector, seconds: float, mean: bool) -> Vector:
    """Expected value of a birth-death chain by the state in which it begins: after some seconds, or their mean.

    By uniformisation: jumps of a chain in discrete time, as many as a Poisson process makes.
    """
    rate = float((births + deaths).max())
    jumps = rate * seconds
    k = np.arange(int(jumps + 8 * jumps**0.5) + 30)
    weights = np.exp(k * np.log(jumps) - jumps - np.cumsum(np.log(np.maximum(k, 1))))
    if mean:
        weights = np.maximum(0.0, 1.0 - np.cumsum(weights)) / jumps
    up, down = births / rate, deaths / rate
    stay, total, now = 1.0 - up - down, np.zeros(len(values)), values
    for weight in weights:
        total += weight * now
        following = stay * now
        following[:-1] += up[:-1] * now[1:]
        following[1:] += down[1:] * now[:-1]
        now = following
    return total
