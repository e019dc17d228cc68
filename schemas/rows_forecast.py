"""Tables of forecasts and of how good they were. Part of `schemas.rows`.

How rows travel, and what kinds of table there are, stands there.
"""

from schemas.tables import F64, NAME, TEXT, TIME, U8, U16, U32, Column, Table

_SHARE = "Nullable(Float64)"


def _series() -> dict[str, Column]:
    return {
        "site": Column(NAME, "Store"),
        "section": Column(NAME, "Whose people in: site (all entrances together) or line (one entrance)"),
        "device": Column(NAME, "Device of the line; empty for the store"),
        "part": Column(U16, "Number of the line; 0 for the store"),
    }


class Forecast(Table):
    name = "forecast"
    comment = (
        "People in that were expected, as it was said then, for hours and quarters of civil time. Never rewritten: the newest"
        " made_at of a target is the newest word on it."
    )
    key = ("site", "section", "device", "part", "step", "target", "made_at")
    time = "target"
    partition = "toYYYYMM(target)"
    keep_days = 396

    site, section, device, part = _series().values()
    step = Column(NAME, "1h or 15m")
    target = Column(TIME, "Start of the hour or quarter that is forecast, UTC")
    made_at = Column(TIME, "When it was said, store time, UTC")
    mean = Column(F64, "People expected: the middle, as often too low as too high")
    lo50 = Column(F64, "Lower end of the 50 % interval")
    hi50 = Column(F64, "Upper end of the 50 % interval")
    lo80 = Column(F64, "Lower end of the 80 % interval")
    hi80 = Column(F64, "Upper end of the 80 % interval")
    lo95 = Column(F64, "Lower end of the 95 % interval")
    hi95 = Column(F64, "Upper end of the 95 % interval")
    model = Column(NAME, "Model that said it: the one with the smallest error of late")


class ForecastError(Table):
    name = "forecast_error"
    comment = (
        "How good each model's forecasts of hours were, written at the end of each civil day: means over about the last hundred"
        " hours with people."
    )
    key = ("site", "section", "device", "part", "ahead", "model", "at")
    time = "at"
    partition = "toYYYYMM(at)"
    keep_days = 1826

    site, section, device, part = _series().values()
    ahead = Column(U8, "Hours ahead at which it was said: 1 or 24")
    model = Column(TEXT, "Model")
    at = Column(TIME, "End of the newest hour that was judged, UTC")
    error = Column(F64, "Mean absolute error, people")
    late_error = Column(F64, "The same over about the last ten hours: far above `error` means that something has changed")
    bias = Column(F64, "Mean of what came minus what was said, people: its sign says which way the store drifts")
    champion_error = Column(F64, "Error of the first model over the hours of this one, people")
    hours = Column(U32, "Hours judged so far")
    speaks = Column(U8, "1: this model's word stands in the table forecast")
    covered50 = Column(_SHARE, "Share of hours within the 50 % interval; NULL for models that do not speak")
    covered80 = Column(_SHARE, "Share within the 80 % interval")
    covered95 = Column(_SHARE, "Share within the 95 % interval")
