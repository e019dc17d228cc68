"""Wait of somebody who joins a queue now, learnt online from those who were served (kpis.md 2.6).

Seen are four events in order of time: joined, served (service begins), left (without service), ended (service ends). What the
literature offers one by one (people ahead times service time per server, age of the head of the line, the last waits) goes
together into one regression of the square root of the wait, which learns each time somebody is served. Nothing is known of how
long those who left would have waited: the answer is the wait of those who stay.
"""

from collections import OrderedDict, deque
from math import sqrt

import numpy as np

from operators.recursive import Floats, Regressions

_RECENT = (300, 900)
"""Seconds over which service starts are counted."""
_AGENTS = (600, 1800)
"""Seconds after which a server that does nothing counts as gone."""
_KINDS = 6
"""Kinds of customers and priorities that are told apart, in order of appearance; later ones share the last."""
_WIDTH = 14 + 2 * _KINDS
_FIRST_SERVICE = 180.0
_SCALE = 0.1
"""Features and answer are square roots of seconds or people times this: about one."""
_LONGEST = 6 * 3600.0
"""Waits are never said to be longer, s."""


class Waiting:
    """One queue with its servers. Times are seconds on one clock that does not go back."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, tuple[float, int, Floats]] = OrderedDict()
        self._serving: dict[str, tuple[float, str]] = {}
        self._servers: dict[str, float] = {}
        self._starts: deque[float] = deque()
        self._joins: deque[float] = deque()
        self._waits: deque[float] = deque(maxlen=10)
        self._service = _FIRST_SERVICE
        self._kinds: dict[str, int] = {}
        first = np.zeros((1, _WIDTH), np.float32)
        first[0, 1] = 1.0
        self._model = Regressions(first, 0.999, 1.0, 0.01)

    def joined(self, now: float, key: str, kind: str = "", priority: int = 0) -> float:
        """Somebody joins; the seconds that they will wait. `key` names them until they are gone."""
        self._forget(now)
        x = self._features(now, kind, priority)
        self._waiting[key] = (now, priority, x)
        self._joins.append(now)
        z = float(x @ self._model.theta[0]) / _SCALE
        return min(_LONGEST, z * z) if z > 0.0 else 0.0

    def served(self, now: float, key: str, server: str) -> None:
        """Service begins. Who never queued is served, too."""
        self._forget(now)
        entry = self._waiting.pop(key, None)
        if entry is not None:
            since, _, x = entry
            wait = max(0.0, now - since)
            self._waits.append(wait)
            self._model.learn(0, x[None, :], sqrt(wait) * _SCALE)
        self._starts.append(now)
        self._serving[key] = (now, server)
        self._servers[server] = now

    def left(self, now: float, key: str) -> None:
        """Somebody gives up."""
        self._waiting.pop(key, None)

    def ended(self, now: float, key: str) -> None:
        """Service ends."""
        entry = self._serving.pop(key, None)
        if entry is not None:
            self._service += 0.02 * (max(0.0, now - entry[0]) - self._service)
            self._servers[entry[1]] = now

    def _forget(self, now: float) -> None:
        for times in (self._starts, self._joins):
            while times and times[0] < now - _RECENT[1]:
                times.popleft()
        gone = [server for server, last in self._servers.items() if last < now - 8 * 3600]
        for server in gone:
            del self._servers[server]

    def _features(self, now: float, kind: str, priority: int) -> Floats:
        ahead = len(self._waiting)
        before = sum(p >= priority for _, p, _ in self._waiting.values())
        oldest = next((now - t for t, _, _ in self._waiting.values()), 0.0)
        peer = next((now - t for t, p, _ in self._waiting.values() if p == priority), 0.0)
        few, many = (sum(last > now - s for last in self._servers.values()) for s in _AGENTS)
        quick = sum(t >= now - _RECENT[0] for t in self._starts)
        waits = self._waits
        seconds = (
            (ahead + 1) * self._service / max(many, 1),
            oldest,
            waits[-1] if waits else 60.0,
            sum(waits) / len(waits) if waits else 60.0,
            (ahead + 1) * _RECENT[0] / (quick + 1),
            (ahead + 1) * _RECENT[1] / (len(self._starts) + 1),
            peer,
            (before + 1) * self._service / max(few, 1),
            ahead, few, len(self._serving), quick, sum(t >= now - _RECENT[0] for t in self._joins),
        )  # fmt: skip
        x = np.zeros(_WIDTH, np.float32)
        x[0] = 1.0
        x[1:14] = np.sqrt(np.array(seconds)) * _SCALE
        x[14 + self._number(f"kind {kind}")] = 1.0
        x[14 + _KINDS + self._number(f"priority {priority}")] = 1.0
        return x

    def _number(self, name: str) -> int:
        same = name.split(" ")[0]
        if name not in self._kinds:
            self._kinds[name] = min(_KINDS - 1, sum(n.startswith(f"{same} ") for n in self._kinds))
        return self._kinds[name]
