"""Cost of the pure operators: microseconds per call (median of batches) and bytes of state."""

import time
from collections.abc import Callable
from statistics import median

from operators import occupancy
from operators.anomaly import Anomaly
from operators.drift import Factors
from operators.forecast import HourForecast
from operators.models import WEEK, Point
from operators.occupancy import OccupancyConfig, OccupancyState
from operators.series_forecast import NEAR, SeriesForecast
from operators.special_days import plain_days

RESET = 1_700_017_200
"""03:00 UTC, 04:00 in Berlin."""
_DOORS = [(f"6136a2b{n}", 1) for n in range(4)]


def _us(call: Callable[[int], object], times: int = 200, batches: int = 9) -> float:
    """Microseconds per call; `call` gets a running number."""
    took = []
    for batch in range(batches):
        began = time.perf_counter()
        for n in range(batch * times, (batch + 1) * times):
            call(n)
        took.append((time.perf_counter() - began) / times * 1e6)
    return round(median(took), 2)


def _row(what: str, value: float, unit: str) -> dict[str, object]:
    return {"bench": "operators", "what": what, "value": value, "unit": unit}


def _occupancy() -> list[dict[str, object]]:
    config = OccupancyConfig("Europe/Berlin", 100, 150)
    state = occupancy.start(config, RESET, Factors())
    for minute in range(1440):
        for door in _DOORS:
            occupancy.put(state, RESET + 60 * minute, door, minute % 7, (minute + 3) % 7)
    newest = RESET + 60 * 1439

    def newest_minute(n: int) -> None:
        occupancy.put(state, newest, _DOORS[n % 4], n % 9, n % 5)
        occupancy.estimate(state, config, newest)

    def correction(n: int) -> None:
        occupancy.put(state, RESET + 60 * 600, _DOORS[0], n % 9, n % 5)
        occupancy.changed_since(state, config, RESET + 60 * 600)

    data = state.to_bytes()
    return [
        _row("occupancy put + estimate, newest minute, 4 doors", _us(newest_minute), "us"),
        _row("occupancy correction 14 h back, all minutes again", _us(correction, 3, 5), "us"),
        _row("occupancy learn a day", _us(lambda n: occupancy.learn(state, config), 3, 5), "us"),
        _row("occupancy encode", _us(lambda n: state.to_bytes()), "us"),
        _row("occupancy decode", _us(lambda n: OccupancyState.from_bytes(data)), "us"),
        _row("occupancy state, 4 doors, whole day", len(data), "bytes"),
    ]


def _anomaly() -> list[dict[str, object]]:
    model = Anomaly()

    def score_and_learn(n: int) -> None:
        # A shop from nine to nine; 37 quarters are no part of a week, so the noise does not repeat with it.
        usual = 40.0 if 36 <= n % 96 < 84 else 0.0
        point = Point(n * 900, n % WEEK, float(round(usual * (0.7 + 0.6 * (n % 37) / 36))))
        model.score(point)
        model.learn(point)

    for n in range(3 * WEEK):
        score_and_learn(n)
    data = model.to_bytes()
    return [
        _row("anomaly score + learn", _us(lambda n: score_and_learn(3 * WEEK + n)), "us"),
        _row("anomaly encode", _us(lambda n: model.to_bytes()), "us"),
        _row("anomaly decode", _us(lambda n: Anomaly.from_bytes(data)), "us"),
        _row("anomaly state", len(data), "bytes"),
    ]


def _hourly(n: int) -> float:
    return 80.0 + 10.0 * (n % 24 - 8) + n % 13 if 8 <= n % 24 < 20 else 0.0


def _forecast() -> list[dict[str, object]]:
    model, series = HourForecast(), SeriesForecast(plain_days)
    for n in range(8 * 168):
        model.learn(n, _hourly(n))
        series.learn(n, _hourly(n))
        series.tell(range(1, NEAR + 1))
    kept, data = [series.to_bytes()], model.to_bytes()

    def learn_and_say(n: int) -> None:
        model.learn(model.at + 1, _hourly(model.at + 1))
        model.forecast((1,))

    def hour_of_a_store(n: int) -> None:
        one = SeriesForecast(plain_days, kept[0])
        one.learn(one.champion.at + 1, _hourly(one.champion.at + 1))
        one.tell(range(1, NEAR + 1))
        kept[0] = one.to_bytes()

    return [
        _row("forecast learn + next hour", _us(learn_and_say), "us"),
        _row("forecast 48 hours", _us(lambda n: model.forecast(range(1, 49)), 20, 5), "us"),
        _row("forecast encode", _us(lambda n: model.to_bytes()), "us"),
        _row("forecast decode", _us(lambda n: HourForecast.from_bytes(data)), "us"),
        _row("forecast state", len(data), "bytes"),
        _row("forecast of a series with challengers, an hour from bytes to bytes", _us(hour_of_a_store, 100, 5), "us"),
        _row("forecast state of a series with challengers", len(kept[0]), "bytes"),
    ]


def run() -> list[dict[str, object]]:
    """All rows: bench, what, value, unit."""
    return _occupancy() + _anomaly() + _forecast()
