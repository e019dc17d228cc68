"""What all Kafka clients of ours share: settings that nobody may change, errors that name no secret, refused logins."""

import re
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from connectors.log import LogError

_OURS = {
    "acks": "an append counts when all in-sync replicas have it",
    "request.required.acks": "an append counts when all in-sync replicas have it",
    "enable.idempotence": "without it a retry doubles records",
    "transactional.id": "appends are no transactions",
    "enable.auto.commit": "positions are kept with the results",
    "enable.auto.offset.store": "positions are kept with the results",
    "auto.offset.reset": "a lost position must be told, not skipped",
    "enable.partition.eof": "the end of a partition must be known",
    "bootstrap.servers": "the brokers stand in FOOTSTREAM_LOG",
    "metadata.broker.list": "the brokers stand in FOOTSTREAM_LOG",
}
"""Options that would break a promise, each with the promise."""
_SHOWN_NAME = re.compile(r".*\.(location|url|username|id)")
_SHOWN_VALUE = re.compile(r"PLAIN|SCRAM-SHA-\d+|OAUTHBEARER|oidc|(sasl_)?(ssl|plaintext)|.{1,3}", re.IGNORECASE)
_VALUE = re.compile(r'value "[^"]*"')
_LOGIN = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError.UNSUPPORTED_SASL_MECHANISM)


class Clients:
    """Makes clients for one cluster, and remembers why their login was refused. Raises LogError for wrong options."""

    def __init__(self, servers: str, conf: Mapping[str, Any], options: Mapping[str, str]) -> None:
        for name in options:
            if name in _OURS:
                raise LogError(f"FOOTSTREAM_LOG_OPTIONS: {name} cannot be set: {_OURS[name]}; remove it")
        self.servers = servers
        self.conf: dict[str, Any] = {"bootstrap.servers": servers, **conf, **options, "error_cb": self._heard}
        hidden = (v for k, v in options.items() if v and not _SHOWN_NAME.fullmatch(k) and not _SHOWN_VALUE.fullmatch(v))
        self._hidden = sorted(hidden, key=len, reverse=True)  # any of them may be a password in the wrong place
        self._login: str | None = None
        self._hint = ""

    def make(self, kind: Any, conf: Mapping[str, Any]) -> Any:
        """A client of that class with `conf` below what is common to all."""
        try:
            return kind({**conf, **self.conf})
        except (KafkaException, ValueError) as error:
            why = error.args[0].str() if isinstance(error, KafkaException) else str(error)
            raise LogError(
                f"Kafka {self.servers}: {self.hide(_VALUE.sub('value', why))}; correct FOOTSTREAM_LOG_OPTIONS and the other"
                " settings of the log"
            ) from None  # the text of the cause may hold a secret

    def refused(self) -> LogError | None:
        """Why the brokers do not let us in, when they said so; it is told once."""
        said, self._login = self._login, None
        return None if said is None else LogError(said)

    def away(self, error: Exception) -> LogError:
        """The one line for a question that was not answered."""
        why = error.args[0].str() if isinstance(error, KafkaException) else str(error)
        return self.refused() or LogError(
            f"Kafka {self.servers}: {self.hide(why)}{self._hint}; check that it runs, that the address is right and that it may"
            " be reached"
        )

    def hide(self, text: str) -> str:
        """The text on one line, without values of options that may be secret."""
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return " ".join(text.split())

    def _heard(self, error: KafkaError) -> None:
        """What librdkafka says beside answers: called within polls."""
        said = self.hide(error.str())
        if error.code() in _LOGIN:
            user = self.conf.get("sasl.username") or self.conf.get("sasl.oauthbearer.client.id") or ""
            self._login = (
                f"Kafka {self.servers}: user {user!r} was not let in: {said}; check FOOTSTREAM_LOG_USER,"
                " FOOTSTREAM_LOG_PASSWORD and FOOTSTREAM_LOG_SASL"
            )
        elif error.code() == KafkaError._SSL:
            self._login = (
                f"Kafka {self.servers}: no TLS connection: {said}; check FOOTSTREAM_LOG_CA, FOOTSTREAM_LOG_CERTIFICATE and"
                " that the broker's certificate names its host"
            )
        elif "security.protocol" in said:
            self._hint = " (or it speaks another protocol than FOOTSTREAM_LOG_SECURITY says)"
