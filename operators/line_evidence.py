"""Store or sensor: which explanation fits what the lines of a store counted in a time best.

For each line and direction there is what it counted (Y) and what was usual (M). An explanation says by which factor each of
them was changed; with quasi-Poisson errors (variance phi x M, where phi = `PARTY` for people who come together, plus what is
not known of M) its logarithmic likelihood is, but for what all explanations have in common,

    sum (Y log f - f M) / phi

so that only the sums A = sum Y / phi and B = sum M / phi of the lines with the same factor matter. A factor has a gamma prior
(weight a, mode f0), which gives f = (A + a) / (B + a / f0). The explanations:

- usual: one factor for all, close to one.
- store: one factor for all, whatever it is; also one for those who come and another for those who go, for a while.
- sensor: one factor for a line (or for all lines of a device), for one direction or both, while the others are usual.
- door: a line has nobody, and the others have its people: the door is shut.

Each costs what it is less likely beforehand (`COST`). Who is inside cannot vanish: a store that is empty of a sudden while the
count says that many are inside is no closed store.
"""

from collections.abc import Iterable, Mapping
from math import exp, log, sqrt
from typing import NamedTuple

from operators.usual_lines import Line

PARTY = 2.0
"""Variance of a count over its mean: 1.9 for parties of 1 to 4 people (70, 19, 7 and 4 %), 1 for people who come alone."""
_ANY = 0.5
"""Weight of the prior of a factor that may be anything."""
COST = {"store": 3.0, "turn": 5.0, "line": 5.0, "device": 5.0, "way": 5.5, "door": 5.0, "small": 9.0, "both": 6.0}
"""Cost of each kind of explanation against the usual, in nats; `turn`: coming and going of the store changed differently;
`door`: a door is shut, `small`: one with less than a quarter of the people, whose absence shows at the others too little;
`both`: the store is odd at the same time."""
_TURN_QUARTERS = 4
"""Longer than this, who comes and who goes do not change differently in a store: a stay is shorter."""
_NOBODY = 0.02
"""Factor of a line that counts nobody."""
_CUT = 2.0
"""Standard deviations from what is to be expected at which a level of the store is not usual any more."""
_LEAST_TAKEN = 0.5
"""So much of the people of a shut door must show at the others."""
_SMALL = 1.0 / 3.0
"""People of a door against those of the others."""
_SHUT, _LESS_USED = 0.15, 0.6
"""A door with a larger share of its usual people is not shut; the second, while it may have been shut within a quarter."""
ODDS = 8.0
"""An explanation is said when it is e^8 times as likely as the usual (3000 to 1, beyond its cost) ..."""
_LEVEL_ODDS = 16.0
"""Asked of a quiet or busy store: one visit is several crossings, so all lines together know less than they seem to."""
CLEAR = 3.0
"""... and e^3 times as likely as the next one with another meaning (20 to 1)."""
_LOW, _HIGH = 0.75, 1.4
"""Changes of a line within these factors are not worth saying."""
_QUIET, _BUSY, EMPTY = 0.7, 1.45, 0.08
"""The same of a store; below the last it is taken to be closed."""

_ODD = (0.3, 3.0)
"""Levels of a store in which a sensor is broken as well; beyond, one explanation is enough."""
_SLOW, _STEADY = 4, 3
"""Quarters before a store is called quiet or busy, and before a line counts too few or too many: what begins within a quarter
looks like less of it."""
_MOST_GONE = (3.0, 12.0)
"""Most that people who should be inside count against an empty store; the second where one sensor alone sees all entrances.
That several sensors went blind at once is less likely than that their counts do not balance."""
_SEEN_BY_ONE = 3.0
"""Cost of a closed store when one sensor alone sees all its entrances."""
_LONG = 6
"""Quarters after which the better of two explanations is said, however close."""

Way = int
Channel = tuple[Line, Way]


class Cell(NamedTuple):
    """One line and direction in a time: people counted and usual, squared relative error of the usual."""

    seen: float
    usual: float
    doubt: float


class Window(NamedTuple):
    """Some quarters up to now. `start`: epoch s; `today`: none of another day is among them; `level`: the factor that is to be
    expected of the store, by what was before on that day, and `doubt` its squared relative error; `inside`: people whom the
    counts leave in the store now beyond what errors explain; `empty`: hardly anybody was counted in the newest quarter;
    `entrances`: lines that lead into the store."""

    start: int
    quarters: int
    today: bool
    cells: Mapping[Channel, Cell]
    level: float
    doubt: float
    inside: float
    empty: bool
    entrances: frozenset[Line]


class Finding(NamedTuple):
    """An explanation. `kind` and `verdict` as in the table `sensor_health`; `device` "" for the store, `line` 0 for all of a
    device; `ways`: directions; `factor`: seen over usual; `others`: the factor of the rest; `odds`: nats over the usual."""

    verdict: str
    kind: str
    device: str
    line: int
    ways: tuple[Way, ...]
    factor: float
    others: float
    odds: float
    start: int

    @property
    def meaning(self) -> tuple[str, str, int]:
        """Findings with the same meaning do not compete; neither do a line and its device."""
        return self.verdict, self.device, 0


class _Group(NamedTuple):
    a: float
    b: float

    def less(self, other: "_Group") -> "_Group":
        return _Group(max(0.0, self.a - other.a), max(0.0, self.b - other.b))

    def best(self, weight: float, mode: float = 1.0) -> tuple[float, float]:
        """Likelihood at the best factor, and that factor."""
        factor = (self.a + weight) / (self.b + weight / mode)
        prior = weight * (log(factor / mode) - factor / mode + 1.0)
        return self.at(factor) + prior, factor

    def usual(self, level: float, doubt: float) -> tuple[float, float]:
        """Likelihood at the best factor near the level that is to be expected, and that factor: normal in its logarithm, and
        cut (`_CUT`)."""
        most, x = _CUT * sqrt(doubt), 0.0
        for _ in range(6):  # Newton; concave
            expected = self.b * level * exp(x)
            x += (self.a - expected - x / doubt) / (expected + 1.0 / doubt)
            x = max(-most, min(most, x))
        return self.at(level * exp(x)) - x * x / (2.0 * doubt), level * exp(x)

    def at(self, factor: float) -> float:
        return self.a * log(factor) - factor * self.b


def _group(window: Window, channels: Iterable[Channel]) -> _Group:
    a = b = 0.0
    for channel in channels:
        seen, usual, doubt = window.cells[channel]
        phi = PARTY + doubt * usual
        a += seen / phi
        b += usual / phi
    return _Group(a, b)


def explain(window: Window, loose: bool = False) -> list[Finding]:
    """All explanations of a window with their odds, the best one first. `loose`: the store's level is known to be odd, so any
    level counts as usual."""
    every = _group(window, window.cells)
    usual = _common(window, every, loose)[0]
    found = [] if loose or not window.today else _of_store(window, every, usual)
    for device, line, ways, cost in _targets(window):
        mine = [c for c in window.cells if c[0][0] == device and (not line or c[0][1] == line) and c[1] in ways]
        group = _group(window, mine)
        rest = every.less(group)
        own, factor = group.best(_ANY)
        for extra, others in ((0.0, _common(window, rest, loose)), (COST["both"], rest.best(_ANY))):
            if extra and (loose or not _ODD[0] < others[1] < _ODD[1]):
                continue
            kind = _kind(ways, factor / others[1], group)
            if kind and (kind == "blind" or window.quarters >= _STEADY):
                odds = own + others[0] - usual - COST[cost] - extra
                found.append(Finding("sensor", kind, device, line, ways, factor, others[1], odds, window.start))
    found += _of_doors(window, usual, loose)
    return sorted(found, key=lambda f: f.odds, reverse=True)


def _common(window: Window, group: _Group, loose: bool) -> tuple[float, float]:
    """Likelihood and factor of lines that share the store's level."""
    return group.best(_ANY) if loose else group.usual(window.level, window.doubt)


def _targets(window: Window) -> list[tuple[str, int, tuple[Way, ...], str]]:
    """(device, line, directions, kind of cost); line 0 for all lines of a device that has several."""
    lines = sorted({line for line, _ in window.cells})
    devices = sorted({d for d, _ in lines})
    parts = [(d, n, "line") for d, n in lines]
    parts += [(d, 0, "device") for d in devices if sum(1 for line in lines if line[0] == d) > 1]
    alone = len(lines) == 1 or len(devices) == 1
    found: list[tuple[str, int, tuple[Way, ...], str]] = []
    for device, line, cost in parts:
        found.append((device, line, (0, 1), cost))
        if not alone or window.quarters > _TURN_QUARTERS:
            found += [(device, line, (way,), "way") for way in (0, 1)]
    return found


def _kind(ways: tuple[Way, ...], factor: float, group: _Group) -> str:
    if _LOW < factor < _HIGH or group.b <= 0.0:
        return ""
    if len(ways) == 1:
        return "imbalance"
    return "blind" if group.a * PARTY < _NOBODY * group.b * PARTY + 0.5 else "undercounts" if factor < 1.0 else "overcounts"


def _of_store(window: Window, every: _Group, usual: float) -> list[Finding]:
    likelihood, factor = every.best(_ANY)
    odds = likelihood - usual - COST["store"]
    at_one = len({device for (device, line), _ in window.cells if (device, line) in window.entrances}) == 1
    gone = min(window.inside, _MOST_GONE[at_one]) if window.empty else 0.0
    odds -= gone + (_SEEN_BY_ONE if at_one and factor < EMPTY else 0.0)
    kind = "closed" if factor < EMPTY else "quiet" if factor < _QUIET else "busy" if factor > _BUSY else "level"
    kind = kind if kind == "closed" or window.quarters >= _SLOW else "level"
    found = [Finding("store", kind, "", 0, (0, 1), factor, factor, odds, window.start)]
    if window.quarters <= _TURN_QUARTERS:
        coming = _group(window, [c for c in window.cells if c[1] == 0])
        (one, into), (two, out) = coming.best(_ANY), every.less(coming).best(_ANY)
        if abs(log(into)) > abs(log(out)):  # who stops to come leaves later; nobody leaves who did not come
            found.append(
                Finding("store", "turn", "", 0, (0, 1), into, out, one + two - usual - COST["turn"] - gone, window.start)
            )
    return found


def _of_doors(window: Window, usual: float, loose: bool) -> list[Finding]:
    """A door that is shut: the other entrances have its people."""
    doors = sorted({line for line, _ in window.cells} & window.entrances)
    found = []
    for line in doors if len(doors) > 1 else ():
        mine = _group(window, [(line, way) for way in (0, 1) if (line, way) in window.cells])
        own, factor = mine.best(_ANY)
        if factor > (_LESS_USED if window.quarters < 3 else _SHUT):
            continue
        other = _group(window, [c for c in window.cells if c[0] in window.entrances and c[0] != line])
        inner = _group(window, [c for c in window.cells if c[0] not in window.entrances])
        share = _people(window, {line}) / max(1.0, _people(window, window.entrances - {line}))
        taken = 1.0 + (1.0 - factor) * share
        if other.a < (1.0 + _LEAST_TAKEN * (taken - 1.0)) * window.level * other.b:
            continue
        scaled = _Group(other.a + inner.a, other.b * taken + inner.b)
        likelihood, level = _common(window, scaled, loose)
        odds = own + likelihood + other.a * log(taken) - usual - COST["small" if share < _SMALL else "door"]
        found.append(Finding("store", "door", line[0], line[1], (0, 1), factor, level * taken, odds, window.start))
    return found


def _people(window: Window, lines: Iterable[Line]) -> float:
    chosen = set(lines)
    return sum(cell.usual for (line, _), cell in window.cells.items() if line in chosen)


def decide(windows: Iterable[Window], loose: bool = False) -> Finding | None:
    """What is to be said of the windows that end now, if anything: the best explanation over all of them, when it is likely
    enough, and more so than the next one of its window with another meaning."""
    best: Finding | None = None
    for window in windows:
        found = explain(window, loose)
        if not found or found[0].odds < (_LEVEL_ODDS if found[0].kind in ("quiet", "busy") else ODDS):
            continue
        first = found[0]
        rival = next((f.odds for f in found if f.meaning != first.meaning), -1e9)
        if (
            first.odds - max(0.0, rival) >= CLEAR
            and first.kind not in ("level", "turn")
            and (best is None or first.odds > best.odds)
        ):
            best = first
    return best


def over(windows: Iterable[Window], said: Finding) -> Window | None:
    """The window in which what was said holds least, when the usual is e^5 times as likely there. None while it holds."""
    best, most = None, _OVER
    for window in windows:
        channels = [c for c in window.cells if _means(said, c)]
        group = _group(window, channels)
        if not channels or group.b <= 0.0:
            continue
        others = _group(window, [c for c in window.cells if c not in channels])
        level = others.best(_ANY)[1] if said.device and others.b else 1.0
        odds = group.at(level) - group.at(max(_NOBODY, said.factor))
        if odds >= most:
            best, most = window, odds
    return best


_OVER = 5.0


def _means(said: Finding, channel: Channel) -> bool:
    (device, line), way = channel
    return (not said.device or device == said.device) and (not said.line or line == said.line) and way in said.ways
