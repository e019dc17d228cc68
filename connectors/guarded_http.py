"""One guarded HTTP POST to an address that somebody else chose (after Stripe's smokescreen).

Delivery: one attempt, no retry, no redirect, no proxy. Three endings: an answer; `NotSent` (the receiver cannot have it);
`Doubtful` (it may have it: the request went out and no answer came back). What is lost: nothing that is not said.

Guard: https on 443 or 8443, no credentials in the URL, no IP address as host; the name is resolved once, every address that
comes back must be public, and the connection goes to the checked addresses (a second DNS answer is never asked for).
`allow_private`, the operator's switch for one receiver, adds http, any port, IP hosts, loopback and private networks, but
never link-local (cloud metadata), multicast or translated addresses. At most 4 kB of an answer are read, in at most
`deadline_s` for the whole exchange.
"""

import ipaddress
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http.client import HTTPException
from typing import Any, NamedTuple

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Url, parse_url

DEADLINE_S = 15.0
ANSWER_BYTES = 4096
PORTS = (443, 8443)
ADDRESSES = 3
"""Addresses of one host that are tried, within the same time."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]

# `is_global` calls these global (measured on Python 3.11): translated (NAT64, 6to4, Teredo) and special-use addresses.
_NEVER = tuple(
    map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "192.0.0.0/24", "192.88.99.0/24"))
)
_PRIVATE = tuple(
    map(ipaddress.ip_network, ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
)


class Refused(Exception):
    """The guard says no. The message names no part of the URL but its host."""


class NotSent(Exception):
    """The request did not reach the receiver."""


class Doubtful(Exception):
    """The request went out, no answer came back: the receiver may have it."""


class Answer(NamedTuple):
    """Status, headers in lower case, the first bytes of the body."""

    status: int
    headers: dict[str, str]
    body: bytes


def redacted(url: str) -> str:
    """What of a URL may be shown: scheme, host and the last 4 characters (the path of a webhook is a secret)."""
    try:
        parsed = parse_url(url)
    except urllib3.exceptions.LocationParseError:
        return "…"
    return f"{parsed.scheme}://{parsed.host}/…{url[-4:] if len(parsed.path or '') > 12 else ''}"


def url_mistake(url: str, allow_private: bool) -> str | None:
    """What is wrong with a receiver's URL, in words that do not repeat it; None when it may be used."""
    try:
        parsed = parse_url(url)
    except urllib3.exceptions.LocationParseError:
        return "is not a URL; write https://host/path"
    if parsed.scheme not in ("http", "https") or not parsed.host:
        return "is not an https URL; write https://host/path"
    if parsed.auth:
        return "holds credentials; leave them out, the message is signed instead"
    if any(ord(c) <= 32 or ord(c) == 127 for c in url):
        return "holds spaces or control characters"
    if allow_private:
        return None
    if parsed.scheme == "http":
        return "is http; use https, or say allow_private = true for a receiver of your own"
    if (parsed.port or 443) not in PORTS:
        return f"uses port {parsed.port}; only 443 and 8443 are allowed without allow_private = true"
    if _address(parsed.host) is not None:
        return "has an IP address as host; use a name, or say allow_private = true for a receiver of your own"
    return None


def forbidden(address: Address, allow_private: bool) -> bool:
    """Whether nothing may be sent to that address."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in _NEVER if network.version == address.version):
        return True
    if address.is_multicast or address.is_link_local or address.is_unspecified:
        return True
    if any(address in network for network in _PRIVATE if network.version == address.version):
        return not allow_private
    return not address.is_global


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name, as the system resolves it."""
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    allow_private: bool = False,
    deadline_s: float = DEADLINE_S,
    resolver: Resolve = resolve,
    ca_file: str | None = None,
) -> Answer:
    """One attempt. Raises Refused, NotSent or Doubtful; no message of theirs holds the URL's path."""
    mistake = url_mistake(url, allow_private)
    if mistake is not None:
        raise Refused(f"the URL {mistake}")
    parsed = parse_url(url)
    host = str(parsed.host).strip("[]")
    port = parsed.port or (443 if parsed.scheme == "https" else 80)
    addresses = _checked(host, port, allow_private, resolver)
    with _Deadline(deadline_s) as deadline:
        each_s = deadline_s / len(addresses)
        connection = _connected([_connection(parsed, host, a, port, each_s, ca_file) for a in addresses], host)
        try:
            connection.timeout = deadline_s
            deadline.watch(connection)
            return _exchange(connection, parsed, body, headers, deadline)
        finally:
            connection.close()


def _address(host: str) -> Address | None:
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]").split("%")[0])
    return None


def _checked(host: str, port: int, allow_private: bool, resolver: Resolve) -> list[str]:
    """The first few of the addresses, after all of them were found harmless."""
    try:
        found = resolver(host, port)
    except (OSError, UnicodeError) as error:
        raise NotSent(f"host {host!r} cannot be resolved: {getattr(error, 'strerror', None) or type(error).__name__}") from None
    for text in found:
        address = _address(text)
        if address is None or "%" in text or forbidden(address, allow_private):
            raise Refused(f"host {host!r} resolves to an address that is not public")
    if not found:
        raise NotSent(f"host {host!r} has no address")
    return list(dict.fromkeys(found))[:ADDRESSES]


def _connection(parsed: Url, host: str, address: str, port: int, deadline_s: float, ca_file: str | None) -> HTTPConnection:
    if parsed.scheme == "http":
        return HTTPConnection(address, port, timeout=deadline_s)
    return HTTPSConnection(
        address,
        port,
        timeout=deadline_s,
        server_hostname=host,
        assert_hostname=host,
        cert_reqs="CERT_REQUIRED",
        ca_certs=ca_file,
    )


def _connected(connections: Sequence[HTTPConnection], host: str) -> HTTPConnection:
    """The first one that can be made: `localhost` is ::1 and 127.0.0.1, and a server may listen on one of them only."""
    why = ""
    for connection in connections:
        try:
            connection.connect()
            return connection
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:  # ValueError: the certificate is for another name
            connection.close()
            why = why or _why(error)
    raise NotSent(f"cannot connect to {host!r}: {why}")


def _exchange(
    connection: HTTPConnection, parsed: Url, body: bytes, headers: Mapping[str, str], deadline: "_Deadline"
) -> Answer:
    host = str(parsed.host) if parsed.port is None else f"{parsed.host}:{parsed.port}"
    sent = {"Host": host, "User-Agent": "footstream", "Accept-Encoding": "identity", "Connection": "close", **headers}
    try:
        connection.request("POST", parsed.request_uri, body, sent, preload_content=False, decode_content=False)
        response = connection.getresponse()
        if deadline.over:
            raise TimeoutError  # the cut connection looks like the end of the headers
        answer = {name.lower(): value for name, value in response.headers.items()}
        try:
            start = response.read(ANSWER_BYTES, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError):
            start = b""  # the status is the answer; the rest of the text may be missing
        return Answer(response.status, answer, start)
    except (urllib3.exceptions.HTTPError, OSError, ValueError, HTTPException) as error:
        over = f"no answer within {deadline.seconds:g} s" if deadline.over else _why(error)
        raise Doubtful(f"{str(parsed.host)!r} gave no answer: {over}") from None


def _why(error: BaseException) -> str:
    """The kind of a failure; library messages may hold the URL."""
    reason: Any = getattr(error, "reason", None)
    inner = error.__cause__ or (reason if isinstance(reason, BaseException) else None)
    text = getattr(error, "strerror", None) or getattr(inner, "strerror", None)
    return str(text) if text else type(inner or error).__name__


class _Deadline:
    """Shuts the connection when the whole exchange takes too long: a byte a second would never time out otherwise."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.over = seconds, False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def watch(self, connection: HTTPConnection) -> None:
        self._socket = connection.sock
        if self.over:
            self._end()

    def _end(self) -> None:
        self.over = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> "_Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
