"""Detections: what video analytics, terminals and surveys say, one row each, in a table of their own.

Guarantee: every accepted detection is a row, once, whatever the order and however often it was sent. Nothing is computed here.

Privacy: no image comes this far (they are cut out before the log, and an event carries a link at most). A link may lead to
pictures of people, so it stands in this table only, which is kept for 90 days; `observations` keep the event without it.
Sentiment is what people pressed or wrote, never what a camera read in faces: the dialect has no place for that.
"""

from collections.abc import Mapping, Sequence

from operators.moment import FOREVER, Context, Flow, Moment, Output, SiteFlow
from operators.traffic import Change
from schemas.events import Detection, Plain
from schemas.forms import RANK
from schemas.sites import Site
from schemas.tables import MAYBE, MS, NAME, TEXT, TIME, U64, Column, Table


class Detections(Table):
    name = "detections"
    comment = "Security incidents, product interactions, dwell at displays and sentiment, as video analytics or terminals say."
    key = ("site", "what", "start", "event_id")
    version = "rank"
    time = "start"
    partition = "toYYYYMM(start)"
    keep_days = 90

    site = Column(NAME, "Store")
    what = Column(NAME, "security_incident, product_interaction, display_dwell or sentiment")
    label = Column(NAME, "The sender's own word: fight, pick, loiter, happy button")
    device = Column(NAME, "Device that said it")
    camera = Column(NAME, "Camera or terminal behind the device; empty when it does not say")
    zone = Column(MAYBE, "Number of the zone; 0 the whole view, NULL: not said")
    start = Column(TIME, "Chosen event time: start, or the moment")
    end = Column(TIME, "Chosen event time: end, or the moment")
    confidence = Column("Nullable(Float64)", "0 to 1, of the sender; NULL: not said")
    value = Column("Nullable(Float64)", "What was measured: seconds at the display, score of the answer; NULL: nothing")
    link = Column(TEXT, "Where the sender keeps more; never an image")
    event_id = Column(U64, "Identity of the event, as in observations")
    arrival_ms = Column(MS, "Arrival of the earliest copy, epoch ms")
    rank = Column(U64, "2^63 - arrival_ms: the earliest copy wins")


class DetectionsFlow:
    """Has no state: a row is written with the report that says it."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def take(self, m: Moment) -> None:
        for a in m.accepted:
            e = a.event
            if type(e) is not Detection:
                continue
            row = Detections.row(
                site=self.site.id,
                what=e.what,
                label=e.label,
                device=a.from_.report.device,
                camera=e.camera,
                zone=e.zone,
                start=a.start,
                end=a.end,
                confidence=e.confidence,
                value=e.value,
                link=e.link,
                event_id=a.event_id,
                arrival_ms=a.arrival,
                rank=RANK - a.arrival,
            )
            m.out.rows.setdefault("detections", []).append(row)

    def take_plains(self, reports: Sequence[Plain], changes: list[Change] | None, now: int) -> None:
        """Plain reports hold counts only."""

    def due(self) -> int:
        return FOREVER

    def advance(self, m: Moment) -> None:
        """Nothing is timed here."""

    def dirty(self) -> bool:
        return False

    def flush(self, now: int, force: bool, out: Output) -> None:
        """Nothing waits here."""

    def state(self) -> bytes:
        return b""


def _build(site: Site, state: bytes | None, upstream: Mapping[str, SiteFlow], context: Context) -> SiteFlow:
    return DetectionsFlow(site)


SAMPLE = [
    (
        "2026-07-31T10:01:02Z",
        b"""{"format": "footstream/v1", "device": "6537F28778010000", "events": [
{"type": "detection", "what": "display_dwell", "start": "2026-07-31T10:00:00Z", "end": "2026-07-31T10:00:41Z", "zone": 2,
"label": "loiter", "confidence": 0.87, "value": 41, "link": "https://nvr.example/e/1"},
{"type": "zone_count", "zone": 2, "present": 3, "start": "2026-07-31T10:00:00Z", "end": "2026-07-31T10:01:00Z"}]}""",
    ),
    (
        "2026-07-31T10:01:04Z",
        b"""{"format": "footstream/v1", "device": "6537F28778010000", "events": [
{"type": "detection", "what": "display_dwell", "start": "2026-07-31T10:00:00Z", "end": "2026-07-31T10:00:41Z", "zone": 2,
"label": "loiter", "confidence": 0.87, "value": 41, "link": "https://nvr.example/e/1"}]}""",
    ),
    (
        "2026-07-31T10:02:00Z",
        b"""{"format": "footstream/v1", "device": "6537F28778010000", "events": [
{"type": "detection", "what": "sentiment", "time": "2026-07-31T10:01:30Z", "camera": "exit terminal", "label": "happy button",
"value": 5}, {"type": "detection", "what": "emotion", "time": "2026-07-31T10:01:31Z", "label": "sad face"}]}""",
    ),
]
EXPECTED: dict[str, list[dict[str, object]]] = {
    "detections": [
        {
            "what": "display_dwell",
            "start": "2026-07-31T10:00:00Z",
            "end": "2026-07-31T10:00:41Z",
            "zone": 2,
            "confidence": 0.87,
            "value": 41.0,
            "link": "https://nvr.example/e/1",
            "arrival_ms": 1785492062000,
        },
        {
            "what": "sentiment",
            "start": "2026-07-31T10:01:30Z",
            "end": "2026-07-31T10:01:30Z",
            "zone": None,
            "camera": "exit terminal",
            "value": 5.0,
            "link": "",
        },
    ],
}

FLOW = Flow(
    name="detections",
    summary="security incidents, product interactions, dwell at displays, sentiment: one row each",
    after=(),
    tables=(Detections,),
    build=_build,
)
