"""Recorded payloads and count series, sent again: to a broker, or straight into a log with the arrival that they once had."""

import contextlib
import csv
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from connectors.log import RAW, NewRecord
from connectors.mqtt import parse_url
from connectors.mqtt_publish import MqttPublisher
from infra.errors import Problem
from infra.logs import open_settings_log
from infra.settings import Settings
from operators.images import strip
from operators.series import SeriesError, interval_of, missing, read_calit2, read_table, reports
from operators.table_events import is_events, messages, read_events
from schemas.sensors import decode
from schemas.sensors._footstream_parts import TYPES
from schemas.sensors.footstream_v1 import FORMAT
from schemas.sites import Registry

CHUNK = 1000
_LAST_S = 1 << 36  # the year 4147
_NO_WILDCARDS = str.maketrans("#+", "__")
KEEP_S = 50 * 365 * 86400
"""Retention of a topic that a replay creates: its records may be old by their own time."""
DELAY_S = 2
"""A replayed report arrives this long after the end of its window."""


class Item(NamedTuple):
    """One message: arrival in epoch seconds (None: now), topic, payload."""

    at: float | None
    topic: str
    payload: bytes


class Series(NamedTuple):
    """How a count series is read: the serial of the sensor that it becomes, and the IANA zone of its stamps."""

    device: str
    zone: str
    stamps: str = ""


def _recorded(value: Any, topic: str) -> Item:
    """A line that is a record (`payload` with perhaps `topic` and `at`) or a payload itself.

    A footstream/v1 message arrives by its own time: often it is older than what a lane believes of a message of now.
    """
    if isinstance(value, dict) and "payload" in value:
        payload = value["payload"]
        raw = payload.encode() if isinstance(payload, str) else orjson.dumps(payload)
        at, topic = value.get("at"), value.get("topic", topic)
        if at is not None and (isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at <= _LAST_S):
            raise Problem(f"a record's at is {at!r}; it must be seconds since 1970, or left out for now")
        if not isinstance(topic, str):
            raise Problem(f"a record's topic is {topic!r}; it must be a text, or left out")
        return Item(at, topic, raw)
    payload = orjson.dumps(value)
    if isinstance(value, dict) and value.get("format") == FORMAT:
        end = max((report.time for report in decode(payload) if report.time is not None), default=None)
        return Item(None if end is None else end + DELAY_S, topic, payload)
    return Item(None, topic, payload)


def read_payloads(path: Path, series: Series) -> list[Item]:
    """One payload per file, or one JSON value a line (footstream/v1 events too); what is not JSON is sent as it is."""
    raw, topic = path.read_bytes(), "replay/" + path.stem.translate(_NO_WILDCARDS)
    lines = [line for line in raw.splitlines() if line.strip()]
    values = _values(lines) if len(lines) > 1 else None
    if values is not None:
        events = [isinstance(value, dict) and value.get("type") in TYPES and "payload" not in value for value in values]
        if all(events):
            return _told(path, values, series)
        return [_recorded(value, topic) for value in values]
    with contextlib.suppress(orjson.JSONDecodeError):
        value = orjson.loads(raw)
        if isinstance(value, dict) and "payload" in value:
            return [_recorded(value, topic)]
    return [Item(None, topic, raw)]


def _values(lines: Sequence[bytes]) -> list[Any] | None:
    """The JSON value of each line; None when one is no JSON."""
    try:
        return [orjson.loads(line) for line in lines]
    except orjson.JSONDecodeError:
        return None


def _told(path: Path, events: Iterable[Mapping[str, Any]], series: Series) -> list[Item]:
    """Loose events as footstream/v1 messages, each on its device's topic. Raises Problem."""
    try:
        told = list(messages(events, series.device, series.zone))
    except SeriesError as error:
        raise Problem(f"{path}: {error}") from None
    topic = "replay/" + path.stem.translate(_NO_WILDCARDS)
    return [Item(one.end + DELAY_S if one.end else None, topic, one.payload) for one in told]


def read_series(path: Path, series: Series, say: Callable[[str], None]) -> list[Item]:
    """A table: events as footstream/v1, or a count series as a sensor's reports. Raises Problem with the row that cannot be
    read.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        head = file.readline()
        file.seek(0)
        rows = [row for row in csv.reader(file, delimiter=";" if head.count(";") > head.count(",") else ",") if row]
    try:
        if rows and is_events(rows[0]):
            return _told(path, read_events(rows), series)
        raw = bool(rows) and len(rows[0]) == 4 and rows[0][0] in ("7", "9")
        counts, ends = (read_calit2(rows), True) if raw else read_table(rows)
    except (SeriesError, IndexError) as error:
        raise Problem(f"{path}: {error or 'it is empty'}") from None
    ends = {"start": False, "end": True}.get(series.stamps, ends)
    interval = interval_of(counts)
    if gone := missing(counts, series.zone, interval, ends):
        say(f"{path}: {gone} rows left out, their times do not exist in {series.zone}")
    topic = f"replay/{series.device}"
    return [Item(t.end + DELAY_S, topic, t.payload) for t in reports(counts, series.device, series.zone, interval, ends)]


def read(path: Path, series: Series, say: Callable[[str], None]) -> list[Item]:
    """Messages of one file, told by its name. Raises Problem when it cannot be read."""
    try:
        return read_series(path, series, say) if path.suffix in (".csv", ".data") else read_payloads(path, series)
    except OSError as error:
        raise Problem(f"{path}: {error.strerror}; name a file that can be read") from None
    except Problem as problem:
        raise Problem(f"{path}: {str(problem).removeprefix(f'{path}: ')}") from None
    except UnicodeDecodeError:
        raise Problem(f"{path}: it is no text; a count series is CSV in UTF-8") from None


def _paced(items: Sequence[Item], speed: float) -> Iterator[Item]:
    """The items at their recorded pace times `speed`; all at once when it is 0."""
    first, began = None, time.monotonic()
    for item in items:
        if speed and item.at is not None:
            first = item.at if first is None else first
            time.sleep(max(0.0, (item.at - first) / speed - (time.monotonic() - began)))
        yield item


def send(
    items: Sequence[Item], url: str, settings: Settings, registry: Registry, speed: float, step: Callable[[int], None]
) -> None:
    """Send everything; `step(n)` tells of n more messages. Raises Problem, MqttError or LogError."""
    if url.startswith(("mqtt://", "mqtts://")):
        _to_broker(items, url, settings, speed, step)
    elif url.startswith(("sqlite:", "kafka:")):
        _to_log(items, url, settings, registry, speed, step)
    else:
        raise Problem(f"--to {url}: use mqtt://HOST:PORT, sqlite:///FOLDER or kafka://HOST:PORT", 2)


def _to_broker(items: Sequence[Item], url: str, settings: Settings, speed: float, step: Callable[[int], None]) -> None:
    publisher = MqttPublisher(parse_url(url), settings.mqtt_password, "footstream-replay", settings.mqtt_ca)
    try:
        for item in _paced(items, speed):
            publisher.send(item.topic, item.payload)
            step(1)
        if left := publisher.settle(60 + len(items) / 500):
            raise Problem(f"--to {url}: {left} messages were not acknowledged; look at the broker and replay again")
    finally:
        publisher.close()


def _to_log(
    items: Sequence[Item], url: str, settings: Settings, registry: Registry, speed: float, step: Callable[[int], None]
) -> None:
    log = open_settings_log(settings, url)
    try:
        if log.partitions(RAW) is None:
            log.ensure_topic(RAW, settings.log_partitions, KEEP_S)
        writer = log.writer()
        try:
            for chunk in _chunks(_paced(items, speed), 1 if speed else CHUNK):
                writer.append_many(RAW, [_record(item, registry) for item in chunk])
                step(len(chunk))
        finally:
            writer.close()
    finally:
        log.close()


def _chunks(items: Iterator[Item], most: int) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == most:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _record(item: Item, registry: Registry) -> NewRecord:
    """As the bridge would have written it: without images, keyed by its device's store; foreign messages by their topic."""
    at = time.time() if item.at is None else item.at
    value, _ = strip(item.payload)
    device = next((r.device for r in decode(value) if r.device), "")
    key = registry.find(device, at)[0].id if device else item.topic
    return NewRecord(key, value, int(at * 1000), (("topic", item.topic.encode()), ("source", b"replay")))
