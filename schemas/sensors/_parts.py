"""Items that several JSON dialects share: region counts, stays, dwell summaries, device health."""

from schemas.events import DwellSummary, Kind, Stay, ZoneCount
from schemas.sensors._json import Bad, Clock, Draft, Object, count, fold, needed, number, place, truth

Span = tuple[int | None, int | None]
"""Start and end of what an item covers, epoch seconds; both None when the message says no usable time."""

DWELL_MOST_S = 31 * 86400

_HEALTH = {
    ("cpu", "cpu_temperature"): "cpu_temperature_C",
    ("cpu", "cpu_usage"): "cpu_usage_pct",
    ("ram", "total_memory_mb"): "memory_total_mb",
    ("ram", "used_memory_mb"): "memory_used_mb",
    ("ram", "memory_usage"): "memory_usage_pct",
    ("storage", "total_space_gb"): "storage_total_gb",
    ("storage", "used_space_gb"): "storage_used_gb",
    ("storage", "storage_usage"): "storage_usage_pct",
    ("device_tilt_pitch_roll", "pitch"): "pitch_deg",
    ("device_tilt_pitch_roll", "roll"): "roll_deg",
}
BLOCKS = frozenset(block for block, _ in _HEALTH)


def zone_counts(draft: Draft, value: object, where: str, kind: Kind, span: Span) -> None:
    """People present per region: nested (`total.current_total`) or flat (`current_total`)."""
    for path, item in draft.items(value, where):

        def read(path: str = path, item: Object = item) -> None:
            zone = place(item.get("region"), f"{path}.region")
            block = fold(item["total"]) if isinstance(item.get("total"), dict) else item
            present = needed(count(block.get("current_total"), f"{path}.current_total"), f"{path}.current_total")
            child, staff = (
                count(fold(item.get(name)).get("current_total"), f"{path}.{name}") for name in ("children", "staff")
            )
            draft.events.append(ZoneCount(zone, kind, *span, present, None, child, staff))

        draft.part(path, read)


def dwell(draft: Draft, value: object, where: str, span: Span, clock: Clock) -> None:
    """Stays (`duration`) and dwell summaries (`avg_dwell_time`, `max_dwell_time`) in one list; milliseconds become seconds."""
    for path, item in draft.items(value, where):

        def read(path: str = path, item: Object = item) -> None:
            zone = place(item.get("region"), f"{path}.region")
            if "duration" in item:
                draft.events.append(_stay(draft, item, path, zone, clock))
            else:
                average, longest = (_dwell_s(item.get(name), f"{path}.{name}") for name in ("avg_dwell_time", "max_dwell_time"))
                draft.events.append(DwellSummary(zone, *span, average, longest))

        draft.part(path, read)


Status = dict[str, float | int | str | bool]


def health(status: Status, device: Object, network: object) -> None:
    """Health blocks of `device_info` and `network_info` into the status. SIM and cell identifiers are left out."""
    for (block, key), name in () if BLOCKS.isdisjoint(device) else _HEALTH.items():
        if block in device:
            value = number(fold(device[block]).get(key))
            if value is not None:
                status[name] = value
    if network is None:
        return
    connected = truth(fold(network).get("network_status"))
    if connected is not None:
        status["network_connected"] = connected


def _stay(draft: Draft, item: Object, path: str, zone: int, clock: Clock) -> Stay:
    start = clock.read(item.get("dwell_start_time"), f"{path}.dwell_start_time", said=False)
    end = clock.read(item.get("dwell_end_time"), f"{path}.dwell_end_time", said=False)
    dwell_s = _dwell_s(item.get("duration"), f"{path}.duration")
    if start is not None and end is not None:
        if end < start:
            raise Bad("bad_window", path, "the stay ends before it starts")
        if abs(dwell_s - (end - start)) > 2 and abs(dwell_s * 1000 - (end - start)) <= 2:
            dwell_s *= 1000  # this firmware says seconds: its own start and end prove it
            draft.flag("dwell_in_seconds")
    try:
        track = count(item.get("people_id"), path)
    except Bad:
        track = None
    return Stay(zone, start, end, dwell_s, track, truth(item.get("children")), truth(item.get("staff")))


def _dwell_s(value: object, where: str) -> float:
    milliseconds = needed(count(value, where), where)
    if milliseconds > DWELL_MOST_S * 1000:
        raise Bad("absurd_dwell", where, f"{milliseconds} ms")
    return milliseconds / 1000
