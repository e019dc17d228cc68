"""Which addresses need tokens, and what a wrong token file gets."""

from pathlib import Path

import pytest

from infra.errors import Problem
from infra.serve import listen
from infra.settings import Settings
from infra.tokens import is_loopback, tokens_for


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_tokens(host: str) -> None:
    assert is_loopback(host)
    assert tokens_for(Settings(api_host=host)) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "board.example.org"])
def test_every_other_address_does(host: str) -> None:
    with pytest.raises(Problem, match="needs tokens; make one with `footstream token NAME`"):
        tokens_for(Settings(api_host=host))


def test_tokens_that_are_set_count_on_loopback_too(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text(f"[[token]]\nname = 'wall'\nsha256 = '{'0' * 64}'\n")
    found = tokens_for(Settings(api_tokens=file))
    assert found is not None
    assert [token.name for token in found] == ["wall"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read the token file"),
        ("", "holds no token"),
        ("[[token]]\nsha256 = 'abc'", "64 hex digits"),
        ("[", "token file"),
    ],
)
def test_a_wrong_token_file_is_one_line(tmp_path: Path, content: str | None, words: str) -> None:
    file = tmp_path / "tokens.toml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(Problem, match=words) as error:
        tokens_for(Settings(api_tokens=file))
    assert "\n" not in str(error.value)


def test_an_address_in_use_is_named() -> None:
    first = listen("127.0.0.1", 0)
    port = first.getsockname()[1]
    with pytest.raises(Problem, match=f"127.0.0.1:{port}.*FOOTSTREAM_API_PORT"):
        listen("127.0.0.1", port)
    first.close()
