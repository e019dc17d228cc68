"""Transitions, receivers and a notifier with a clock of its own, for tests of alert delivery."""

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from connectors.channel import Request, Secrets, kinds
from connectors.guarded_http import Answer, Doubtful, NotSent
from connectors.log import TRANSITIONS, NewRecord
from connectors.outbox import Policy
from connectors.sqlite_log import SqliteLog
from infra.notifier import Notifier
from infra.receivers import Receiver
from schemas.alerts import Change, Transition, episode_id, fingerprint, transition_id
from tests.support.receiver import SECRET

T0 = 1_780_000_000_000
"""Where the clocks of these tests begin, epoch ms."""


def change(kind: Change, at_ms: int, onset_ms: int, subject: str = "", **other: Any) -> Transition:
    """A transition of rule `capacity` at store `oslo`."""
    rule, site = other.pop("rule", "capacity"), other.pop("site", "oslo")
    mark = fingerprint(rule, site, subject)
    episode, ordinal = episode_id(mark, onset_ms), 0 if kind == "firing" else 2
    base = Transition(
        transition_id(episode, kind, ordinal), episode, mark, site, rule, "capacity", subject, "critical", kind, ordinal,
        at_ms, onset_ms, 0.93, "93 % of 80 people", "over", False, at_ms,
    )  # fmt: skip
    return msgspec.structs.replace(base, **other)


def fired(at_ms: int, subject: str = "", **other: Any) -> Transition:
    return change("firing", at_ms, at_ms, subject, **other)


def resolved(of: Transition, at_ms: int, **other: Any) -> Transition:
    return change("resolved", at_ms, of.onset_ms, of.subject, rule=of.rule, site=of.site, decided_ms=at_ms, **other)


def receiver(kind: str = "webhook", name: str = "erp", url: str = "http://127.0.0.1:9/x", **other: Any) -> Receiver:
    """A configured receiver that may be on loopback."""
    channel = kinds()[kind]
    built = channel.build({}, Secrets(url, (SECRET,) if channel.signs else ()))
    base = Receiver(name, kind, built, url, channel.mode, channel.groups, channel.gap_ms, allow_private=True)
    return replace(base, **other)


@dataclass
class Wire:
    """Stands for the network: `down` refuses the connection, `lost` takes a message and loses the answer, a status answers."""

    now: list[int]
    state: str = "up"
    posts: list[tuple[int, str, Request]] = field(default_factory=list)
    taken: list[tuple[int, str, Request]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(self, receiver: Receiver, request: Request) -> Answer:
        post = (self.now[0], receiver.name, request)
        self.posts.append(post)
        if self.state == "down":
            raise NotSent("refused")
        if self.state == "lost":
            self.taken.append(post)
            raise Doubtful("no answer")
        if self.state == "up":
            self.taken.append(post)
            return Answer(200, {}, b"ok")
        return Answer(int(self.state), self.headers, b"word")

    def bodies(self, name: str | None = None) -> list[Any]:
        """What the receivers have, decoded, in order."""
        return [msgspec.json.decode(request.body) for _, who, request in self.taken if name in (None, who)]

    def kinds(self, name: str | None = None) -> list[tuple[str, str]]:
        """(type, subject) of webhook messages."""
        return [(b["type"], b["data"].get("subject", "")) for b in self.bodies(name)]


class Bench:
    """A notifier over a real log and outbox, with an injected clock and wire; `restart` is what a kill and a start are."""

    def __init__(
        self, folder: Path, *receivers: Receiver, latest: tuple[Transition, ...] = (), policy: Policy | None = None
    ) -> None:
        self.now = [T0]
        self.wire = Wire(self.now)
        self.receivers, self.folder, self.latest, self.policy = receivers, folder, latest, policy
        self._open_the_log()

    def _open_the_log(self) -> None:
        self.log = SqliteLog(f"sqlite:///{self.folder / 'log'}")
        self.log.ensure_topic(TRANSITIONS, 2)
        self.writer = self.log.writer()

    def make_the_log_anew(self) -> None:
        """What somebody does who deletes the log's folder."""
        self.writer.close()
        self.log.close()
        shutil.rmtree(self.folder / "log")
        self._open_the_log()

    def start(self) -> "Bench":
        self.notifier = Notifier(
            self.log, self.folder / "notify.sqlite", self.receivers, clock=lambda: self.now[0], latest=lambda: self.latest,
            seed=7, send=self.wire, policy=self.policy,
        )  # fmt: skip
        self.notifier.start()
        return self

    def restart(self) -> None:
        self.notifier.close()
        self.start()

    def say(self, *transitions: Transition) -> None:
        self.writer.append_many(TRANSITIONS, [NewRecord(t.site, msgspec.json.encode(t), t.decided_ms) for t in transitions])

    def turn(self) -> int:
        """Read and send what is due now."""
        while self.notifier.pump():
            pass
        return self.notifier.send_due()

    def pass_to(self, at_ms: int) -> None:
        """Let time pass, jumping from one due time to the next."""
        self.turn()
        while (due := self.notifier.due()) is not None and due <= at_ms:
            self.now[0] = max(self.now[0] + 1, due)
            self.turn()
        self.now[0] = at_ms
        self.turn()

    def close(self) -> None:
        self.notifier.close()
        self.writer.close()
        self.log.close()
