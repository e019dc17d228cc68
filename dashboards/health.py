"""The board "Pipeline health" for Grafana: what the roles themselves export (docs/metrics.md), asked from Prometheus.

It answers while the store does not, which the boards over the store cannot. The scrape job is called `footstream`, as the alert
rules want it. Whoever has no Prometheus loses only this board: what it shows of the data stands on "Data and pipeline" as well.
"""

import json
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.builders.common import ReduceDataOptions, VizLegendOptions
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models

PLUGIN = "prometheus"
UID = "footstream-health"
WIDTH, HEIGHT = 8, 8


@dataclass(frozen=True)
class Panel:
    """One question. `asked`: legend -> PromQL; `unit`: Grafana's id of it; `warn`: from there on it is orange (stats only)."""

    title: str
    description: str
    unit: str
    asked: dict[str, str]
    warn: float | None = None


def _p99(histogram: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile(0.99, sum by ({labels}) (rate({histogram}_bucket[$__rate_interval])))"


_JOB = 'job="footstream"'
PANELS = (
    Panel(
        "Is any role down or not well?",
        "Roles that do not answer Prometheus, and roles that answer but say of themselves that they are not well.",
        "none",
        {
            "Down": f"count(up{{{_JOB}}} == 0) or vector(0)",
            "Not well": "count(footstream_role_ok == 0) or vector(0)",
        },
        warn=1,
    ),
    Panel(
        "Does every record get through?",
        "Records read from the log a second, and what became of them: received = stored + duplicates + refused.",
        "cps",
        {
            "Received": "sum(rate(footstream_lane_received_messages_total[$__rate_interval]))",
            "Stored": "sum(rate(footstream_lane_stored_messages_total[$__rate_interval]))",
            "Duplicates": "sum(rate(footstream_lane_duplicate_messages_total[$__rate_interval]))",
        },
    ),
    Panel(
        "What is refused, and why?",
        "Messages and parts of messages that went into quarantine, by reason; their bytes are in the table of that name.",
        "short",
        {"{{reason}}": "sum by (reason) (increase(footstream_lane_quarantined_total[$__rate_interval]))"},
    ),
    Panel(
        "How far are the lanes behind?",
        "Records in the log that a lane has not read yet.",
        "short",
        {"{{instance}}": "sum by (instance) (footstream_lane_lag_messages)"},
    ),
    Panel(
        "Which partition is behind?",
        "The ten partitions with the most records that are not read yet.",
        "short",
        {"{{partition}}": "topk(10, max by (partition) (footstream_lane_partition_lag_messages))"},
    ),
    Panel(
        "How old is what was read last?",
        "Now minus the newest log timestamp that a lane has read (its watermark). It grows when sensors are quiet, too: look "
        "at the lag beside it.",
        "s",
        {"{{instance}}": "max by (instance) (footstream_lane_watermark_age_seconds)"},
    ),
    Panel(
        "How long does each stage take?",
        "99th percentile: from the log's timestamp of a record until it is stored; in the engine of the embedded store, by "
        "kind of statement; of a query of a board.",
        "s",
        {
            "Log to stored": _p99("footstream_lane_path_seconds"),
            "Store: {{kind}}": _p99("footstream_store_seconds", "kind"),
            "Query of a board": _p99("footstream_serve_query_seconds"),
        },
    ),
    Panel(
        "What waits, and where?",
        "Messages in the bridge that the log has not taken, posts on their way into the log, batches that a lane has not "
        "stored, messages to receivers.",
        "short",
        {
            "Bridge {{instance}}": "footstream_bridge_queue_depth",
            "HTTP": "footstream_http_waiting",
            "Lane {{instance}}": "footstream_lane_queue_batches",
            "Notifier: {{receiver}}": "footstream_notify_waiting",
        },
    ),
    Panel(
        "How long has it waited?",
        "Age of the oldest message that a receiver has not taken, and of the oldest in the bridge that the log has not taken.",
        "s",
        {
            "Notifier: {{receiver}}": "footstream_notify_oldest_seconds",
            "Bridge {{instance}}": "footstream_bridge_oldest_seconds",
        },
    ),
    Panel(
        "How much room is left?",
        "Free share of the disk under FOOTSTREAM_DATA.",
        "percentunit",
        {"{{instance}}": "min by (instance) (footstream_data_free_bytes / footstream_data_size_bytes)"},
    ),
    Panel(
        "What do the roles take of the memory?",
        "Resident bytes of each process.",
        "bytes",
        {"{{instance}}": f"process_resident_memory_bytes{{{_JOB}}}"},
    ),
    Panel(
        "What do the roles take of the processor?",
        "Cores in use by each process.",
        "none",
        {"{{instance}}": f"rate(process_cpu_seconds_total{{{_JOB}}}[$__rate_interval])"},
    ),
)


def _made(panel: Panel) -> Any:
    if panel.warn is not None:
        steps: list[dict[str, Any]] = [{"value": None, "color": "green"}, {"value": panel.warn, "color": "orange"}]
        made = stat.Panel().reduce_options(ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        made = made.color_mode(common.BigValueColorMode.VALUE).graph_mode(common.BigValueGraphMode.NONE)
        for legend in panel.asked:
            marks = models.DynamicConfigValue(id_val="thresholds", value={"mode": "absolute", "steps": steps})
            made = made.override_by_name(legend, [marks])
        return made.text_mode(common.BigValueTextMode.VALUE_AND_NAME)
    legend = VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM)
    return timeseries.Panel().legend(legend).show_points(common.VisibilityMode.NEVER).line_width(2).fill_opacity(0).min(0)


def _panel(panel: Panel, number: int) -> Any:
    x, y = WIDTH * ((number - 1) % 3), HEIGHT * ((number - 1) // 3)
    made = _made(panel).id(number).title(panel.title).description(panel.description).unit(panel.unit)
    made = made.grid_pos(models.GridPos(h=HEIGHT, w=WIDTH, x=x, y=y))
    made = made.datasource(common.DataSourceRef(type_val=PLUGIN, uid="${datasource}"))
    for name, (legend, expression) in zip("ABCD", panel.asked.items(), strict=False):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(name)
        made = made.with_target(query.datasource(common.DataSourceRef(type_val=PLUGIN, uid="${datasource}")))
    return made


def dashboard() -> dict[str, Any]:
    """The board as the JSON that Grafana imports; it asks for the Prometheus data source by a variable."""
    made = build.Dashboard("Pipeline health").uid(UID).description("What the roles say of themselves.")
    made = made.tags(["footstream", "installation"]).refresh("30s").timezone("browser").editable()
    made = made.time("now-6h", "now").tooltip(models.DashboardCursorSync.CROSSHAIR)
    made = made.with_variable(build.DatasourceVariable("datasource").label("Data source").type(PLUGIN))
    for number, panel in enumerate(PANELS, 1):
        made = made.with_panel(_panel(panel, number))
    found: dict[str, Any] = json.loads(json.dumps(made.build(), cls=JSONEncoder))
    return found
