"""Opening the log that the settings name."""

import re

from connectors.log import Log, open_log
from infra.settings import Settings, SettingsError

SECURITY = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")
SASL = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
_NAME = re.compile(r"[a-z0-9]+(\.[a-z0-9]+)+|acks|debug|retries|partitioner")


def client_options(settings: Settings) -> dict[str, str]:
    """Security and `FOOTSTREAM_LOG_OPTIONS` as librdkafka's names and values. Raises SettingsError, without any value."""
    options = _security(settings)
    for number, part in enumerate(filter(None, (p.strip() for p in settings.log_options.split(","))), 1):
        name, equals, value = (p.strip() for p in part.partition("="))
        if not _NAME.fullmatch(name):  # not repeated: it may be the rest of a password with a comma
            raise SettingsError(
                f"FOOTSTREAM_LOG_OPTIONS: part {number} begins with no name of librdkafka; write name=value, separated by"
                " commas, and a password into FOOTSTREAM_LOG_PASSWORD"
            )
        if not equals:
            raise SettingsError(f"FOOTSTREAM_LOG_OPTIONS: {name!r} has no value; write name=value, separated by commas")
        options[name] = value
    return options


def open_settings_log(settings: Settings, url: str | None = None) -> Log:
    """The log of the settings, or another one behind `url` with the same prefix and options. Raises LogError, SettingsError."""
    durability = (settings.log_replication, settings.log_min_insync, settings.log_retention_bytes)
    return open_log(url or settings.log(), settings.topic_prefix, client_options(settings), settings.log_max_mib, durability)


def _security(settings: Settings) -> dict[str, str]:
    """How the brokers are talked to and logged into. Raises SettingsError for what is missing or has no effect."""
    protocol, mechanism = settings.log_security.lower() or SECURITY[0], settings.log_sasl.upper()
    if protocol not in SECURITY:
        raise SettingsError(f"FOOTSTREAM_LOG_SECURITY is none of {', '.join(SECURITY)}; choose one")
    options = {"security.protocol": protocol} if settings.log_security else {}
    if protocol.startswith("sasl"):
        options |= _login(settings, mechanism)
    elif settings.log_sasl or settings.log_user or settings.log_password:
        raise SettingsError(
            f"FOOTSTREAM_LOG_USER, _PASSWORD and _SASL have no effect with FOOTSTREAM_LOG_SECURITY={protocol}; set sasl_ssl"
        )
    files = {
        "ssl.ca.location": settings.log_ca,
        "ssl.certificate.location": settings.log_certificate,
        "ssl.key.location": settings.log_key,
        "ssl.key.password": settings.log_key_password,
    }
    given = {name: value for name, value in files.items() if value}
    if given and not protocol.endswith("ssl"):
        raise SettingsError(
            f"FOOTSTREAM_LOG_CA, _CERTIFICATE and _KEY have no effect with FOOTSTREAM_LOG_SECURITY={protocol};"
            " set ssl or sasl_ssl"
        )
    return options | given


def _login(settings: Settings, mechanism: str) -> dict[str, str]:
    if mechanism not in SASL:
        raise SettingsError(f"FOOTSTREAM_LOG_SASL is none of {', '.join(SASL)}; choose the one that the brokers take")
    if not settings.log_user or not settings.log_password:
        raise SettingsError("FOOTSTREAM_LOG_USER and FOOTSTREAM_LOG_PASSWORD are needed to log into Kafka; set both")
    if mechanism != "OAUTHBEARER":
        return {
            "sasl.mechanisms": mechanism,
            "sasl.username": settings.log_user,
            "sasl.password": settings.log_password,
        }
    if not settings.log_token_url:
        raise SettingsError("FOOTSTREAM_LOG_TOKEN_URL is needed for OAUTHBEARER; set the address that gives out tokens")
    scope = {"sasl.oauthbearer.scope": settings.log_scope} if settings.log_scope else {}
    return scope | {
        "sasl.mechanisms": mechanism,
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.client.id": settings.log_user,
        "sasl.oauthbearer.client.secret": settings.log_password,
        "sasl.oauthbearer.token.endpoint.url": settings.log_token_url,
    }
