"""Puts data source, folder and boards into a running Grafana through grafana-client. A second run writes nothing.

Idempotent: everything is read first and written only when it differs. A secret cannot be read back from Grafana, so the data
source carries a short keyed hash of it, and is written again when that differs.
"""

import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dashboards.grafana import FOLDER, FOLDER_UID, PLUGIN, UID, dashboards


class ApplyError(Exception):
    """Grafana refused or is not there: the message says what and what to do."""

    footstream_problem = True


@dataclass(frozen=True)
class Connection:
    """Where Grafana finds the store: URL of its HTTP interface, database, and the read-only user."""

    url: str
    database: str
    user: str
    password: str

    def datasource(self) -> dict[str, Any]:
        """The data source as Grafana stores it, without its secret."""
        parts = urlsplit(self.url)
        mark = hmac.new(self.password.encode(), UID.encode(), "sha256").hexdigest()[:8]
        json_data = {
            "host": parts.hostname,
            "port": parts.port or (8443 if parts.scheme == "https" else 8123),
            "protocol": "http",
            "secure": parts.scheme == "https",
            "username": self.user,
            "defaultDatabase": self.database,
            "dialTimeout": "10",
            "queryTimeout": "30",
            "footstreamSecret": mark,
        }
        return {"uid": UID, "name": "Footstream ClickHouse", "type": PLUGIN, "access": "proxy", "jsonData": json_data}


def connect(url: str, token: str) -> Any:
    """A client of Grafana. Raises ApplyError when the extra is missing or Grafana does not answer."""
    try:
        from grafana_client import GrafanaApi, TokenAuth
    except ImportError:
        raise ApplyError(
            "boards apply: grafana-client is not installed; install footstream[grafana] in an environment of its own "
            "(its urllib3-future shadows urllib3), or use `footstream boards render` and file provisioning"
        ) from None
    logging.getLogger("grafana_client").addHandler(logging.NullHandler())  # it writes to stderr what it also raises
    api = GrafanaApi.from_url(url, credential=TokenAuth(token) if token else None, timeout=30)
    _asked(f"Grafana at {url}", api.connect)
    return api


def _status(error: Exception) -> int:
    """HTTP status of an error of grafana-client; 0 when there was no answer."""
    return int(getattr(error, "status_code", 0) or 0)


def _asked(what: str, call: Callable[[], Any]) -> Any:
    """The answer of a call. Raises ApplyError with what to do."""
    try:
        return call()
    except Exception as error:
        status = _status(error)
        remedy = {
            0: "check the URL and that Grafana runs",
            401: "the token is wrong or expired: make a service account token with the role Admin",
            403: "the token may not do that: its service account needs the role Admin",
            409: "it exists under another uid or was provisioned from files: remove one of the two",
            412: "somebody changed it at the same moment, or it was provisioned from files: run again",
        }.get(status, "look into Grafana's log")
        words = f"HTTP {status}, {' '.join(str(error).split())[:200]}" if status else "does not answer"
        raise ApplyError(f"{what}: {words}; {remedy}") from error


def _found(what: str, call: Callable[[], Any]) -> Any | None:
    """The answer of a call, None when Grafana says 404."""

    def asked() -> Any | None:
        try:
            return call()
        except Exception as error:
            if _status(error) == 404:
                return None
            raise

    return _asked(what, asked)


def apply(api: Any, store: Connection) -> list[str]:
    """Bring Grafana to the declared state; what was written, one line each. Raises ApplyError."""
    written = [*_folder(api), *_datasource(api, store)]
    for wanted in dashboards():
        written += _dashboard(api, wanted)
    return written


def _folder(api: Any) -> list[str]:
    what = f"folder {FOLDER}"
    found = _found(what, lambda: api.folder.get_folder(FOLDER_UID))
    if found is None:
        _asked(what, lambda: api.folder.create_folder(FOLDER, FOLDER_UID))
        return [f"created {what}"]
    if found.get("title") == FOLDER:
        return []
    _asked(what, lambda: api.folder.update_folder(FOLDER_UID, FOLDER, overwrite=True))
    return [f"updated {what}"]


def _datasource(api: Any, store: Connection) -> list[str]:
    wanted, what = store.datasource(), f"data source {UID}"
    found = _found(what, lambda: api.datasource.get_datasource_by_uid(UID))
    body = {**wanted, "secureJsonData": {"password": store.password}}
    if found is None:
        _asked(what, lambda: api.datasource.create_datasource(body))
        return [f"created {what}"]
    if all(found.get(key) == value for key, value in wanted.items()):
        return []
    if found.get("readOnly"):
        raise ApplyError(f"{what}: was provisioned from files, which this would fight; change those files, or remove them")
    _asked(what, lambda: api.datasource.update_datasource_by_uid(UID, body))
    return [f"updated {what}"]


def _dashboard(api: Any, wanted: dict[str, Any]) -> list[str]:
    what = f"board {wanted['uid']}"
    found = _found(what, lambda: api.dashboard.get_dashboard(wanted["uid"]))
    if found is not None and _same(found["dashboard"], wanted) and found.get("meta", {}).get("folderUid") == FOLDER_UID:
        return []
    body = {
        "dashboard": {**wanted, "id": None},
        "folderUid": FOLDER_UID,
        "overwrite": True,
        "message": "footstream boards apply",
    }
    _asked(what, lambda: api.dashboard.update_dashboard(body))
    return [f"{'created' if found is None else 'updated'} {what}"]


def _same(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Equal but for what Grafana itself counts up."""
    own = {"id", "version"}
    return {k: v for k, v in found.items() if k not in own} == {k: v for k, v in wanted.items() if k not in own}
