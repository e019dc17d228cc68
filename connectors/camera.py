"""Reads one answer of a network camera over HTTP, with the login that the camera asks for (Basic or Digest).

Delivery: none of its own, the caller asks again. Parallelism: one request at a time, the caller keeps it so for each camera.
Back pressure: none. Lost: nothing, the camera keeps what is asked for. Redirects and proxies are not followed: a login goes to
the camera and nowhere else.
"""

import time
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPMessage
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit

DEADLINE_S = 20.0
ANSWER_BYTES = 4 << 20
_PIECE = 65_536


class CameraError(Exception):
    """No answer that can be used: what failed, and what to do. Names neither the login nor more of the URL than its host."""


class Login(NamedTuple):
    """User and password of a camera; both empty: it asks for none."""

    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return "Login(…)"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


def url_mistake(url: str) -> str | None:
    """What is wrong with the address of a camera; None when it may be used."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a URL; write http://10.0.0.5"
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return "is not a URL of a camera; write http://10.0.0.5"
    if parts.username or parts.password:
        return "holds a login; put it into the file of FOOTSTREAM_CAMERAS"
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return "holds a path; only http://host:port"
    return None


def fetch(url: str, path: str, login: Login = Login(), deadline_s: float = DEADLINE_S) -> bytes:  # noqa: B008  # a constant
    """The body of the answer to `GET url + path`. Raises CameraError."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({}), _NoRedirect()]
    if login.user:
        logins = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        logins.add_password(None, url, login.user, login.password)
        handlers += [urllib.request.HTTPDigestAuthHandler(logins), urllib.request.HTTPBasicAuthHandler(logins)]
    opener = urllib.request.build_opener(*handlers)
    opener.addheaders = [("User-Agent", "footstream")]
    until, host = time.monotonic() + deadline_s, urlsplit(url).netloc
    try:
        with opener.open(url.rstrip("/") + path, timeout=deadline_s) as answer:
            return _body(answer, until, host)
    except urllib.error.HTTPError as error:
        with error:
            raise CameraError(_refused(error.code, host, login)) from None
    except ValueError:  # Digest by another rule than MD5 and SHA, or a scheme that nobody knows
        raise CameraError(
            f"camera {host}: asks for a login that is neither Basic nor Digest; change it in the camera"
        ) from None
    except (OSError, HTTPException) as error:
        why = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise CameraError(f"camera {host}: no answer: {why}; look at its power and network") from None


def _body(answer: Any, until: float, host: str) -> bytes:
    parts, size = [], 0
    while piece := answer.read1(_PIECE):
        parts.append(piece)
        size += len(piece)
        if size > ANSWER_BYTES:
            raise CameraError(f"camera {host}: its answer is larger than {ANSWER_BYTES >> 20} MiB; it is left out")
        if time.monotonic() > until:
            raise CameraError(f"camera {host}: its answer was not whole in time; it is asked again")
    return b"".join(parts)


def _refused(status: int, host: str, login: Login) -> str:
    if status in (401, 403):
        remedy = "mend it in the file of FOOTSTREAM_CAMERAS" if login.user else "give one in the file of FOOTSTREAM_CAMERAS"
        return f"camera {host}: {'refuses the login' if login.user else 'wants a login'} ({status}); {remedy}"
    return f"camera {host}: answers {status}; it is asked again later"


__all__ = ["CameraError", "Login", "fetch", "url_mistake"]
