"""A Grafana API as far as `boards apply` uses it, with Grafana's rules for 401, 404, 409 and 412; and an environment that has
grafana-client, apart from ours because its urllib3-future shadows urllib3.
"""

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

REPO = Path(__file__).parents[2]
LOCK = REPO / "requirements-grafana.lock"
TOKEN = "glsa_test"


def environment() -> Path:
    """Python of `.venv-grafana`: made from its lock when missing or older. Our own packages come after its own."""
    folder = REPO / ".venv-grafana"
    python, ready = folder / "bin" / "python", folder / ".ready"
    mark = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()
    with (REPO / ".venv-grafana.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if ready.exists() and ready.read_text() == mark:
            return python
        uv = shutil.which("uv")
        if uv:
            _run(uv, "venv", "-q", "--allow-existing", "--python", sys.executable, str(folder))
            _run(uv, "pip", "install", "-q", "--python", str(python), "--require-hashes", "-r", str(LOCK))
        else:
            _run(sys.executable, "-m", "venv", str(folder))
            _run(str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes", "-r", str(LOCK))
        own = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        (own / "zz_footstream.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n{REPO}\n")
        ready.write_text(mark)
    return python


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr[-2000:]}"


class FakeGrafana:
    """What Grafana keeps, and how it answers. `writes` lists method and path of everything that changed something."""

    def __init__(self) -> None:
        self.folders: dict[str, dict[str, Any]] = {}
        self.sources: dict[str, dict[str, Any]] = {}
        self.boards: dict[str, dict[str, Any]] = {}
        self.writes: list[str] = []
        self.secrets: dict[str, Any] = {}

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Status and JSON."""
        parts = path.removeprefix("/api/").split("/")
        if path == "/api/frontend/settings":
            return 200, {"buildInfo": {"version": "12.1.0"}}
        status, content = self._route(method, parts, body)
        if method != "GET" and status < 300:
            self.writes.append(f"{method} {path}")
        return status, content

    def _route(self, method: str, parts: list[str], body: Any) -> tuple[int, Any]:
        match method, parts:
            case "GET", ["folders", uid]:
                return self._one(self.folders, uid)
            case "POST", ["folders"]:
                return self._create(self.folders, body["uid"], {**body, "version": 1})
            case "PUT", ["folders", uid]:
                return self._folder(uid, body)
            case "GET", ["datasources", "uid", uid]:
                return self._one(self.sources, uid)
            case "POST", ["datasources"]:
                return self._source(body["uid"], body, new=True)
            case "PUT", ["datasources", "uid", uid]:
                return self._source(uid, body, new=False)
            case "GET", ["dashboards", "uid", uid]:
                return self._one(self.boards, uid)
            case "POST", ["dashboards", "db"]:
                return self._board(body)
        return 404, {"message": "Not found"}

    def _one(self, kept: dict[str, dict[str, Any]], uid: str) -> tuple[int, Any]:
        return (200, kept[uid]) if uid in kept else (404, {"message": "not found"})

    def _create(self, kept: dict[str, dict[str, Any]], uid: str, value: dict[str, Any]) -> tuple[int, Any]:
        if uid in kept:
            return 409, {"message": "a folder with the same uid already exists"}
        kept[uid] = value
        return 200, value

    def _folder(self, uid: str, body: Any) -> tuple[int, Any]:
        if uid not in self.folders:
            return 404, {"message": "folder not found"}
        if not body.get("overwrite") and body.get("version") != self.folders[uid]["version"]:
            return 412, {"message": "the folder has been changed by someone else"}
        self.folders[uid] |= {"title": body["title"], "version": self.folders[uid]["version"] + 1}
        return 200, self.folders[uid]

    def _source(self, uid: str, body: Any, new: bool) -> tuple[int, Any]:
        if new and (uid in self.sources or any(s["name"] == body["name"] for s in self.sources.values())):
            return 409, {"message": "data source with the same name already exists"}
        if not new and uid not in self.sources:
            return 404, {"message": "Data source not found"}
        secret = body.pop("secureJsonData", {})
        self.secrets[uid] = secret
        kept = {"id": 7, "orgId": 1, "isDefault": False, "readOnly": False, "secureJsonFields": dict.fromkeys(secret, True)}
        self.sources[uid] = {**kept, **body}
        return 200, {"datasource": self.sources[uid], "id": 7, "message": "done", "name": body["name"]}

    def _board(self, body: Any) -> tuple[int, Any]:
        board = body["dashboard"]
        uid, there = board["uid"], self.boards.get(board["uid"])
        if body.get("folderUid") not in self.folders:
            return 400, {"message": "folder not found"}
        if there and not body.get("overwrite") and board.get("version") != there["dashboard"]["version"]:
            return 412, {"status": "version-mismatch", "message": "The dashboard has been changed by someone else"}
        version = there["dashboard"]["version"] + 1 if there else 1
        kept = {**board, "id": there["dashboard"]["id"] if there else len(self.boards) + 1, "version": version}
        self.boards[uid] = {"dashboard": kept, "meta": {"folderUid": body["folderUid"], "version": version}}
        return 200, {"status": "success", "uid": uid, "version": version}


@contextmanager
def fake_grafana() -> Iterator[tuple[str, FakeGrafana]]:
    """URL and state of a fake Grafana."""
    state = FakeGrafana()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            allowed = self.headers.get("authorization") == f"Bearer {TOKEN}"
            status, content = state.answer(self.command, self.path, body) if allowed else (401, {"message": "Unauthorized"})
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = _do

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", state
    finally:
        server.shutdown()
        server.server_close()
