"""The shared poller: one for all viewers, at rest when nobody watches, nothing missed on coming back."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from dashboards.web.live import Hub
from dashboards.web.source import Metrics, Row, StoreDown


class Shops:
    """What the poller reads; a test changes it. `reads` counts."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {
            "a": {"site": "a", "in_today": 1, "age_s": 0},
            "b": {"site": "b", "in_today": 5, "age_s": 0},
        }
        self.reads = 0
        self.away = False

    def __call__(self) -> list[Row]:
        self.reads += 1
        if self.away:
            raise StoreDown("away")
        return [dict(row) for row in self.rows.values()]


def hub_of(shops: Shops, every_s: float = 0.01) -> Hub:
    return Hub(shops, lambda: 1000.0, Metrics(), every_s)


async def heard(stream: AsyncIterator[bytes], name: str = "stores") -> tuple[str, Any]:
    """The next event of that name: id and data."""
    async for block in stream:
        lines = dict(line.split(": ", 1) for line in block.decode().strip().split("\n"))
        if lines.get("event") == name:
            return lines.get("id", ""), json.loads(lines["data"])
    raise AssertionError("the stream ended")


def run(scenario: Callable[[], Any]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(scenario(), 10)

    asyncio.run(limited())


def everybody(_: str) -> bool:
    return True


def test_a_viewer_gets_everything_once_and_then_only_what_changed() -> None:
    async def scenario() -> None:
        shops = Shops()
        hub = hub_of(shops)
        stream = hub.watch("", everybody)
        _, first = await heard(stream)
        assert first["all"] is True
        assert [row["site"] for row in first["stores"]] == ["a", "b"]
        shops.rows["b"]["in_today"] = 6
        _, second = await heard(stream)
        assert second["all"] is False
        assert [(row["site"], row["in_today"]) for row in second["stores"]] == [("b", 6)]
        del shops.rows["a"]
        assert (await heard(stream))[1]["gone"] == ["a"]
        hub.close()

    run(scenario)


def test_the_clock_alone_is_no_change() -> None:
    async def scenario() -> None:
        shops = Shops()
        hub = hub_of(shops)
        stream = hub.watch("", everybody)
        number, _ = await heard(stream)
        shops.rows["a"]["age_s"] = 99
        reads = shops.reads
        while shops.reads < reads + 3:
            await asyncio.sleep(0.005)
        shops.rows["a"]["in_today"] = 2
        after, data = await heard(stream)
        assert int(after.split("-")[1]) == int(number.split("-")[1]) + 1
        assert data["stores"][0]["age_s"] == 99
        hub.close()

    run(scenario)


def test_coming_back_with_the_last_id_gives_what_was_missed_and_an_unknown_id_gives_everything() -> None:
    async def scenario() -> None:
        shops = Shops()
        hub = hub_of(shops)
        other = hub.watch("", everybody)
        last, _ = await heard(other)
        shops.rows["a"]["in_today"] = 2
        await heard(other)
        _, missed = await heard(hub.watch(last, everybody))
        assert (missed["all"], [row["site"] for row in missed["stores"]]) == (False, ["a"])
        _, fresh = await heard(hub.watch("anotherprocess-7", everybody))
        assert (fresh["all"], len(fresh["stores"])) == (True, 2)
        hub.close()

    run(scenario)


def test_a_viewer_limited_to_stores_hears_of_no_other() -> None:
    async def scenario() -> None:
        hub = hub_of(Shops())
        _, data = await heard(hub.watch("", lambda site: site == "b"))
        assert [row["site"] for row in data["stores"]] == ["b"]
        hub.close()

    run(scenario)


def test_twenty_viewers_cost_one_poller_and_nobody_costs_nothing() -> None:
    async def scenario() -> None:
        shops = Shops()
        hub = hub_of(shops, every_s=0.05)
        assert shops.reads == 0
        streams = [hub.watch("", everybody) for _ in range(20)]
        await asyncio.gather(*(heard(stream) for stream in streams))
        assert hub.viewers == 20
        assert shops.reads == 1
        for stream in streams:
            await stream.aclose()  # type: ignore[attr-defined]  # an async generator, declared as an iterator
        assert hub.viewers == 0
        hub.close()

    run(scenario)


def test_a_store_that_is_away_is_said_once_and_so_is_its_return() -> None:
    async def scenario() -> None:
        shops = Shops()
        hub = hub_of(shops)
        stream = hub.watch("", everybody)
        await heard(stream)
        shops.away = True
        await heard(stream, "trouble")
        shops.away = False
        await heard(stream, "well")
        hub.close()

    run(scenario)


def test_closing_ends_every_stream() -> None:
    async def scenario() -> None:
        hub = hub_of(Shops())
        stream = hub.watch("", everybody)
        await heard(stream)
        hub.close()
        rest = [block async for block in stream]
        assert len(rest) <= 1

    run(scenario)
