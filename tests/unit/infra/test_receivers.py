"""The receivers file: what it gives, and every mistake at once without a secret in it."""

from pathlib import Path

import pytest

from infra.receivers import ReceiversError, load_receivers
from tests.support.receiver import SECRET

GOOD = """
[receivers.ops]
kind = "slack"
url_env = "SLACK_URL"
severities = ["critical", "warning"]
sites = ["oslo-*"]

[receivers.erp]
kind = "webhook"
url = "https://erp.example/hooks/alerts"
secret_file = "erp.secret"
old_secret_env = "ERP_OLD"
mode = "latest_state"
"""
ENVIRONMENT = {"SLACK_URL": "https://hooks.slack.com/services/T0/B0/topsecretpart", "ERP_OLD": SECRET}


def test_a_file_gives_its_receivers_in_order(tmp_path: Path) -> None:
    (tmp_path / "receivers.toml").write_text(GOOD)
    (tmp_path / "erp.secret").write_text(SECRET + "\n")
    ops, erp = load_receivers(tmp_path / "receivers.toml", ENVIRONMENT)
    assert (ops.name, ops.kind, ops.mode, ops.groups, ops.severities) == (
        "ops",
        "slack",
        "latest_state",
        True,
        ("critical", "warning"),
    )
    assert (erp.name, erp.mode, erp.groups, erp.allow_private) == ("erp", "latest_state", False, False)
    assert "topsecretpart" not in repr(ops) + ops.shown() and ops.shown().endswith("part")
    assert SECRET[6:] not in repr(erp)


def test_without_a_file_there_are_no_receivers() -> None:
    assert load_receivers(None, {}) == []


def test_every_mistake_is_told_at_once_with_its_line_and_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "receivers.toml"
    path.write_text(
        """
[receivers.a]
kind = "slak"
[receivers.b]
kind = "slack"
url = "https://hooks.slack.com/services/T0/B0/topsecretpart"
[receivers.c]
kind = "webhook"
url = "http://10.0.0.1/topsecretpart"
secret = "topsecretpart"
secret_env = "FOOTSTREAM_SECRET"
severities = ["fatal"]
sitess = []
[receivers.d]
kind = "webhook"
url_env = "NOT_SET"
secret_env = "WEAK"
[receivers.e]
kind = "webhook"
url = "https://u:topsecretpart@x.example/"
url_file = "f"
secret_file = "missing"
[receivers.f]
kind = "webhook"
url = ""
secret_env = "WEAK"
[receivers.g]
kind = "slack"
url_env = "NOT_SET"
old_secret_env = "WEAK"
"""
    )
    with pytest.raises(ReceiversError) as caught:
        load_receivers(path, {"WEAK": "topsecretpart"})
    text = str(caught.value)
    wanted = (
        "receivers.toml:3: receivers.a.kind: 'slak' is not possible; did you mean 'slack'?",
        "receivers.toml:6: receivers.b.url: the URL of slack is a secret",
        "receivers.toml:9: receivers.c.url: the URL is http",
        "receivers.toml:10: receivers.c.secret: a secret never stands in this file",
        "names beginning with FOOTSTREAM_ are settings",
        "'fatal' is none; choose critical, warning, info",
        "unknown key; did you mean 'sites'?",
        "the environment variable NOT_SET is not set",
        "the secret must be whsec_ and base64",
        "stands beside url_env or url_file",
        "holds credentials",
        "missing cannot be read: No such file",
        "receivers.f.url: the URL is not an https URL",
        "receivers.g: old_secret_env or old_secret_file: messages of slack are not signed",
    )
    missing = [words for words in wanted if words not in text]
    assert missing == [] and "topsecretpart" not in text


@pytest.mark.parametrize("text", ["", "[receivers]", "receivers = 3", "[receivers.x", "[other]"])
def test_a_file_without_receivers_or_without_sense_is_a_mistake(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(ReceiversError):
        load_receivers(tmp_path / "r.toml", {})
    with pytest.raises(ReceiversError, match="No such file"):
        load_receivers(tmp_path / "none.toml", {})
