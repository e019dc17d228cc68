"""What an alert channel is. A channel is one file of this folder with a constant `CHANNEL`, found by its name.

A channel renders and judges; it does no I/O and keeps no state. Waiting, retrying, grouping and de-duplication exist once, in
the outbox and the notifier. A receiver is one configured use of a channel.
"""

import importlib
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from schemas.alerts import Transition

Mode = Literal["every_transition", "latest_state"]
What = Literal["firing", "resolved", "repeat"]


@dataclass(frozen=True)
class Item:
    """One change of one alert in a message. `repeat`: which reminder it is (0: none)."""

    notification_id: str
    what: What
    transition: Transition
    repeat: int = 0


@dataclass(frozen=True)
class Notice:
    """One message. `kind`: `alerts` (the items), `digest` (the items opened and closed without being told: `items` holds their
    firing) or `ops` (`text`: something is wrong with delivery itself). `more`: items that are not listed. `plain`: the receiver
    refused the rich form. `id` is the same on every retry."""

    id: str
    kind: Literal["alerts", "digest", "ops"]
    items: tuple[Item, ...]
    at_ms: int
    more: int = 0
    text: str = ""
    plain: bool = False


@dataclass(frozen=True)
class Request:
    """What is posted to the receiver's URL: exactly these bytes."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """An answer of the receiver. Header names in lower case. `refusals`: how often this message was refused before (`Retry`
    with `refused`); `plain`: the message had its plain form; `now_s`: epoch seconds."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    refusals: int
    plain: bool
    now_s: int


@dataclass(frozen=True)
class Sent:
    """The receiver has it."""


@dataclass(frozen=True)
class Retry:
    """Not now. `after_s`: the receiver's own wish. `plain`: once more, in the plain form, at once. `refused`: the answer will
    hardly change; the channel is told how many of them there were. `detail` goes to the log."""

    detail: str
    after_s: float | None = None
    plain: bool = False
    refused: bool = False


@dataclass(frozen=True)
class GiveUp:
    """Never. `disable`: the receiver itself is gone."""

    reason: str
    disable: bool = False


Verdict = Sent | Retry | GiveUp


@dataclass(frozen=True)
class Secrets:
    """What a channel needs and nobody may see. `keys`: signing secrets, the current one first."""

    url: str = field(repr=False)
    keys: tuple[str, ...] = field(default=(), repr=False)


class Channel(Protocol):
    """One configured receiver's way of writing and reading."""

    def render(self, notice: Notice, now_s: int) -> Request:
        """The request of one attempt at `now_s` (epoch seconds)."""

    def judge(self, reply: Reply) -> Verdict:
        """What an answer means."""


class ChannelKind(Protocol):
    """The constant `CHANNEL` of a channel's file. `groups`: several alerts go into one message. `gap_ms`: least time between
    two messages to one receiver. `secret_url`: the URL itself is a secret. `signs`: it needs a signing secret."""

    kind: str
    mode: Mode
    groups: bool
    gap_ms: int
    secret_url: bool
    signs: bool

    def build(self, config: Mapping[str, Any], secrets: Secrets) -> Channel:
        """Raises ValueError with what is wrong, in words that repeat no secret."""


_DECLARES = re.compile(r"^CHANNEL\b", re.MULTILINE)


def kinds() -> dict[str, ChannelKind]:
    """All channels, by kind. Only files that declare one are imported: the others bring large libraries."""
    package = importlib.import_module("connectors")
    found: dict[str, ChannelKind] = {}
    for folder in package.__path__:
        for name in sorted(m.name for m in pkgutil.iter_modules([folder]) if not m.name.startswith("_")):
            if _DECLARES.search((Path(folder) / f"{name}.py").read_text(encoding="utf-8")):
                channel: ChannelKind = importlib.import_module(f"connectors.{name}").CHANNEL
                found[channel.kind] = channel
    return found


def retry_after(reply: Reply) -> float | None:
    """Seconds that a `Retry-After` header asks for (seconds or an HTTP date), None without a readable one."""
    text = reply.headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - reply.now_s)
    except (ValueError, OverflowError):
        return None


def cut(text: str, most: int) -> str:
    """At most `most` characters; a cut is marked."""
    return text if len(text) <= most else text[: most - 1] + "…"
