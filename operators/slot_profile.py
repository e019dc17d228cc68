"""The usual value of every quarter of the civil week, two bytes each.

A quarter is kept as round(64 sqrt(|x| / unit)) with its sign in 14 bits: relative to the noise of a count the same precision at
every height. The unit follows from the first value and grows when a value does not fit. The other two bits say which way the
quarter surprised last: the same surprise in two weeks running is a new habit and is learnt fast.
"""

from array import array
from math import frexp, sqrt

from operators.models import WEEK

_STEPS = 64.0
_ZERO = 1 << 13
_MOST = _ZERO - 1
_CODE = (1 << 14) - 1
_DAY = 96


class SlotProfile:
    """672 slots; 0 is Monday 00:00. `used`: how many are known."""

    __slots__ = ("_codes", "_unit", "used")

    def __init__(self) -> None:
        self._codes = array("H", bytes(2 * WEEK))
        self._unit = 0.0
        self.used = 0

    def own(self, slot: int) -> bool:
        """Whether the slot itself was ever measured."""
        return self._codes[slot] != 0

    def usual(self, slot: int) -> float | None:
        """The slot's value; while it is unknown, the mean of the same time on the days that are known; None without any."""
        code = self._codes[slot]
        if code:
            return self._value(code)
        others = [self._value(code) for code in self._codes[slot % _DAY :: _DAY] if code]
        return sum(others) / len(others) if others else None

    def surprised(self, slot: int) -> int:
        """Which way its last value surprised: 0 not, 1 upwards, 2 downwards."""
        return self._codes[slot] >> 14

    def store(self, slot: int, value: float, way: int = 0) -> None:
        """Set a slot."""
        if not self._codes[slot]:
            self.used += 1
        if not self._unit and value:
            # A power of two, so that nothing is lost when it grows: the first value takes an eighth of the range.
            self._unit = 2.0 ** (frexp(abs(value))[1] - 8)
        size = round(_STEPS * sqrt(abs(value) / self._unit)) if self._unit else 0
        while size > _MOST:
            self._grow()
            size = round(_STEPS * sqrt(abs(value) / self._unit))
        self._codes[slot] = way << 14 | (_ZERO + size if value >= 0.0 else _ZERO - size)

    def _value(self, code: int) -> float:
        size = (code & _CODE) - _ZERO
        return (size * abs(size)) * self._unit / (_STEPS * _STEPS)

    def _grow(self) -> None:
        self._unit *= 4.0
        for slot, code in enumerate(self._codes):
            if code:
                size = (code & _CODE) - _ZERO
                self._codes[slot] = (code & ~_CODE) | (_ZERO + int(size / 2))

    def state(self) -> tuple[bytes, float]:
        """What `load` takes."""
        return self._codes.tobytes(), self._unit

    def load(self, codes: bytes, unit: float) -> None:
        """Raises ValueError when it is no such state."""
        found = array("H", codes)
        if len(found) != WEEK or not unit >= 0.0:
            raise ValueError("a profile of another form")
        self._codes, self._unit = found, unit
        self.used = sum(1 for code in found if code)
