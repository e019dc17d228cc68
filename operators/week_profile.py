"""The usual week of a series: for each hour of the civil week a slow and a faster mean of z = sqrt(count + 3/8).

A surprise counts as twice the usual one of its hour at most, so that an odd day does not spoil the week after. The same
surprise twice running is a new habit, and an hour that was closed until then begins its means anew.
"""

from array import array

WEEK_HOURS = 168
_SLOW, _FAST = 0.15, 0.35
_CLIP = 2.0
_SCALE = 256.0
"""Steps per unit of z in the stored usual surprise."""
_TIMES = 63
_CLOSED = 1.2
"""An hour with less z than that (one person) was closed."""
NAN = float("nan")


class WeekProfile:
    """`slow`, `fast`: means by hour of the week (0: Monday 00:00), NaN before any count. float32, as it is stored."""

    __slots__ = ("_seen", "_usual", "fast", "slow")

    def __init__(self) -> None:
        self.slow = array("f", [NAN]) * WEEK_HOURS
        self.fast = array("f", [NAN]) * WEEK_HOURS
        self._usual = array("H", bytes(2 * WEEK_HOURS))
        self._seen = array("B", bytes(WEEK_HOURS))
        """How often an hour was learnt since its means began (6 bits), and which way it surprised last (2 bits)."""

    def base(self, slot: int) -> float:
        """Slow mean of an hour of the week; of the same hour on the days that are known while it is not; NaN without any."""
        own = self.slow[slot]
        if own == own:
            return own
        known = [z for z in self.slow[slot % 24 :: 24] if z == z]
        return sum(known) / len(known) if known else NAN

    def learn(self, slot: int, z: float) -> None:
        """Take the z of one hour in."""
        times, way = self._seen[slot] & _TIMES, self._seen[slot] >> 6
        if not times or (times == 1 and self.slow[slot] < _CLOSED and z > 2.0 * _CLOSED):  # seen once, before it opened
            self._begin(slot, z)
            return
        slow, usual = self.slow[slot], self._usual[slot] / _SCALE
        error = taught = z - slow
        now = 0
        if usual > 0.0:
            most = _CLIP * usual
            if abs(error) > most:
                now = 1 if error > 0.0 else 2
                if way == now:
                    taught = 0.7 * error
                    if slow < _CLOSED:
                        self._begin(slot, z)
                        return
                else:
                    taught = most if error > 0.0 else -most
        self._learn_usual(slot, usual, abs(error) + 1e-3)
        first = 1.0 / (times + 1)
        seen = slow + taught  # the faster mean is taught the same clipped surprise, seen from where it stands itself
        self.slow[slot] = slow + max(_SLOW, first) * taught
        fast = self.fast[slot]
        self.fast[slot] = fast + max(_FAST, first) * (seen - fast)
        self._seen[slot] = min(times + 1, _TIMES) | now << 6

    def _begin(self, slot: int, z: float) -> None:
        self.slow[slot] = self.fast[slot] = z
        self._usual[slot], self._seen[slot] = 0, 1

    def _learn_usual(self, slot: int, usual: float, size: float) -> None:
        found = usual + 0.1 * (min(size, 4.0 * usual) - usual) if usual > 0.0 else size
        self._usual[slot] = round(max(0.05, min(255.0, found)) * _SCALE)

    def state(self) -> list[bytes]:
        """Its four arrays."""
        return [a.tobytes() for a in (self.slow, self.fast, self._usual, self._seen)]

    def load(self, parts: list[bytes]) -> None:
        """What `state` gave. Raises ValueError when the sizes do not fit."""
        if [len(part) // WEEK_HOURS for part in parts] != [4, 4, 2, 1]:
            raise ValueError("a week profile of another size")
        slow, fast, usual, seen = parts
        self.slow, self.fast, self._usual, self._seen = array("f", slow), array("f", fast), array("H", usual), array("B", seen)
