"""The token file of the settings, for the roles that let somebody in."""

import ipaddress
import tomllib

from dashboards.web.tokens import Token, TokenFileError, tokens_of
from infra.errors import Problem
from infra.settings import Settings


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tokens_for(settings: Settings, role: str = "serve", host: str = "", scope: str = "read") -> tuple[Token, ...] | None:
    """Tokens in force; None when everybody on this machine may come in. `host`: that of the API when empty. Raises Problem."""
    path, host = settings.api_tokens, host or settings.api_host
    make = "`footstream token NAME`" if scope == "read" else f"`footstream token NAME --scope {scope}`"
    if path is None:
        if is_loopback(host):
            return None
        raise Problem(
            f"{role}: {host} is not loopback and needs tokens; make one with {make}, "
            "name its file in FOOTSTREAM_API_TOKENS, and put TLS in front"
        )
    try:
        found = tokens_of(tomllib.loads(path.read_text()))
    except OSError as error:
        raise Problem(f"{role}: cannot read the token file {path}: {error.strerror}; check path and rights") from None
    except (tomllib.TOMLDecodeError, TokenFileError) as error:
        raise Problem(f"{role}: token file {path}: {error}") from None
    if not found or (scope != "read" and all(scope not in token.scopes for token in found)):
        raise Problem(f"{role}: token file {path} holds no {'' if scope == 'read' else scope + ' '}token; make one with {make}")
    return found
