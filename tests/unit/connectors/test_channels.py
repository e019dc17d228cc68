"""What Slack and webhook messages say, against rules and signatures that are not ours."""

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from connectors.channel import GiveUp, Item, Notice, Reply, Retry, Secrets, Sent, kinds, retry_after
from connectors.webhook import key_of, sign
from schemas.alerts import notification_id
from tests.support.alerts import T0, fired, resolved
from tests.support.receiver import SECRET, slack_refuses, verified

SLACK = kinds()["slack"].build({}, Secrets("https://x"))
WEBHOOK = kinds()["webhook"].build({}, Secrets("https://x", (SECRET,)))
OTHER = "whsec_" + "QUJD" * 10
TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["<!channel>", "<@U1>", "&amp;", "<", "&", "|", "^", "*_`", "x" * 5000, "\x00" * 3000, "😀" * 4000]),
)


def item(what: Any = "firing", repeat: int = 0, **other: Any) -> Item:
    t = fired(T0, other.pop("subject", "Main & <b>door</b>"), **other)
    t = resolved(t, T0 + 60_000) if what == "resolved" else t
    return Item(notification_id(t.transition_id, "r"), what, t, repeat)


def notice(*items: Item, kind: Any = "alerts", **other: Any) -> Notice:
    return Notice(items[0].notification_id if items else "a" * 32, kind, items, T0, **other)


@given(
    st.lists(st.tuples(TEXTS, TEXTS, TEXTS, TEXTS, st.sampled_from(["firing", "resolved", "repeat"])), min_size=1, max_size=30),
    st.booleans(),
    st.sampled_from(["alerts", "digest"]),
    st.integers(0, 900),
)
@settings(max_examples=150)
def test_slack_takes_every_message_whatever_names_and_texts_hold(
    rows: list[tuple[str, str, str, str, Any]], plain: bool, kind: str, more: int
) -> None:
    items = [item(what, subject=subject, summary=summary, site=site, rule=rule) for subject, summary, site, rule, what in rows]
    request = SLACK.render(notice(*items, kind=kind, plain=plain, more=more), T0 // 1000)
    assert slack_refuses({"content-type": request.headers["Content-Type"]}, request.body) is None


@given(TEXTS, TEXTS, TEXTS, TEXTS, st.sampled_from(["firing", "resolved", "repeat"]), st.sampled_from(["alerts", "digest"]))
@settings(max_examples=150)
def test_a_webhook_body_stays_below_20_kb_and_its_signature_holds(
    subject: str, summary: str, site: str, rule: str, what: Any, kind: Any
) -> None:
    one = item(what, subject=subject, summary=summary, site=site, rule=rule)
    now = int(datetime.now(UTC).timestamp())
    request = WEBHOOK.render(notice(*([one] if kind == "alerts" else [one] * 20), kind=kind), now)
    assert len(request.body) < 20_000
    assert verified(SECRET, request.headers, request.body)
    assert not verified(OTHER, request.headers, request.body)
    assert not verified(SECRET, request.headers, request.body + b" ")


def test_five_hundred_signatures_equal_those_of_the_independent_library() -> None:
    rng = random.Random(3)
    for _ in range(500):
        key, body = rng.randbytes(rng.randint(24, 64)), rng.randbytes(200).hex()
        at = rng.randrange(1_700_000_000, 1_900_000_000)
        theirs = Webhook(key).sign("abc", datetime.fromtimestamp(at, UTC), body)
        assert sign((key,), "abc", at, body.encode()) == theirs


def test_during_a_rotation_both_secrets_verify() -> None:
    both = kinds()["webhook"].build({}, Secrets("https://x", (SECRET, OTHER)))
    request = both.render(notice(item()), int(datetime.now(UTC).timestamp()))
    assert verified(SECRET, request.headers, request.body) and verified(OTHER, request.headers, request.body)


@pytest.mark.parametrize(
    "secret", ["", "abc", "whsec_!!", "whsec_QUJD", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + "QUJD" * 30]
)
def test_a_weak_or_malformed_secret_is_refused_without_repeating_it(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_ and") as caught:
        key_of(secret)
    assert not secret or secret not in str(caught.value)


def test_the_webhook_says_state_since_and_ids() -> None:
    said = json.loads(WEBHOOK.render(notice(item("resolved")), 1).body)
    t = item("resolved").transition
    assert said["type"] == "alert.resolved" and said["timestamp"] == "2026-05-28T20:27:40.000Z"
    wanted = {
        "dedup_key": t.fingerprint,
        "transition_id": t.transition_id,
        "since": "2026-05-28T20:26:40.000Z",
        "state": "resolved",
    }
    assert said["data"] | wanted == said["data"]


def test_slack_says_since_when_in_the_readers_zone_and_escapes_names() -> None:
    text = json.loads(SLACK.render(notice(item()), 1).body)["text"]
    assert "Main &amp; &lt;b&gt;door&lt;/b&gt;" in text and "<!date^1780000000^" in text and "2026-05-28 20:26 UTC" in text


def test_the_test_receiver_refuses_what_slack_refuses() -> None:
    json_type = {"content-type": "application/json"}

    def with_block(**block: Any) -> bytes:
        return json.dumps({"text": "x", "blocks": [block]}).encode()

    long_header = with_block(type="header", text={"type": "plain_text", "text": "x" * 151})
    long_section = with_block(type="section", text={"type": "mrkdwn", "text": "x" * 3001})
    many = json.dumps({"text": "x", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "x"}}] * 51}).encode()
    assert [slack_refuses(json_type, body) for body in (long_header, long_section, many)] == ["invalid_blocks"] * 3
    assert slack_refuses(json_type, b'{"text": ') == "invalid_payload" == slack_refuses({}, b'{"text": "x"}')
    assert slack_refuses(json_type, b'{"text": "<!channel> hi"}') == "invalid_payload"


def reply(status: int, body: bytes = b"", refusals: int = 0, plain: bool = False, **headers: str) -> Reply:
    return Reply(status, {k.replace("_", "-"): v for k, v in headers.items()}, body, refusals, plain, T0 // 1000)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (reply(200, b"ok"), Sent()),
        (reply(200, b"<html>proxy</html>"), Retry("200, in words that are not Slack's")),
        (reply(404, b"Cannot POST /services/T0/B0/x"), GiveUp("404, in words that are not Slack's", disable=True)),
        (reply(429, b"rate_limited", retry_after="30"), Retry("429 rate_limited", 30.0)),
        (reply(400, b"invalid_blocks"), Retry("400 invalid_blocks", 0.0, plain=True)),
        (reply(400, b"invalid_payload", plain=True), GiveUp("400 invalid_payload")),
        (reply(403, b"action_prohibited"), GiveUp("403 action_prohibited", disable=True)),
        (reply(404, b"no_service"), GiveUp("404 no_service", disable=True)),
        (reply(410, b"channel_is_archived"), GiveUp("410 channel_is_archived", disable=True)),
        (reply(500, b"rollup_error"), Retry("500 rollup_error")),
        (reply(302, b""), Retry("302, in words that are not Slack's")),
    ],
)
def test_slack_answers_mean_what_the_table_says(answer: Reply, verdict: object) -> None:
    assert SLACK.judge(answer) == verdict


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (reply(200), Sent()),
        (reply(204), Sent()),
        (reply(301), Retry("status 301", refused=True)),
        (reply(301, refusals=2), GiveUp("status 301")),
        (reply(408), Retry("status 408")),
        (reply(425, refusals=9), Retry("status 425")),
        (reply(429, retry_after="7"), Retry("status 429", 7.0)),
        (reply(500, refusals=99), Retry("status 500")),
        (reply(503, retry_after="Thu, 28 May 2026 20:27:40 GMT"), Retry("status 503", 60.0)),
        (reply(401, refusals=1), Retry("status 401", refused=True)),
        (reply(401, refusals=2), GiveUp("status 401")),
        (reply(410), GiveUp("status 410", disable=True)),
    ],
)
def test_webhook_answers_mean_what_the_table_says(answer: Reply, verdict: object) -> None:
    assert WEBHOOK.judge(answer) == verdict


@pytest.mark.parametrize("text", ["", "soon", "-5", "1.5", "٣", "Thu, 99 Foo"])
def test_an_unreadable_retry_after_counts_as_none(text: str) -> None:
    assert retry_after(reply(429, retry_after=text)) is None
