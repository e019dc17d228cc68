"""The door: what HTTP may look like, what it may cost, and that no client harms another."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from connectors.http_in import Call, Door, Limits
from tests.support.ingress import request

QUICK = Limits(body_bytes=2000, held_bytes=20_000, connections=20, request_s=0.4, idle_s=0.4, answer_s=0.4)
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Owner:
    """Takes what is posted to /in; answers at once, or holds the answers back."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.held: list[Call] | None = None

    def admit(self, method: str, target: str, authorization: str) -> str | int:
        return target if target.startswith("/in") else 404

    def take(self, call: Call, topic: str, body: bytes) -> None:
        self.bodies.append(body)
        if self.held is None:
            call.answer(200)
        else:
            self.held.append(call)


def with_door(steps: Callable[[Door, Owner, int], Awaitable[None]], limits: Limits = QUICK) -> None:
    async def run() -> None:
        owner = Owner()
        door = Door(owner, limits)
        port = await door.open("127.0.0.1", 0)
        try:
            await asyncio.wait_for(steps(door, owner, port), 20)
        finally:
            await door.close(0.1)
        assert door.held == 0, "every body was given back"

    asyncio.run(run())


async def said(port: int, data: bytes) -> bytes:
    """Send, and read until the door closes or nothing comes for a while."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    found = b""
    try:
        while piece := await asyncio.wait_for(reader.read(65_536), 0.3):
            found += piece
    except TimeoutError:
        pass
    writer.close()
    return found


def statuses(answer: bytes) -> list[int]:
    return [int(part.split(b" ", 1)[0]) for part in answer.split(b"HTTP/1.1 ")[1:]]


CHUNKED = b"POST /in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "answers", "bodies"),
    [
        (request(b"one"), [200], [b"one"]),
        (request(b"one") + request(b"two") + request(b""), [200, 200, 200], [b"one", b"two", b""]),
        (CHUNKED + b"3\r\none\r\n4\r\n two\r\n0\r\n\r\n", [200], [b"one two"]),
        (request(b"one", Connection="close") + request(b"never read"), [200], [b"one"]),
        (b"POST /in HTTP/1.0\r\nContent-Length: 3\r\n\r\none", [200], [b"one"]),
        (request(b"one", Connection="Upgrade", Upgrade="h2c"), [501], []),
        (b"CONNECT x:1 HTTP/1.1\r\n\r\n", [501], []),
        (request(b"one", Expect="100-continue"), [100, 200], [b"one"]),
        (request(b"", method="HEAD"), [200], [b""]),
        (request(b"one", path="/other"), [404], []),
        (request(b"one", Content_Encoding="gzip"), [415], []),
        (request(b"x" * 2001), [413], []),
        (CHUNKED + b"7d1\r\n" + b"x" * 2001, [413], []),
        (b"POST /in HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n", [413], []),
        (CHUNKED + b"1\r\nx\r\n" * 1500 + b"0\r\n\r\n", [200], [b"x" * 1500]),
        (CHUNKED + b"1\r\nx\r\n0\r\nTrailer: " + b"a" * 33_000, [413], []),
        (b"POST /in HTTP/1.1\r\nContent-Length: -1\r\n\r\n", [400], []),
        (b"POST /in HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400], []),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [400], []),
        (b"POST /in HTTP/1.1\r\nX: " + b"a" * 17_000, [431], []),
        (request(b"one") + b"rubbish\r\n\r\n", [200, 400], [b"one"]),
        (request(b"one") + request(b"x" * 3000), [200, 413], [b"one"]),
    ],
    ids=lambda value: str(value)[:60],
)
def test_each_request_is_answered_as_it_should_be(data: bytes, answers: list[int], bodies: list[bytes]) -> None:
    async def steps(door: Door, owner: Owner, port: int) -> None:
        assert statuses(await said(port, data)) == answers
        assert owner.bodies == bodies

    with_door(steps)


def test_a_request_in_small_pieces_is_the_same_request() -> None:
    async def steps(door: Door, owner: Owner, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for byte in request(b"one") + request(b"two"):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        for _ in range(2):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            await reader.readexactly(13)
        assert owner.bodies == [b"one", b"two"]
        writer.close()

    with_door(steps, replace(QUICK, request_s=10.0))


def test_a_thousand_requests_in_one_go_are_answered_one_by_one() -> None:
    async def steps(door: Door, owner: Owner, port: int) -> None:
        assert statuses(await said(port, b"".join(request(b"%d" % n) for n in range(1000)))) == [200] * 1000
        assert owner.bodies == [b"%d" % n for n in range(1000)]

    with_door(steps)


def test_a_client_that_closes_its_side_still_gets_its_answer() -> None:
    async def steps(door: Door, owner: Owner, port: int) -> None:
        owner.held = []
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(b"one"))
        writer.write_eof()
        while not owner.held:
            await asyncio.sleep(0.005)
        owner.held[0].answer(200)
        assert statuses(await reader.read()) == [200]
        writer.close()

    with_door(steps)


@pytest.mark.parametrize(
    ("data", "answers"),
    [
        (b"", []),
        (b"POST /in HTTP/1.1\r\nHost", [408]),
        (b"POST /in HTTP/1.1\r\nContent-Length: 10\r\n\r\n1234", [408]),
        (request(b"one") + b"POST", [200, 408]),
    ],
)
def test_a_client_that_hangs_is_let_go(data: bytes, answers: list[int]) -> None:
    async def steps(door: Door, owner: Owner, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        assert statuses(await asyncio.wait_for(reader.read(), 5)) == answers
        writer.close()

    with_door(steps)


def test_an_owner_that_never_answers_costs_a_503_and_his_late_answer_goes_nowhere() -> None:
    async def steps(door: Door, owner: Owner, port: int) -> None:
        owner.held = []
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(b"one"))
        assert statuses(await reader.readuntil(b"}\n")) == [503]
        first = owner.held[0]
        owner.held = None
        writer.write(request(b"two"))
        first.answer(200)
        assert statuses(await reader.readuntil(b"}\n")) == [200]
        assert door.answers == {503: 1, 200: 1}
        writer.close()

    with_door(steps)


def test_with_all_connections_in_use_the_one_goes_that_said_nothing_for_longest() -> None:
    async def steps(door: Door, owner: Owner, port: int) -> None:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        slow = []
        for _ in range(40):
            slow.append(await asyncio.open_connection("127.0.0.1", port))
            slow[-1][1].write(b"POST /in HTTP/1.1\r\n")
        for n in range(10):
            assert statuses(await said(port, request(b"good %d" % n, Connection="close"))) == [200]
        assert len(door.connections) <= 20
        assert door.dropped >= 50
        for _, writer in silent + slow:
            writer.close()

    with_door(steps, replace(QUICK, request_s=30.0, idle_s=30.0))


def test_when_everybody_waits_for_an_answer_the_next_one_is_sent_away() -> None:
    async def steps(door: Door, owner: Owner, port: int) -> None:
        owner.held = []
        clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        for _, writer in clients:
            writer.write(request(b"waits"))
        while len(owner.held) < 20:
            await asyncio.sleep(0.005)
        assert statuses(await said(port, request(b"one more"))) == [503]
        for call in owner.held:
            call.answer(200)
        for reader, writer in clients:
            assert statuses(await reader.readuntil(b"}\n")) == [200]
            writer.close()

    with_door(steps, replace(QUICK, answer_s=30.0))


def test_bodies_that_are_never_finished_take_only_so_much_memory() -> None:
    async def steps(door: Door, owner: Owner, port: int) -> None:
        clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(15)]
        for _, writer in clients:
            writer.write(b"POST /in HTTP/1.1\r\nContent-Length: 2000\r\n\r\n" + b"x" * 1900)
        while not door.answers[503]:
            await asyncio.sleep(0.005)
        assert door.held <= QUICK.held_bytes
        for _, writer in clients:
            writer.close()

    with_door(steps, replace(QUICK, request_s=30.0))


def test_a_client_that_is_gone_is_answered_in_vain() -> None:
    async def steps(door: Door, owner: Owner, port: int) -> None:
        owner.held = []
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(b"one"))
        while not owner.held:
            await asyncio.sleep(0.005)
        writer.transport.abort()
        await asyncio.sleep(0.05)
        owner.held[0].answer(200)
        while door.connections:
            await asyncio.sleep(0.005)

    with_door(steps)
