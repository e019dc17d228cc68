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
_STEP_S = 15.0
_ROOM = 60

Matrix = npt.NDArray[np.float64]


def lanes_wanted(people: int, arrivals_h: float, service_s: float, within_s: int) -> tuple[int, float]:
    """Lanes, and the share of those who come in the next `within_s` seconds that waits no longer than the target with them.

    `people`: at the tills and waiting; arrivals per hour; mean service in seconds. At most `MOST_LANES`.
    """
    asked = min(people, _ROOM), round(arrivals_h), max(5, round(service_s / 5) * 5)
    lanes = 1
    while lanes < MOST_LANES and in_time(*asked, lanes, within_s) < GOAL:
        lanes += 1
    return lanes, in_time(*asked, lanes, within_s)


@lru_cache(maxsize=20_000)
def in_time(people: int, arrivals_h: int, service_s: int, lanes: int, within_s: int) -> float:
    """Share of those who come in the next `within_s` seconds that waits no longer than the target, if they stay."""
    arrivals, service, patience = arrivals_h / 3600, 1 / service_s, 1 / PATIENCE_S
    room = max(people, lanes) + _ROOM
    ends = np.arange(room + 1)
    deaths = np.minimum(ends, lanes) * service + np.maximum(0, ends - lanes) * patience
    step = _moved(np.full(room + 1, arrivals), deaths, _STEP_S)
    answered = _answered(lanes, service, patience, room)
    now = np.zeros(room + 1)
    now[people] = 1.0
    steps = max(1, round(within_s / _STEP_S))
    total = 0.0
    for _ in range(steps):
        following = now @ step
        total += float((now + following) @ answered) / 2
        now = following
    return total / steps


def _answered(lanes: int, service: float, patience: float, room: int) -> Matrix:
    """By people found on arrival: probability that a lane is free within the target. Those ahead may give up, too."""
    ahead = np.arange(room - lanes + 2)  # of the lane: 0 is one's own turn
    deaths = np.where(ahead > 0, lanes * service + np.maximum(0, ahead - 1) * patience, 0.0)
    turn = _moved(np.zeros(len(ahead)), deaths, TARGET_S)[:, 0]
    found = np.ones(room + 1)
    found[lanes:] = turn[1 : room - lanes + 2]
    return found


def _moved(births: Matrix, deaths: Matrix, seconds: float) -> Matrix:
    """Transition probabilities of a birth-death chain over some seconds: the exponential of its generator, by squaring."""
    size = len(births)
    generator = np.zeros((size, size))
    inner = np.arange(size - 1)
    generator[inner, inner + 1] = births[:-1]
    generator[inner + 1, inner] = deaths[1:]
    generator[np.arange(size), np.arange(size)] = -generator.sum(1)
    halvings = max(0, int(np.ceil(np.log2(max(1e-9, float(-generator.diagonal().min()) * seconds)))) + 6)
    part = generator * (seconds / 2**halvings)
    moved: Matrix = np.eye(size) + part @ (np.eye(size) + part / 2 @ (np.eye(size) + part / 3))
    for _ in range(halvings):
        moved = moved @ moved
    return moved
