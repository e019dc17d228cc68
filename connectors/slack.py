"""Slack, by incoming webhook: one message for a group of alerts.

Delivery: at least once, and Slack knows no de-duplication: an answer that is lost after acceptance becomes a second message.
Unit: one message at a time to a webhook, at most one a second. Success is status 200 with the body `ok`.

Limits (docs.slack.dev, block kit and rate limits): header 150 characters, section 3,000, 50 blocks, text 40,000. Names that
came from devices or people are escaped (`&`, `<`, `>`), so that no `<!channel>` and no link gets in. When Slack refuses the
blocks, the same message goes once more as plain text. The webhook's URL is a secret.
"""

import re
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

HEADER, SECTION, TEXT, BLOCKS, LISTED = 150, 3000, 35_000, 50, 20
_SIGN = {"critical": "🔴", "warning": "🟠", "info": "🔵"}
_WORD = {"firing": "Alert", "resolved": "Resolved", "repeat": "Still open"}
_GONE = (403, 404, 410)
_WORDS = re.compile(r"[a-z_]{1,60}")
"""What Slack answers. A proxy in between may repeat the URL, and that is a secret."""


class _Slack:
    """See `connectors.channel.Channel`."""

    def render(self, notice: Notice, now_s: int) -> Request:
        lines = _lines(notice)
        title = _title(notice)
        fallback = cut_escaped("\n".join([title, *lines]), TEXT)
        message: dict[str, Any] = {"text": fallback}
        if not notice.plain:
            message["blocks"] = _blocks(notice, title, lines)
        return Request(orjson.dumps(message), {"Content-Type": "application/json"})

    def judge(self, reply: Reply) -> Verdict:
        """reliability.md 3.1, row "Slack incoming webhook"."""
        word = reply.body[:100].decode("utf-8", "replace").strip()
        if reply.status == 200 and word == "ok":
            return Sent()
        said = f"{reply.status} {word}" if _WORDS.fullmatch(word) else f"{reply.status}, in words that are not Slack's"
        if reply.status == 429:
            return Retry(said, retry_after(reply) or 1.0)
        if reply.status == 400:
            return GiveUp(said) if reply.plain else Retry(said, 0.0, plain=True)
        if reply.status in _GONE:
            return GiveUp(said, disable=True)
        if 400 <= reply.status < 500 and reply.status not in (408, 425):
            return GiveUp(said)
        return Retry(said, retry_after(reply))


class _Kind:
    """See `connectors.channel.ChannelKind`."""

    kind = "slack"
    mode: Mode = "latest_state"
    groups = True
    gap_ms = 1100
    secret_url = True
    signs = False

    def build(self, config: Mapping[str, Any], secrets: Secrets) -> Channel:
        return _Slack()


CHANNEL = _Kind()


def escape(text: str) -> str:
    """Text that Slack shows as it is: no mention, no link, no control character."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut_escaped(text: str, most: int) -> str:
    """At most `most` characters of escaped text; a cut is marked and never falls into an entity or a date."""
    if len(text) <= most:
        return text
    end = most - 1
    for opening, closing in (("&", ";"), ("<", ">")):
        start = text.rfind(opening, 0, end)
        if start >= 0 and closing not in text[start:end]:
            end = start
    return text[:end] + "…"


def moment(ms: int) -> str:
    """A moment that Slack shows in each reader's own zone, in UTC for everything that cannot."""
    utc = datetime.fromtimestamp(ms / 1000, UTC)
    return f"<!date^{ms // 1000}^{{date_short_pretty}} {{time}}^{utc:%Y-%m-%d %H:%M} UTC>"


def _title(notice: Notice) -> str:
    if notice.kind == "ops":
        return "Footstream: delivery of alerts needs a person"
    if notice.kind == "digest":
        return f"Opened and closed meanwhile: {len(notice.items) + notice.more}"
    first = notice.items[0]
    place = escape(first.transition.site)
    if len(notice.items) + notice.more == 1:
        return f"{_word(first)}: {escape(first.transition.rule)} · {place}"
    return f"{len(notice.items) + notice.more} alerts · {escape(first.transition.family)} · {place}"


def _word(item: Item) -> str:
    sign = "🟢" if item.what == "resolved" else _SIGN[item.transition.severity]
    return f"{sign} {_WORD[item.what]}"


def _lines(notice: Notice) -> list[str]:
    if notice.kind == "ops":
        return [escape(notice.text)]
    lines = [_line(notice, item) for item in notice.items[:LISTED]]
    unlisted = len(notice.items) - len(lines) + notice.more
    return [*lines, f"+{unlisted} more"] if unlisted else lines


def _line(notice: Notice, item: Item) -> str:
    t = item.transition
    what = escape(cut(t.rule, 100)) + (f" · {escape(cut(t.subject, 100))}" if t.subject else "")
    if notice.kind == "digest":
        return f"{escape(cut(t.site, 100))} · {what} · {moment(t.onset_ms)}"
    times = f"since {moment(t.onset_ms)}" + (f", until {moment(t.happened_ms)}" if item.what == "resolved" else "")
    reason = f" · {escape(cut(t.reason, 60))}" if item.what == "resolved" and t.reason != "cleared" else ""
    reminder = f" · reminder {item.repeat}" if item.repeat else ""
    return f"*{_word(item)}* · {what}\n{escape(cut(t.summary, 600))}\n_{times}{reason}{reminder}_"


def _blocks(notice: Notice, title: str, lines: list[str]) -> list[dict[str, Any]]:
    header = _plain_header(title)
    blocks: list[dict[str, Any]] = [{"type": "header", "text": {"type": "plain_text", "text": header, "emoji": True}}]
    ids = [item.transition.transition_id for item in notice.items] if notice.kind == "alerts" else []
    for number, line in enumerate(lines[: BLOCKS - 1]):
        block: dict[str, Any] = {"type": "section", "text": {"type": "mrkdwn", "text": cut_escaped(line, SECTION)}}
        if number < len(ids) and ids.index(ids[number]) == number:  # block ids must differ within a message
            block["block_id"] = ids[number]
        blocks.append(block)
    return blocks


def _plain_header(title: str) -> str:
    """A header is plain text: no escapes there, and no mention can come from it."""
    return cut(title.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"), HEADER)
