"""A local receiver of alerts that refuses what real ones refuse, and can be made to fail in every way, seeded.

Slack's rules as reliability.md 3.1 and docs.slack.dev state them; signatures are checked with the `standardwebhooks` library.
"""

import json
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_DATE = re.compile(r"<!date\^\d+\^[^|^>]*(\^[^|>]*)?\|?[^>]*>")


@dataclass
class Post:
    """One request as it came, and what was answered."""

    at: float
    headers: dict[str, str]
    body: bytes
    answer: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def slack_refuses(headers: Mapping[str, str], body: bytes) -> str | None:
    """The error word of Slack for a message that it does not take, None when it does."""
    if headers.get("content-type", "").split(";")[0] != "application/json":
        return "invalid_payload"
    try:
        message = json.loads(body)
    except ValueError:
        return "invalid_payload"
    if not isinstance(message, dict) or not isinstance(message.get("text"), str):
        return "no_text"
    if not message["text"] or len(message["text"]) > 40_000 or _unescaped(message["text"]):
        return "invalid_payload"
    blocks = message.get("blocks", [])
    if not isinstance(blocks, list) or len(blocks) > 50 or any(not _block_fits(block) for block in blocks):
        return "invalid_blocks"
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    return "invalid_blocks" if len(set(ids)) < len(ids) or any(len(i) > 255 for i in ids) else None


def _block_fits(block: Any) -> bool:
    kind, text = block.get("type"), block.get("text", {})
    most, form = {"header": (150, "plain_text"), "section": (3000, "mrkdwn")}.get(kind, (0, ""))
    shown = text.get("text", "")
    return text.get("type") == form and 0 < len(shown) <= most and (form == "plain_text" or not _unescaped(shown))


def _unescaped(text: str) -> bool:
    """A bare `<`, `>` or `&`, or any mention or link: only our own dates may stand in brackets."""
    rest = _DATE.sub("", text)
    return bool(re.search(r"[<>]|&(?!amp;|lt;|gt;)", rest))


Faults = Callable[[random.Random], str | None]
"""Names the next answer: None (proper), "500", "429", "410", "301", "400", "slow", "drop" (takes it, says nothing)."""


@dataclass
class Receiver:
    """Listens on loopback until `close`. `kind`: "webhook" or "slack". `faults` decides each answer, seeded."""

    kind: str = "webhook"
    faults: Faults = lambda _: None
    seed: int = 1
    slack_gap_s: float = 0.0
    slow_s: float = 1.0
    secrets: tuple[str, ...] = (SECRET,)
    posts: list[Post] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        outer, self._rng, self._turn, self._last = self, random.Random(self.seed), threading.Lock(), 0.0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                outer._answer(self, {k.lower(): v for k, v in self.headers.items()}, body)

            def do_GET(self) -> None:
                outer._answer(self, {}, b"GET")

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/hook/T0/B0/secret-part-of-the-path"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def taken(self) -> list[Post]:
        """What a real receiver would have, in order; an answer that was lost on the way counts."""
        return [post for post in self.posts if post.answer in ("ok", "drop", "slow")]

    def wait(self, done: Callable[[], bool], seconds: float = 20.0) -> None:
        """Until `done`; looked at when posts have come, but at most 50 times a second: the receiver needs the processor."""
        end = time.monotonic() + seconds
        while not done():
            left = end - time.monotonic()
            assert left > 0, f"not done after {seconds} s; posts: {[(p.answer, p.body[:60]) for p in self.posts[-5:]]}"
            self.arrived.wait(min(left, 0.2))
            self.arrived.clear()
            time.sleep(0.02)

    def _answer(self, handler: BaseHTTPRequestHandler, headers: dict[str, str], body: bytes) -> None:
        with self._turn:
            word = self._word(headers, body)
            self.posts.append(Post(time.time(), headers, body, word))
        if word == "slow":
            time.sleep(self.slow_s)
        if word != "drop":
            _reply(handler, word, self.url, self.kind)
        handler.close_connection = True
        self.arrived.set()

    def _word(self, headers: dict[str, str], body: bytes) -> str:
        fault = self.faults(self._rng)
        if fault is not None and fault not in ("drop", "slow"):
            return fault
        return self._refused(headers, body) or fault or "ok"

    def _refused(self, headers: dict[str, str], body: bytes) -> str | None:
        if self.kind == "slack":
            now, last = time.monotonic(), self._last
            if now - last < self.slack_gap_s:
                return "429"
            self._last = now
            return slack_refuses(headers, body)
        return None if any(verified(secret, headers, body) for secret in self.secrets) else "401"


def verified(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """What the independent library says; it raises several kinds of errors for malformed headers."""
    try:
        Webhook(secret).verify(body, dict(headers))
    except Exception:
        return False
    return True


def _reply(handler: BaseHTTPRequestHandler, word: str, url: str, kind: str) -> None:
    status = {"ok": 200, "slow": 200, "no_text": 400, "invalid_payload": 400, "invalid_blocks": 400}.get(word) or int(word)
    text = b"ok" if status == 200 else word.encode()
    try:
        handler.send_response(status)
        if status == 429:
            handler.send_header("Retry-After", "1")
        if status == 301:
            handler.send_header("Location", url + "/redirected")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)
    except OSError:
        return  # the sender has gone: it was killed, or did not wait
