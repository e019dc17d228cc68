"""Decoders of sensor messages: bytes in, canonical reports out. Every module here without underscore is one format.

A module is found by walking this folder and tried in the order of its `ORDER`. It has `DIALECT`, `MODELS`, `ORDER`,
`SAMPLES` and
- a message format: `accepts(message)`, `decode_object(message, draft)`, which gives a report or several; with `PEEK` and
  `decode_bytes(value)` a fast reader of the well-formed case beside it, which answers a report, a plain one in short, or None
  when it is not sure;
- an envelope around LoRaWAN frames: `accepts(message)`, `unwrap(message)`; with `PEEK`, `SPELLINGS` and `unwrap_bytes(value)`
  a fast reader beside it, too;
- a frame format: `LAYOUT`;
- `reads_text(head)`, `decode_text(value, budget)` when it sends what is no JSON.

`decode` never raises. What is refused says why in `Report.refusals`; nothing that was not reported becomes a zero.
"""

import importlib
import pkgutil
from collections.abc import Callable
from types import ModuleType

import orjson

from schemas.events import Plain, Report
from schemas.sensors._codec import read_object
from schemas.sensors._frame import FRAME_MOST, Uplink
from schemas.sensors._frames import Frames, read_frame, read_in_turn
from schemas.sensors._json import ITEMS_MOST, Bad, Budget, Draft, fold, refused
from schemas.sensors._others import device_of, text_reason, unknown_object

MAX_BYTES = 256 * 1024
ARRAY_MOST = 128
"""Objects of one array message that are read."""
REPAIR_MOST = 16 * 1024
"""Largest message whose text is repaired when it is not UTF-8 (a name typed in another encoding)."""
FRAME_BYTES_PER_ITEM = 10
"""Reading so much of a LoRaWAN frame costs as much as an item of a JSON section, and so does each event in it."""
REFUSED_ITEMS, REFUSED_BYTES_PER_ITEM = 8, 2
"""The same for a frame that no model understands to its end: all of them have tried."""
BRACKETS_MOST = 20_000
COLONS_MOST = 6_000
"""More of these in one message are no report (a large one has 100); building and naming that much would take long."""


def _discover() -> tuple[ModuleType, ...]:
    names = [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]
    return tuple(sorted((importlib.import_module(f"{__name__}.{name}") for name in names), key=lambda m: (m.ORDER, m.DIALECT)))


SENSORS = _discover()
"""All formats in the order in which they are tried."""

HEAD_BYTES, FIRST_KEY_BYTES, LIKELY_MOST = 24, 10, 256
_Fast = Callable[[bytes], Plain | Report | list[Report] | None]
_LIKELY: dict[bytes, _Fast] = {}
"""Fast readers by the first bytes of messages that they read: looking for `PEEK` costs half as much as reading."""
_FIRST_KEYS: dict[bytes, _Fast] = {}
"""The same by fewer bytes, for messages that begin with a number of their own."""
_ENVELOPES = tuple(module for module in SENSORS if hasattr(module, "unwrap"))
_TEXTS = tuple(module for module in SENSORS if hasattr(module, "decode_text"))
_MESSAGES = tuple(module for module in SENSORS if hasattr(module, "decode_object"))
_FRAMES = Frames(module.LAYOUT for module in SENSORS if hasattr(module, "LAYOUT"))


def _unwrapping(unwrap_bytes: Callable[[bytes], Uplink | None]) -> _Fast:
    def fast(value: bytes) -> list[Report] | None:
        uplink = unwrap_bytes(value)
        if uplink is None:
            return None
        if 0 < len(uplink.frame) <= FRAME_MOST:
            return _FRAMES.at_once(uplink) or read_in_turn(uplink, _FRAMES)
        if uplink.decoded is not None:
            reports = read_object(uplink, uplink.decoded, Budget())
            return None if reports[0].refusals else reports
        return read_frame(uplink, _FRAMES)

    return fast


_FAST: tuple[tuple[bytes, _Fast], ...] = (
    *((m.PEEK, m.decode_bytes) for m in SENSORS if hasattr(m, "decode_bytes")),
    *((m.PEEK, _unwrapping(m.unwrap_bytes)) for m in SENSORS if hasattr(m, "unwrap_bytes")),
)


def decode(value: bytes, source: str = "mqtt") -> list[Report]:
    """The reports of one message, at least one. `source`: how it came (`mqtt`, `http`, ...).

    A part that is refused stands in `refusals` of its report; a report without events is wholly refused. Never raises, and
    looks at no more than 256 KiB, 128 objects and 512 items.
    """
    found = read(value, source)
    return [found.report()] if isinstance(found, Plain) else found


def read(value: bytes, source: str = "mqtt") -> Plain | list[Report]:
    """The same as `decode`, for a lane: a plain report stays short."""
    try:
        found = _read_likely(value) if len(value) <= MAX_BYTES else None
        if found is not None:
            return [found] if isinstance(found, Report) else found
    except Bad:
        pass  # left to the tolerant reader, which says why
    except Exception as error:
        return _failed(error)
    try:
        return decode_tolerant(value)
    except Exception as error:
        return _failed(error)


def read_plain(value: bytes) -> Plain | None:
    """What `read` answers when that is a plain report, else None; never raises."""
    try:
        found = _read_likely(value) if len(value) <= MAX_BYTES else None
    except Exception:
        return None
    return found if isinstance(found, Plain) else None


def _read_likely(value: bytes) -> Plain | Report | list[Report] | None:
    """What a fast reader reads: the one that is likely by the first bytes, else the first that is sure."""
    likely = _LIKELY.get(value[:HEAD_BYTES])
    if likely is not None:
        found = likely(value)
        if found is not None:
            return found
    return _read_fast(value, likely)


def _read_fast(value: bytes, tried: _Fast | None = None) -> Plain | Report | list[Report] | None:
    """What the first fast reader that is sure reads; it is asked first for the next message that begins like this one."""
    known = _FIRST_KEYS.get(value[:FIRST_KEY_BYTES])
    candidates = _FAST if known is None else ((b"", known), *_FAST)
    for peek, fast in candidates:
        if fast is not tried and peek in value:
            found = fast(value)
            if found is not None:
                _remember(_FIRST_KEYS, value[:FIRST_KEY_BYTES], fast)
                _remember(_LIKELY, value[:HEAD_BYTES], fast)
                return found
    return None


def _remember(readers: dict[bytes, _Fast], head: bytes, fast: _Fast) -> None:
    if head in readers or len(readers) < LIKELY_MOST:
        readers[head] = fast


def _failed(error: Exception) -> list[Report]:
    """The promise of `read`: a fault in a decoder costs one message, not the lane."""
    return [refused("decoder_error", "", type(error).__name__)]


def decode_frame(frame: bytes, device: str = "") -> list[Report]:
    """The reports of a bare LoRaWAN frame."""
    return read_frame(Uplink(device, frame), _FRAMES)


def decode_tolerant(value: bytes, *, nameless: bool = False) -> list[Report]:
    """`decode` without the fast readers: the oracle they are tested against. `nameless`: also what names no device."""
    if len(value) > MAX_BYTES:
        return [refused("oversize", "", f"{len(value)} bytes, {MAX_BYTES} are read")]
    value = bytes(value).removeprefix(b"\xef\xbb\xbf")
    for module in _TEXTS:
        if module.reads_text(value[:256].lstrip()):
            return _named(_decode_text(module, value), nameless)
    reason = text_reason(value)
    if reason is not None:
        return [refused(reason[0], "", reason[1])]
    message, repaired = _parse(value)
    if isinstance(message, Report):
        return [message]
    objects = message if isinstance(message, list) else [message]
    budget = Budget()
    reports = [report for item in objects[:ARRAY_MOST] for report in _decode_item(item, budget)]
    if len(objects) > ARRAY_MOST:
        reports.append(refused("too_many_items", f"[{ARRAY_MOST}]", f"{len(objects)} objects in one message"))
    if repaired:
        for report in reports:
            report.flags = (*report.flags, "text_repaired")
    return _named(reports, nameless) or [refused("empty", "", "an empty array")]


def _named(reports: list[Report], nameless: bool) -> list[Report]:
    """Reports of which nobody knows the device count nowhere."""
    if not nameless:
        for number, report in enumerate(reports):
            if report.events and not report.device:
                reports[number] = refused("no_device", "", "the message does not say whose it is", dialect=report.dialect)
    return reports


def _decode_text(module: ModuleType, value: bytes) -> list[Report]:
    try:
        reports: list[Report] = module.decode_text(value, Budget())
        return reports
    except Bad as bad:
        return [Report("", module.DIALECT, "", None, [], [bad.refusal])]


def _parse(value: bytes) -> tuple[object, bool]:
    """The JSON value and whether its text had to be repaired; a Report when it is none."""
    if len(value) > COLONS_MOST and (value.count(b"[") + value.count(b"{") > BRACKETS_MOST or value.count(b":") > COLONS_MOST):
        reason = "too_deep" if _deep(value) else "too_many_items"
        return refused(reason, "", f"more than {BRACKETS_MOST} brackets or {COLONS_MOST} colons"), False
    try:
        return orjson.loads(value), False
    except orjson.JSONDecodeError as error:
        reason = "too_deep" if "depth" in str(error) or "ecursion" in str(error) else "not_json"
        if reason == "not_json" and len(value) <= REPAIR_MOST and not value.isascii():
            text = value.decode("utf-8", "replace").encode()
            try:
                return (orjson.loads(text), True) if text != value else (refused(reason, "", str(error)), False)
            except orjson.JSONDecodeError as second:
                error = second
        return refused(reason, "", str(error)), False


def _deep(value: bytes) -> bool:
    """Whether a message that will not be built is nested too deep rather than too long."""
    head = value[:8192]
    return head.count(b"[") + head.count(b"{") > 1024 + head.count(b"]") + head.count(b"}")


def _decode_item(item: object, budget: Budget) -> list[Report]:
    if not isinstance(item, dict):
        return [refused("not_an_object", "", f"expected an object, got {type(item).__name__}")]
    dialect, message = "", {}
    try:
        message = fold(item)
        for module in _ENVELOPES:
            said = message if len(message) == len(item) else fold(item, getattr(module, "SPELLINGS", ()))
            if module.accepts(said):
                dialect = module.DIALECT
                if budget.left <= 0:
                    raise Bad("too_many_items", "", f"more than {ITEMS_MOST} items in one message")
                return _read_uplink(module.unwrap(said), budget)
        for module in _MESSAGES:
            if module.accepts(message):
                dialect = module.DIALECT
                found = module.decode_object(message, Draft(budget))
                return found if isinstance(found, list) else [found]
        return [unknown_object(message)]
    except Bad as bad:
        return [Report(device_of(message), dialect, "", None, [], [bad.refusal])]


def _read_uplink(uplink: Uplink, budget: Budget) -> list[Report]:
    if uplink.decoded is not None:
        reports = read_object(uplink, uplink.decoded, budget)
    else:
        reports = read_frame(uplink, _FRAMES)
        size = len(uplink.frame)
        budget.left -= REFUSED_ITEMS + size // REFUSED_BYTES_PER_ITEM if reports[0].refusals else size // FRAME_BYTES_PER_ITEM
    budget.left -= sum(1 + len(report.events) for report in reports)
    return reports


__all__ = ["MAX_BYTES", "SENSORS", "decode", "decode_frame", "decode_tolerant", "read", "read_plain"]
