"""Opening the log that the settings name."""

from connectors.log import Log, open_log
from infra.settings import Settings, SettingsError


def client_options(settings: Settings) -> dict[str, str]:
    """`FOOTSTREAM_LOG_OPTIONS` as names and values. Raises SettingsError for a part without `=`."""
    options = {}
    for number, part in enumerate(filter(None, (p.strip() for p in settings.log_options.split(","))), 1):
        name, equals, value = part.partition("=")
        if not equals:  # not shown: it may be the rest of a password with a comma in it
            raise SettingsError(f"FOOTSTREAM_LOG_OPTIONS: part {number} has no `=`; write name=value, separated by commas")
        options[name.strip()] = value.strip()
    return options


def open_settings_log(settings: Settings, url: str | None = None) -> Log:
    """The log of the settings, or another one behind `url` with the same prefix and options. Raises LogError, SettingsError."""
    return open_log(url or settings.log(), settings.topic_prefix, client_options(settings), settings.log_max_mib)
