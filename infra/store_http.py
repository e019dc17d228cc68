"""The ClickHouse HTTP interface, as far as clickhouse-connect, clickhouse-go, curl and Grafana's plugin use it.

Requests: POST (or GET, which only reads) to any path; the statement in `query=`, in the body, or its beginning in `query=`
and its data in the body; settings, `database`, `default_format` and `param_*` as URL parameters; bodies in gzip, deflate,
lz4 or zstd, chunked or not. Answers are complete before the first byte is sent, so an error always has its status.
Source: ClickHouse `src/Server/HTTPHandler.cpp`, clickhouse-go `conn_http.go`; what the clients send was recorded.
"""

import gzip
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from infra.store_engine import EngineError

MOST_BYTES = 256 << 20
"""Of a body, unpacked."""
TRANSPORT = frozenset(
    [
        "user",
        "password",
        "query",
        "database",
        "default_format",
        "session_id",
        "session_timeout",
        "session_check",
        "query_id",
        "quota_key",
        "compress",
        "decompress",
        "wait_end_of_query",
        "buffer_size",
        "client_protocol_version",
        "role",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "enable_http_compression",
        "http_zlib_compression_level",
        "stacktrace",
        "cancel_http_readonly_queries_on_client_close",
    ]
)
"""URL parameters that concern the transport; all others are settings, or `param_*`."""
STATUS = {516: 401, 62: 400, 457: 400, 53: 400, 6: 400, 27: 400, 33: 400, 117: 400, 60: 404, 81: 404, 46: 404, 47: 404,
          115: 404, 164: 403, 497: 403, 202: 503, 252: 503, 159: 408, 48: 501, 1002: 413}  # fmt: skip
KINDS = {"JSON": "application/json; charset=UTF-8", "JSONCompact": "application/json; charset=UTF-8",
         "JSONEachRow": "application/x-ndjson; charset=UTF-8", "CSV": "text/csv; charset=UTF-8",
         "CSVWithNames": "text/csv; charset=UTF-8", "TabSeparated": "text/tab-separated-values; charset=UTF-8",
         "Native": "application/octet-stream", "RowBinary": "application/octet-stream"}  # fmt: skip

_FORMAT = re.compile(r"\bFORMAT\s+([A-Za-z]\w*)\s*(?:SETTINGS\s[^)]*)?;?\s*$", re.IGNORECASE)
_NAMED = rb"(?:`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\"|[\w.])+"
_INSERT = re.compile(
    rb"\s*+(?P<head>INSERT\s++INTO\s++(?:TABLE\s++)?" + _NAMED + rb"\s*+(?:\((?:`(?:[^`\\]|\\.)*`|[^)`])*+\)\s*+)?)"
    rb"(?P<settings>SETTINGS\s++[^()]+?\s+)?(?:FORMAT\s+(?P<format>[A-Za-z]\w*)|(?P<values>VALUES)\b)",
    re.IGNORECASE | re.DOTALL,
)  # possessive: a statement made of spaces must not take minutes
_IS_INSERT = re.compile(rb"\s*INSERT\b", re.IGNORECASE)
_SELECT = re.compile(r"\s*(SELECT|WITH)\b", re.IGNORECASE)
HELLO = re.compile(r"\s*SELECT\s+displayName\(\),\s*version\(\),\s*revision\(\),\s*timezone\(\)\s*;?\s*", re.IGNORECASE)


@dataclass
class Request:
    """What a client asks. `insert`: format of the data in `body`, else the statement stands in `sql`."""

    sql: str = ""
    body: bytes = b""
    insert: str = ""
    insert_settings: str = ""
    database: str = ""
    format: str = "TabSeparated"
    query_id: str = ""
    protocol: int = 0
    compress: bool = False
    settings: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)


def parse(query: str, headers: Mapping[str, str], body: bytes) -> Request:
    """A request from URL parameters, headers and the unpacked body. Raises EngineError."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    if given.get("decompress") == "1" or given.get("compress") == "1":
        raise EngineError(
            "Code: 48. DB::Exception: compress/decompress is not supported here; "
            "use Content-Encoding and enable_http_compression. (NOT_IMPLEMENTED)",
            48,
        )
    request = Request(
        database=headers.get("X-ClickHouse-Database") or given.get("database", ""),
        format=headers.get("X-ClickHouse-Format") or given.get("default_format", "TabSeparated"),
        query_id=given.get("query_id", ""),
        protocol=_number(given.get("client_protocol_version", "")),
        compress=given.get("enable_http_compression") == "1",
        settings={k: v for k, v in given.items() if k not in TRANSPORT and not k.startswith("param_")},
        params={k[6:]: v for k, v in given.items() if k.startswith("param_")},
    )
    _statement(request, given.get("query", "").encode(), body)
    return request


def _number(value: str) -> int:
    return int(value) if value.isdecimal() else 0


def _statement(request: Request, start: bytes, body: bytes) -> None:
    """Set statement and data. With `query=` the body is its data (of an INSERT) or its continuation."""
    whole = start or body
    found = _INSERT.match(whole[: 1 << 16])
    if found is None:
        separated = b"\n" if start and body else b""
        if start and body and _IS_INSERT.match(start):
            raise EngineError("Code: 62. DB::Exception: INSERT with data needs FORMAT or VALUES. (SYNTAX_ERROR)", 62)
        request.sql = (
            (start + separated + (body if start else b"")).decode("utf-8", "surrogateescape") if start else _decoded(body)
        )
        match = _FORMAT.search(request.sql[-4096:])
        request.format = match.group(1) if match else request.format
        return
    request.insert = (found["format"] or b"Values").decode()
    request.sql = found["head"].strip().decode("utf-8", "replace")
    request.insert_settings = (found["settings"] or b"").strip().decode("utf-8", "replace")
    rest = whole[found.end() :]
    if found["format"]:
        rest = rest.lstrip(b" \t\r") if not start or rest.strip() else b""
        rest = rest[1:] if rest[:1] in (b"\n", b";") else rest
    request.body = rest + body if start else rest


def _decoded(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def unpacked(body: bytes, encoding: str) -> bytes:
    """The body without its Content-Encoding. Raises EngineError for an unknown or broken one, or one that is too large."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    try:
        plain = _unpack(body, encoding)
    except EngineError:
        raise
    except Exception as error:  # each library has its own kinds; all mean that the bytes are not what they are said to be
        raise EngineError(f"Code: 354. DB::Exception: body is not {encoding}: {error}. (ZLIB_INFLATE_FAILED)", 354) from None
    if plain is None:
        raise EngineError(f"Code: 48. DB::Exception: Content-Encoding {encoding!r} is not known. (NOT_IMPLEMENTED)", 48)
    return plain


def too_large() -> EngineError:
    return EngineError(
        f"Code: 1002. DB::Exception: more than {MOST_BYTES >> 20} MiB in one request; send less at a time.", 1002
    )


def _unpack(body: bytes, encoding: str) -> bytes | None:
    """None for an unknown encoding. A body may be several frames one after the other."""
    make: Any
    if encoding in ("gzip", "x-gzip"):
        make = lambda: zlib.decompressobj(31)  # noqa: E731  # one of four constructors
    elif encoding == "deflate":
        make = zlib.decompressobj
    elif encoding == "lz4":
        import lz4.frame

        make = lz4.frame.LZ4FrameDecompressor
    elif encoding == "zstd":
        make = _zstd().ZstdDecompressor
    else:
        return None
    parts, left = [], MOST_BYTES
    while body:
        frame = make()
        parts.append(frame.decompress(body, left + 1))  # one byte too many is enough to refuse what unpacks to terabytes
        left -= len(parts[-1])
        if left < 0:
            raise too_large()
        if not frame.eof:
            raise ValueError("it ends too early")
        body = frame.unused_data or b""
    return b"".join(parts)


def _zstd() -> Any:
    from backports import zstd  # comes with clickhouse-connect

    return zstd


def packed(body: bytes, accepted: str) -> tuple[bytes, str]:
    """The answer in the best encoding that the client takes, and its name; small ones stay plain."""
    names = {part.partition(";")[0].strip().lower() for part in accepted.split(",")}
    if len(body) < 1024:
        return body, ""
    if "lz4" in names:
        import lz4.frame

        return lz4.frame.compress(body), "lz4"
    if "zstd" in names:
        return _zstd().compress(body, 1), "zstd"
    if "gzip" in names:
        return gzip.compress(body, 1), "gzip"
    return body, ""


def describe(request: Request) -> str:
    """The statement that asks for the columns of an empty answer; empty when there is none to ask."""
    if request.format != "Native" or not _SELECT.match(request.sql):
        return ""
    return f"DESCRIBE TABLE ({_FORMAT.sub('', request.sql)})"


def native_header(columns: list[tuple[str, str]]) -> bytes:
    """A Native block (revision 0) of no rows: the engine writes nothing at all when there are none."""
    return varint(len(columns)) + b"\0" + b"".join(_sized(name) + _sized(kind) for name, kind in columns)


def hello(name: str, version: str) -> bytes:
    """Answer to the handshake of clickhouse-go: one block in the layout of revision 54460 that says that ours is 0.

    Block info, then per column name, type and the flag that its serialisation is the usual one.
    """
    values = [("displayName()", "String", _sized(name)), ("version()", "String", _sized(version)),
              ("revision()", "UInt32", struct.pack("<I", 0)), ("timezone()", "String", _sized("UTC"))]  # fmt: skip
    info = b"\x01\x00\x02" + struct.pack("<i", -1) + b"\x00"
    return info + varint(4) + varint(1) + b"".join(_sized(n) + _sized(k) + b"\0" + value for n, k, value in values)


def varint(number: int) -> bytes:
    """LEB128."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def _sized(value: str) -> bytes:
    raw = value.encode()
    return varint(len(raw)) + raw
