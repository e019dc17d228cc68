"""docs/alerts.md: its code runs, its file loads, its tables name what there is."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.channel import Secrets, kinds
from infra.receivers import _KEYS, load_receivers
from tests.support.receiver import SECRET
from tests.unit.connectors.test_channels import OTHER, item, notice

PAGE = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()


def block(language: str) -> str:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[0]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def verify() -> Callable[..., bool]:
    names: dict[str, Any] = {}
    exec(block("python"), names)
    return names["verify"]  # type: ignore[no-any-return]


def test_the_code_of_the_page_accepts_our_messages_and_refuses_others(verify: Callable[..., bool]) -> None:
    both = kinds()["webhook"].build({}, Secrets("https://x", (SECRET, OTHER)))
    request = both.render(notice(item()), int(time.time()))
    headers = dict(request.headers)
    assert verify(SECRET, headers, request.body) and verify(OTHER, headers, request.body)
    assert not verify("whsec_" + "QkJC" * 10, headers, request.body)
    assert not verify(SECRET, headers, request.body + b" ")
    assert not verify(SECRET, headers, request.body, now=time.time() + 301)
    assert not verify(SECRET, headers | {"webhook-id": "x"}, request.body)


def test_the_example_file_loads(tmp_path: Path) -> None:
    (tmp_path / "receivers.toml").write_text(block("toml"))
    (tmp_path / "desk.secret").write_text(SECRET)
    receivers = load_receivers(tmp_path / "receivers.toml", {"SLACK_URL": "https://hooks.slack.com/services/T/B/x"})
    assert [(r.name, r.kind) for r in receivers] == [("ops", "slack"), ("desk", "webhook")]


def test_every_key_kind_and_command_stands_on_the_page() -> None:
    words = [*_KEYS, *kinds(), "footstream alerts", "footstream ack", "footstream silence", "footstream receivers"]
    assert [word for word in words if f"`{word}" not in PAGE] == []
    for kind in ("alert.firing", "alert.resolved", "alert.repeated", "alert.digest", "delivery.problem"):
        assert f"`{kind}`" in PAGE
