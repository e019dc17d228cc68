"""VS373 (fall radar) over HTTP or MQTT: JSON. Room state and alarms, no footfall.

One object per message: `device_info` with `device_model`, `device_sn`, `time` as wall-clock text **without any zone** (taken as
UTC and flagged `zone_missing`), and `trigger_data` with `event` (0 fall, 1 motionless, 2 dwell, 3 out of bed, 4 occupied, 5
vacant, 6 slow and 7 fast breathing, 8 lying), `status` (1 raised, 2 resolved, 3 ignored, 4 report), `sub_no` (region; 0 or
missing: the room), `location` as text " (565, -838, 277)" in mm. In some published examples the keys have spaces, and
`trigger data` stands inside `device info`.

Formats: vendor's VS373 user guide, "Trigger report".
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Literal

import msgspec

from schemas.events import DeviceStatus, Refusal, Report, ZoneCount
from schemas.sensors import _times
from schemas.sensors._json import Bad, Clock, Draft, Object, count, fold, identity, integer, words
from schemas.sensors._sample import Sample
from schemas.sensors._uplink import known_device
from schemas.sensors._vs373_words import PRESENCE, event_name, state_name

DIALECT = "vs373"
MODELS = ("VS373",)
ORDER = 15
"""Before VS125, which has a `device_info`, too."""

_LOCATION = re.compile(r"\s*\(\s*(-?\d{1,6})\s*,\s*(-?\d{1,6})\s*,\s*(-?\d{1,6})\s*\)\s*")
REGIONS_MOST = 32
_CAME = 4
PEEK = b'"trigger_data"'


def accepts(message: Object) -> bool:
    """`trigger_data` with an `event`, beside the device or inside it."""
    info = message.get("device_info")
    if not isinstance(info, dict):
        return False
    if "trigger_data" in message:
        return True
    device = fold(info)
    return "trigger_data" in device or (words(device.get("device_model")) or "")[:5].upper() == "VS373"


def decode_object(message: Object, draft: Draft) -> Report:
    info = fold(message.get("device_info"))
    clock = Clock(draft, None, None)
    at = clock.read(info.get("time"), "device_info.time")
    device = identity(info.get("device_sn")) or identity((words(info.get("device_mac")) or "").replace(":", ""))
    if not device:
        raise Bad("no_device", "device_info.device_sn", "neither serial number nor MAC")
    trigger = message.get("trigger_data")
    nested = trigger is None
    where = "device_info.trigger_data" if nested else "trigger_data"
    trigger = fold(info.get("trigger_data") if nested else trigger)
    if trigger:
        draft.part(where, lambda: _trigger(draft, trigger, where, at))
    draft.finish()
    return Report(
        device,
        DIALECT,
        "|".join(clock.texts),
        at,
        draft.events,
        draft.refusals,
        name=words(info.get("device_name")),
        flags=tuple(draft.flags),
    )


def _trigger(draft: Draft, trigger: Object, where: str, at: int | None) -> None:
    event, state = _code(trigger, "event", where, event_name), _code(trigger, "status", where, state_name)
    region = count(trigger.get("sub_no"), f"{where}.sub_no", REGIONS_MOST) or 0
    if event in PRESENCE and state in ("raised", "report"):
        draft.events.append(ZoneCount(region, "trigger", at, at, None, occupied=PRESENCE[event]))
        return
    draft.status |= {"alarm": event, "alarm_state": state}
    if region:
        draft.status["alarm_zone"] = region
    number = integer(trigger.get("trigger_id"), f"{where}.trigger_id")
    if number is not None and 0 <= number < 2**32:
        draft.status["alarm_id"] = number
    found = _LOCATION.fullmatch(words(trigger.get("location")) or "")
    for axis, text in zip("xyz", found.groups() if found else (), strict=False):
        draft.status[f"alarm_{axis}_mm"] = int(text)


def _code(trigger: Object, key: str, where: str, name: Callable[[int], str]) -> str:
    code = count(trigger.get(key), f"{where}.{key}")
    if code is None:
        raise Bad("missing_event", f"{where}.{key}")
    try:
        return name(code)
    except ValueError as error:
        raise Bad("bad_value", f"{where}.{key}", str(error)) from None


_Short = Annotated[str, msgspec.Meta(max_length=64)]


class _Device(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    device_sn: _Short
    time: _Short
    device_model: str | None = None
    device_mac: str | None = None
    ip_address: str | None = None
    ipAddress: str | None = None
    device_name: str | None = None


class _Occupied(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    event: Literal[4, 5]
    status: Literal[1, 4]
    sub_no: Annotated[int, msgspec.Meta(ge=0, le=REGIONS_MOST)] | None = None
    type: int | None = None


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    device_info: _Device
    trigger_data: _Occupied


_read = msgspec.json.Decoder(_Message).decode


def decode_bytes(value: bytes) -> Report | None:
    """A well-formed message that somebody came or left straight from its bytes; None leaves the message to `decode_object`."""
    try:
        message = _read(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    info, trigger = message.device_info, message.trigger_data
    device, at = known_device(info.device_sn), _unzoned(info.time)
    if device is None or at is None or info.device_name is not None:
        return None
    event = ZoneCount(trigger.sub_no or 0, "trigger", at, at, None, None, None, None, trigger.event == _CAME)
    return Report(device, DIALECT, info.time, at, [event], flags=("zone_missing",))


@lru_cache(4096)
def _unzoned(text: str) -> int | None:
    """A wall-clock text without offset, as if it were UTC."""
    return None if _times.epoch(text) is not None else _times.wall(text, 0)


_HEAD = b"""{"device_info": {"device_model": "VS373-868M", "device_sn": "6806E00000000001", "ip_address": "192.168.1.9",
"time": "2025-08-26 10:34:03"}, """
_TEXT = "2025-08-26 10:34:03"
_AT = 1756204443  # 2025-08-26 10:34:03, as if it were UTC

SAMPLES = [
    Sample(
        _HEAD + b'"trigger_data": {"type": 0, "event": 4, "status": 1, "sub_no": 2}}',
        [
            Report(
                "6806e00000000001",
                DIALECT,
                _TEXT,
                _AT,
                [ZoneCount(2, "trigger", _AT, _AT, None, occupied=True)],
                flags=("zone_missing",),
            )
        ],
        "somebody in region 2",
    ),
    Sample(
        b"""{"device info": {"device model": "VS373-868M", "device sn": "6806E00000000001", "time": "2025-08-26 10:34:03",
"trigger data": {"type": 0, "trigger id": 12, "event": 0, "status": 2, "location": " (565, -838, 277)"}}}""",
        [
            Report(
                "6806e00000000001",
                DIALECT,
                _TEXT,
                _AT,
                [
                    DeviceStatus(
                        {
                            "alarm": "fall",
                            "alarm_state": "resolved",
                            "alarm_id": 12,
                            "alarm_x_mm": 565,
                            "alarm_y_mm": -838,
                            "alarm_z_mm": 277,
                        }
                    )
                ],
                flags=("zone_missing",),
            )
        ],
        "keys with spaces, the trigger inside the device, a place as text",
    ),
    Sample(
        _HEAD + b'"trigger_data": {"type": 0, "event": 99, "status": 1}}',
        [
            Report(
                "6806e00000000001",
                DIALECT,
                _TEXT,
                _AT,
                [],
                [Refusal("bad_value", "trigger_data.event", "event 99 is not known")],
                flags=("zone_missing",),
            )
        ],
        "an event that nobody knows",
    ),
]
