"""What bad input gets: a named reason, never an exception, and little time."""

import base64
import json
import random
import time
from collections.abc import Iterator

import pytest

from schemas.events import LineCount, Report, Stay
from schemas.sensors import MAX_BYTES, decode, vs121p

HEAD = (
    b'{"device_info":{"device_sn":"A1"},"time_info":{"start_time":"2024-05-30T20:11:00+08:00","end_time":"2024-05-30T20:12:00+08:00"},'
    b'"line_periodic_data":['
)
TAIL = b"]}"
DEEP = b"[" * 1015 + b"]" * 1015
"""Just within what the JSON reader takes."""
MANY_KEYS = b"{" + b",".join(b'"%d":1' % n for n in range(300)) + b"}"


def reasons(payload: bytes) -> list[str]:
    reports = decode(payload)
    assert not any(report.events for report in reports)
    return [refusal.reason for report in reports for refusal in report.refusals]


def report_of(line: str, section: str = "line_periodic_data", times: str = '"time":"2024-05-30T20:11:00+08:00"') -> Report:
    (report,) = decode(f'{{"device_info":{{"device_sn":"A1"}},"time_info":{{{times}}},"{section}":[{line}]}}'.encode())
    return report


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"[]", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"hello", "not_json"),
        (b"\x00\x01\x02", "not_json"),
        (b"\xff\xfe{\x00}\x00", "not_json"),
        (b'{"device_info":{"device_sn":"A1"}', "not_json"),
        (b'{"line_periodic_data":NaN}', "not_json"),
        (b'{"line_periodic_data":1e400}', "not_json"),
        (b'{"device_info":{"device_sn":"\\ud800"}}', "not_json"),
        (b"user=admin&password=x", "not_json"),
        (b"[" * 100_000, "too_deep"),
        (b"[" * 100_000 + b"]" * 100_000, "too_deep"),
        (b'{"a":' * 50_000, "too_deep"),
        (b'{"line_periodic_data":' + b"[" * 2000 + b"]" * 2000 + b"}", "too_deep"),
        (b"x" * (MAX_BYTES + 1), "oversize"),
        (HEAD + b"{}," * 100_000 + b"{}]}", "oversize"),
        (b"[" + b"{}," * 80_000 + b"{}]", "too_many_items"),
        (b"{" + b",".join(b'"%d":1' % n for n in range(300)) + b"}", "too_many_keys"),
        (b'{"device_info":' + MANY_KEYS + b',"line_periodic_data":[]}', "too_many_keys"),
        (b'{"device_info":' + MANY_KEYS + b',"time_info":{"timezone":"UTC"}}', "too_many_keys"),
        (b'{"device_info":' + MANY_KEYS + b"}", "too_many_keys"),
        (b'{"oversize":{"size":' + DEEP + b'},"head":1}', "oversize"),
        (HEAD + b'{"line":' + DEEP + b',"in":1,"out":1}]}', "bad_place"),
        (HEAD + b'{"line":1,"in":' + DEEP + b',"out":1}]}', "bad_number"),
        (b"42", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"null", "not_an_object"),
        (b"{}", "unknown_message"),
        (b'{"hello":"world"}', "unknown_message"),
        (b"$GPGGA,092750.000,4458.6680,N,09316.2010,W,1,8,1.03,61.7,M,55.2,M,,*76", "nmea"),
        (b'{"latitude":"44.97780 N","longtitude":"93.26500 W"}', "router_position"),
        (b'{"gps":{"latitude":44.9,"longitude":-93.2,"status":52}}', "router_position"),
        (b'{"devEUI":"24e1","status":"offline","time":"2026-03-12T06:40:13Z"}', "gateway_notice"),
        (b'{"devEUI":"24e1","co2":500}', "no_frame"),
        (b'{"devEUI":"24e1","data":"***"}', "bad_base64"),
        (b'{"devEUI":"24e1","data":7}', "bad_base64"),
        (b'{"devEUI":"24e1","data":""}', "empty_frame"),
        (b'{"devEUI":"","data":"BcwAAAAA"}', "no_device"),
        (b'{"devEUI":"../etc","data":"BcwAAAAA"}', "bad_device"),
        (b'{"devEUI":"24e1","data":"' + b"AAAA" * 200 + b'"}', "frame_too_long"),
        (b'{"devEUI":"24e1","data":"Bcw="}', "truncated_frame"),
        (b'{"devEUI":"24e1","data":"dwE="}', "unknown_channel"),
        (b'{"device_info":{"device_model":"VS373","device_sn":"1"},"trigger_data":{"event":4}}', "missing_event"),
        (b'{"device info":{"device_model":"VS373","trigger data":{"event":4}}}', "no_device"),
        (b'{"line_periodic_data":[{"line":1,"in":1,"out":1}]}', "no_device"),
        (b'{"device_info":{"device_sn":"A1","device_name":"x"},"line_trigger_data":[]}', "empty_report"),
        (b'{"device_info":{"device_sn":"A1","device_name":"x"},"heatmap":[1]}', "no_known_section"),
        (b'{"device_info":{"device_sn":"A1"},"line_periodic_data":"none"}', "bad_section"),
        (b'{"device_info":{"device_sn":"A1"},"line_periodic_data":[7]}', "bad_item"),
        (b"StartTime, EndTime, Tolal - In\n", "camera_answer"),
        (b"StartTime, EndTime, Line1 - In, Line1 - Out\n", "empty_report"),
        (b"StartTime, EndTime, Value(s)\n2025-07-18 14:00:00,2025-07-18 14:59:59,1\n", "no_device"),
        (b"#camera c1 Mars/Base q\nStartTime, EndTime, Value(s)\n2025-07-18 14:00:00,2025-07-18 14:59:59,1\n", "bad_zone"),
        (b"#camera c1 UTC q\n<html>502 Bad Gateway</html>", "camera_answer"),
        (b'#camera c1 UTC q\n{"data":[{"x":-1,"y":0,"value":1}]}', "bad_item"),
        (b'{"line_1_total_in":5,"line_1_total_out":5}', "no_device"),
    ],
)
def test_what_is_refused_has_a_name(payload: bytes, reason: str) -> None:
    assert reasons(payload) == [reason]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ('{"line":1,"in":-1,"out":0}', "negative_count"),
        ('{"line":1,"in":1}', "missing_count"),
        ('{"line":1,"in":null,"out":0}', "missing_count"),
        ('{"line":1,"total":{}}', "missing_count"),
        ('{"line":1,"total":5}', "bad_item"),
        ('{"line":1,"in":"many","out":0}', "bad_number"),
        ('{"line":1,"in":true,"out":0}', "bad_number"),
        ('{"line":1,"in":1.5,"out":0}', "bad_number"),
        ('{"line":1,"in":[1],"out":0}', "bad_number"),
        ('{"line":1,"in":"++1","out":0}', "bad_number"),
        ('{"line":1,"in":99999999999999999999999999,"out":0}', "absurd_count"),
        ('{"line":0,"in":1,"out":0}', "bad_place"),
        ('{"line":"first","in":1,"out":0}', "bad_place"),
        ('{"in":1,"out":0}', "bad_place"),
    ],
)
def test_a_broken_line_is_refused_and_its_neighbour_counts(item: str, reason: str) -> None:
    report = report_of(f'{item},{{"line":2,"in":3,"out":4}}')
    assert [refusal.reason for refusal in report.refusals] == [reason]
    assert [(e.line, e.people_in, e.people_out) for e in report.events if isinstance(e, LineCount)] == [(2, 3, 4)]


@pytest.mark.parametrize(
    ("parts", "where"),
    [
        (b'"line_trigger_data":[%s,{"line":2,"in":3,"out":4}]', "line_trigger_data[0]"),
        (b'"line_trigger_data":[{"line":2,"in":3,"out":4}],"region_data":%s', "region_data"),
        (b'"line_trigger_data":[{"line":2,"in":3,"out":4}],"network_info":%s', "device_info"),
        (b'"line_trigger_data":[{"line":2,"in":3,"out":4}],"di_trigger_data":%s', "di_trigger_data"),
    ],
)
def test_a_part_with_too_many_keys_is_refused_alone(parts: bytes, where: str) -> None:
    head = b'{"device_info":{"device_sn":"A1"},"time_info":{"time":"2024-05-30T20:11:00+08:00"},'
    (report,) = decode(head + parts % MANY_KEYS + b"}")
    assert [(refusal.reason, refusal.where) for refusal in report.refusals] == [("too_many_keys", where)]
    assert [(e.line, e.people_in, e.people_out) for e in report.events if isinstance(e, LineCount)] == [(2, 3, 4)]


def test_a_device_with_too_many_keys_costs_its_own_message_of_an_array_only() -> None:
    good = b'{"device_info":{"device_sn":"A1"},"line_trigger_data":[{"line":1,"in":1,"out":0}]}'
    bad, fine = decode(b'[{"device_info":' + MANY_KEYS + b',"line_trigger_data":[]},' + good + b"]")
    assert [refusal.reason for refusal in bad.refusals] == ["too_many_keys"]
    assert len(fine.events) == 1


@pytest.mark.parametrize("number", ["18446744073709551616", '"99999999999999999999"', "1e300", "-1"])
def test_a_track_number_that_no_table_can_hold_is_not_measured(number: str) -> None:
    report = report_of(f'{{"region":1,"duration":5,"people_id":{number}}}', "dwell_time_data")
    assert [e.track for e in report.events if isinstance(e, Stay)] == [None]


def test_ten_thousand_people_a_minute_are_believed_and_one_more_is_not() -> None:
    minutes = '"start_time":"2024-05-30T20:00:00+08:00","end_time":"2024-05-30T20:02:00+08:00"'
    assert report_of('{"line":1,"in":20000,"out":0}', times=minutes).events
    report = report_of('{"line":1,"in":20001,"out":0}', times=minutes)
    assert (report.events, [r.reason for r in report.refusals]) == ([], ["absurd_count"])


def test_the_same_line_twice_in_a_section_counts_once() -> None:
    report = report_of('{"line":1,"in":3,"out":4},{"line":1,"in":5,"out":6}')
    assert [e.people_in for e in report.events if isinstance(e, LineCount)] == [3]
    assert [(r.reason, r.where) for r in report.refusals] == [("duplicate_line", "line_periodic_data[1]")]


def test_a_class_above_its_total_is_not_measured() -> None:
    report = report_of('{"line":1,"total":{"in":3,"out":4},"staff":{"in":4,"out":0},"children":{"in":1}}')
    (event,) = report.events
    assert isinstance(event, LineCount)
    assert (event.staff_in, event.staff_out, event.child_in, event.child_out) == (None, None, 1, None)
    assert [r.reason for r in report.refusals] == ["class_exceeds_total"]


def test_an_unreadable_time_leaves_the_count_without_a_time() -> None:
    report = report_of('{"line":1,"in":3,"out":4}', times='"start_time":"yesterday","end_time":"2024-05-30T20:02:00+08:00"')
    (event,) = report.events
    assert isinstance(event, LineCount)
    assert (event.start, event.end, report.time) == (None, None, 1717070520)
    assert [(r.reason, r.where) for r in report.refusals] == [("bad_time", "time_info.start_time")]
    assert report.time_text == "yesterday|2024-05-30T20:02:00+08:00"


@pytest.mark.parametrize(
    ("start", "end"),
    [("20:02:00", "20:01:00"), ("20:02:00", "20:02:00")],
    ids=["backwards", "empty"],
)
def test_a_window_that_cannot_be_is_flagged_and_keeps_its_end(start: str, end: str) -> None:
    times = f'"start_time":"2024-05-30T{start}+08:00","end_time":"2024-05-30T{end}+08:00"'
    report = report_of('{"line":1,"in":3,"out":4}', times=times)
    (event,) = report.events
    assert isinstance(event, LineCount)
    assert (event.start, event.end, report.flags) == (None, None, ("bad_window",))
    assert report.time is not None


def test_a_clock_years_off_makes_no_window_of_years() -> None:
    times = '"start_time":"1970-01-01T00:00:00-00:00","end_time":"2024-05-30T20:02:00+08:00"'
    report = report_of('{"line":1,"in":3,"out":4}', times=times)
    (event,) = report.events
    assert isinstance(event, LineCount)
    assert (event.start, event.end, report.flags) == (None, None, ("bad_window",))


def test_a_clock_years_off_is_reported_as_it_is() -> None:
    report = report_of('{"line":1,"in":3,"out":4}', "line_trigger_data", '"time":"1999-05-30T20:11:00+08:00"')
    assert report.time == 928066260
    assert len(report.events) == 1


def test_of_duplicate_keys_the_last_counts() -> None:
    report = report_of('{"line":1,"in":3,"in":5,"out":4}')
    assert [e.people_in for e in report.events if isinstance(e, LineCount)] == [5]


def test_a_name_in_a_foreign_encoding_is_repaired_and_flagged() -> None:
    payload = b'{"device_info":{"device_sn":"A1","device_name":"T\xfcr"},"line_trigger_data":[{"line":1,"in":1,"out":0}]}'
    (report,) = decode(payload)
    assert (report.name, report.flags, len(report.events)) == ("T\N{REPLACEMENT CHARACTER}r", ("text_repaired",), 1)


def test_unknown_firmware_and_sections_do_not_hide_what_is_known() -> None:
    payload = b'{"device_info":{"device_sn":"A1","firmware_version":"V_999.9"},'
    payload += b'"line_trigger_data":[{"line":1,"in":1,"out":0,"new":1}],'
    (report,) = decode(payload + b'"heatmap":[],"pathway":{}}')
    assert (report.firmware, report.flags) == ("V_999.9", ("unknown:heatmap", "unknown:pathway"))
    assert len(report.events) == 1


def test_an_image_never_leaves_the_message() -> None:
    image = "QUJD" * 20_000
    payload = json.dumps(
        {"device_info": {"device_sn": "1"}, "time_info": {"timezone": "UTC+1:00"}, "current_total": 3, "snapshot": image}
    )
    (report,) = decode(payload.encode())
    assert report.events
    assert "QUJDQUJD" not in repr(report)


def test_a_refusal_costs_as_much_of_the_budget_as_an_item() -> None:
    """512 looks: each of these lines takes three, itself and two refusals."""
    item = '{"line":%d,"in":1,"out":2,"children":{"in":-1},"staff":7}'
    report = report_of(",".join(item % line for line in range(1, 600)))
    assert len(report.events) == 512 // 3 + 1
    assert len(report.refusals) == 64


def uplink(frame: bytes) -> bytes:
    return b'{"devEUI":"24e1","fCnt":1,"data":"' + base64.b64encode(frame) + b'"}'


def heavy() -> Iterator[tuple[str, bytes]]:
    """Messages made to cost time, just within the limits that would refuse them at once."""
    seed = 3
    yield "deep", b"[" * MAX_BYTES
    yield "random", random.Random(seed).randbytes(MAX_BYTES)
    yield "not utf-8", b'{"a":"' + b"\xff" * (MAX_BYTES - 8) + b'"}'
    yield "digits", b"9" * MAX_BYTES
    yield "escapes", b'"' + b"\\u0041" * ((MAX_BYTES - 2) // 6) + b'"'
    yield "numbers", b"[" + b"1," * (MAX_BYTES // 2 - 2) + b"1]"
    yield "objects", b"[" + b"{}," * 19_000 + b"{}]"
    yield "keys", b"{" + b",".join(b'"%x":1' % n for n in range(5_900)) + b"}"
    yield (
        "lines",
        HEAD + b",".join(b'{"line":%d,"in":1,"out":2,"children":{"in":-1},"staff":7}' % n for n in range(1, 700)) + TAIL,
    )
    yield "reports", b"[" + b",".join([HEAD + b'{"line":1,"in":1,"out":2}' + TAIL] * 250) + b"]"
    yield "occupancy", b'{"device_info":{"device_sn":"1"},"time_info":{"timezone":""},"occupancy":[' + b"1," * 130_000 + b"1]}"
    stored = b'{"devEUI":"24e1","data":"' + b"IM6A1ploBQEAAgAg" * 21 + b'"}'
    yield "stored records", b"[" + b",".join([stored] * 350) + b"]"
    yield "a list for a line", HEAD + b'{"line":[' + b"1," * 130_000 + b'1],"in":1,"out":1}]}'
    yield "a list for a count", HEAD + b'{"line":1,"in":[' + b"1.5e-7," * 37_000 + b'1],"out":1}]}'
    yield "a list for a time", b'{"time_info":{"time":[' + b"1.5e-7," * 37_000 + b'1]},"line_periodic_data":[]}'
    yield "a list for a model", b'{"device_info":{"device_model":[' + b"1.1," * 65_000 + b"1]}}"
    for kind, entry in (("lines", b"\x05\x01\x00\x02\x00"), ("regions", b"\x01\x01\x10\x00\x00")):
        records = b"".join(b"\x20\xce" + (1754912384 + n).to_bytes(4, "little") + entry for n in range(23))
        yield f"stored {kind}", b"[" + b",".join([uplink(records)] * 128) + b"]"
    yield "marks", b"[" + b",".join([uplink(b"\xff\x0b\x00" * 80 + b"\x01\x01")] * 128) + b"]"


@pytest.mark.parametrize("payload", [pytest.param(payload, id=name) for name, payload in heavy()])
def test_no_message_costs_more_than_ten_milliseconds(payload: bytes) -> None:
    """Processor time of this thread, the best of several: other programs on the machine do not count."""
    assert len(payload) <= MAX_BYTES
    best = min(_seconds(payload) for _ in range(12))
    assert best <= 0.010, f"{best * 1000:.1f} ms"


def _seconds(payload: bytes) -> float:
    began = time.thread_time()
    decode(payload)
    return time.thread_time() - began


def test_an_array_of_uplinks_of_the_usual_size_is_read_whole() -> None:
    lines = b"".join(bytes((channel, 0xCC, 1, 0, 2, 0)) for channel in (0x05, 0x08, 0x0B, 0x0E))
    reports = decode(b"[" + b",".join([uplink(lines)] * 64) + b"]")
    assert [len(report.events) for report in reports] == [4] * 64
    assert not any(report.refusals for report in reports)


def test_a_fault_in_a_decoder_costs_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(message: object, draft: object) -> Report:
        raise ZeroDivisionError

    monkeypatch.setattr(vs121p, "decode_object", broken)
    assert reasons(vs121p.SAMPLES[0].payload) == ["decoder_error"]


def test_what_the_bridge_leaves_of_an_oversize_message_is_refused_as_oversize() -> None:
    reports = decode(b'{"oversize":{"size":300000,"blake2b":"00ff"},"head":"first bytes"}')
    assert [r.reason for r in reports[0].refusals] == ["oversize"]
