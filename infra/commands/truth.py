"""`footstream audit`, `repair`, `rebuild`: does the store say what its observations say, and make it so."""

import json
import sys
from datetime import date
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from infra.errors import Problem
from infra.settings import Settings, load

if TYPE_CHECKING:  # the command line starts quickly
    from connectors.clickhouse import Store
    from connectors.log import Log
    from schemas.sites import Registry

Sites = Annotated[list[str] | None, typer.Option("--site", help="only these stores")]
Day = Annotated[str | None, typer.Option(help="civil day, ISO")]


class _Opened(NamedTuple):
    store: "Store"
    registry: "Registry"
    log: "Log"
    partitions: int | None


def _open(settings: Settings) -> _Opened:
    from connectors.log import RAW
    from infra.logs import open_settings_log
    from infra.registry import load_registry
    from infra.stores import open_store

    log = open_settings_log(settings)
    return _Opened(open_store(settings), load_registry(settings.sites, settings.default_zone), log, log.partitions(RAW))


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Problem(f"day {text!r}: write it as 2026-07-31", 2) from None


def register(app: typer.Typer) -> None:
    @app.command()
    def audit(site: Sites = None, first: Day = None, last: Day = None) -> None:
        """Compute a range again from the observations and name every key that differs; check that no message is missing."""
        from rich.progress import track

        from infra.gaps import noted
        from infra.recompute import audit_days, balance, spans, stored_days, stored_sites

        store, registry, log, partitions = _open(load())
        low, high = _day(first), _day(last)
        todo, count, wrong, shown = [], 0, 0, 20
        for site_id in site or stored_sites(store):
            shop = registry.site(site_id)
            days = [d for d in stored_days(store, shop) if (not low or d >= low) and (not high or d <= high)]
            todo += [(shop, *span) for span in spans(store, shop, days)]
            count += len(days)
        for shop, start, end, generation in track(todo, "audit", disable=not sys.stderr.isatty()):
            for difference in audit_days(store, registry, shop, start, end, generation, partitions):
                wrong += 1
                if wrong <= shown:
                    print(json.dumps({"differs": difference.table, "key": difference.key, **difference.unequal()}, default=str))
        uneven = [b for b in balance(store, log.bounds("raw") if partitions else {}) if not b.even]
        for b in uneven:
            outcomes = f"stored {b.stored}, duplicates {b.duplicates}, quarantined {b.quarantined}"
            print(f"partition {b.partition}: received {b.received}, {outcomes}")
        for gap in noted(store):
            print(f"never read, the log had deleted it: {gap}")
        if wrong or uneven:
            raise Problem(
                f"audit: {wrong} figures differ, {len(uneven)} partitions do not add up; `footstream repair`, then audit again"
            )
        shops = len({shop.id for shop, *_ in todo})
        print(f"audit: {count} days of {shops} stores are what their observations say; every message has one outcome")

    @app.command()
    def repair(site: Sites = None, day: Day = None) -> None:
        """Compute again every civil day that late data asked for; or one day of the stores named."""
        from infra.recompute import ask, repair

        store, registry, _, partitions = _open(load())
        if day:
            ask(store, site or [], str(_day(day)))
        count = repair(store, registry, partitions, lambda s, d: print(f"repair: {s} {d}", file=sys.stderr))
        print(f"repair: {count} days")

    @app.command()
    def rebuild(site: Sites = None, first: Day = None, last: Day = None) -> None:
        """Compute closed days again under the next generation, after a change of the registry or of a definition."""
        from rich.progress import track

        from infra.recompute import closed_days, rebuild, stored_sites

        store, registry, _, partitions = _open(load())
        low, high = _day(first), _day(last)
        todo = [
            (shop, d)
            for shop in map(registry.site, site or stored_sites(store))
            for d in closed_days(store, shop, partitions)
            if (not low or d >= low) and (not high or d <= high)
        ]
        rows = sum(
            rebuild(store, registry, s, d, partitions) for s, d in track(todo, "rebuild", disable=not sys.stderr.isatty())
        )
        print(f"rebuild: {len(todo)} days, {rows} rows; days that are still open are the lane's")
