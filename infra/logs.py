"""Opening the log that the settings name."""

from connectors.log import Log, open_log
from infra.settings import Settings, SettingsError


def client_options(settings: Settings) -> dict[str, str]:
    """`FOOTSTREAM_LOG_OPTIONS` as names and values. Raises SettingsError for a part without `=`."""
    options = {}
    for part in filter(None, (p.strip() for p in settings.log_options.split(","))):
        name, equals, value = part.partition("=")
        if not equals:
            raise SettingsError(f"FOOTSTREAM_LOG_OPTIONS: {name!r} has no value; write name=value, separated by commas")
        options[name.strip()] = value.strip()
    return options


def open_settings_log(settings: Settings, url: str | None = None) -> Log:
    """The log of the settings, or another one behind `url` with the same prefix and options. Raises LogError, SettingsError."""
    return open_log(url or settings.log(), settings.topic_prefix, client_options(settings), settings.log_max_mib)
