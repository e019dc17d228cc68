"""The simulator as a process: its history and its live messages arrive in the log through a real broker and the bridge."""

import asyncio
import io
import time
from collections import Counter
from pathlib import Path

from connectors.log import RAW, open_log
from infra import simulate
from infra.roles import roles_of
from infra.settings import load
from infra.supervisor import Role, Supervisor
from infra.up import child_environment
from operators.simulator import Window
from schemas.events import LineCount
from schemas.sensors import decode
from schemas.sites import Device
from tests.support.ports import free_port


def counted(value: bytes, entries: dict[str, Device]) -> list[Window]:
    """The counting windows of a message, as the product's own decoder reads them."""
    found = []
    for report in decode(value):
        entry = entries.get(report.device)
        for e in report.events if entry else ():
            assert entry is not None
            if type(e) is LineCount and e.kind == entry.counting:
                end = e.end if e.end is not None else report.time
                assert end is not None
                start = e.start if e.start is not None else end - entry.interval_s
                into, out = (e.people_out, e.people_in) if entry.swapped(e.line) else (e.people_in, e.people_out)
                found.append(Window(report.device, e.line, start, end, into, out))
    return found


def test_everything_sent_is_in_the_log_and_says_what_the_ledger_says(tmp_path: Path) -> None:
    settings = load(environment={}, folder=tmp_path, data=tmp_path, mqtt_port=free_port(), sites=tmp_path / "sites")
    options = simulate.Options(
        data=str(tmp_path), log=settings.log(), prefix=settings.topic_prefix, partitions=4, mqtt_port=settings.mqtt_port,
        store="http://127.0.0.1:9", database="x", reader="x", reader_password="x",
        stores=2, seed=11, live=int(time.time()), weeks=0.02, speed=400,
    )  # fmt: skip
    (tmp_path / "sites").mkdir()
    for name, text in options.chain().registry_toml().items():
        (tmp_path / "sites" / name).write_text(text)
    broker, bridge = [r for r in roles_of(settings) if r.name in ("broker", "bridge")]
    roles = [broker, Role("simulate", simulate.command(options), simulate.ready(tmp_path), after=("broker",)), bridge]
    out = io.StringIO()

    async def work() -> None:
        async with Supervisor(roles, tmp_path, child_environment(settings), out) as supervisor:
            await asyncio.wait_for(supervisor.start(), 60)
            await asyncio.sleep(2)  # two seconds of the shop's life at 400 times its pace
            await supervisor.stop("simulate")
            wanted = simulate.read_ledger(tmp_path).total
            log = open_log(settings.log(), settings.topic_prefix)
            for _ in range(200):
                if sum(end for _, end in log.bounds(RAW).values()) >= wanted:
                    break
                await asyncio.sleep(0.05)

    asyncio.run(work())
    ledger = simulate.read_ledger(tmp_path)
    log = open_log(settings.log(), settings.topic_prefix)
    values: list[bytes] = []
    for partition, (first, end) in log.bounds(RAW).items():
        reader = log.reader(RAW, partition, first)
        while len(values) < ledger.total and end > first:
            batch = reader.poll(10_000, 1.0)
            if batch is None:
                break
            values += batch.values
        reader.close()
    assert len(values) == ledger.total > ledger.history > 0, out.getvalue()
    entries = {d.id: d for site in options.chain().sites for d in site.devices.values()}
    once = Counter({w: 1 for value in set(values) for w in counted(value, entries)})
    assert once == Counter(ledger.windows)
