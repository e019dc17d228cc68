"""One store's floor: which zones are used, where people go from where, what holds them up, which sensors are unwell."""

from dashboards.board import Board, Field, Panel

_HERE = "site IN (${store:singlequote}) AND $__timeFilter(start)"

_PLAN = Panel(
    id="plan",
    title="Which zones are used?",
    description="Share of all person-time of the zones, on the store's floor plan where the registry names one. From stays, "
    "else from people present. Staff is left out where the sensor tells it.",
    kind="plan",
    sql=f"""SELECT place, zone_label, presence / nullIf(sum(presence) OVER (), 0) AS share, presence, stays_n,
    if(stays_n > 0, presence / stays_n, NULL) AS dwell
FROM (
    SELECT concat(device, ':', toString(zone)) AS place, argMax(zone_name, start) AS zone_label, sum(presence_s) AS presence,
        sum(h.visits) AS stays_n
    FROM heat_zones AS h WHERE {_HERE} AND zone > 0 GROUP BY device, zone
) ORDER BY share DESC NULLS LAST, zone_label LIMIT 200""",
    fields=(
        Field("place", "Place", "text", "key"),
        Field("zone_label", "Zone", "text", "label"),
        Field("share", "Share of the time", "share"),
        Field("presence", "Person-time", "seconds", "note"),
        Field("stays_n", "Stays", "people", "note"),
        Field("dwell", "Time per stay", "seconds", "note"),
    ),
    width=14,
    height=15,
    step_s=3600,
    empty="No zone has told people or stays in this range.",
)

_FLOWS = Panel(
    id="flows",
    title="Where do people go from where?",
    description="People from place to place, of the best source there is: tracks, else the device's own matrix, else an "
    "estimate from counts of lines and zones, which says what the counts allow at least and at most.",
    kind="sankey",
    sql=f"""SELECT concat(from_name, ' → ', to_name) AS id, from_name AS source, to_name AS target, sum(n) AS mainstat,
    sum(least_n) AS least, sum(most_n) AS most, any(told) AS kind
FROM (SELECT *, min(quality) OVER () AS best FROM (
    SELECT origin_name AS from_name, destination_name AS to_name, toFloat64(people) AS n, CAST(NULL, 'Nullable(Float64)') AS
    least_n,
        CAST(NULL, 'Nullable(Float64)') AS most_n, f.source AS told, if(f.source = 'stays', 1, 2) AS quality
    FROM path_flows AS f WHERE {_HERE} AND people > 0
    UNION ALL
    SELECT origin_name, destination_name, people, toNullable(low), toNullable(high), 'estimate', 3
    FROM path_estimates WHERE {_HERE} AND high > 0
)) WHERE quality = best GROUP BY from_name, to_name HAVING mainstat >= 0.5 ORDER BY mainstat DESC, id LIMIT 80""",
    fields=(
        Field("id", "Step", "text", "key"),
        Field("source", "From", "text", "label"),
        Field("target", "To", "text", "label"),
        Field("mainstat", "People", "people"),
        Field("least", "At least", "people", "low"),
        Field("most", "At most", "people", "high"),
        Field(
            "kind",
            "Told by",
            "text",
            "note",
            states=(
                ("stays", "tracks", "ok"),
                ("matrix", "the device's matrix", "ok"),
                ("estimate", "estimate from counts", "warn"),
            ),
        ),
    ),
    width=10,
    height=15,
    step_s=3600,
    empty="Nobody was seen going from one place to another in this range.",
)

_USE = Panel(
    id="use",
    title="When is which zone used?",
    description="Average number of people in each zone by the hour: person-time by the length of the hour.",
    kind="bars",
    sql=f"""SELECT $__timeInterval(start) AS time, zone_name AS zone_label, sum(presence_s) / 3600 AS people
FROM heat_zones WHERE {_HERE} AND zone > 0 AND presence_s IS NOT NULL AND zone_name != '' GROUP BY time, zone_label
ORDER BY time, zone_label""",
    fields=(
        Field("time", "Time", "time", "time"),
        Field("zone_label", "Zone", "text", "label"),
        Field("people", "People on average", "people"),
    ),
    width=14,
    height=8,
    step_s=3600,
    empty="No zone has told people or stays in this range.",
)

_CHECKOUT = Panel(
    id="checkout",
    title="What share of visits comes to the checkout?",
    description="Visits that came to a zone with the role checkout or service, of all visits that were followed by a track.",
    kind="stat",
    sql=f"""SELECT if((SELECT count() FROM path_outlook WHERE site IN (${{store:singlequote}}) AND to_checkout IS NOT NULL
        AND start > $__fromTime - INTERVAL 26 HOUR AND start <= $__toTime) > 0, sum(served) / nullIf(sum(v.visits), 0), NULL)
    AS reached, sum(v.visits) AS visits_n, sum(places * v.visits) / nullIf(sum(v.visits), 0) AS places_n
FROM path_visits AS v WHERE {_HERE}""",
    fields=(
        Field("reached", "Come to the checkout", "share"),
        Field("visits_n", "Visits", "people", "note"),
        Field("places_n", "Zones per visit", "score", "note"),
    ),
    width=10,
    height=8,
    step_s=3600,
    empty="No visit was followed by a track in this range.",
)

_PATHS = Panel(
    id="paths",
    title="Which ways are common?",
    description="Visits by the zones that they came to, in order; their share of all visits; the time that they took.",
    kind="table",
    sql=f"""SELECT path_names, visits_n, visits_n / sum(visits_n) OVER () AS share, took / visits_n AS took_s
FROM (SELECT path_names, sum(v.visits) AS visits_n, sum(seconds) AS took FROM path_visits AS v
    WHERE {_HERE} AND v.visits > 0 GROUP BY path_names)
ORDER BY visits_n DESC, path_names LIMIT 15""",
    fields=(
        Field("path_names", "Way", "text", "label"),
        Field("visits_n", "Visits", "people"),
        Field("share", "Share", "share", "note"),
        Field("took_s", "Time per visit", "seconds", "note"),
    ),
    width=12,
    height=10,
    step_s=3600,
    empty="No visit was followed by a track in this range.",
)

_PLACES = Panel(
    id="places",
    title="Where do people look in only, and where do they go on to the checkout?",
    description="Stays per zone, time per stay, share below 10 s (bounce), share of the visits that end there, and the "
    "probability of coming to the checkout from there (first-order chain of the newest day).",
    kind="table",
    sql=f"""SELECT name, stays_n, dwell, bounce, ends, if(o.at = '', NULL, o.checkout) AS to_checkout_p
FROM (
    SELECT place, argMax(place_name, start) AS name, sum(p.stays) AS stays_n, sum(dwell_s) / nullIf(sum(p.stays), 0) AS dwell,
        sum(bounced) / nullIf(sum(p.stays), 0) AS bounce, sum(ended) / nullIf(sum(sum(ended)) OVER (), 0) AS ends
    FROM path_places AS p WHERE {_HERE} GROUP BY place
) AS p LEFT JOIN (
    SELECT place AS at, argMax(to_checkout, start) AS checkout FROM path_outlook
    WHERE site IN (${{store:singlequote}}) AND start > $__fromTime - INTERVAL 26 HOUR AND start <= $__toTime GROUP BY at
) AS o ON o.at = p.place
ORDER BY stays_n DESC, name LIMIT 50""",
    fields=(
        Field("name", "Zone", "text", "label"),
        Field("stays_n", "Stays", "people"),
        Field("dwell", "Time per stay", "seconds", "note"),
        Field("bounce", "Look in only", "share", "note"),
        Field("ends", "Visits end here", "share", "note"),
        Field("to_checkout_p", "Go on to the checkout", "share", "note"),
    ),
    width=12,
    height=10,
    step_s=3600,
    empty="No zone has told stays in this range.",
)

_BOTTLENECKS = Panel(
    id="bottlenecks",
    title="Where do people hold each other up?",
    description="Time per stay in the busier half of a zone's hours against the quieter half, and the person-time lost by it. "
    "A zone where people always stay long loses nothing.",
    kind="table",
    sql="""SELECT name, free, busy,
    if(busy > free, arraySum(h -> greatest(0, h.2 - h.1 * free), arraySlice(hours, half + 1)), 0) AS lost
FROM (
    SELECT name, hours, intDiv(length(hours), 2) AS half,
        arraySum(h -> h.2, arraySlice(hours, 1, half)) / arraySum(h -> h.1, arraySlice(hours, 1, half)) AS free,
        arraySum(h -> h.2, arraySlice(hours, half + 1)) / arraySum(h -> h.1, arraySlice(hours, half + 1)) AS busy
    FROM (
        SELECT argMax(place_name, start) AS name, arraySort(groupArray((toFloat64(p.stays), dwell_s))) AS hours
        FROM path_places AS p
        WHERE site IN (${store:singlequote}) AND start > $__toTime - INTERVAL 8 DAY AND start <= $__toTime AND p.stays > 0
        GROUP BY place HAVING length(hours) >= 4
    )
) ORDER BY lost DESC, name LIMIT 20""",
    fields=(
        Field("name", "Zone", "text", "label"),
        Field("free", "Quiet hours", "seconds"),
        Field("busy", "Busy hours", "seconds"),
        Field("lost", "Lost in 8 days", "seconds", "note"),
    ),
    width=12,
    height=8,
    step_s=3600,
    empty="Fewer than four hours with stays in the last eight days.",
)

_GRID = Panel(
    id="heat-map",
    title="Where is the sensor's own heat map hot?",
    description="Heat of each cell as a share of the whole map, of the first sensor that sends one. The scale is its own: "
    "compare cells and days of one sensor, never two sensors.",
    kind="grid",
    sql=f"""SELECT map, x, y, heat / nullIf(sum(heat) OVER (), 0) AS heat_share, across, down
FROM (
    SELECT concat(device, ':', toString(zone)) AS map, x, y, sum(intensity) AS heat, max(grid_columns) AS across,
        max(grid_rows) AS down, min(map) OVER () AS first
    FROM heat_cells WHERE {_HERE} GROUP BY device, zone, x, y
) WHERE map = first ORDER BY y, x LIMIT 10000""",
    fields=(
        Field("map", "Sensor", "text", "label"),
        Field("x", "Column", "count", "label"),
        Field("y", "Row", "count", "label"),
        Field("heat_share", "Share of the heat", "share"),
        Field("across", "Columns", "count", "key"),
        Field("down", "Rows", "count", "key"),
    ),
    width=12,
    height=8,
    step_s=3600,
    empty="No sensor of this store sends a heat map.",
)

_HEALTH = Panel(
    id="health",
    title="Which sensors are unwell?",
    description="Missing reports, restarts, battery, temperature, radio link and clock of each sensor in this range.",
    kind="table",
    sql=f"""SELECT argMax(device_name, start) AS sensor, sum(missed) AS missing, sum(reboots) AS restarts,
    min(battery_pct) / 100 AS battery, max(temperature_C) AS hottest, avg(rssi_dBm) AS link_dbm,
    max(greatest(abs(skew_low_s), abs(skew_high_s))) AS clock_off, max(occluded) AS covered,
    argMax(firmware, (firmware != '', start)) AS firmware_now
FROM device_hours WHERE {_HERE} GROUP BY device ORDER BY missing DESC NULLS LAST, sensor LIMIT 200""",
    fields=(
        Field("sensor", "Sensor", "text", "label"),
        Field("missing", "Missing reports", "count", warn=2, alarm=10),
        Field("restarts", "Restarts", "count", "note", warn=1),
        Field("battery", "Battery", "share", "note"),
        Field("hottest", "Hottest °C", "count", "note", warn=70, alarm=85),
        Field("link_dbm", "Link dBm", "count", "note"),
        Field("clock_off", "Clock off by", "seconds", "note", warn=120, alarm=600),
        Field("covered", "Lens covered", "count", "note", alarm=1),
        Field("firmware_now", "Firmware", "text", "note"),
    ),
    width=24,
    height=8,
    step_s=3600,
    empty="No sensor has reported in this range.",
)

BOARD = Board(
    uid="footstream-floor",
    title="Floor",
    description="One store's floor: zones, ways and sensors.",
    scope="store",
    panels=(_PLAN, _FLOWS, _USE, _CHECKOUT, _PATHS, _PLACES, _BOTTLENECKS, _GRID, _HEALTH),
    refresh_s=30,
    order=25,
)
