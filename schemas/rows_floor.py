"""Tables of the store's floor: paths, heat, health of devices by the hour. Shapes and rules as in schemas/rows.py, which
loads them."""

from schemas.tables import COUNT, F64, MAYBE, NAME, TEXT, TIME, U8, U16, U32, U64, Column, Table, known

REAL = "Nullable(Float64)"


class PathFlows(Table):
    name = "path_flows"
    comment = "People from place to place by hour of the store's clock (origin-destination matrices), by source."
    revised = True
    key = ("site", "source", "start", "origin", "destination")
    version = "complete"
    time = "start"
    partition = "toYYYYMM(start)"

    site = Column(NAME, "Store")
    source = Column(NAME, "matrix: counted by the device from edge to edge; stays: from stays of one device and track")
    start = Column(TIME, "Start of the hour, UTC")
    end = Column(TIME, "End of the hour, UTC")
    origin = Column(NAME, "Place they came from: entry, zone:DEVICE:N, edge:DEVICE:X")
    destination = Column(NAME, "Place they went to: exit, zone:DEVICE:N, edge:DEVICE:X")
    origin_name = Column(TEXT, "Origin for people to read")
    destination_name = Column(TEXT, "Destination for people to read")
    people = Column(COUNT, "People")
    complete, revision, known_at_ms = known().values()


class PathEstimates(Table):
    name = "path_estimates"
    comment = (
        "People from place to place by hour where only lines and zones are counted: a model (iterative proportional"
        " fitting), said once per hour and never rewritten."
    )
    key = ("site", "start", "origin", "destination")
    version = "position"
    time = "start"
    partition = "toYYYYMM(start)"

    site = Column(NAME, "Store")
    start = Column(TIME, "Start of the hour, UTC")
    end = Column(TIME, "End of the hour, UTC")
    origin = Column(NAME, "Place they came from: line:DEVICE:N (came in there, for an entrance), zone:DEVICE:N")
    destination = Column(NAME, "Place they went to: line:DEVICE:N (left there, for an entrance), zone:DEVICE:N")
    origin_name = Column(TEXT, "Origin for people to read")
    destination_name = Column(TEXT, "Destination for people to read")
    people = Column(F64, "Estimate; docs/analysts.md says how far off such estimates were where the truth is known")
    low = Column(F64, "Fewer are impossible with these counts")
    high = Column(F64, "More are impossible with these counts")
    unbalanced = Column(F64, "People that left places against people that came to them: difference by their mean")
    position = Column(U64, "Log time when it was said, epoch ms")


class PathPlaces(Table):
    name = "path_places"
    comment = "Stays per zone and hour in which they began: dwell, bounce, where visits begin and end. Staff is left out."
    revised = True
    key = ("site", "start", "place")
    version = "complete"
    time = "start"
    partition = "toYYYYMM(start)"

    site = Column(NAME, "Store")
    start = Column(TIME, "Start of the hour, UTC")
    end = Column(TIME, "End of the hour, UTC")
    place = Column(NAME, "zone:DEVICE:N")
    place_name = Column(TEXT, "Zone for people to read")
    stays = Column(COUNT, "Stays that began in the hour")
    bounced = Column(COUNT, "Of these shorter than 10 s: bounce rate = bounced / stays")
    dwell_s = Column(F64, "Seconds of all these stays together")
    began = Column(COUNT, "Visits that began here (stays with a track only)")
    ended = Column(COUNT, "Visits that ended here (stays with a track only)")
    complete, revision, known_at_ms = known().values()


class PathVisits(Table):
    name = "path_visits"
    comment = "Visits by the path that they took, per device and hour in which they began. From stays with a track."
    revised = True
    key = ("site", "device", "start", "path")
    version = "complete"
    time = "start"
    partition = "toYYYYMM(start)"

    site = Column(NAME, "Store")
    device = Column(NAME, "Device that saw them")
    start = Column(TIME, "Start of the hour, UTC")
    end = Column(TIME, "End of the hour, UTC")
    path = Column(TEXT, "Ids of the places in order, joined by ' > '; '…' stands for all further paths of a crowded hour")
    path_names = Column(TEXT, "The same for people to read")
    places = Column(U8, "Number of places of the path")
    visits = Column(COUNT, "Visits that took it")
    seconds = Column(F64, "Seconds of these visits together, from the first stay's start to the last one's end")
    served = Column(COUNT, "Of these came to a zone with the role checkout or service")
    complete, revision, known_at_ms = known().values()


class PathOutlook(Table):
    name = "path_outlook"
    comment = "What the transitions of a civil day say of each place, as a first-order Markov chain (smoothed, alpha = 1)."
    revised = True
    key = ("site", "device", "start", "place")
    version = "complete"
    time = "start"
    partition = "toYYYYMM(start)"

    site = Column(NAME, "Store")
    device = Column(NAME, "Device that saw the visits")
    start = Column(TIME, "Start of the civil day, UTC")
    end = Column(TIME, "End of the civil day, UTC")
    place = Column(NAME, "entry or zone:DEVICE:N")
    place_name = Column(TEXT, "Place for people to read")
    visits = Column(COUNT, "Visits of the day behind it, over all places")
    expected_visits = Column(F64, "How often one visit of the store comes to this place")
    to_checkout = Column(
        REAL, "Probability of coming to a checkout from here; at entry: the share entry to checkout. NULL without such a zone"
    )
    places_left = Column(F64, "Places still to come from here")
    entropy_bits = Column(F64, "How undecided the next step is: 0 always the same")
    chain_order = Column(U8, "1: where people go depends on where they are; 2: also on where they were before (BIC of the day)")
    complete, revision, known_at_ms = known().values()


class HeatZones(Table):
    name = "heat_zones"
    comment = (
        "How much each zone was used, by hour of the store's clock. Three measures that are never mixed. Staff is left out."
    )
    revised = True
    key = ("device", "zone", "start")
    version = "complete"
    time = "start"
    partition = "toYYYYMM(start)"

    site = Column(NAME, "Store")
    device = Column(NAME, "Device")
    zone = Column(U16, "Zone of the device; 0 the whole view")
    start = Column(TIME, "Start of the hour, UTC")
    end = Column(TIME, "End of the hour, UTC")
    zone_name = Column(TEXT, "Zone for people to read")
    presence_s = Column(REAL, "Presence heat: person-seconds spent there in the hour; NULL: not measured")
    source = Column(NAME, "Where presence_s comes from: stays, or samples (people present x window); empty: from nothing")
    measured_s = Column(MAYBE, "Seconds of the hour that samples covered; NULL where presence comes from stays")
    visits = Column(MAYBE, "Visit heat: stays that began in the hour; NULL: the device tells no stays")
    intensity = Column(REAL, "The device's own heat: without unit, comparable with itself only; NULL: it sends none")
    resolution_s = Column(U32, "Longest window of the device's own heat, seconds; 0 without")
    open_s = Column(U16, "Seconds of the hour in which the store was open: divide by it, and days compare")
    complete, revision, known_at_ms = known().values()


class HeatCells(Table):
    name = "heat_cells"
    comment = "The device's own heat map by cell and hour of the store's clock. Without unit: compare shares, not values."
    revised = True
    key = ("device", "zone", "start", "x", "y")
    version = "complete"
    time = "start"
    partition = "toYYYYMM(start)"
    keep_days = 396

    site = Column(NAME, "Store")
    device = Column(NAME, "Device")
    zone = Column(U16, "Zone of the device; 0 the whole view")
    start = Column(TIME, "Start of the hour, UTC")
    end = Column(TIME, "End of the hour, UTC")
    x = Column(U16, "Column of the cell, from 0, left to right")
    y = Column(U16, "Row of the cell, from 0, top to bottom")
    grid_columns = Column("Nullable(UInt16)", "Columns of the grid; NULL: not stated")
    grid_rows = Column("Nullable(UInt16)", "Rows of the grid; NULL: not stated")
    intensity = Column(F64, "Heat of the cell, the device's own scale")
    share = Column(REAL, "Of the heat of all cells of this map in the hour; NULL when all are 0")
    resolution_s = Column(U32, "Longest window that contributed, seconds")
    open_s = Column(U16, "Seconds of the hour in which the store was open")
    complete, revision, known_at_ms = known().values()


class DeviceHours(Table):
    name = "device_hours"
    comment = "Health of each device by hour of the store's clock, silent hours included. NULL: the device does not say."
    revised = True
    key = ("site", "device", "start")
    version = "complete"
    time = "start"
    partition = "toYYYYMM(start)"
    keep_days = 396

    site = Column(NAME, "Store")
    device = Column(NAME, "Device")
    start = Column(TIME, "Start of the hour, UTC")
    end = Column(TIME, "End of the hour, UTC")
    device_name = Column(TEXT, "Device for people to read")
    messages = Column(COUNT, "Messages that arrived in the hour and said something new")
    expected_s = Column(U16, "Seconds of the hour in which it should have reported: from its first message on")
    covered_s = Column(MAYBE, "Of these covered by reports that came within the horizon; NULL: it reports no periods")
    missed = Column(MAYBE, "Reports that are missing, by its expected interval; NULL while the hour runs")
    last_seen_ms = Column("Nullable(Int64)", "Arrival of its newest message in the hour, epoch ms")
    skew_low_s = Column("Nullable(Int32)", "Smallest arrival minus device time, seconds: below 0 its clock is ahead")
    skew_high_s = Column("Nullable(Int32)", "Largest arrival minus device time, seconds")
    reboots = Column(MAYBE, "Restarts, told by a running time that began again")
    firmware = Column(TEXT, "Firmware as it says, empty when it does not")
    battery_pct = Column(REAL, "Lowest battery level, per cent")
    temperature_C = Column(REAL, "Highest temperature that it told of itself or its surroundings, degrees Celsius")
    pitch_deg = Column(REAL, "Newest tilt forward, degrees")
    roll_deg = Column(REAL, "Newest tilt sideways, degrees")
    rssi_dBm = Column(REAL, "Average strength of the radio link, dBm")
    snr_dB = Column(REAL, "Average signal to noise of the radio link, dB")
    occluded = Column("Nullable(UInt8)", "1 when something was in front of a lens in the hour")
    said = Column(TEXT, "JSON of the newest value of everything that it told of itself in the hour; empty when nothing")
    complete, revision, known_at_ms = known().values()
