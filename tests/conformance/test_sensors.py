"""Every module found in schemas/sensors keeps these promises; a new file is tested here without a test of its own."""

import json
import random
import re
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.events import (
    Demographics,
    Detection,
    DwellSummary,
    FlowMatrix,
    Heat,
    LineCount,
    QueueLength,
    Report,
    Stay,
    ZoneCount,
    event_id,
)
from schemas.sensors import MAX_BYTES, SENSORS, decode, decode_frame
from schemas.sensors._sample import DEVICE, Sample

CASES = [
    pytest.param(module, sample, id=f"{module.DIALECT}-{n}") for module in SENSORS for n, sample in enumerate(module.SAMPLES)
]
JSON_CASES = [
    pytest.param(module, sample, id=f"{module.DIALECT}-{n}")
    for module in SENSORS
    for n, sample in enumerate(module.SAMPLES)
    if not hasattr(module, "LAYOUT") and sample.payload[:1] == b"{"
]
MODULES = [pytest.param(module, id=module.DIALECT) for module in SENSORS]
REASON = re.compile(r"[a-z][a-z0-9_]*")
COUNT_MOST = 2**32 - 1


def read(module: ModuleType, payload: bytes) -> list[Report]:
    return decode_frame(payload, DEVICE) if hasattr(module, "LAYOUT") else decode(payload)


def counts(report: Report) -> list[int | float]:
    found: list[int | float | None] = []
    for event in report.events:
        match event:
            case LineCount():
                found += [event.people_in, event.people_out, event.child_in, event.child_out]
                found += [event.staff_in, event.staff_out, event.group_in, event.group_out]
            case ZoneCount():
                found += [event.present, event.peak, event.child, event.staff]
            case Stay():
                found.append(event.dwell_s)
            case DwellSummary():
                found += [event.avg_s, event.max_s]
            case FlowMatrix():
                found += event.cells.values()
            case Heat():
                found += [event.value, event.columns, event.rows, *(value for cell in event.cells for value in cell)]
            case QueueLength():
                found += [event.length, event.wait_s, event.served, event.lanes_open]
            case Demographics():
                found += event.groups.values()
            case Detection():
                found.append(event.confidence)
    return [value for value in found if value is not None]


def keeps_promises(reports: list[Report]) -> None:
    assert reports
    for report in reports:
        assert report.events or report.refusals, "nothing comes out without a reason"
        assert all(REASON.fullmatch(refusal.reason) for refusal in report.refusals), report.refusals
        assert all(refusal.reason != "decoder_error" for refusal in report.refusals), report.refusals
        assert report.device == report.device.lower().strip()
        assert all(0 <= value <= COUNT_MOST for value in counts(report))
        for event in report.events:
            if isinstance(event, LineCount | ZoneCount) and event.start is not None and event.end is not None:
                assert 0 < event.start < event.end if event.kind == "window" else event.start == event.end


@pytest.mark.parametrize(("module", "sample"), CASES)
def test_samples_decode_as_written_down_by_hand(module: ModuleType, sample: Sample) -> None:
    assert read(module, sample.payload) == sample.reports


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_what_it_is(module: ModuleType) -> None:
    assert module.__name__.endswith(f".{module.DIALECT}")
    assert module.MODELS
    assert isinstance(module.ORDER, int)
    assert module.SAMPLES
    assert "Formats:" in (module.__doc__ or ""), "the source of the format belongs into the docstring"


def test_the_order_of_trying_is_stated_and_without_ties() -> None:
    orders = [module.ORDER for module in SENSORS]
    assert sorted(set(orders)) == orders


@pytest.mark.parametrize(("module", "sample"), CASES)
def test_ids_are_the_same_for_every_copy_and_differ_within_a_message(module: ModuleType, sample: Sample) -> None:
    first, again = (
        [event_id(report, event, n) for report in read(module, sample.payload) for n, event in enumerate(report.events)]
        for _ in range(2)
    )
    assert first == again
    assert len(set(first)) == len(first)


@pytest.mark.parametrize(("module", "sample"), CASES)
def test_a_message_cut_anywhere_gives_a_reason_and_invents_no_count(module: ModuleType, sample: Sample) -> None:
    whole = {repr(event) for report in read(module, sample.payload) for event in report.events}
    for length in range(len(sample.payload)):
        reports = read(module, sample.payload[:length])
        keeps_promises(reports)
        if sample.payload[:1] == b"{" and not hasattr(module, "LAYOUT"):
            assert not any(report.events for report in reports), f"cut JSON after {length} bytes was counted"
            continue
        for event in (event for report in reports for event in report.events if isinstance(event, LineCount)):
            said = [text for text in whole if text.startswith(f"LineCount(line={event.line}, kind='{event.kind}'")]
            foreign = not whole  # a frame that is refused as a whole only because of what stands at its end
            assert foreign or any(f"people_in={event.people_in}, people_out={event.people_out}" in text for text in said)


@pytest.mark.parametrize("module", MODULES)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damaged_messages_never_raise(module: ModuleType, data: st.DataObject) -> None:
    payload = bytearray(data.draw(st.sampled_from(module.SAMPLES)).payload)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(payload) - 1))
        payload[at : at + data.draw(st.integers(0, 4))] = data.draw(
            st.one_of(
                st.binary(max_size=4),
                st.sampled_from([b"null", b'"', b"{", b"]", b"-1", b"1e400", b"NaN", b"true", b"\\ud800", b"[]"]),
            )
        )
        payload = payload or bytearray(b" ")
    keeps_promises(read(module, bytes(payload)))


VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.sampled_from(["1", "-1", "1e9", "²", ""])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=8,
)


@pytest.mark.parametrize("module", [m for m in SENSORS if not hasattr(m, "LAYOUT")], ids=lambda m: m.DIALECT)
@settings(max_examples=40)
@given(data=st.data())
def test_values_of_wrong_types_never_raise(module: ModuleType, data: st.DataObject) -> None:
    """Each example puts odd values at up to four places of a sample."""
    samples = [sample for sample in module.SAMPLES if sample.payload[:1] == b"{"]
    message = json.loads(data.draw(st.sampled_from(samples)).payload)
    for _ in range(data.draw(st.integers(1, 4))):
        node = message
        while isinstance(node, dict | list) and node:
            key = (
                data.draw(st.sampled_from(sorted(node))) if isinstance(node, dict) else data.draw(st.integers(0, len(node) - 1))
            )
            if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.integers(0, 3)) == 0:
                node[key] = data.draw(VALUES)
                break
            node = node[key]
    keeps_promises(decode(json.dumps(message).encode("utf-8", "surrogatepass")))


@pytest.mark.parametrize("module", MODULES)
def test_random_bytes_never_raise(module: ModuleType) -> None:
    seed = 20261124
    rng = random.Random(seed)
    for _ in range(300):
        keeps_promises(read(module, rng.randbytes(rng.randrange(0, 60))))


@pytest.mark.parametrize(("module", "sample"), JSON_CASES)
def test_an_array_of_messages_gives_the_reports_of_each(module: ModuleType, sample: Sample) -> None:
    array = b"[" + sample.payload + b", " + sample.payload + b"]"
    assert decode(array) == sample.reports * 2


@pytest.mark.parametrize(("module", "sample"), JSON_CASES)
def test_a_byte_order_mark_and_other_spellings_of_keys_change_nothing(module: ModuleType, sample: Sample) -> None:
    assert decode(b"\xef\xbb\xbf" + sample.payload) == sample.reports
    shouted = re.sub(rb'"([A-Za-z_]+)":', lambda m: b'" ' + m[1].upper().replace(b"_", b" ") + b'":', sample.payload)
    assert [report.events for report in decode(shouted)] == [report.events for report in sample.reports]


@pytest.mark.parametrize(("module", "sample"), JSON_CASES)
def test_a_large_message_is_read_within_bounds(module: ModuleType, sample: Sample) -> None:
    """Not timed: the number of things looked at is what bounds the time."""
    many = (MAX_BYTES - 2) // (len(sample.payload) + 1)
    reports = decode(b"[" + b",".join([sample.payload] * many) + b"]")
    keeps_promises(reports)
    assert len(reports) <= 129 * max(1, len(sample.reports))
    assert sum(len(report.events) + len(report.refusals) for report in reports) <= 2048
