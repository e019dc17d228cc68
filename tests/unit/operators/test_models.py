"""The envelope of stored models and what happens when it cannot be read."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from operators import models
from operators.calendar import local_start
from operators.models import ModelSpec, Point, Score, UnreadableState, discover, pack, restore, slot_of, unpack


class _Fixed:
    def score(self, x: Point, before: Sequence[Point] = ()) -> Score:
        return Score(0.0)

    def learn(self, x: Point) -> None:
        del x

    def to_bytes(self) -> bytes:
        return pack("fixed", {"a": 1.0}, b"state")

    @classmethod
    def load(cls, data: bytes) -> "_Fixed":
        assert unpack("fixed", {"a": 1.0}, data) == b"state"
        return cls()


SPEC = ModelSpec("fixed", _Fixed, _Fixed.load, most_bytes=100)


def test_a_readable_state_is_restored_without_asking_for_history() -> None:
    assert not restore(SPEC, _Fixed().to_bytes()).rebuild


@pytest.mark.parametrize("data", [b"", b"garbage", b"\x95\x01"])
def test_garbage_gives_a_fresh_model_that_asks_for_history(data: bytes) -> None:
    found = restore(SPEC, data)
    assert found.rebuild and isinstance(found.model, _Fixed)
    assert "fixed" in found.reason


def test_another_class_or_parameter_is_unreadable() -> None:
    with pytest.raises(UnreadableState, match="kind is 'other'"):
        unpack("fixed", {"a": 1.0}, pack("other", {"a": 1.0}, b""))
    with pytest.raises(UnreadableState, match="params"):
        unpack("fixed", {"a": 1.0}, pack("fixed", {"a": 2.0}, b""))


def test_another_river_version_is_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = _Fixed().to_bytes()
    monkeypatch.setattr(models, "river_version", lambda: "0.99.0")
    assert "river" in restore(SPEC, stored).reason


def test_slots_count_quarters_from_monday_midnight_of_the_wall_clock() -> None:
    monday = int(datetime(2025, 6, 2, tzinfo=UTC).timestamp())
    assert slot_of(monday) == 0
    assert slot_of(monday - 1) == 671
    # Kathmandu is 5:45 ahead: Sunday 18:15 UTC is Monday 00:00.
    assert slot_of(local_start("Asia/Kathmandu", monday - 20_700)) == 0


def test_both_passes_of_the_repeated_hour_have_the_same_slots() -> None:
    first = int(datetime(2025, 10, 26, 0, tzinfo=UTC).timestamp())
    slots = [slot_of(local_start("Europe/Berlin", first + 900 * n)) for n in range(8)]
    assert slots[:4] == slots[4:]


def test_the_anomaly_model_is_found() -> None:
    assert "count-likelihood" in discover()
