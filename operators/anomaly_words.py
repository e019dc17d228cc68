"""What an anomaly is, in plain words."""

from operators.models import WEEK, Evidence, Score

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def span(minutes: int) -> str:
    """A length of time after "the last".

    >>> span(30), span(60), span(240)
    ('30 minutes', 'hour', '4 hours')
    """
    if minutes % 60:
        return f"{minutes} minutes"
    return "hour" if minutes == 60 else f"{minutes // 60} hours"


def reason(score: Score, value: float | None, slot: int, minutes: int = 15) -> str:
    """What happened. `slot`: quarter of the civil week; `minutes`: length of a slot.

    >>> reason(Score(0.6, 57.0, 40.2, 75.3, Evidence("surge", 2, 140.0, 80.1, 120.4)), 90, 4 * 96 + 60)
    '140 in the last 30 minutes, usual 80 to 120 on a Friday'
    """
    if value is None:
        return f"no count in the last {span(minutes)}"
    found = score.evidence
    if found is None:
        if score.low is None or score.high is None:
            return f"{value:.0f} in the last {span(minutes)}, nothing to compare with yet"
        found = Evidence("", 1, value, score.low, score.high)
    low, high = f"{found.low:.0f}", f"{found.high:.0f}"
    usual = f"usual {low if low == high else f'{low} to {high}'} on a {_DAYS[slot % WEEK // 96]}"
    if found.kind == "stuck":
        return f"{value:.0f} again, the same number in slot after slot, {usual}"
    people = f"{found.value:.0f}" if found.value else "nobody"
    return f"{people} in the last {span(minutes * found.slots)}, {usual}"
