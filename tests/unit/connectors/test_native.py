"""Columns of Python values to Native blocks; what the store reads back is tested with the real one."""

import pytest

from connectors import _native
from schemas.forms import Same


def test_a_block_is_written_as_the_format_says() -> None:
    block = _native.block({"a": "UInt16", "b": "String"}, [[1, 2], ["x", "é"]])
    assert block == b"\x02\x02" + b"\x01a\x06UInt16\x01\x00\x02\x00" + b"\x01b\x06String\x01x\x02\xc3\xa9"


def test_a_nullable_column_is_a_mask_and_values() -> None:
    assert _native.block({"a": "Nullable(UInt8)"}, [[None, 7]]).endswith(b"\x01\x00" + b"\x00\x07")
    assert _native.block({"a": "Nullable(UInt8)"}, [[None, None]]).endswith(b"\x01\x01" + b"\x00\x00")


def test_a_low_cardinality_column_names_each_value_once() -> None:
    block = _native.block({"a": "LowCardinality(String)"}, [["x", "y", "x"]])
    head = (1).to_bytes(8, "little") + (0x600).to_bytes(8, "little") + (2).to_bytes(8, "little")
    assert block.endswith(head + b"\x01x\x01y" + (3).to_bytes(8, "little") + b"\x00\x01\x00")


@pytest.mark.parametrize(
    ("kind", "value"),
    [("UInt64", 2**63), ("Int32", -7), ("String", "é" * 200), ("DateTime('UTC')", 0), ("LowCardinality(String)", "line"),
     ("Nullable(UInt32)", None), ("Nullable(UInt32)", 7), ("Float64", 0.5)],
)  # fmt: skip
@pytest.mark.parametrize("rows", [1, 3, 300])
def test_a_column_of_one_value_is_written_like_any_other(kind: str, value: object, rows: int) -> None:
    assert _native.block({"a": kind}, [Same(value, rows)]) == _native.block({"a": kind}, [[value] * rows])


def test_long_strings_have_long_lengths() -> None:
    assert b"\xac\x02" + b"z" * 300 in _native.block({"a": "String"}, [["z" * 300]])


@pytest.mark.parametrize(
    ("kind", "value"),
    [("UInt8", 256), ("UInt32", -1), ("DateTime('UTC')", -1), ("UInt64", 1.5), ("String", "\ud800"), ("UInt8", None),
     ("LowCardinality(String)", ["x"]), ("Nullable(UInt32)", "7")],
)  # fmt: skip
def test_a_value_that_the_column_cannot_hold_is_refused(kind: str, value: object) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        _native.block({"a": kind}, [[value]])


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="columns of 2 values expected"):
        _native.block({"a": "UInt8", "b": "UInt8"}, [[1, 2], [1]])
