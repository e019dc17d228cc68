"""A network camera on loopback with the rules of the real ones: its login, one request at a time, seven days, its clock."""

import base64
import hashlib
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

HOUR, KEPT_S = 3600, 7 * 86_400
HEADER = "StartTime, EndTime, Tolal - In, Tolal - Out, Tolal - Sum, Line1 - In, Line1 - Out, Line1 - Sum"


class FakeCamera:
    """`clock`: epoch seconds; `counts(hour)`: people in of the hour that starts there, as far as it has been counted.

    `auth`: basic, digest, or none. `broken`: queries (their `dw`) answered with 502. `hold`: while it is clear, answers wait.
    `asked`: what was asked for, `at_once`: the most requests that it ever saw at a time.
    """

    def __init__(
        self, clock: Callable[[], float], counts: Callable[[int], int], auth: str = "digest", zone: str = "UTC"
    ) -> None:
        self.clock, self.counts, self.auth, self.zone = clock, counts, auth, ZoneInfo(zone)
        self.user, self.password = "operator", "pass word"
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self.away = False
        self.hold = threading.Event()
        self.hold.set()
        self.at_once = self._now = 0
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> "FakeCamera":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hold.set()
        self._http.shutdown()
        self._http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with camera._lock:
                    camera._now += 1
                    camera.at_once = max(camera.at_once, camera._now)
                try:
                    camera.hold.wait(30)
                    status, headers, body = camera.answer(self.path, self.headers.get("Authorization", ""))
                finally:
                    with camera._lock:
                        camera._now -= 1
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        return Handler

    def answer(self, path: str, said: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a request with that Authorization."""
        if self.away:
            return 503, {}, b"starting"
        if not self._knows(path, said):
            realm = {"basic": 'Basic realm="IPC"', "digest": 'Digest realm="IPC", qop="auth", nonce="5f1e", algorithm=MD5'}
            return 401, {"WWW-Authenticate": realm.get(self.auth, 'Negotiate realm="x"')}, b"login"
        asked = {key: values[0] for key, values in parse_qs(urlsplit(path).query).items()}
        self.asked.append(path)
        if asked["dw"] in self.broken:
            return 502, {}, b"Bad Gateway"
        start, end = (self._epoch(asked[key]) for key in ("time_start", "time_end"))
        if asked["dw"] == "spaceheatmap":
            return 200, {}, b'{"max": 9, "min": 0, "data": [{"x": 1, "y": 2, "value": 9}]}'
        return 200, {}, self._table(asked["dw"], start, end).encode()

    def _knows(self, path: str, said: str) -> bool:
        if self.auth == "none":
            return True
        if self.auth == "basic":
            return said == "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        given = dict(re.findall(r'(\w+)="?([^",]+)"?', said))
        one = hashlib.md5(f"{self.user}:IPC:{self.password}".encode()).hexdigest()
        two = hashlib.md5(f"GET:{path}".encode()).hexdigest()
        text = f"{one}:{given.get('nonce')}:{given.get('nc')}:{given.get('cnonce')}:auth:{two}"
        return said.startswith("Digest ") and given.get("response") == hashlib.md5(text.encode()).hexdigest()

    def _epoch(self, text: str) -> int:
        return int(datetime.strptime(text, "%Y-%m-%d-%H:%M:%S").replace(tzinfo=self.zone).timestamp())

    def _table(self, dw: str, start: int, end: int) -> str:
        """Rows of the hours asked for that it still keeps; of the running day also those that have not begun."""
        dash = dw == "heatmapcsv"
        form = "%Y-%m-%d %H:%M:%S" if dash else "%Y/%m/%d %H:%M:%S"
        rows = ["StartTime, EndTime, Value(s)" if dash else HEADER]
        hour = start
        while hour <= end + 2 * HOUR:
            if hour >= self.clock() - KEPT_S - HOUR:
                first, last = (
                    datetime.fromtimestamp(at, UTC).astimezone(self.zone).strftime(form) for at in (hour, hour + HOUR - 1)
                )
                people = self.counts(hour) if hour <= self.clock() else 0
                rows.append(f"{first},{last},{people}" if dash else f"{first},{last},{people},0,{people},{people},0,{people}")
            hour += HOUR
        return "\r\n".join(rows) + "\r\n"
