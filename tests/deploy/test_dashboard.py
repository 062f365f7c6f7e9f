"""The committed dashboard is what the script builds, and Prometheus understands each of its queries."""

import json
import re
import runpy
from pathlib import Path

import yaml

from tests.deploy.test_alerts import known_series, needs_promtool, promtool

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
JSON = (GRAFANA / "dashboards" / "sluicegate.json").read_text()
QUERIES = [target["expr"] for panel in json.loads(JSON)["panels"] for target in panel["targets"]]


def test_the_committed_dashboard_is_what_the_script_builds():
    assert runpy.run_path(str(GRAFANA / "dashboard.py"))["build"]() == JSON


def test_panels_use_only_declared_metrics():
    assert len(QUERIES) >= 12
    for query in QUERIES:
        used = set(re.findall(r"sluicegate_\w+", query))
        assert used
        assert used <= set(known_series()), query


@needs_promtool
def test_prometheus_understands_every_panel(tmp_path):
    rules = [{"record": f"panel_{n}", "expr": query} for n, query in enumerate(QUERIES)]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", path)


def test_panels_ask_the_provisioned_datasource():
    sources = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())
    assert {panel["datasource"]["uid"] for panel in json.loads(JSON)["panels"]} == {
        source["uid"] for source in sources["datasources"]
    }
