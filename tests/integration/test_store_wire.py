"""The store's HTTP as other clients speak it: curl, clickhouse-go's requests replayed, raw sockets."""

import gzip
import json
import shutil
import socket
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import lz4.frame
import pytest
import urllib3
from typer.testing import CliRunner

from connectors.clickhouse import Store
from infra.cli import _register, app
from infra.settings import Settings
from infra.stores import writer_password
from schemas.rows import Sites

HTTP = urllib3.PoolManager()
HELLO = "SELECT displayName(), version(), revision(), timezone()"


class Answer(NamedTuple):
    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


class Client:
    """Plain HTTP as the writer, or with other headers."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.headers = basic(settings.store_user, writer_password(settings))

    def post(
        self, body: bytes | str = b"", headers: dict[str, str] | None = None, method: str = "POST", **query: str
    ) -> Answer:
        query = {"database": self.settings.store_database, **query}
        got = HTTP.request(method, f"{self.settings.store()}/?{urlencode(query)}", body=body or None,
                           headers={**self.headers, **(headers or {})}, decode_content=False, retries=False)  # fmt: skip
        return Answer(got.status, got.headers, got.data)

    def go(self, sql: str, **query: str) -> Answer:
        """A query as clickhouse-go sends it."""
        query = {"default_format": "Native", "client_protocol_version": "54460", "max_execution_time": "60", **query}
        return self.post(sql, {"User-Agent": "clickhouse-go/2.40.3 (lv:go/1.24; os:linux)", "Accept-Encoding": "gzip"}, **query)


@pytest.fixture
def client(store_settings: Settings) -> Client:
    return Client(store_settings)


def test_the_requests_of_clickhouse_go_are_answered(client: Client, store: Store) -> None:
    hello = client.go(HELLO)
    assert hello.status == 200 and hello.body.startswith(b"\x01\x00\x02\xff\xff\xff\xff\x00\x04\x01")
    assert client.go("SELECT 1").body == b"\x01\x01\x011\x05UInt8\x01"
    many = client.go("SELECT number FROM numbers(200000)")
    assert many.headers["Content-Encoding"] == "gzip"
    assert len(gzip.decompress(many.body)) > 200_000 * 8
    nothing = client.go("SELECT site, minute FROM site_minutes WHERE 0")
    assert nothing.body == b"\x02\x00\x04site\x16LowCardinality(String)\x06minute\x0fDateTime('UTC')"
    wrong = client.go("SELECT nothing")
    assert (wrong.status, wrong.headers["X-ClickHouse-Exception-Code"]) == (404, "47")
    assert wrong.body.startswith(b"Code: 47. DB::Exception")
    filtered = client.go("SELECT site FROM sites FORMAT CSV", additional_table_filters="{'x.y': '1'}")
    assert (filtered.status, filtered.body) == (200, b"")


def test_curl_reads_and_writes(client: Client) -> None:
    curl = shutil.which("curl")
    assert curl is not None, "curl is missing; install it"
    user = f"{client.settings.store_user}:{writer_password(client.settings)}"

    def run(*arguments: str) -> str:
        url = f"{client.settings.store()}/?database={client.settings.store_database}"
        return subprocess.run(
            [curl, "-sS", "-u", user, url, *arguments], capture_output=True, text=True, timeout=20, check=True
        ).stdout

    assert run("-d", "INSERT INTO sites_rows (site, loaded_ms) VALUES ('a', 1), ('b', 2)") == ""
    assert run("-d", 'INSERT INTO sites_rows (site, loaded_ms) FORMAT JSONEachRow {"site": "c"}') == ""
    assert run("-d", "SELECT site FROM sites ORDER BY site") == "a\nb\nc\n"
    found = json.loads(run("-d", "SELECT count() AS n FROM sites FORMAT JSON"))
    assert (found["data"], found["rows"]) == ([{"n": 3}], 1)


def test_bodies_may_be_compressed_or_chunked(client: Client) -> None:
    query = "INSERT INTO sites_rows (site) FORMAT TabSeparated"
    assert client.post(gzip.compress(b"a\n"), {"Content-Encoding": "gzip"}, query=query).status == 200
    assert client.post(lz4.frame.compress(b"b\n"), {"Content-Encoding": "lz4"}, query=query).status == 200
    place = urlencode({"query": query, "database": client.settings.store_database})
    chunked = HTTP.request("POST", f"{client.settings.store()}/?{place}",
                           body=iter([b"c\n", b"d\n"]), headers=client.headers, chunked=True)  # fmt: skip
    assert chunked.status == 200
    assert client.post("SELECT site FROM sites ORDER BY site").body == b"a\nb\nc\nd\n"
    packed = client.post("SELECT number FROM numbers(5000)", {"Accept-Encoding": "lz4"}, enable_http_compression="1")
    assert packed.headers["Content-Encoding"] == "lz4"
    assert lz4.frame.decompress(packed.body).endswith(b"\n4999\n")
    assert client.post(b"not gzip", {"Content-Encoding": "gzip"}, query=query).status == 500
    assert client.post(b"x", decompress="1", query=query).status == 501


def test_parameters_are_bound_by_the_engine(client: Client) -> None:
    answer = client.post("SELECT {a:String} || '!', {b:UInt8} + 1 FORMAT TSVRaw", param_a="it's; DROP TABLE", param_b="7")
    assert answer.body == b"it's; DROP TABLE!\t8\n"


def test_half_a_body_is_not_an_insert(client: Client, store: Store) -> None:
    query = urlencode(
        {"query": "INSERT INTO sites_rows (site) FORMAT TabSeparated", "database": client.settings.store_database}
    )
    with socket.create_connection(("127.0.0.1", client.settings.store_port), 5) as raw:
        head = f"POST /?{query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {client.headers['Authorization']}\r\n"
        raw.sendall(f"{head}Content-Length: 100\r\n\r\nhalf\n".encode())
        raw.shutdown(socket.SHUT_WR)
        assert b" 400 " in raw.recv(4096)
    assert store.query("SELECT count() AS n FROM sites") == [{"n": 0}]


def test_get_only_reads(client: Client) -> None:
    assert client.post(method="GET", query="SELECT 5").body == b"5\n"
    assert client.post(method="GET", query="INSERT INTO sites_rows (site) VALUES ('x')").status == 403
    assert client.post(method="GET", query="DROP TABLE sites_rows").status == 403


@pytest.mark.parametrize("headers", [basic("analyst", "no"), basic("nobody", "no"), {"Authorization": "Basic ?"}, {}])
def test_wrong_credentials_get_401_and_no_hint(client: Client, headers: dict[str, str]) -> None:
    client.headers = headers
    answer = client.post("SELECT 1")
    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (401, "516")
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert b"password is incorrect, or there is no user with such name" in answer.body


def test_credentials_may_stand_in_headers_or_the_url(client: Client) -> None:
    settings, client.headers = client.settings, {}
    assert (
        client.post(
            "SELECT 1", {"X-ClickHouse-User": settings.reader_user, "X-ClickHouse-Key": settings.reader_password}
        ).status
        == 200
    )
    assert client.post("SELECT 1", user=settings.reader_user, password=settings.reader_password).status == 200


def test_a_web_page_cannot_reach_the_store_under_a_name_of_its_own(client: Client) -> None:
    assert client.post("SELECT 1", {"Host": "rebound.example:18123"}).status == 403
    assert client.post("SELECT 1", {"Host": "localhost:18123"}).status == 200


def test_the_store_says_how_it_is(client: Client) -> None:
    def get(path: str) -> Answer:
        got = HTTP.request("GET", client.settings.store() + path)
        return Answer(got.status, got.headers, got.data)

    client.post("SELECT 1")
    assert get("/ping").body == b"Ok.\n"
    health = json.loads(get("/health").body)
    assert health["ok"] is True and health["role"] == "store"
    text = get("/metrics").body.decode()
    assert 'footstream_store_requests_total{outcome="ok",user="writer"}' in text
    assert "process_resident_memory_bytes" in text


def run_sql(settings: Settings, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {k: v for k, v in settings.environment().items() if k != "FOOTSTREAM_STORE_PASSWORD"}
    command = [sys.executable, "-m", "infra", "sql", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


def test_footstream_sql_prints_rows_and_refuses_in_one_line(
    store_settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.insert(Sites, [Sites.row(site="oslo [b]", site_name="Å,B", zone="UTC", country="NO", capacity_operational=None,
                                   capacity_legal=90, loaded_ms=1)])  # fmt: skip
    for name, value in store_settings.environment().items():
        monkeypatch.setenv(name, value)
    _register()
    runner = CliRunner()
    statement = "SELECT site, site_name, capacity_operational, capacity_legal, toDateTime(0, 'UTC') AS t FROM sites"
    table = runner.invoke(app, ["sql", statement]).stdout.splitlines()
    assert table[0].split() == ["site", "site_name", "capacity_operational", "capacity_legal", "t"]
    assert table[1].split() == ["oslo", "[b]", "Å,B", "90", "1970-01-01", "00:00:00"]
    found = json.loads(runner.invoke(app, ["sql", statement, "--format", "json"]).stdout)
    assert found == {"site": "oslo [b]", "site_name": "Å,B", "capacity_operational": None, "capacity_legal": 90,
                     "t": "1970-01-01T00:00:00+00:00"}  # fmt: skip
    assert (
        runner.invoke(app, ["sql", statement, "--format", "csv"]).stdout.splitlines()[1]
        == 'oslo [b],"Å,B",,90,1970-01-01 00:00:00'
    )
    assert runner.invoke(app, ["sql", "SELECT site FROM sites WHERE 0", "--format", "csv"]).stdout == "site\n"
    refused = run_sql(store_settings, "DROP TABLE sites_rows")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("footstream: store http://127.0.0.1:") and refused.stderr.count("\n") == 1


def test_a_full_disk_refuses_the_insert_and_keeps_what_was_taken(tmp_path: Path) -> None:
    """40 MiB of memory in a mount namespace of its own: every insert either raised or is there, and afterwards it goes on."""
    scenario = tmp_path / "scenario.py"
    scenario.write_text(FULL_DISK)
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c",
               f"mount -t tmpfs -o size=40m tmpfs /mnt && exec {sys.executable} {scenario}"]  # fmt: skip
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=root,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin:/usr/sbin"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().endswith("as taken")


FULL_DISK = """
import os
from pathlib import Path
from infra.store_engine import Engine, EngineError

engine = Engine(Path("/mnt/store/chdb"))
engine.query("CREATE TABLE default.t (n UInt64, x String) ENGINE = MergeTree ORDER BY n", "Null")
with open("/mnt/foreign", "wb") as file:
    file.write(bytes(20 << 20))
noise = lambda: os.urandom(100_000).hex().encode()
taken, refused, n = [], 0, 0
while refused < 3 and n < 2000:
    n += 1
    try:
        engine.insert("INSERT INTO default.t (n, x)", "", "TabSeparated", b"%d\\t%s\\n" % (n, noise()))
        taken.append(n)
    except EngineError as error:
        assert error.code in (243, 75, 76), error
        refused += 1
assert refused == 3 and len(taken) > 20, (refused, len(taken))
os.unlink("/mnt/foreign")
engine.insert("INSERT INTO default.t (n, x)", "", "TabSeparated", b"999999\\ty\\n")
found = [int(v) for v in engine.query("SELECT n FROM default.t ORDER BY n", "TSV").split()]
assert found == [*taken, 999999], (len(found), len(taken))
print("as taken")
"""
