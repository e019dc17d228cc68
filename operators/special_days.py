"""What public holidays and exceptional opening hours make of the usual week.

A `Calendar` says for each hour of the civil clock what is special about it: nothing, closed or open by way of exception, or the
name of a holiday. A holiday runs like a mixture of its own weekday and a Sunday, times a factor of its own: the mixture is
learnt from all holidays, the factor from the earlier years of the same one.
"""

from array import array
from collections.abc import Callable
from zlib import crc32

Calendar = Callable[[int], str]
"""Hour of the civil clock since 1970-01-01 00:00 -> ORDINARY, CLOSED, OPENED, or the name of a holiday."""
ORDINARY, CLOSED, OPENED = "", "closed", "open"
_FIRST = (0.0, 0.6)
"""How a holiday runs before any was seen: change of its own level, share of the way to a Sunday."""
_RIDGE = 6.0
_FORGET = 0.999
"""Weight of the past per hour of a holiday: a memory of some hundred holidays."""
_FADE = 0.97
"""The same for the factor of one holiday: its last two years."""
_TRUST = 12.0
"""Hours of a holiday after which its own factor counts half."""
_NAMES = 16
_NOTHING = 0.375**0.5
"""z of nobody."""
_LEAST = 1.0


def plain_days(hour: int) -> str:
    """A calendar without anything special."""
    return ORDINARY


class Holidays:
    """The mixture of all holidays, and a factor for each of the newest sixteen names."""

    __slots__ = ("_factors", "_mix")

    def __init__(self) -> None:
        # Normal equations of two coefficients: a b / b c times theta = d, e; and the usual error.
        f = _FIRST
        self._mix = array("d", (_RIDGE, 0.0, _RIDGE, _RIDGE * f[0], _RIDGE * f[1], 0.2))
        self._factors: dict[int, array[float]] = {}
        """Name -> product of what came and the mixture, square of the mixture, both fading; float32, as it is stored."""

    def base(self, kind: str, own: float, sunday: float) -> float:
        """z to be expected of an hour of that kind; `own`, `sunday`: of that weekday and of a Sunday as usual."""
        if kind == CLOSED:
            return _NOTHING
        if kind == OPENED:
            return max(own, sunday)
        mixed = self._mixed(own, sunday)
        seen, held = self._factors.get(crc32(kind.encode()), (0.0, 0.0))
        return mixed * (1.0 + (seen - held) / (held + _TRUST * max(own, _LEAST) ** 2))

    def _mixed(self, own: float, sunday: float) -> float:
        a, b, c, d, e, _ = self._mix
        by = a * c - b * b
        level, share = (c * d - b * e) / by, (a * e - b * d) / by
        return max(0.0, own + max(-1.0, min(1.0, level)) * own + max(-0.5, min(1.5, share)) * (sunday - own))

    def learn(self, kind: str, own: float, sunday: float, z: float) -> None:
        """Take the z of one hour of that kind in."""
        if kind in (CLOSED, OPENED) or own != own or sunday != sunday:
            return
        self._learn_factor(crc32(kind.encode()), self._mixed(own, sunday), z)
        by = max(own, _LEAST)
        self._learn_mix(own / by, (sunday - own) / by, (z - own) / by)

    def _learn_factor(self, name: int, mixed: float, z: float) -> None:
        seen, held = self._factors.pop(name, (0.0, 0.0))
        most = 3.0 * mixed + 3.0
        self._factors[name] = array("f", (_FADE * seen + min(z, most) * mixed, _FADE * held + mixed * mixed))
        while len(self._factors) > _NAMES:
            del self._factors[next(iter(self._factors))]

    def _learn_mix(self, x: float, y: float, wanted: float) -> None:
        m = self._mix
        a, b, c, d, e, usual = m
        by = a * c - b * b
        error = abs(wanted - (x * (c * d - b * e) + y * (a * e - b * d)) / by)
        w = 1.0 / max(error / usual, 0.5)
        lost = (1.0 - _FORGET) * _RIDGE
        m[0] = _FORGET * a + w * x * x + lost
        m[1] = _FORGET * b + w * x * y
        m[2] = _FORGET * c + w * y * y + lost
        m[3] = _FORGET * d + w * x * wanted + lost * _FIRST[0]
        m[4] = _FORGET * e + w * y * wanted + lost * _FIRST[1]
        m[5] = max(1e-3, usual + 0.02 * (min(error, 3.0 * usual) - usual))

    def state(self) -> tuple[bytes, list[tuple[int, bytes]]]:
        """The mixture, and names with their factors."""
        return self._mix.tobytes(), [(name, factor.tobytes()) for name, factor in self._factors.items()]

    def load(self, parts: tuple[bytes, list[tuple[int, bytes]]]) -> None:
        """What `state` gave. Raises ValueError when the sizes do not fit."""
        mix, factors = array("d", parts[0]), {int(name): array("f", factor) for name, factor in parts[1]}
        if len(mix) != len(self._mix) or any(len(factor) != 2 for factor in factors.values()):
            raise ValueError("holidays of another size")
        self._mix, self._factors = mix, factors
