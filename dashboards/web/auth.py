"""Who may call the API: bearer tokens (`dashboards/web/tokens.py`), or everybody on loopback without them."""

from collections.abc import Sequence

from fastapi import HTTPException, Request

from dashboards.web.tokens import EVERYONE, Token, find


class Guard:
    """Who may call. Without tokens everybody who reaches the (loopback) address may."""

    def __init__(self, tokens: Sequence[Token] | None) -> None:
        self.tokens = tokens

    def who(self, request: Request) -> Token | None:
        """The caller, or None."""
        if self.tokens is None:
            return EVERYONE
        return find(self.tokens, request.headers.get("authorization", ""))

    def need(self, request: Request, scope: str) -> Token:
        """The caller, if it has the scope. Raises 401 or 403 without a word about what exists."""
        token = self.who(request)
        if token is None:
            raise HTTPException(401, "A bearer token is needed.", {"WWW-Authenticate": "Bearer"})
        if scope not in token.scopes:
            raise HTTPException(403, "This token may not do that.")
        return token

    def reader(self, request: Request) -> Token:
        return self.need(request, "read")
