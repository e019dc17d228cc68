"""The notifier: transitions from the log into the outbox, messages from the outbox to the receivers.

Delivery: nothing is lost and every message keeps its id over kill -9 (`connectors/outbox.py`). Parallelism: the main thread
reads, one thread a receiver sends, so a slow receiver delays no other. Back pressure: none, the outbox grows on disk. Only here
does the wall clock count; it is injected.

With an empty outbox the log as it stands is history: nothing of it is sent but what is still open, with its onset. The store
adds open alerts that the log no longer holds.
"""

import fcntl
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec

from connectors.channel import GiveUp, Reply, Request, Retry, Sent
from connectors.guarded_http import Answer, Doubtful, NotSent, Refused, post
from connectors.log import TRANSITIONS, Batch, Log, LogError, PositionGone, SliceReader
from connectors.outbox import Desk, Intake, Lease, OutboxError, OutboxFile, Policy, Post
from infra.errors import Problem
from infra.receivers import Receiver
from infra.say import say as spoken
from schemas.alerts import Transition

GROUP = "notify"
"""Name under which the position in the log is published."""
LOOK_S, POLL_S, ERROR_S, LONGEST_S = 0.4, 0.02, 1.0, 30.0
MOST = 500
PRUNE_MS = 86_400_000
Latest = Callable[[], Iterable[Transition]]
"""The newest transition of each alert that the store knows."""


class Deliver(Protocol):
    """Sends one request; raises Refused, NotSent or Doubtful."""

    def __call__(self, receiver: Receiver, request: Request) -> Answer: ...


def say(line: str, level: str = "info") -> None:
    """One event of the role's log."""
    spoken("notify", line, level)


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def deliver(receiver: Receiver, request: Request) -> Answer:
    """Over the network, guarded."""
    return post(receiver.url, request.body, request.headers, allow_private=receiver.allow_private)


class Sender:
    """Sends the messages of one receiver, one after the other. `outcomes`: attempts by ending."""

    def __init__(
        self, file: OutboxFile, receiver: Receiver, post: Post, clock: Callable[[], int] = wall_ms, send: Deliver = deliver
    ) -> None:
        self._file, self._receiver, self._post, self._clock, self._send = file, receiver, post, clock, send
        self.name, self._complaint = receiver.name, ""
        self.outcomes: dict[str, int] = dict.fromkeys(("sent", "retry", "doubt", "given_up"), 0)

    def recover(self) -> int:
        """What the last process left on its way is due again."""
        return self._post.recover(self._clock())

    def step(self) -> bool:
        """Send one message that is due; False when there is none."""
        lease = self._post.lease(self._clock())
        if lease is None:
            return False
        try:
            request = self._receiver.channel.render(lease.notice, self._clock() // 1000)
        except Exception as error:  # one message that cannot be written must not hold up the others
            self._ended("given_up", self._post.give_up(lease, self._clock(), f"cannot be written: {type(error).__name__}"))
            return True
        self._attempt(lease, request)
        return True

    def due(self) -> int | None:
        return self._post.due(self._clock())

    def close(self) -> None:
        self._file.close()

    def _attempt(self, lease: Lease, request: Request) -> None:
        try:
            answer = self._send(self._receiver, request)
        except (Refused, NotSent) as error:
            self._complain(str(error))
            self._ended("retry", self._post.retry(lease, self._clock(), str(error)))
            return
        except Doubtful as error:
            self._complain(str(error))
            self._ended("doubt", self._post.retry(lease, self._clock(), str(error), doubt=True))
            return
        except Exception as error:  # a fault of the HTTP library is one failed attempt, not the end of this receiver's thread
            why = f"unexpected {type(error).__name__}"
            self._complain(why)
            self._ended("doubt", self._post.retry(lease, self._clock(), why, doubt=True))
            return
        self._answered(lease, answer)

    def _answered(self, lease: Lease, answer: Answer) -> None:
        now = self._clock()
        reply = Reply(answer.status, answer.headers, answer.body, lease.refusals, lease.notice.plain, now // 1000)
        verdict = self._receiver.channel.judge(reply)
        if isinstance(verdict, Sent):
            self._post.sent(lease, now)
            self._complain("")
            self._ended("sent", None)
        elif isinstance(verdict, GiveUp):
            say(f"receiver {self.name}: a message was given up: {verdict.reason}", "error")
            self._ended("given_up", self._post.give_up(lease, now, verdict.reason, verdict.disable))
        else:
            self._complain(verdict.detail)
            self._ended("retry", self._retried(lease, verdict, now))

    def _retried(self, lease: Lease, verdict: Retry, now: int) -> str | None:
        after = None if verdict.after_s is None else round(verdict.after_s * 1000)
        return self._post.retry(lease, now, verdict.detail, after_ms=after, plain=verdict.plain, refused=verdict.refused)

    def _complain(self, why: str) -> None:
        """Say why a receiver takes nothing, once for each reason, and when it takes messages again."""
        if why != self._complaint:
            words = f"{why}; its messages wait and go again" if why else "takes messages again"
            say(f"receiver {self.name}: {words}", "warning" if why else "info")
        self._complaint = why

    def _ended(self, outcome: str, disabled: str | None) -> None:
        self.outcomes[outcome] += 1
        if disabled is not None:
            say(
                f"receiver {self.name}: disabled: {disabled}; mend it, then `footstream receivers --enable {self.name}`",
                "error",
            )


class Notifier:
    """One notifier of one outbox. `start`, then `run`; or `pump` and `send_due` by hand, with a clock of one's own."""

    def __init__(
        self,
        log: Log,
        path: Path,
        receivers: Sequence[Receiver],
        *,
        clock: Callable[[], int] = wall_ms,
        latest: Latest = tuple,
        policy: Policy | None = None,
        seed: int | None = None,
        send: Deliver = deliver,
    ) -> None:
        self._log, self._path, self._receivers, self._clock = log, path, tuple(receivers), clock
        self._latest, self._policy, self._send = latest, policy or Policy(), send
        self._rng = random.Random(seed)
        self._decode = msgspec.json.Decoder(Transition).decode
        self._reader: SliceReader | None = None
        self._wakes: list[threading.Event] = []
        self._senders: list[Sender] = []
        self._trouble: dict[str, str] = {}
        self._pruned = 0
        self.refused = 0

    def start(self) -> None:
        """Open the outbox, take up what was on its way, load history on the first start, begin to read. Raises OutboxError,
        LogError, or Problem when another notifier runs."""
        self._lock = _lock(self._path)
        self.file = OutboxFile(self._path)
        self._desk_file = OutboxFile(self._path)
        self._desk_turn = threading.Lock()
        self.intake = Intake(self.file, [r.target() for r in self._receivers], self._policy)
        self._senders = [self._sender(r) for r in self._receivers]
        again = sum(sender.recover() for sender in self._senders)
        if again:
            say(f"{again} messages were on their way when the last process ended; they go again under their ids")
        if not self.intake.cursor(TRANSITIONS):
            self._load_history()
        self.intake.adopt(self._clock())
        self._open()

    def pump(self, seconds: float = 0.0) -> int:
        """Read once and store what came; returns the number of records. A log or disk that is away is said once and tried
        again."""
        try:
            if self._reader is None:
                self._open()
            batches = self._reader.poll(MOST, seconds) if self._reader is not None else []
            if batches:
                self._take(batches)
            self._well("log")
            return sum(len(batch.positions) for batch in batches)
        except PositionGone as error:
            self._ill("log", f"{error}; going on with what the store knows")
            self._close_reader()
            self._past_the_gap()
        except (LogError, OutboxError) as error:
            self._ill("log", str(error))
            self._close_reader()
        return 0

    def send_due(self) -> int:
        """Send everything that is due now, in this thread; returns the number of attempts."""
        attempts = 0
        for sender in self._senders:
            while sender.step():
                attempts += 1
        return attempts

    def due(self) -> int | None:
        """When `send_due` has something to do next, epoch ms."""
        return min((due for sender in self._senders if (due := sender.due()) is not None), default=None)

    def run(self, stop: threading.Event) -> None:
        """Read and send until `stop`; what is on its way then is finished."""
        threads = [
            threading.Thread(target=self._serve, args=(s, stop), name=f"send-{s.name}", daemon=True) for s in self._senders
        ]
        self._wakes = [threading.Event() for _ in threads]
        for thread in threads:
            thread.start()
        changes = -1
        while not stop.is_set():
            read = self.pump(POLL_S)
            if read or changes != (changes := self.file.changes()):
                self._look_after()
            if "log" in self._trouble:
                stop.wait(ERROR_S)
            elif read < MOST:
                stop.wait(LOOK_S)
        self._wake()
        for thread in threads:
            thread.join(16.0)

    def health(self) -> dict[str, Any]:
        """What the role says of itself."""
        receivers = self._queues()
        disabled = [r["name"] for r in receivers if r["disabled"]]
        waiting = sum(r["waiting"] for r in receivers)
        return {"ok": not self._trouble, "waiting": waiting, "disabled": disabled, **self._trouble}

    def figures(self) -> dict[str, Any]:
        """Numbers for metrics: `transitions` by outcome, `attempts` by receiver and ending, `receivers` with their queues."""
        receivers = self._queues()
        attempts = {sender.name: dict(sender.outcomes) for sender in self._senders}
        outcomes = {**self.intake.outcomes, "refused": self.refused}
        return {"transitions": outcomes, "attempts": attempts, "receivers": receivers, "now_ms": self._clock()}

    def _queues(self) -> list[dict[str, Any]]:
        """What waits for the receivers that there are; those that left the file keep theirs, in case they come back."""
        names = {receiver.name for receiver in self._receivers}
        with self._desk_turn:
            return [row for row in Desk(self._desk_file).receivers() if row["name"] in names]

    def close(self) -> None:
        self._close_reader()
        for sender in self._senders:
            sender.close()
        self.file.close()
        self._desk_file.close()
        self._lock.close()

    def _sender(self, receiver: Receiver) -> Sender:
        file, target = OutboxFile(self._path), receiver.target()
        others = [r.name for r in self._receivers if r.name != receiver.name]
        rng = random.Random(self._rng.getrandbits(64))
        return Sender(file, receiver, Post(file, target, rng, self._policy, others), self._clock, self._send)

    def _serve(self, sender: Sender, stop: threading.Event) -> None:
        """One receiver's thread."""
        wake = self._wakes[self._senders.index(sender)]
        while not stop.is_set():
            wake.clear()
            try:
                if sender.step():
                    continue
                due = sender.due()
                self._well(sender.name)
            except Exception as error:  # whatever it is: without this thread the receiver would never hear of anything again
                why = str(error) if isinstance(error, OutboxError) else f"unexpected {type(error).__name__}: {error}"
                self._ill(sender.name, why)
                due = self._clock() + round(ERROR_S * 1000)
            wait = LONGEST_S if due is None else min(LONGEST_S, max(0.01, (due - self._clock()) / 1000))
            wake.wait(wait)

    def _wake(self) -> None:
        for event in self._wakes:
            event.set()

    def _look_after(self) -> None:
        """The file has changed: receivers may have been enabled, silences ended, rows added."""
        with suppress(OutboxError):
            self.intake.adopt_enabled(self._clock())
            if self._clock() - self._pruned > PRUNE_MS:
                self._pruned = self._clock()
                Desk(self.file).prune(self._clock())
        self._wake()

    def _load_history(self) -> None:
        """First start: everything up to the log's end, and what the store knows, happened before us."""
        bounds = self._log.bounds(TRANSITIONS)
        ends = {partition: end for partition, (_, end) in bounds.items()}
        reader = self._log.slice_reader(TRANSITIONS, {partition: first for partition, (first, _) in bounds.items()})
        found: list[Transition] = []
        try:
            reached = {partition: first for partition, (first, _) in bounds.items()}
            while any(reached[p] < end for p, end in ends.items()):
                batches = reader.poll(10_000, 5.0)
                if not batches:
                    break  # positions at the end that hold no records
                for batch in batches:
                    reached[batch.partition] = batch.positions[-1] + 1
                    ends[batch.partition] = max(ends[batch.partition], reached[batch.partition])
                    found += self._decoded(batch)
        finally:
            reader.close()
        found += self._store_knows()
        self.intake.take(found, TRANSITIONS, ends, self._clock(), history=True)

    def _store_knows(self) -> list[Transition]:
        try:
            return list(self._latest())
        except Exception as error:  # whatever the store's client raises: the log has the last days anyway
            say(
                f"the store does not say which alerts are open ({type(error).__name__}); taking those of the log only",
                "warning",
            )
            return []

    def _past_the_gap(self) -> None:
        try:
            self._skip_gap()
        except (LogError, OutboxError) as error:
            self._ill("log", str(error))

    def _skip_gap(self) -> None:
        """Records were dropped before we read them: what the store knows tells where alerts stand now. A log that ends before
        our position is another one: it is read from its begin, and the ids tell what is known already."""
        bounds, cursor = self._log.bounds(TRANSITIONS), self.intake.cursor(TRANSITIONS)
        ahead = {p: first for p, (first, _) in bounds.items() if cursor.get(p, 0) < first}
        self.intake.take(self._store_knows(), TRANSITIONS, ahead, self._clock())
        anew = {p: first for p, (first, end) in bounds.items() if cursor.get(p, 0) > end}
        self.intake.begin_anew(TRANSITIONS, anew)

    def _open(self) -> None:
        positions = dict.fromkeys(self._log.bounds(TRANSITIONS), 0) | self.intake.cursor(TRANSITIONS)
        self._reader = self._log.slice_reader(TRANSITIONS, positions)

    def _close_reader(self) -> None:
        if self._reader is not None:
            with suppress(LogError):
                self._reader.close()
            self._reader = None

    def _take(self, batches: list[Batch]) -> None:
        transitions = [t for batch in batches for t in self._decoded(batch)]
        positions = {batch.partition: batch.positions[-1] + 1 for batch in batches}
        self.intake.take(transitions, TRANSITIONS, positions, self._clock())
        self._log.commit_progress(TRANSITIONS, GROUP, positions)

    def _decoded(self, batch: Batch) -> list[Transition]:
        found = []
        for position, value in zip(batch.positions, batch.values, strict=True):
            try:
                found.append(self._decode(value))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self.refused += 1
                say(
                    f"topic {TRANSITIONS}, partition {batch.partition}, position {position}: no transition: {error}; skipped",
                    "error",
                )
        return found

    def _ill(self, what: str, why: str) -> None:
        if self._trouble.get(what) != why:
            say(why, "warning")
        self._trouble[what] = why

    def _well(self, what: str) -> None:
        if self._trouble.pop(what, None) is not None:
            say(f"{what}: well again")


def _lock(path: Path) -> Any:
    """At most one notifier for an outbox; the kernel frees the lock when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_suffix(".lock").open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise Problem(f"outbox {path}: another notifier runs there already; stop it or set another FOOTSTREAM_DATA") from None
    return file
