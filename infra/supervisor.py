"""Starts the roles of one machine as child processes, in order of their needs, keeps them running and stops them.

- A role starts when the roles that it comes `after` are ready (or, for one that runs `once`, done).
- A role that ends is started again after 0.5 s, 1 s, 2 s, ... 30 s; a minute of good service starts the count anew. One that
  ends before it was ever ready stops everything: its last line says why.
- One stream of lines, each with the name of its role before it.
- Stop: SIGTERM to one role after the other, in reverse order, by pid; SIGKILL to one that does not end in its grace time.
- When this process is killed, the kernel ends the children (PR_SET_PDEATHSIG, Linux).
- One supervisor per data folder (a lock that dies with the process).
"""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from infra.errors import Problem
from infra.say import event_of, texts, wrapped

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
BACK_OFF_S, MOST_BACK_OFF_S, GOOD_AFTER_S = 0.5, 30.0, 60.0

Ready = Callable[[int], bool]
"""Whether the process with that pid does its work; may block for a second, raises nothing."""


@dataclass(frozen=True)
class Role:
    """One kind of child process. `ready` None: ready as soon as it runs. `dies_clean`: when the supervisor is killed,
    it gets SIGTERM, because it has a child of its own to end. Times in seconds."""

    name: str
    command: tuple[str, ...]
    ready: Ready | None = None
    after: tuple[str, ...] = ()
    once: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    dies_clean: bool = False
    start_s: float = 60.0
    grace_s: float = 20.0


class Lock:
    """At most one holder per data folder; the kernel frees it when the process ends, however it ends."""

    def __init__(self, data: Path) -> None:
        path = data / "up.lock"
        try:
            data.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+")
        except OSError as error:
            raise Problem(f"data folder {data}: {error.strerror}; choose another with FOOTSTREAM_DATA") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            holder = self._file.read().strip() or "?"
            self._file.close()
            raise Problem(
                f"data folder {data}: process {holder} runs there already; stop it or set another FOOTSTREAM_DATA"
            ) from None
        try:
            self._file.truncate(0)
            self._file.write(f"{os.getpid()}\n")
            self._file.flush()
        except OSError as error:
            with contextlib.suppress(OSError):  # closing tries to write it again
                self._file.close()
            raise Problem(
                f"data folder {data}: {error.strerror}; make room there or choose another with FOOTSTREAM_DATA"
            ) from None

    def close(self) -> None:
        self._file.close()


def _die_with(parent: int, number: int) -> Callable[[], None]:
    """To be run in the child between fork and exec: a signal when the supervisor is gone."""

    def tie() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return tie


class _Child:
    """What is known of one role's process."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.process: asyncio.subprocess.Process | None = None
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()
        self.stopping = False
        self.starts = 0
        self.last_line = ""
        self.task: asyncio.Task[None] | None = None

    def alive(self) -> bool:
        return self.process is not None and self.process.returncode is None


class Supervisor:
    """Runs roles until `stop()`. Use from one event loop: `async with Supervisor(...) as s: await s.start()`."""

    def __init__(self, roles: Sequence[Role], data: Path, environment: Mapping[str, str], out: TextIO) -> None:
        self._children = {role.name: _Child(role) for role in roles}
        self._data, self._environment, self._out = data, dict(environment), out
        self._failed: asyncio.Future[None] | None = None
        self._lock: Lock | None = None

    async def __aenter__(self) -> "Supervisor":
        self._lock = Lock(self._data)
        self._failed = asyncio.get_running_loop().create_future()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        if self._lock is not None:
            self._lock.close()

    def say(self, role: str, text: str) -> None:
        """One line of the common stream."""
        line = f"{role:<9} {text}" if texts() else wrapped(role, text)
        with contextlib.suppress(OSError):  # nobody reads it, or its disk is full: the roles must go on being read and kept
            self._out.write(f"{line}\n")
            self._out.flush()

    def state(self) -> dict[str, Any]:
        """Per role: whether it is ready, its pid and how often it was started."""
        return {
            name: {
                "ready": c.ready.is_set() and (c.role.once or c.alive()),
                "pid": c.process.pid if c.process else None,
                "starts": c.starts,
            }
            for name, c in self._children.items()
        }

    async def start(self) -> None:
        """Start everything; returns when all are ready. Raises Problem when one cannot start."""
        for child in self._children.values():
            child.task = asyncio.create_task(self._keep(child), name=child.role.name)
        for child in self._children.values():
            await self._or_failure(child.ready.wait())

    async def ready(self, name: str) -> None:
        """Wait until a role is ready. Raises Problem when one cannot start."""
        await self._or_failure(self._children[name].ready.wait())

    async def ended(self, name: str) -> None:
        """Wait until a role has ended for good."""
        await self._or_failure(self._children[name].ended.wait())

    async def _or_failure(self, wanted: Coroutine[Any, Any, Any]) -> None:
        assert self._failed is not None, "use `async with`"
        task = asyncio.create_task(wanted)
        try:
            await asyncio.wait({task, self._failed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
        if self._failed.done():
            self._failed.result()

    async def failure(self) -> None:
        """Never returns while all is well; raises Problem when a role cannot be kept."""
        assert self._failed is not None, "use `async with`"
        await asyncio.shield(self._failed)

    # -- one role --------------------------------------------------------------------------------------------------------

    async def _keep(self, child: _Child) -> None:
        pause = BACK_OFF_S
        try:
            for name in child.role.after:
                await self._children[name].ready.wait()
            while not child.stopping:
                began = time.monotonic()
                code = await self._run(child)
                if child.stopping or (child.role.once and code == 0):
                    break
                if child.role.once or not child.ready.is_set():
                    raise Problem(
                        f"{child.role.name}: could not start (exit code {code}): {child.last_line or 'it said nothing'}"
                    )
                pause = BACK_OFF_S if time.monotonic() - began > GOOD_AFTER_S else pause
                self.say("up", f"{child.role.name} ended with exit code {code}; starting it again in {pause:g} s")
                await asyncio.sleep(pause)
                pause = min(2 * pause, MOST_BACK_OFF_S)
            if child.role.once and not child.stopping:
                child.ready.set()
        except Exception as error:
            if self._failed is not None and not self._failed.done():
                self._failed.set_exception(error)
        finally:
            child.ended.set()

    async def _run(self, child: _Child) -> int:
        """Run the process once, to its end."""
        try:
            process = await asyncio.create_subprocess_exec(
                *child.role.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env={**self._environment, **child.role.environment},
                start_new_session=True,  # Ctrl-C in a terminal comes to us alone; we stop the roles in order
                preexec_fn=_die_with(os.getpid(), signal.SIGTERM if child.role.dies_clean else signal.SIGKILL),
                limit=1 << 20,
            )
        except OSError as error:
            raise Problem(f"{child.role.name}: cannot run {child.role.command[0]}: {error.strerror}") from None
        child.process, child.starts = process, child.starts + 1
        if child.stopping:
            process.terminate()
        reading = asyncio.create_task(self._read(child, process))
        watching = asyncio.create_task(self._watch(child, process))
        code = await process.wait()
        watching.cancel()
        await asyncio.wait({reading}, timeout=1)  # a grandchild may hold the pipe open
        reading.cancel()
        return code

    async def _read(self, child: _Child, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # a line longer than the limit
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            child.last_line = event_of(text) or child.last_line
            self.say(child.role.name, text)

    async def _watch(self, child: _Child, process: asyncio.subprocess.Process) -> None:
        """Set `ready` once the process does its work; end it when it does not in time."""
        if child.role.once:
            return
        limit = time.monotonic() + child.role.start_s
        while child.role.ready is not None and not await asyncio.to_thread(child.role.ready, process.pid):
            if time.monotonic() > limit:
                child.last_line = f"not ready after {child.role.start_s:g} s; its last line: {child.last_line or 'none'}"
                self.say("up", f"{child.role.name}: {child.last_line}")
                process.kill()
                return
            await asyncio.sleep(0.05)
        child.ready.set()

    # -- the end ---------------------------------------------------------------------------------------------------------

    async def stop(self, name: str | None = None) -> None:
        """Stop one role, or all of them in reverse order; returns when they have ended."""
        names = [name] if name else list(reversed(self._children))
        for child in map(self._children.__getitem__, names):
            child.stopping = True
        for child in map(self._children.__getitem__, names):
            await self._end(child)

    async def _end(self, child: _Child) -> None:
        process = child.process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), child.role.grace_s)
            except TimeoutError:
                self.say("up", f"{child.role.name} did not end in {child.role.grace_s:g} s: killed")
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if child.task is not None:
            # One that waits for others or for its back-off has nothing to end; one that ran is still reading its last lines.
            _, waiting = await asyncio.wait({child.task}, timeout=0.02 if process is None else 1.5)
            for task in waiting:
                task.cancel()
                await asyncio.wait({task})
