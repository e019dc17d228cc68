"""A short run of `make fuzz`, and that it can fail."""

import pytest

from schemas.events import Report
from schemas.sensors import vs121p
from tests.fuzz import run

SEED = 20261125


def test_twenty_thousand_odd_messages_and_frames_get_a_reason_and_take_little_time() -> None:
    done, failed, worst = run(20_000, SEED)
    print(f"seed {SEED}, longest {worst.seconds * 1000:.2f} ms of {len(worst.case.payload)} bytes")
    assert failed == []
    assert done == 20_000


def test_a_fault_in_a_decoder_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(message: object, draft: object) -> Report:
        raise ZeroDivisionError

    monkeypatch.setattr(vs121p, "decode_object", broken)
    assert any("ZeroDivisionError" in line for line in run(2_000, SEED)[1])
