"""The role `http` in one process: what is let in, what is recorded, and that it says yes only when the log has said yes."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from hashlib import sha256

import pytest

from connectors.log import LogError, LogFull, NewRecord, RecordRefused
from dashboards.web.tokens import Token
from infra.ingress import Ingress
from schemas.sensors.footstream_v1 import SAMPLES
from schemas.sites import Device, Registry, Site
from tests.support.ingress import request

TOKENS = (
    Token("door", sha256(b"fs_good").hexdigest(), frozenset({"send"})),
    Token("wall", sha256(b"fs_read").hexdigest(), frozenset({"read"})),
)
Done = Callable[[Exception | None], None]


class Writer:
    """A log that answers when it is told to, as the test wants it; `error` answers at once."""

    def __init__(self) -> None:
        self.records: list[NewRecord] = []
        self.waiting: list[Done] = []
        self.error: Exception | None = None
        self.auto, self.opened = True, 0

    def append(self, topic: str, record: NewRecord, done: Done | None = None) -> None:
        assert topic == "raw" and done is not None
        if self.error is not None:
            done(self.error)
            return
        self.records.append(record)
        self.waiting.append(done)

    def poll(self, seconds: float) -> None:
        if self.auto:
            waiting, self.waiting = self.waiting, []
            for done in waiting:
                done(None)

    def flush(self, seconds: float) -> bool:
        return True

    def append_many(self, topic: str, records: object) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.error = LogError("the writer is closed")

    def open(self) -> "Writer":
        self.opened += 1
        self.error = None
        return self


def with_ingress(
    steps: Callable[[Ingress, Writer, int], Awaitable[None]],
    tokens: tuple[Token, ...] | None = None,
    registry: Registry | None = None,
) -> list[str]:
    said: list[str] = []

    async def run() -> None:
        writer = Writer()
        ingress = Ingress(writer.open, registry or Registry(), tokens, clock=lambda: 1_785_492_902_000, tell=said.append)
        port = await ingress.door.open("127.0.0.1", 0)
        try:
            await asyncio.wait_for(steps(ingress, writer, port), 20)
        finally:
            await ingress.close()

    asyncio.run(run())
    return said


async def post(port: int, body: bytes, path: str = "/in", method: str = "POST", **headers: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(body, path, method, Connection="close", **headers))
    answer = await reader.read()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return int(answer.split(b" ", 2)[1])


BASIC = "Basic " + base64.b64encode(b"door:fs_good").decode()


@pytest.mark.parametrize(
    ("path", "authorization", "status", "topic"),
    [
        ("/in/fs_good", "", 200, b"http"),
        ("/in/fs_good/site/door?x=1", "", 200, b"http/site/door"),
        ("/in/site/door", "Bearer fs_good", 200, b"http/site/door"),
        ("/in", BASIC, 200, b"http"),
        ("/in", "", 401, b""),
        ("/in/fs_bad", "", 401, b""),
        ("/in/fs_read", "", 401, b""),
        ("/in/fs_good", "Bearer fs_bad", 401, b""),
        ("/in", "Basic ?", 401, b""),
        ("/", "Bearer fs_good", 404, b""),
        ("/index", "Bearer fs_good", 404, b""),
    ],
)  # fmt: skip
def test_only_who_has_a_token_to_send_gets_in_and_no_token_is_recorded(
    path: str, authorization: str, status: int, topic: bytes
) -> None:
    async def steps(ingress: Ingress, writer: Writer, port: int) -> None:
        assert await post(port, b'{"x": 1}', path, Authorization=authorization) == status
        assert [dict(record.headers) for record in writer.records] == ([{"topic": topic, "source": b"http"}] if topic else [])
        assert "fs_good" not in str(writer.records)

    with_ingress(steps, TOKENS)


def test_a_record_is_keyed_by_the_store_of_its_device_and_holds_no_image() -> None:
    shop = Site(id="shop", name="Shop", zone="UTC", devices={"box-7": Device("box-7", "Box")})
    picture = (
        b'{"snapshot": "' + b"iVBORw0KGgoAAAANSUhEUg" * 200 + b'", "device_info": {"device_sn": "A1", "device_name": "d"}}'
    )

    async def steps(ingress: Ingress, writer: Writer, port: int) -> None:
        assert await post(port, SAMPLES[0].payload) == 200
        assert await post(port, picture) == 200
        one, two = writer.records
        assert (one.key, one.value, one.timestamp) == ("shop", SAMPLES[0].payload, 1_785_492_902_000)
        assert two.key == "unassigned/a1" and b"iVBOR" not in two.value
        assert (ingress.stats.images, ingress.stats.logged) == (1, 2)

    with_ingress(steps, registry=Registry({"shop": shop}))


@pytest.mark.parametrize(
    ("method", "body", "recorded"),
    [
        ("GET", b"", 0),
        ("HEAD", b"", 0),
        ("POST", b"", 0),
        ("PUT", b" \r\n", 0),
        ("POST", b"a=1&b=2", 1),
        ("POST", b'{"test": true}', 1),
        ("POST", b"\xff\xfe", 1),
    ],
)
def test_the_connection_test_of_a_device_is_answered_with_200(method: str, body: bytes, recorded: int) -> None:
    async def steps(ingress: Ingress, writer: Writer, port: int) -> None:
        assert await post(port, body, "/in/x", method) == 200
        assert len(writer.records) == recorded
        assert ingress.stats.empty == 1 - recorded

    with_ingress(steps)


def test_a_post_is_answered_only_once_the_log_has_it() -> None:
    async def steps(ingress: Ingress, writer: Writer, port: int) -> None:
        writer.auto = False
        waiting = [asyncio.create_task(post(port, b"%d" % n)) for n in range(50)]
        while len(writer.waiting) < 50:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in waiting) and not ingress.door.answers
        writer.auto = True
        assert set(await asyncio.gather(*waiting)) == {200}

    with_ingress(steps)


def test_a_log_that_is_full_costs_a_503_and_one_that_has_room_again_takes_what_comes_again() -> None:
    async def steps(ingress: Ingress, writer: Writer, port: int) -> None:
        writer.error = LogFull("no room in the log")
        assert [await post(port, b"x") for _ in range(3)] == [503, 503, 503]
        assert not ingress.health()["ok"] and writer.opened == 1
        writer.error = None
        while await post(port, b"x") != 200:
            await asyncio.sleep(0.05)
        assert ingress.health()["ok"] and ingress.stats.logged == len(writer.records) == 1

    assert with_ingress(steps) == [
        "no room in the log; posts are answered with 503 and come again",
        "the log takes posts again",
    ]


def test_a_writer_that_died_is_opened_again() -> None:
    async def steps(ingress: Ingress, writer: Writer, port: int) -> None:
        writer.error = LogError("the log is gone")
        assert await post(port, b"x") == 503
        while await post(port, b"x") != 200:
            await asyncio.sleep(0.05)
        assert writer.opened == 2

    with_ingress(steps)


def test_what_the_log_can_never_take_is_refused_for_good_and_harms_no_other() -> None:
    async def steps(ingress: Ingress, writer: Writer, port: int) -> None:
        writer.error = RecordRefused("too large")
        assert await post(port, b"x") == 422
        writer.error = None
        assert await post(port, b"x") == 200

    assert with_ingress(steps) == ["a post is left out for good: too large"]


def test_while_much_is_on_its_way_into_the_log_more_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.ingress.OUT_POSTS", 5)

    async def steps(ingress: Ingress, writer: Writer, port: int) -> None:
        writer.auto = False
        waiting = [asyncio.create_task(post(port, b"%d" % n)) for n in range(5)]
        while len(writer.waiting) < 5:
            await asyncio.sleep(0.005)
        assert await post(port, b"more") == 503
        writer.auto = True
        assert await asyncio.gather(*waiting) == [200] * 5
        assert await post(port, b"more") == 200

    with_ingress(steps)


def test_a_post_that_breaks_the_role_is_kept_as_its_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(payload: bytes) -> None:
        raise RuntimeError("made to fail")

    monkeypatch.setattr("infra.ingress.device_of", broken)

    async def steps(ingress: Ingress, writer: Writer, port: int) -> None:
        assert await post(port, b"secret") == 200
        kept = json.loads(writer.records[0].value)["unreadable"]
        assert (kept["size"], kept["error"]) == (6, "RuntimeError") and b"secret" not in writer.records[0].value

    with_ingress(steps)
