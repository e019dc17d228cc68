"""Tokens: hashes in a file, scopes, stores."""

from hashlib import sha256

import pytest

from dashboards.web.tokens import TokenFileError, find, new_token, tokens_of


def entry(secret: str = "s", **values: object) -> dict[str, object]:
    return {"name": "n", "sha256": sha256(secret.encode()).hexdigest(), "scopes": ["read"], **values}


def test_a_new_token_is_found_by_its_hash_and_by_nothing_else() -> None:
    secret, digest = new_token()
    tokens = tokens_of({"token": [entry("other"), entry(sha256=digest, name="wall")]})
    found = find(tokens, f"Bearer {secret}")
    assert found is not None
    assert found.name == "wall"
    assert find(tokens, f"bearer {secret}") == found
    for wrong in ("", "Bearer", f"Basic {secret}", f"Bearer {digest}", f"Bearer {secret}x", "Bearer \x00ü"):
        assert find(tokens, wrong) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"tokens": []}, "unknown key 'tokens'"),
        ({"token": [entry(sha256="abc")]}, "64 hex digits"),
        ({"token": [entry(scopes=["write"])]}, "unknown scope 'write'"),
        ({"token": [entry(password="x")]}, "unknown key 'password'"),
    ],
)
def test_a_wrong_token_file_says_which_entry_and_what(content: dict[str, object], words: str) -> None:
    with pytest.raises(TokenFileError, match=words):
        tokens_of(content)
