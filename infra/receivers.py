"""Loads the alert receivers from TOML; all mistakes at once, none of them repeating a secret. Reference: `docs/alerts.md`.

Secrets are named by environment variable or file, never written here; the URL of a channel like Slack is itself a secret.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

from connectors.channel import Channel, ChannelKind, Mode, Secrets, kinds
from connectors.guarded_http import redacted, url_mistake
from connectors.outbox import Target
from infra.registry_file import Place, TomlFile
from schemas.alerts import Severity, Transition

_KEYS = (
    "kind", "url", "url_env", "url_file", "secret_env", "secret_file", "old_secret_env", "old_secret_file", "sites", "rules",
    "severities", "mode", "allow_private",
)  # fmt: skip


class ReceiversError(Exception):
    """The receivers cannot be used; the text names every mistake."""

    footstream_problem = True

    def __init__(self, mistakes: list[str]) -> None:
        count = "one mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        super().__init__("\n".join([f"receivers: {count}", *(f"  {mistake}" for mistake in mistakes)]))
        self.mistakes = mistakes


@dataclass(frozen=True)
class Receiver:
    """One configured use of a channel. `sites` and `rules` are patterns (`*` and `?`); empty: all."""

    name: str
    kind: str
    channel: Channel
    url: str = field(repr=False)
    mode: Mode
    groups: bool
    gap_ms: int
    sites: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    allow_private: bool = False

    def wants(self, t: Transition) -> bool:
        """Whether that alert is for this receiver."""
        return (
            (not self.sites or any(fnmatchcase(t.site, pattern) for pattern in self.sites))
            and (not self.rules or any(fnmatchcase(t.rule, pattern) for pattern in self.rules))
            and (not self.severities or t.severity in self.severities)
        )

    def target(self) -> Target:
        return Target(self.name, self.wants, self.mode == "latest_state", self.groups, self.gap_ms)

    def shown(self) -> str:
        return f"{self.name}: {self.kind}, {self.mode}, {redacted(self.url)}"


def load_receivers(path: Path | None, environment: Mapping[str, str]) -> list[Receiver]:
    """The receivers of a file, in its order; none without a file. Raises ReceiversError."""
    if path is None:
        return []
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ReceiversError([f"{path}: {why}; mend the file or set another FOOTSTREAM_RECEIVERS"]) from None
    file = TomlFile(str(path), text)
    file.keys(table, (), ("receivers",))
    given = file.get(table, "receivers", dict, (), {})
    if not given and not file.mistakes:
        file.wrong((), "no receiver in it; add a table such as [receivers.ops], or unset FOOTSTREAM_RECEIVERS")
    found = [_receiver(file, name, entry, path.parent, environment) for name, entry in given.items()]
    if file.mistakes:
        raise ReceiversError([what for _, what in sorted(file.mistakes)])
    return [receiver for receiver in found if receiver is not None]


def _receiver(file: TomlFile, name: str, entry: Any, folder: Path, environment: Mapping[str, str]) -> Receiver | None:
    at: Place = ("receivers", name)
    if not isinstance(entry, dict):
        file.wrong(at, "must be a table; write [receivers.NAME]")
        return None
    if not name.replace("-", "").replace("_", "").isalnum() or len(name) > 64:
        file.wrong(at, "the name of a receiver has at most 64 letters, digits, dashes and underscores")
    known = kinds()
    kind = file.choice(entry, "kind", tuple(sorted(known)), at, None)
    if "secret" in entry:
        file.wrong((*at, "secret"), "a secret never stands in this file; name it with secret_env or secret_file")
    file.keys({key: value for key, value in entry.items() if key != "secret"}, at, _KEYS)
    if kind is None:
        if "kind" not in entry:
            file.wrong(at, f"kind is missing; choose {', '.join(sorted(known))}")
        return None
    read = _Secrets(file, entry, at, folder, environment)
    secrets = Secrets(_url(file, entry, at, known[kind], read), _signing_keys(file, at, known[kind], read))
    return _built(file, name, entry, at, known[kind], secrets)


def _built(file: TomlFile, name: str, entry: dict[str, Any], at: Place, kind: ChannelKind, secrets: Secrets) -> Receiver | None:
    mode: Mode = file.choice(entry, "mode", get_args(Mode), at, kind.mode)
    lists = {key: _texts(file, entry, key, at) for key in ("sites", "rules", "severities")}
    for severity in lists["severities"]:
        if severity not in get_args(Severity):
            file.wrong((*at, "severities"), f"{severity!r} is none; choose {', '.join(get_args(Severity))}")
    private = file.get(entry, "allow_private", bool, at, False)
    try:
        channel = kind.build(entry, secrets)
    except ValueError as error:
        file.wrong(at, str(error))
        return None
    return Receiver(name, kind.kind, channel, secrets.url, mode, kind.groups, kind.gap_ms, **lists, allow_private=private)


def _texts(file: TomlFile, entry: dict[str, Any], key: str, at: Place) -> tuple[str, ...]:
    values = file.get(entry, key, list, at, [])
    if not all(isinstance(value, str) for value in values):
        file.wrong((*at, key), "must be a list of texts")
        return ()
    return tuple(values)


class _Secrets:
    """Reads what a receiver names by environment variable or file. No mistake repeats what was read."""

    def __init__(self, file: TomlFile, entry: dict[str, Any], at: Place, folder: Path, environment: Mapping[str, str]) -> None:
        self._file, self._entry, self._at, self._folder, self._environment = file, entry, at, folder, environment

    def get(self, name: str) -> str | None:
        """The value of `NAME_env` or `NAME_file`, None when neither is there (or it cannot be read: a mistake)."""
        variable = self._file.get(self._entry, f"{name}_env", str, self._at, None)
        path = self._file.get(self._entry, f"{name}_file", str, self._at, None)
        if variable is not None and path is not None:
            self._file.wrong((*self._at, f"{name}_env"), f"stands beside {name}_file; keep one of them")
        if variable is not None:
            return self._variable(name, variable)
        return None if path is None else self._read(name, path)

    def named(self, name: str) -> bool:
        return f"{name}_env" in self._entry or f"{name}_file" in self._entry

    def _variable(self, name: str, variable: str) -> str | None:
        if variable.startswith("FOOTSTREAM_"):
            self._file.wrong((*self._at, f"{name}_env"), "names beginning with FOOTSTREAM_ are settings; choose another")
            return None
        value = self._environment.get(variable, "").strip()
        if not value:
            self._file.wrong((*self._at, f"{name}_env"), f"the environment variable {variable} is not set")
        return value or None

    def _read(self, name: str, path: str) -> str | None:
        try:
            value = (self._folder / path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "not text"
            self._file.wrong((*self._at, f"{name}_file"), f"{path} cannot be read: {why}; check path and rights")
            return None
        if not value:
            self._file.wrong((*self._at, f"{name}_file"), f"{path} is empty")
        return value or None


def _url(file: TomlFile, entry: dict[str, Any], at: Place, kind: ChannelKind, read: _Secrets) -> str:
    written = file.get(entry, "url", str, at, None)
    if written is not None and kind.secret_url:
        file.wrong((*at, "url"), f"the URL of {kind.kind} is a secret; name it with url_env or url_file")
        return ""
    if written is not None and read.named("url"):
        file.wrong((*at, "url"), "stands beside url_env or url_file; keep one of them")
    if written is None and not read.named("url"):
        file.wrong(at, "url is missing; add url_env or url_file" + ("" if kind.secret_url else ", or url"))
    url = read.get("url") if written is None else written
    mistake = None if url is None else url_mistake(url, bool(entry.get("allow_private")))
    if mistake is not None:
        file.wrong((*at, "url"), f"the URL {mistake}")
    return url or ""


def _signing_keys(file: TomlFile, at: Place, kind: ChannelKind, read: _Secrets) -> tuple[str, ...]:
    if not kind.signs:
        for name in filter(read.named, ("secret", "old_secret")):
            file.wrong(at, f"{name}_env or {name}_file: messages of {kind.kind} are not signed; take it away")
        return ()
    if not read.named("secret"):
        file.wrong(at, "a signing secret is missing; add secret_env or secret_file")
    return tuple(secret for secret in (read.get("secret"), read.get("old_secret")) if secret)
