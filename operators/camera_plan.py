"""What to ask a network camera for, and when: hours of its civil time, oldest first, nothing twice that cannot have changed.

`lines`: counts by hour, a civil day at most in one request. The row of the running hour grows, so it is asked for again and
again, and once more after it has ended; the later answer replaces the earlier one, as for any window of a line. `regions`,
`heat` (one number an hour) and `space` (a map of points, one hour a request) are asked for once an hour is over. A camera
without a memory card keeps seven days: older hours are not asked for.

Formats: public connectors to fisheye and IPC series; the vendor publishes no list of calls.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

HOUR, DAY = 3600, 86_400
KEPT_S = 7 * DAY
SETTLE_S = 300
"""So long after the end of an hour a camera has written its row, and its clock may be late."""
_PATH = "/dataloader.cgi?"
_DW = {
    "lines": "dw=vcalogcsv&report_type=0&statistics_type=3&linetype=31",
    "regions": "dw=regionalcountlogcsv&report_type=0&lengthtype=0&length=0&region1=1&region2=1&region3=1&region4=1",
    "heat": "dw=heatmapcsv&sub_type=0",
    "space": "dw=spaceheatmap&sub_type=0",
}
QUERIES = tuple(_DW)


class Ask(NamedTuple):
    """One request: hours [start, end) in epoch seconds. `path` begins with /; `last`: their last second, civil."""

    query: str
    start: int
    end: int
    path: str
    last: str

    @property
    def words(self) -> str:
        """The query part, as it stands in the first line of the record."""
        return self.path.partition("?")[2]


def next_ask(query: str, done: int | None, now: int, zone: ZoneInfo) -> Ask | None:
    """The next request, when everything before `done` (epoch s) is known; None when there is nothing to ask now.

    `done` None: nothing is known yet.
    """
    start = _hour(max(done or 0, now - KEPT_S), zone)
    closed = _hour(now - SETTLE_S, zone)
    end = _hour(now, zone) + HOUR if query == "lines" else closed
    if query == "space":
        end = min(end, start + HOUR)
    else:
        midnight = datetime.fromtimestamp(start, UTC).astimezone(zone).replace(hour=0) + timedelta(days=1)
        end = min(end, int(midnight.timestamp()))
    if end <= start:
        return None
    first, last = (datetime.fromtimestamp(at, UTC).astimezone(zone) for at in (start, end - 1))
    times = f"&time_start={first:%Y-%m-%d-%H:%M:%S}&time_end={last:%Y-%m-%d-%H:%M:%S}"
    return Ask(query, start, end, f"{_PATH}{_DW[query]}{times}", f"{last:%Y-%m-%d %H:%M:%S}")


def done_after(ask: Ask, now: int, zone: ZoneInfo) -> int:
    """Up to where everything is known once that answer is in the log (`now`: when it was asked for)."""
    return min(ask.end, max(ask.start, _hour(now - SETTLE_S, zone)))


def _hour(moment: int, zone: ZoneInfo) -> int:
    """Start of the civil hour (some zones are half an hour off)."""
    local = datetime.fromtimestamp(moment, UTC).astimezone(zone)
    return moment - local.minute * 60 - local.second


def begun(text: bytes, last: str) -> bytes:
    """A table without the rows of hours that have not begun: some cameras send them, with zeros. Other text as it is."""
    if text[:9].lower() != b"starttime":
        return text
    head, *rows = text.splitlines(keepends=True)
    limit = last.encode()
    return b"".join([head, *(row for row in rows if row.lstrip()[:19].replace(b"/", b"-") <= limit)])


__all__ = ["QUERIES", "Ask", "begun", "done_after", "next_ask"]
