"""A signed webhook (Standard Webhooks 1.0.0): one JSON message for each change of an alert.

Delivery: at least once; the receiver drops repeats by `webhook-id`, which is the same on every retry. Unit: one message at a
time to a receiver, per alert in order. Success is any 2xx; redirects are failures.

Body, below 20 kB: `{"type", "timestamp", "data"}` with type `alert.firing`, `alert.resolved`, `alert.repeated`, `alert.digest`
or `delivery.problem`, and as timestamp the event time. Headers: `webhook-id`; `webhook-timestamp`, new at each attempt;
`webhook-signature`: `v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`, one for each secret (two during a rotation).
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from connectors.channel import (
    Channel,
    GiveUp,
    Item,
    Mode,
    Notice,
    Reply,
    Request,
    Retry,
    Secrets,
    Sent,
    Verdict,
    cut,
    retry_after,
)
from schemas.alerts import Transition

BODY_BYTES = 20_000
LISTED = 20
TRIES = 3
"""Answers that will hardly change before a message is given up. An outage before them does not count: a receiver that comes
back may say 404 for a moment."""
_TYPE = {"firing": "alert.firing", "resolved": "alert.resolved", "repeat": "alert.repeated"}


def key_of(secret: str) -> bytes:
    """The bytes of a secret `whsec_` + base64 of 24 to 64 bytes. Raises ValueError without repeating it."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the secret must be whsec_ and base64") from None
    if not secret.startswith("whsec_") or not 24 <= len(key) <= 64:
        raise ValueError("the secret must be whsec_ and the base64 of 24 to 64 random bytes")
    return key


def sign(keys: tuple[bytes, ...], message_id: str, timestamp_s: int, body: bytes) -> str:
    """The value of `webhook-signature`: one signature for each key, separated by spaces."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return " ".join("v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys)


class _Webhook:
    """See `connectors.channel.Channel`."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        self._keys = keys

    def render(self, notice: Notice, now_s: int) -> Request:
        body = _body(notice)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": notice.id,
            "webhook-timestamp": str(now_s),
            "webhook-signature": sign(self._keys, notice.id, now_s, body),
        }
        return Request(body, headers)

    def judge(self, reply: Reply) -> Verdict:
        """reliability.md 3.1, row "Signed webhook"."""
        said = f"status {reply.status}"
        if 200 <= reply.status < 300:
            return Sent()
        if reply.status == 410:
            return GiveUp(said, disable=True)
        if reply.status in (408, 425, 429) or reply.status >= 500:
            return Retry(said, retry_after(reply))
        return GiveUp(said) if reply.refusals + 1 >= TRIES else Retry(said, retry_after(reply), refused=True)


class _Kind:
    """See `connectors.channel.ChannelKind`."""

    kind = "webhook"
    mode: Mode = "every_transition"
    groups = False
    gap_ms = 0
    secret_url = False
    signs = True

    def build(self, config: Mapping[str, Any], secrets: Secrets) -> Channel:
        return _Webhook(tuple(key_of(key) for key in secrets.keys))


CHANNEL = _Kind()


def _body(notice: Notice) -> bytes:
    if notice.kind == "ops":
        return _json("delivery.problem", notice.at_ms, {"text": _text(notice.text, 1000)})
    if notice.kind == "digest":
        items = [_seen(item.transition) for item in notice.items[:LISTED]]
        return _json("alert.digest", notice.at_ms, {"alerts": items, "more": len(notice.items) - len(items) + notice.more})
    (item,) = notice.items
    return _json(_TYPE[item.what], item.transition.happened_ms, _data(item))


def _json(kind: str, at_ms: int, data: dict[str, Any]) -> bytes:
    return orjson.dumps({"type": kind, "timestamp": _iso(at_ms), "data": data})


def _text(text: str, most: int) -> str:
    """Without control characters: JSON writes one of them as six bytes, and the body has a limit."""
    return cut("".join(c if c.isprintable() else " " for c in text), most)


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seen(t: Transition) -> dict[str, Any]:
    """What a digest says of an alert; twenty of them stay below the limit."""
    names = {name: _text(getattr(t, name), 40) for name in ("site", "rule", "subject", "severity")}
    return {"dedup_key": t.fingerprint, "episode_id": t.episode_id, "since": _iso(t.onset_ms), **names}


def _data(item: Item) -> dict[str, Any]:
    t = item.transition
    names = {name: _text(getattr(t, name), 250) for name in ("site", "rule", "family", "subject", "severity", "reason")}
    return {
        "dedup_key": t.fingerprint,
        "episode_id": t.episode_id,
        "transition_id": t.transition_id,
        "state": t.kind,
        **names,
        "summary": _text(t.summary, 2000),
        "value": t.value,
        "since": _iso(t.onset_ms),
        "happened": _iso(t.happened_ms),
        "repeat": item.repeat,
    }
