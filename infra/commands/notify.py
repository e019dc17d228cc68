"""`footstream notify`: alerts to people; and what people do with them: `alerts`, `ack`, `silence`, `receivers`."""

import getpass
import os
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.errors import Problem
from infra.say import load_role
from infra.settings import Settings, load

FILE = "notify.sqlite"
_HOUR_MS = 3_600_000
_MOST_HOURS = 8760


def outbox_path(settings: Settings) -> Path:
    """Where the outbox of an installation is."""
    return settings.data / FILE


def run_notifier(settings: Settings) -> None:
    """One notifier with health and metrics, until SIGTERM. Raises LogError, OutboxError, ReceiversError or Problem."""
    import signal
    import threading

    from prometheus_client import REGISTRY

    from connectors.log import TRANSITIONS
    from infra.logs import open_settings_log
    from infra.metrics import serve_role
    from infra.notifier import Notifier, say
    from infra.notifier_metrics import NotifierMetrics
    from infra.receivers import load_receivers

    receivers = load_receivers(settings.receivers, os.environ)
    log = open_settings_log(settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        log.ensure_topic(TRANSITIONS, settings.log_partitions, settings.log_retention_days * 86_400)
        notifier = Notifier(log, outbox_path(settings), receivers, latest=lambda: _store_transitions(settings))
        notifier.start()
        for receiver in receivers:
            say(f"receiver {receiver.shown()}")
        if not receivers:
            say("no receivers: alerts are recorded and shown, nothing is sent; set FOOTSTREAM_RECEIVERS")
        metrics = NotifierMetrics(notifier.figures)
        REGISTRY.register(metrics)
        try:
            server = serve_role(settings, "notify", notifier.health)
            try:
                notifier.run(stop)
            finally:
                server.close()
        finally:
            REGISTRY.unregister(metrics)
            notifier.close()
    finally:
        log.close()


def _store_transitions(settings: Settings) -> Iterable[Any]:
    from infra.alert_store import newest_transitions
    from infra.stores import open_store

    store = open_store(settings, "reader", 5.0)
    try:
        return newest_transitions(store)
    finally:
        store.close()


def _desk() -> Any:
    from connectors.outbox import Desk, OutboxFile

    path = outbox_path(load())
    if not path.exists():
        raise Problem(f"outbox {path}: not there; `footstream notify` makes it, or set FOOTSTREAM_DATA")
    return Desk(OutboxFile(path))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _length_ms(command: str, hours: float) -> int:
    if not 0 < hours <= _MOST_HOURS:  # also what is no number
        raise Problem(f"{command}: {hours} hours; give more than 0 and at most {_MOST_HOURS}", 2)
    return round(hours * _HOUR_MS)


def _shown(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S}Z"


def register(app: typer.Typer) -> None:
    app.command()(notify)
    app.command()(alerts)
    app.command()(ack)
    app.command()(silence)
    app.command()(receivers)


def notify() -> None:
    """Read transitions of alerts and deliver them to the receivers, until SIGTERM."""
    run_notifier(load_role("notify"))


def alerts(every: Annotated[bool, typer.Option("--all", help="also those that are resolved")] = False) -> None:
    """List the open alerts, the newest first."""
    now = _now_ms()
    for alert in _desk().alerts(open_only=not every):
        held = alert["acked_by"] and (alert["acked_until_ms"] is None or alert["acked_until_ms"] > now)
        acked = f"  acknowledged by {alert['acked_by']}" if held else ""
        state = "back-filled" if alert["backfilled"] else alert["kind"]
        place = " ".join(filter(None, (alert["site"], alert["rule"], alert["subject"])))
        print(f"{alert['fingerprint']}  {state}  {alert['severity']}  {place}  since {_shown(alert['onset_ms'])}{acked}")


def ack(
    fingerprint: Annotated[str, typer.Argument(help="as `footstream alerts` shows it")],
    hours: Annotated[float | None, typer.Option(help="for so long; without it, until the alert resolves")] = None,
    by: Annotated[str, typer.Option(help="who looks after it")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="take it back")] = False,
) -> None:
    """Acknowledge an open alert: no more reminders."""
    desk, now = _desk(), _now_ms()
    if undo:
        desk.withdraw(fingerprint, by or getpass.getuser(), now)
        return
    until = None if hours is None else now + _length_ms("ack", hours)
    desk.acknowledge(fingerprint, by or getpass.getuser(), now, until)


def silence(
    matchers: Annotated[list[str] | None, typer.Argument(help="site=…, rule=…, family=…, subject=…, severity=…")] = None,
    hours: Annotated[float, typer.Option(help="for so long, 720 at most")] = 2.0,
    by: Annotated[str, typer.Option(help="who says so")] = "",
    comment: Annotated[str, typer.Option(help="why")] = "",
    end: Annotated[int | None, typer.Option(help="end the silence of that number")] = None,
) -> None:
    """Send no firing of the matching alerts for a while; without matchers, list the silences."""
    desk, now, author = _desk(), _now_ms(), by or getpass.getuser()
    if end is not None:
        desk.end_silence(end, author, now)
    elif matchers:
        wrong = [m for m in matchers if "=" not in m]
        if wrong:
            raise Problem(f"silence: {wrong[0]!r} is not name=text, such as site=oslo", 2)
        until = now + _length_ms("silence", hours)
        number = desk.silence(dict(m.split("=", 1) for m in matchers), now, until, author, comment, now)
        print(number)
    else:
        for s in desk.silences(now):
            words = " ".join(f"{name}={text}" for name, text in s.matchers.items())
            print(f"{s.id}  {words}  {_shown(s.start_ms)} to {_shown(s.end_ms)}  {s.author}: {s.comment}")


def receivers(enable: Annotated[str | None, typer.Option(help="a receiver that was disabled takes part again")] = None) -> None:
    """Show the receivers: what waits for them, what was given up, whether they are disabled."""
    desk = _desk()
    if enable is not None:
        desk.enable(enable, getpass.getuser(), _now_ms())
    for r in desk.receivers():
        state = f"disabled: {r['disabled']}" if r["disabled"] else f"failing {r['failures']} times" if r["failures"] else "ok"
        print(f"{r['name']}  {state}  sent {r['sent']}  waiting {r['waiting']}  given up {r['dead']}")
