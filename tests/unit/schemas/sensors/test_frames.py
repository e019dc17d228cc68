"""LoRaWAN frames: what is special about them."""

import base64
import json

import pytest

from schemas.events import DeviceStatus, LineCount, Report, ZoneCount, event_id
from schemas.sensors import decode, decode_frame


def frame(text: str) -> list[Report]:
    return decode_frame(bytes.fromhex(text), "24e1")


def uplink(text: str, count: int, time: str = "2025-08-11T11:00:00Z") -> list[Report]:
    data = base64.b64encode(bytes.fromhex(text)).decode()
    return decode(json.dumps({"devEUI": "24E1", "data": data, "fCnt": count, "time": time}).encode())


def ids(reports: list[Report]) -> list[int]:
    return [event_id(report, event, n) for report in reports for n, event in enumerate(report.events)]


def pairs(reports: list[Report]) -> list[tuple[int, str, int, int]]:
    events = [event for report in reports for event in report.events if isinstance(event, LineCount)]
    return [(event.line, event.kind, event.people_in, event.people_out) for event in events]


def test_an_uplink_heard_twice_has_one_identity_and_the_next_one_another() -> None:
    first = uplink("05CC03000200", 7)
    heard_again = uplink("05CC03000200", 7, "2025-08-11T11:00:09Z")
    following = uplink("05CC03000200", 8)
    assert ids(first) == ids(heard_again)
    assert not set(ids(first)) & set(ids(following))


def test_a_stored_record_sent_again_in_another_uplink_keeps_its_identity() -> None:
    record = "20CE80D69968 05 01000200"
    alone, after_live_data = uplink(record, 7), uplink("08CC01000100" + record, 99)
    assert ids(alone)[0] in ids(after_live_data)
    assert [report.retransmission for report in after_live_data] == [False, True]


def test_stored_moments_are_reports_of_their_own() -> None:
    reports = frame("20CE80D69968 05 01000200 20CEBCD69968 05 03000400")
    assert [(report.time, report.time_text) for report in reports] == [(1754912384, "1754912384"), (1754912444, "1754912444")]


def test_a_mix_of_data_and_answers_to_downlinks_is_read_through() -> None:
    assert pairs(frame("FE03 3C00 05CC01000200 F9840102 00 08CC03000400")) == [(1, "window", 1, 2), (2, "window", 3, 4)]
    assert pairs(frame("FF43 01 04C903000000 F8D40100 05CC01000200")) == [(1, "window", 1, 2)], "F8 carries a result byte"


@pytest.mark.parametrize("channel", ["0175", "0367", "04CC", "84CC", "0AEF", "03F4", "0468", "05FD", "077D"])
def test_a_frame_of_another_product_is_refused_whole(channel: str) -> None:
    """Line 2 is a VS13x's; the channel behind it never is."""
    (report,) = frame("08CC01000200" + channel + "640000000000")
    assert (report.events, [refusal.reason for refusal in report.refusals]) == ([], ["unsupported_model"])


def test_a_stored_record_of_unknown_length_is_not_guessed_at() -> None:
    """A VS350's record of type 1 has 8 bytes; the VS121's has 4, so half of it would pass for people present."""
    (report,) = frame("20CEFF3DF164 01 0700 0000 1D00 08")
    assert report.events == []
    assert [refusal.reason for refusal in report.refusals] in (["unknown_history"], ["unknown_channel"], ["truncated_frame"])


def test_an_occupancy_mask_beyond_the_regions_is_refused() -> None:
    (report,) = frame("04C903020004 05CC01000100")
    assert (report.events, report.refusals[0].reason) == ([], "bad_value")


def test_the_mask_is_read_big_endian() -> None:
    (report,) = frame("04C903100100")
    assert [e.zone for e in report.events if isinstance(e, ZoneCount) and e.occupied] == [9]


def test_periods_are_unsigned_and_totals_of_both_models_are_told_apart() -> None:
    assert pairs(frame("05CCFFFFFEFF")) == [(1, "window", 65535, 65534)]
    assert pairs(frame("0DCC05000600")) == [(1, "total", 5, 6)]
    assert pairs(frame("0CD205000000 0DD206000000")) == [(4, "total", 5, 6)]


def test_two_values_for_one_quantity_are_reported_and_the_first_stands() -> None:
    (report,) = frame("05CC01000200 05CC03000200")
    assert pairs([report]) == [(1, "window", 1, 2)]
    assert [(refusal.reason, refusal.where) for refusal in report.refusals] == [("repeated_channel", "line 1 window people_in")]


@pytest.mark.parametrize(
    ("text", "serial"), [("FF08660012345678", "660012345678"), ("FF08660012345678ABCDFF090100", "660012345678abcd")]
)
def test_serial_numbers_of_both_lengths(text: str, serial: str) -> None:
    (event,) = frame(text)[0].events
    assert isinstance(event, DeviceStatus)
    assert event.fields["serial"] == serial


def test_a_cut_value_is_not_padded_with_zeros() -> None:
    (report,) = frame("05CC01000200 08CC0300")
    assert pairs([report]) == [(1, "window", 1, 2)]
    assert [(refusal.reason, refusal.where) for refusal in report.refusals] == [("truncated_frame", "byte 6")]


def test_answers_to_downlinks_alone_are_no_report() -> None:
    (report,) = frame("FE033C00")
    assert [refusal.reason for refusal in report.refusals] == ["empty_report"]
