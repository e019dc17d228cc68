"""Objects that a vendor's codec made of LoRaWAN frames (`_codec_keys` knows their words).

A codec runs on the network server and nobody knows which release it is, so its object counts only where the bytes are missing.
"""

from collections.abc import Iterable

from msgspec.json import encode
from xxhash import xxh3_64_hexdigest

from schemas.events import LineCount, Refusal, Report
from schemas.sensors._codec_keys import PERIOD_MOST, Pair, named, numbered, occupied, shape_of, snake, state_of, zone_count
from schemas.sensors._frame import Uplink
from schemas.sensors._frames import OLDEST_HISTORY
from schemas.sensors._json import COUNT_MOST, Bad, Budget, Object, brief, fold, integer
from schemas.sensors._record import Line, Record
from schemas.sensors._times import LATEST
from schemas.sensors._vs373_words import EVENTS, STATES

DIALECT = "milesight_codec"
KEYS_PER_ITEM = 8
"""So many keys of an object cost as much of the budget as an item."""
REFUSALS_MOST = 16


def _lines(pairs: Iterable[Pair], message: Object) -> dict[Line, LineCount] | None:
    """The counts of all lines, if all are well-formed."""
    found: dict[Line, LineCount] = {}
    for kind, line, key_in, key_out in pairs:
        into, out = message[key_in], message[key_out]
        most = COUNT_MOST if kind == "total" else PERIOD_MOST
        if not (type(into) is int and type(out) is int and 0 <= into <= most and 0 <= out <= most):
            return None
        found[kind, line] = LineCount(line, kind, None, None, into, out)
    return found


class _Reading:
    """One object being read, with what is refused of it."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.refusals: list[Refusal] = []

    def refuse(self, bad: Refusal) -> None:
        self.budget.left -= 1
        if len(self.refusals) < REFUSALS_MOST:
            self.refusals.append(bad)

    def fill(self, record: Record, message: Object) -> None:
        """Put all of an object into a record; what it cannot use becomes a refusal."""
        self.budget.left -= 1 + len(message) // KEYS_PER_ITEM
        from_zero = "region_0" in message
        shape = shape_of(message)
        lines = _lines(shape.pairs, message) if not record.lines else None
        if lines:
            record.lines = lines
        for key, put in shape.others if lines else shape.puts:
            value = message[key]
            try:
                if put is None or type(value) is dict or type(value) is list:
                    self._put(record, message, key, value, from_zero)
                else:
                    put(record, value, key)
            except Bad as bad:
                self.refuse(bad.refusal)

    def _put(self, record: Record, message: Object, key: str, value: object, from_zero: bool) -> None:
        put = named(key)
        if put is not None:
            put(record, value, key)
        elif isinstance(value, dict) and key.startswith("line_"):
            for name, item in fold(value).items():
                inner = numbered(f"{key}_{name}")
                if inner is not None:
                    inner(record, item, f"{key}.{name}")
        elif isinstance(value, list):
            self._list(record, key, value)
        elif key.startswith("region_") and key[7:].isdecimal() and len(key) <= 9:
            if state_of(message.get(f"{key}_enable"), "enable", "disable") is not False:
                occupied(int(key[7:]) + from_zero)(record, value, key)
        elif "_" in key and (put := numbered(key)) is not None:
            put(record, value, key)

    def _list(self, record: Record, key: str, items: list[object]) -> None:
        if key == "regions":
            for item in items[:16]:
                region = fold(item)
                index = integer(region.get("index"), "regions.index")
                if index is not None and 0 <= index < 64:
                    zone_count(index + 1, "present")(record, region.get("count"), "regions.count")
        elif key in ("event", "events"):
            for item in items[:32]:
                _event(record, fold(item))


def _event(record: Record, event: Object) -> None:
    """VS360: type and status. VS373: number, type and status of an alarm."""
    kind, state = event.get("type"), event.get("status")
    if isinstance(kind, str) and isinstance(state, str):
        record.status[snake(kind)[:40]] = snake(state) == "alarm"
    alarm, state = event.get("alarm_type"), event.get("alarm_status")
    if type(alarm) is int and 0 <= alarm < len(EVENTS):
        alarm = EVENTS[alarm]
    if type(state) is int:
        state = STATES.get(state)
    if isinstance(alarm, str) and isinstance(state, str):
        words_of = {"alarm_triggered": "raised", "alarm_deactivated": "resolved", "alarm_ignored": "ignored"}
        record.status |= {"alarm": snake(alarm)[:40], "alarm_state": words_of.get(snake(state), snake(state)[:40])}


def _measured(message: Object) -> int | None:
    """When the figures were measured. From a VS133 or VS135 `timestamp` is the echo of a command to set its clock."""
    return None if "timestamp" not in message or shape_of(message).counter else _epoch(message.get("timestamp"))


def _epoch(value: object) -> int | None:
    try:
        seconds = integer(value, "timestamp")
    except Bad:
        return None
    return seconds if seconds is not None and OLDEST_HISTORY <= seconds <= LATEST else None


def read_object(uplink: Uplink, message: Object, budget: Budget) -> list[Report]:
    """The live report of a codec's object, if any, and one report per stored moment."""
    reading = _Reading(budget)
    record = Record(_measured(message))
    reading.fill(record, message)
    live = record.events()
    reports = _history(reading, uplink, message["history"]) if "history" in message else []
    refusals = reading.refusals
    if record.repeated:
        refusals += [Refusal("repeated_channel", name) for name in record.repeated[:16]]
    if live or refusals or not reports:
        if not live and not refusals:
            refusals = [Refusal("empty_report", "", "the object reports nothing")]
        firmware = record.status.get("firmware_version")
        report = Report(uplink.device, DIALECT, uplink.time_text, record.time or uplink.time, live, refusals, None, uplink.name)
        report.firmware = firmware if isinstance(firmware, str) else None
        if uplink.count is not None:
            report.frame = f"{uplink.count}:{xxh3_64_hexdigest(encode(message, order='deterministic'))}"
        reports.insert(0, report)
    return reports


def _history(reading: _Reading, uplink: Uplink, history: object) -> list[Report]:
    stored: dict[int, Record] = {}
    for place, item in enumerate(history if isinstance(history, list) else ()):
        if reading.budget.left <= 0:
            reading.refuse(Refusal("too_many_items", f"history[{place}]"))
            break
        _stored(reading, stored, item, f"history[{place}]")
    return [
        Report(uplink.device, DIALECT, str(time), time, events, name=uplink.name, retransmission=True, flags=("history",))
        for time, moment in stored.items()
        if (events := moment.events())
    ]


def _stored(reading: _Reading, stored: dict[int, Record], item: object, where: str) -> None:
    """Entries of one moment, each of one quantity, become one record."""
    try:
        entry = fold(item)
        time = _epoch(entry.get("timestamp"))
        if time is None:
            raise Bad("bad_time", where, f"stored at {brief(entry.get('timestamp'))}: the clock was not set")
    except Bad as bad:
        reading.refuse(bad.refusal)
        return
    reading.fill(stored.setdefault(time, Record(time)), entry)
