"""What `footstream decode` prints: payload files as canonical events, one JSON object per line."""

import errno
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import orjson

from infra.errors import Problem
from schemas.events import Event, LineCount, Refusal, Report, event_id
from schemas.sensors import MAX_BYTES, decode_frame, decode_tolerant
from schemas.sites import Device, Registry

_PAIRS = (("people_in", "people_out"), ("child_in", "child_out"), ("staff_in", "staff_out"), ("group_in", "group_out"))


def decode_files(names: list[str], sites: Path | None) -> bool:
    """Print the events of files (`-`: standard input), as the registry at `sites` wants them; whether all could be read."""
    registry = _registry(sites)
    good = True
    for name in names:
        try:
            payload = _read(name)
        except OSError as error:
            print(f"footstream: cannot read {name}: {error.strerror or error}; give a payload file or -", file=sys.stderr)
            good = False
            continue
        _write(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines(payload, name, registry)))
    return good


def lines(payload: bytes, name: str, registry: Registry | None = None) -> Iterator[dict[str, Any]]:
    """What is printed for one payload: its events, then what of it is refused. `name`: where it came from."""
    file = name.encode("utf-8", "replace").decode()
    for report in _reports(payload):
        device = None if registry is None else registry.find(report.device, report.time or time.time())[1]
        back = report.dst_added_s if device is not None and device.dst == "included" else 0
        for index, event in enumerate(report.events):
            number = event_id(report, event, index)
            yield _shown(report, _placed(event, device, back), back) | {"event_id": number, "file": file}
        for refusal in report.refusals:
            yield {
                "quarantine": refusal.reason,
                "where": refusal.where,
                "detail": refusal.detail,
                "device": report.device,
                "file": file,
            }


def _registry(sites: Path | None) -> Registry | None:
    if sites is None:
        return None
    from infra.registry import load_registry  # only when asked for: decoding needs no registry

    return load_registry(sites)


def _write(text: bytes) -> None:
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "it is closed")
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # whoever reads has seen enough
        raise
    except OSError as error:
        raise Problem(f"cannot write to standard output: {error.strerror or error}; write to a disk that has room") from None


def _read(name: str) -> bytes:
    """At most one byte more than is decoded: enough to be refused as too large."""
    if name == "-":
        if sys.stdin is None:
            raise OSError(errno.EBADF, "standard input is closed")
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with Path(name).open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _reports(payload: bytes) -> list[Report]:
    if b'"hex"' in payload and len(payload) <= MAX_BYTES:
        try:
            wrapper = orjson.loads(payload)
        except orjson.JSONDecodeError:
            wrapper = None
        if isinstance(wrapper, dict) and "fport" in wrapper and isinstance(wrapper.get("hex"), str):
            return _unwrapped(wrapper)
    return decode_tolerant(payload, nameless=True)  # a file may be a codec's object, or a camera's table, of no device


def _unwrapped(wrapper: dict[str, Any]) -> list[Report]:
    """A bare frame; decoded objects beside it are not looked at."""
    device = wrapper.get("devEUI")
    device = device.strip().lower()[:64] if isinstance(device, str) else ""
    try:
        frame = bytes.fromhex(wrapper["hex"])
    except ValueError as error:
        return [Report(device, "", "", None, [], [Refusal("bad_hex", "hex", str(error))])]
    return decode_frame(frame, device)


def _shown(report: Report, event: Event, back: int) -> dict[str, Any]:
    """`back`: seconds to add to the report's time."""
    time_s = None if report.time is None else report.time + back
    shown: dict[str, Any] = msgspec.to_builtins(event)
    shown |= {"device": report.device, "dialect": report.dialect, "time": time_s, "time_text": report.time_text}
    if report.retransmission:
        shown["retransmission"] = True
    if report.flags:
        shown["flags"] = list(report.flags)
    return shown


def _placed(event: Event, device: Device | None, back: int) -> Event:
    """The event as the registry wants it: directions exchanged, `back` seconds of a daylight-saving hour given back."""
    changes: dict[str, Any] = {}
    if back:
        changes |= {key: getattr(event, key) + back for key in ("start", "end") if getattr(event, key, None) is not None}
    if device is not None and isinstance(event, LineCount) and device.swapped(event.line):
        for one, two in _PAIRS:
            changes |= {one: getattr(event, two), two: getattr(event, one)}
    return msgspec.structs.replace(event, **changes) if changes else event
