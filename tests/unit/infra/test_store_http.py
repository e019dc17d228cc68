"""What clients of the ClickHouse HTTP interface send, taken apart."""

import gzip
import zlib
from urllib.parse import urlencode

import lz4.frame
import pytest
from backports import zstd

from infra import store_http as wire
from infra.store_engine import EngineError
from infra.store_guard import Account, Guard

READER = Account("analyst", "secret", True, {"max_execution_time": 30, "max_result_rows": 100})
WRITER = Account("footstream", "word", False, {})


def guard(canonical: str = "SELECT 1") -> Guard:
    return Guard([WRITER, READER], lambda sql: canonical or sql, {"file", "s3", "numbers", "python"})


@pytest.mark.parametrize(
    ("query", "body", "sql", "form", "data"),
    [
        ("", b"INSERT INTO t (a, `b c`) FORMAT Native\n\0\1\n", "INSERT INTO t (a, `b c`)", "Native", b"\0\1\n"),
        ("INSERT INTO d.t FORMAT Native", b"\n\0FORMAT", "INSERT INTO d.t", "Native", b"\n\0FORMAT"),
        ("INSERT INTO t SETTINGS a = 'x' FORMAT CSV", b"1\n", "INSERT INTO t", "CSV", b"1\n"),
        ("", b"insert into t values (1, ')')", "insert into t", "Values", b" (1, ')')"),
        ("INSERT INTO t VALUES", b"(1)", "INSERT INTO t", "Values", b"(1)"),
        ("INSERT INTO t FORMAT CSV 7\n", b"8\n", "INSERT INTO t", "CSV", b"7\n8\n"),
    ],
)
def test_the_data_of_an_insert_is_kept_byte_by_byte(query: str, body: bytes, sql: str, form: str, data: bytes) -> None:
    request = wire.parse(urlencode({"query": query} if query else {}), {}, body)
    assert (request.sql.strip(), request.insert, request.body.lstrip(b" ")) == (sql, form, data.lstrip(b" "))


def test_an_insert_from_a_select_is_a_statement() -> None:
    request = wire.parse("", {}, b"INSERT INTO t SELECT 'VALUES (1) FORMAT CSV' FROM u")
    assert (request.insert, request.sql) == ("", "INSERT INTO t SELECT 'VALUES (1) FORMAT CSV' FROM u")


def test_parameters_settings_and_transport_are_told_apart() -> None:
    request = wire.parse(
        "database=d&param_x=1&max_threads=2&session_id=s&default_format=CSV&query_id=q", {}, b"SELECT {x:UInt8}"
    )
    assert (request.database, request.params, request.settings, request.format) == (
        "d",
        {"x": "1"},
        {"max_threads": "2"},
        "CSV",
    )


def test_the_format_in_the_statement_counts() -> None:
    assert wire.parse("default_format=CSV", {}, b"SELECT 1\n FORMAT Native").format == "Native"
    assert wire.parse("default_format=CSV", {}, b"SELECT 1 FORMAT JSON SETTINGS a = 1;").format == "JSON"


def test_an_insert_of_spaces_does_not_take_minutes() -> None:
    wire.parse("", {}, b"INSERT INTO t" + b" " * 60_000 + b"x")  # the suite's time limit is the check


@pytest.mark.parametrize("name", ["gzip", "deflate", "lz4", "zstd"])
def test_bodies_are_unpacked_also_in_several_frames(name: str) -> None:
    pack = {"gzip": gzip.compress, "deflate": zlib.compress, "lz4": lz4.frame.compress, "zstd": zstd.compress}[name]
    assert wire.unpacked(pack(b"one ") + pack(b"two"), name) == b"one two"
    with pytest.raises(EngineError, match="body is not"):
        wire.unpacked(pack(b"x" * 500)[:-6], name)


def test_a_body_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_BYTES", 1 << 20)
    bomb = gzip.compress(bytes(40 << 20))
    with pytest.raises(EngineError, match="MiB in one request"):
        wire.unpacked(bomb, "gzip")


def test_the_handshake_of_clickhouse_go_reports_revision_zero() -> None:
    block = wire.hello("n", "26.9")
    assert block.startswith(b"\x01\x00\x02\xff\xff\xff\xff\x00\x04\x01")  # block info, 4 columns, 1 row
    assert b"\x0arevision()\x06UInt32\x00\x00\x00\x00\x00" in block


def test_wrong_credentials_say_the_same_whatever_was_wrong() -> None:
    words = set()
    for user, password in (("analyst", "wrong"), ("nobody", "secret"), ("analyst", ""), ("footstream", "secret")):
        with pytest.raises(EngineError) as refused:
            guard().account(user, password)
        assert refused.value.code == 516
        words.add(str(refused.value).replace(user, "U"))
    assert len(words) == 1
    assert guard().account("analyst", "secret") is READER


def test_an_account_without_a_password_cannot_be_used() -> None:
    with pytest.raises(EngineError):
        Guard([Account("footstream", "", False, {})], str, set()).account("footstream", "")


def test_a_reader_may_lower_the_caps_and_not_raise_them() -> None:
    given = guard().settings(READER, {"max_result_rows": "0", "max_execution_time": "5"})
    assert (given["max_result_rows"], given["max_execution_time"], given["readonly"]) == ("100", "5", "1")
    assert guard().settings(READER, {"max_result_rows": "1e9", "readonly": "0"})["max_result_rows"] == "100"
    assert guard().settings(READER, {"extremes": "0", "readonly": "2"})["readonly"] == "1"


@pytest.mark.parametrize("name", ["max_memory_usage_for_user", "format_template_resultset", "allow_ddl", "log_queries"])
def test_a_reader_may_not_change_other_settings(name: str) -> None:
    with pytest.raises(EngineError, match=f"Cannot modify '{name}'"):
        guard().settings(READER, {name: "1"})


@pytest.mark.parametrize(
    "canonical",
    [
        "KILL QUERY WHERE 1 ASYNC",
        "INSERT INTO t FORMAT Values",
        "SELECT file('x')",
        "SELECT * FROM `s3`('x')",
        "DESCRIBE TABLE file('x')",
        "SELECT * FROM Python(a)",
        "SELECT aiGenerate('x')",
        "WITH x AS (SELECT * FROM S3 ('y')) SELECT 1",
    ],
)
def test_a_reader_may_only_read_tables(canonical: str) -> None:
    with pytest.raises(EngineError) as refused:
        guard(canonical).check(READER, canonical)
    assert refused.value.code == 164
    guard(canonical).check(WRITER, canonical)


@pytest.mark.parametrize(
    "canonical", ["SELECT 'file(\\'x\\') s3(' FROM t", "SELECT sum(a) FROM numbers(3)", "(SELECT 1)", "SHOW TABLES"]
)
def test_a_reader_may_read(canonical: str) -> None:
    guard(canonical).check(READER, canonical)


def test_into_outfile_is_refused_however_it_is_written() -> None:
    with pytest.raises(EngineError, match="OUTFILE"):
        guard().check(READER, "SELECT 1 INTO/**/outfile 'x'")
