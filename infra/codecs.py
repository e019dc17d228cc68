"""How columns are packed on disk, by what they hold; measured figures: docs/clickhouse.md, "Disk"."""

from schemas.tables import F64, I64, MAYBE, MS, NAME, TEXT, TIME, U8, U16, U32, U64, Table

_DELTA4, _DELTA8, _SMALL, _WORDS = "Delta(4), ZSTD(1)", "Delta(8), ZSTD(1)", "T64, ZSTD(1)", "ZSTD(1)"
_BY_TYPE = {
    TIME: _DELTA4,  # in the order of the keys times go on step by step
    "DateTime64(0, 'UTC')": _DELTA8,
    MS: _DELTA8,
    I64: _DELTA8,
    U64: _DELTA8,  # positions, ranks, revisions
    **dict.fromkeys((U8, U16, U32, "Int32", MAYBE), _SMALL),  # small numbers: the upper bits are all zero
    **dict.fromkeys((NAME, TEXT, F64, "Nullable(Float64)"), _WORDS),
}


def codec_of(table: type[Table], column: str) -> str:
    """Codec of a stored column as the server prints it; empty: the server's default."""
    return _BY_TYPE.get(table.columns[column].type, "")
