"""What `footstream demo` does: the whole thing on this machine, with simulated stores over real MQTT."""

import asyncio
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from connectors.log import RAW
from infra import balance, simulate
from infra.latency import percentile
from infra.logs import open_settings_log
from infra.roles import check_ports, footstream, free_port, port_free, roles_of
from infra.settings import Settings, load
from infra.supervisor import Role, Supervisor
from infra.up import child_environment, stop_event, until
from operators.simulator import Chain
from operators.traffic import BUCKET_PACE_S

LOOKS = 4
"""So often the tables are looked at again before a difference is believed."""
DRAIN_S = 180.0
"""How long the lane may take to store what is in the log at the end."""


class _Demo:
    """One run of the demo. `began`: epoch seconds of the start of the command."""

    def __init__(self, settings: Settings, options: simulate.Options, began: float) -> None:
        self.settings, self.options, self.began = settings, options, began
        self.differences: list[str] = []
        self.chain: Chain = options.chain()
        self.store = balance.Store(
            settings.store(), settings.store_database, settings.reader_user, settings.reader_password
        )  # fmt: skip

    def write_registry(self) -> None:
        folder = self.settings.data / "sites"
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.chain.registry_toml().items():
            (folder / name).write_text(text)

    def roles(self) -> list[Role]:
        """The configured roles, and the simulator between the broker and those that read its history."""
        simulator = Role(
            "simulate", simulate.command(self.options), simulate.ready(self.settings.data), after=("broker",), grace_s=90
        )  # fmt: skip
        found = []
        for role in roles_of(self.settings):
            waits = ("simulate",) if role.name in ("bridge", "run") else ()
            found.append(replace(role, after=(*role.after, *waits)))
        return [*found[:1], simulator, *found[1:]]

    async def run(self, seconds: float | None) -> int:
        """Until the time is over or a signal comes; exit code 0 when the ledger balances."""
        stop = stop_event()
        async with Supervisor(self.roles(), self.settings.data, child_environment(self.settings), sys.stderr) as supervisor:
            check_ports(self.settings)
            if await self._start(supervisor, stop):
                try:
                    await asyncio.wait_for(until(stop, supervisor), self._left(seconds))
                except TimeoutError:
                    supervisor.say("demo", "time is over: sending what was held back")
                stop.clear()
                return await self._finish(supervisor, stop)
        return 130

    def _left(self, seconds: float | None) -> float | None:
        return None if seconds is None else max(1.0, seconds - (time.time() - self.began))

    async def _start(self, supervisor: Supervisor, stop: asyncio.Event) -> bool:
        """True when all is ready, False when a signal came first."""
        starting, stopped = asyncio.create_task(self._ready(supervisor)), asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not starting.done():
            starting.cancel()
            return False
        starting.result()
        return True

    async def _ready(self, supervisor: Supervisor) -> None:
        starting = asyncio.create_task(supervisor.start())
        await supervisor.ready("serve")
        url = f"http://{self.settings.api_host}:{self.settings.api_port}/"
        print(f"The board is at {url} (after {time.time() - self.began:.1f} s); stop with Ctrl-C.", flush=True)
        await starting

    async def _finish(self, supervisor: Supervisor, stop: asyncio.Event) -> int:
        """Send the rest, drain, compare, say how it went."""
        ending = time.time()
        await supervisor.stop("simulate")
        ledger = simulate.read_ledger(self.settings.data)
        await self._drain(supervisor, ledger.total, stop)
        await self._run_once(supervisor, "repair")
        summary = await asyncio.to_thread(self._summary, ledger, int(ending) // 60 * 60)
        for _ in range(LOOKS):
            if summary["tables_equal_ledger"] or stop.is_set():
                break
            await asyncio.sleep(BUCKET_PACE_S / 2)  # open buckets are written at a pace of their own
            summary = await asyncio.to_thread(self._summary, ledger, int(ending) // 60 * 60)
        for line in self.differences:
            print(f"demo      differs: {line}", file=sys.stderr)
        summary["audit_clean"] = await self._run_once(supervisor, "audit") == 0
        good = bool(summary["balanced"] and summary["tables_equal_ledger"] and summary["audit_clean"])
        summary["ok"] = good
        await supervisor.stop()
        print(json.dumps(summary), flush=True)
        return 0 if good else 1

    async def _drain(self, supervisor: Supervisor, wanted: int, stop: asyncio.Event) -> None:
        """Wait until everything sent is in the log and everything in the log is stored."""
        log = open_settings_log(self.settings)
        limit = time.monotonic() + DRAIN_S
        try:
            while time.monotonic() < limit and not stop.is_set():
                bounds = log.bounds(RAW)
                ends = {p: end for p, (_, end) in bounds.items() if end > 0}
                if sum(ends.values()) >= wanted and await asyncio.to_thread(self._stored, ends):
                    return
                await asyncio.sleep(0.2)
        finally:
            log.close()
        supervisor.say("demo", f"the log is not drained after {DRAIN_S:g} s")

    def _stored(self, ends: dict[int, int]) -> bool:
        rows = self.store.rows("SELECT partition_no, max(position) FROM progress WHERE topic = 'raw' GROUP BY partition_no")
        done = {int(p): int(end) for p, end in rows}
        return all(done.get(p, 0) >= end for p, end in ends.items())

    async def _run_once(self, supervisor: Supervisor, command: str) -> int:
        """Run one of our own commands to its end; its lines go into the common stream."""
        process = await asyncio.create_subprocess_exec(
            *footstream(command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env=child_environment(self.settings),
        )  # fmt: skip
        said, _ = await process.communicate()
        for line in said.decode(errors="replace").splitlines():
            supervisor.say(command, line)
        return process.returncode or 0

    def _summary(self, ledger: simulate.Ledger, ended: int) -> dict[str, Any]:
        found = balance.outcomes(self.store)
        log = open_settings_log(self.settings)
        received = sum(end - first for first, end in log.bounds(RAW).values())
        log.close()
        differences = balance.line_differences(self.store, ledger.windows)
        differences += balance.site_differences(self.store, self.chain, ledger.windows)
        differences += balance.zone_differences(self.store, ledger.levels, ledger.stays)
        self.differences = differences[: balance.SHOWN]
        settled = found["stored"] + found["duplicates"] + sum(found["quarantined"].values())
        return {
            "sent": ledger.total,
            "received": received,
            **found,
            "sent_as": ledger.messages,
            "history": ledger.history,
            "windows": len(ledger.windows),
            "zone_levels": len(ledger.levels),
            "stays": len(ledger.stays),
            "alerts": self.store.value("SELECT uniqExact(episode_id) FROM transitions WHERE kind = 'firing'"),
            "latency_samples": len(ledger.latencies_ms),
            "p50_ms": _rounded(percentile(ledger.latencies_ms, 0.5)),
            "p99_ms": _rounded(percentile(ledger.latencies_ms, 0.99)),
            "people_error": balance.people_error(self.store, self.chain, ended),
            "balanced": received == settled,
            "differences": len(differences),
            "tables_equal_ledger": not differences,
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _port(wanted: int) -> int:
    return wanted if port_free(wanted) else free_port()


def _settings(data: Path, port: int | None) -> Settings:
    """Everything embedded, on free ports: a demo never writes into an installation that somebody uses."""
    ours = load(environment={}, folder=data)
    return replace(
        ours,
        data=data,
        sites=data / "sites",
        log_retention_days=400,  # the history is older than a week
        api_port=port if port is not None else _port(ours.api_port),
        store_port=_port(ours.store_port),
        mqtt_port=_port(ours.mqtt_port),
    )


def _options(settings: Settings, stores: int, seed: int, weeks: float, speed: float, now: float) -> simulate.Options:
    return simulate.Options(
        data=str(settings.data), log=settings.log(), prefix=settings.topic_prefix, partitions=settings.log_partitions,
        mqtt_port=settings.mqtt_port, store=settings.store(), database=settings.store_database, reader=settings.reader_user,
        reader_password=settings.reader_password, stores=stores, seed=seed, live=int(now), weeks=weeks, speed=speed,
    )  # fmt: skip


def run_demo(
    folder: Path, port: int | None, stores: int, seed: int, weeks: float, speed: float, seconds: float | None, began: float
) -> int:
    """The demo in an empty folder, until `seconds` after `began` (epoch s) or a signal; exit code. Raises Problem."""
    settings = _settings(folder, port)
    show = _Demo(settings, _options(settings, stores, seed, weeks, speed, began), began)
    show.write_registry()
    return asyncio.run(show.run(seconds))
