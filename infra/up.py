"""What `footstream up` does: the configured deployment on this machine, until SIGTERM or Ctrl-C."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from infra.metrics import serve_role
from infra.roles import check_ports, environment_of, roles_of
from infra.settings import Settings
from infra.supervisor import Supervisor


def stop_event() -> asyncio.Event:
    """Set by SIGTERM or SIGINT. Call from the event loop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def child_environment(settings: Settings) -> dict[str, str]:
    """Our environment without its Footstream part, and the settings in force."""
    outside = {k: v for k, v in os.environ.items() if not k.startswith("FOOTSTREAM_")}
    return {**outside, "PYTHONUNBUFFERED": "1", **environment_of(settings)}


class _Roles:
    """The state of the roles as metrics."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def collect(self) -> Iterable[Metric]:
        ready = GaugeMetricFamily("footstream_up_role_ready", "1 while the role does its work", labels=["role"])
        starts = CounterMetricFamily("footstream_up_role_starts", "How often the role was started", labels=["role"])
        for name, state in self._supervisor.state().items():
            ready.add_metric([name], float(state["ready"]))
            starts.add_metric([name], state["starts"])
        return [ready, starts]


def _registry(supervisor: Supervisor) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Roles(supervisor))
    return registry


async def until(stop: asyncio.Event, supervisor: Supervisor) -> None:
    """Wait for the stop signal. Raises Problem when a role cannot be kept."""
    tasks = {asyncio.create_task(stop.wait()), asyncio.create_task(supervisor.failure())}
    done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    for task in done:
        task.result()


async def run_up(settings: Settings) -> None:
    """Run the roles that the settings ask for until a signal comes. Raises Problem when one cannot be kept."""
    stop = stop_event()
    async with Supervisor(roles_of(settings), settings.data, child_environment(settings), sys.stdout) as supervisor:
        check_ports(settings)

        def health() -> dict[str, object]:
            state = supervisor.state()
            return {"ok": all(role["ready"] for role in state.values()), "roles": state}

        server = serve_role(settings, "up", health, _registry(supervisor))
        try:
            starting = asyncio.create_task(supervisor.start())
            await asyncio.wait({starting, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                supervisor.say("up", f"ready: http://{settings.api_host}:{settings.api_port}")
                await until(stop, supervisor)
            else:
                starting.cancel()
            supervisor.say("up", "stopping")
        finally:
            server.close()
