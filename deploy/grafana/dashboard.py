"""Builds the dashboard: `python deploy/grafana/dashboard.py > deploy/grafana/dashboards/sluicegate.json`."""

import sys

from grafana_foundation_sdk.builders import dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef, GridPos

SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
_LATENCY = "sum by (stage, le) (rate(sluicegate_stage_duration_seconds_bucket[5m]))"

PANELS: tuple[tuple[str, str, str, str], ...] = (
    ("Requests by outcome", "reqps", "{{outcome}}", "sum by (outcome) (rate(sluicegate_requests_total[5m]))"),
    ("Stage latency, p50", "s", "{{stage}}", f"histogram_quantile(0.5, {_LATENCY})"),
    ("Stage latency, p99", "s", "{{stage}}", f"histogram_quantile(0.99, {_LATENCY})"),
    ("In flight", "short", "{{stage}}", "sum by (stage) (sluicegate_in_flight)"),
    (
        "Tokens a second",
        "short",
        "{{model}} {{direction}}",
        "sum by (model, direction) (rate(sluicegate_tokens_total[5m]))",
    ),
    (
        "Cost an hour",
        "short",
        "{{model}} {{currency}}",
        "sum by (model, currency) (rate(sluicegate_cost_total[15m])) * 3600",
    ),
    (
        "Cache hit rate",
        "percentunit",
        "hits",
        'sum(rate(sluicegate_cache_lookups_total{result="hit"}[5m]))'
        " / sum(rate(sluicegate_cache_lookups_total[5m]))",
    ),
    (
        "Answers with toxicity above 0.5",
        "percentunit",
        "toxic",
        '1 - sum(rate(sluicegate_toxicity_score_bucket{le="0.5"}[15m]))'
        " / sum(rate(sluicegate_toxicity_score_count[15m]))",
    ),
    (
        "Hallucination rate",
        "percentunit",
        "ungrounded",
        'sum(rate(sluicegate_judged_answers_total{verdict="ungrounded"}[15m]))'
        ' / sum(rate(sluicegate_judged_answers_total{verdict=~"grounded|ungrounded"}[15m]))',
    ),
    (
        "Model errors",
        "short",
        "{{provider}} {{code}}",
        "sum by (provider, code) (rate(sluicegate_model_errors_total[5m]))",
    ),
    ("Consumer lag", "short", "{{topic}}", "sum by (topic) (sluicegate_consumer_lag)"),
    (
        "Dead letters in 10 minutes",
        "short",
        "{{topic}} {{reason}}",
        "sum by (topic, reason) (increase(sluicegate_dead_letters_total[10m]))",
    ),
    (
        "Decisions",
        "short",
        "{{stage}} {{action}}",
        "sum by (stage, action) (rate(sluicegate_decisions_total[5m]))",
    ),
    (
        "Claims to pay, by result",
        "short",
        "{{result}}",
        "sum by (result) (rate(sluicegate_claims_total[5m]))",
    ),
    (
        "Requests parked, by what they wait for",
        "short",
        "{{code}}",
        "sum by (code) (rate(sluicegate_parked_total[5m]))",
    ),
)


def build() -> str:
    """The dashboard as JSON, the same bytes each time; panels stand three in a row."""
    board = dashboard.Dashboard("Sluicegate").uid("sluicegate").refresh("30s").time("now-1h", "now")
    for number, (title, unit, legend, query) in enumerate(PANELS):
        row, column = divmod(number, 3)
        board = board.with_panel(
            timeseries.Panel()
            .title(title)
            .unit(unit)
            .min(0)
            .datasource(SOURCE)
            .grid_pos(GridPos(h=8, w=8, x=column * 8, y=row * 8))
            .with_target(prometheus.Dataquery().expr(query).legend_format(legend).ref_id("A"))
        )
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"


if __name__ == "__main__":
    sys.stdout.write(build())
