"""Bearer tokens with scopes. The file holds hashes only; comparing takes the same time for every token.

```toml
[[token]]
name = "wall display Oslo"
sha256 = "..."              # of the token; `footstream token NAME` makes one
scopes = ["read"]           # read: figures and boards; metrics: /metrics and what /health says beyond ok; send: POST to `http`
sites = ["oslo"]            # optional: only these stores
```

A token has 256 random bits, so one round of SHA-256 is enough: there is nothing to guess.
"""

import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

SCOPES = frozenset({"read", "metrics", "send"})
_KEYS = frozenset({"name", "sha256", "scopes", "sites"})


class TokenFileError(ValueError):
    """The token file is wrong: the message says which entry and what to do."""


@dataclass(frozen=True)
class Token:
    """One token. `sites`: the only stores it may see, None for all."""

    name: str
    sha256: str
    scopes: frozenset[str]
    sites: frozenset[str] | None = None


EVERYONE = Token("loopback", "", SCOPES)


def new_token() -> tuple[str, str]:
    """A fresh token and its hash for the file."""
    token = "fs_" + secrets.token_urlsafe(32)
    return token, sha256(token.encode()).hexdigest()


def tokens_of(content: Mapping[str, Any]) -> tuple[Token, ...]:
    """The tokens of a parsed TOML file. Raises TokenFileError."""
    unknown = content.keys() - {"token"}
    if unknown:
        raise TokenFileError(f"unknown key {min(unknown)!r}; the file is a list of [[token]]")
    return tuple(_token(number, entry) for number, entry in enumerate(content.get("token", ()), 1))


def _token(number: int, entry: Mapping[str, Any]) -> Token:
    where = f"token {number} ({entry.get('name', 'without name')})"
    unknown = entry.keys() - _KEYS
    if unknown:
        raise TokenFileError(f"{where}: unknown key {min(unknown)!r}; known are {', '.join(sorted(_KEYS))}")
    digest, scopes = str(entry.get("sha256", "")).lower(), frozenset(entry.get("scopes", ("read",)))
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise TokenFileError(f"{where}: sha256 must be 64 hex digits; `footstream token NAME` makes an entry")
    if scopes - SCOPES:
        raise TokenFileError(f"{where}: unknown scope {min(scopes - SCOPES)!r}; known are {', '.join(sorted(SCOPES))}")
    sites = entry.get("sites")
    return Token(str(entry.get("name", number)), digest, scopes, None if sites is None else frozenset(sites))


def find(tokens: Sequence[Token], header: str) -> Token | None:
    """The token of an Authorization header. Every entry is compared, whether or not one has matched already."""
    scheme, _, given = header.partition(" ")
    digest, found = sha256(given.strip().encode()).hexdigest(), None
    for token in tokens:
        if hmac.compare_digest(digest, token.sha256):
            found = token
    return found if scheme.lower() == "bearer" else None
