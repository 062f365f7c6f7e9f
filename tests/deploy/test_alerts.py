"""Each alert fires when it should and stays quiet when it should, judged by Prometheus' own tool."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from streams.metrics import Metrics

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
CASES = sorted((PROMETHEUS / "tests").glob("*.yml"))
GROUPS = yaml.safe_load((PROMETHEUS / "rules" / "sluicegate.yml").read_text())["groups"]
ALERTS = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def promtool(*args, **kwargs):
    done = subprocess.run(
        ["promtool", *map(str, args)], capture_output=True, text=True, check=False, **kwargs
    )
    assert done.returncode == 0, done.stdout + done.stderr


def known_series():
    for collector in vars(Metrics(CollectorRegistry())).values():
        if not isinstance(collector, CollectorRegistry):
            family = collector.describe()[0]
            ends = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"]}
            yield from (family.name + end for end in ends[family.type])


@needs_promtool
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_alert_fires_and_stays_quiet(case):
    promtool("test", "rules", case)


def test_every_alert_has_a_case_that_fires_and_one_that_does_not():
    assert {case.stem for case in CASES} == set(ALERTS)
    for case in CASES:
        tests = [t for group in yaml.safe_load(case.read_text())["tests"] for t in group["alert_rule_test"]]
        assert {t["alertname"] for t in tests} == {case.stem}
        assert {bool(t["exp_alerts"]) for t in tests} == {True, False}


def test_every_alert_has_a_runbook_section():
    sections = re.findall(r"^## (\w+)$", (ROOT / "docs" / "alerts.md").read_text(), re.MULTILINE)
    assert sections == list(ALERTS)
    for name, rule in ALERTS.items():
        assert rule["annotations"]["runbook"] == f"docs/alerts.md#{name.lower()}"


def test_alerts_use_only_declared_metrics():
    used = {name for rule in ALERTS.values() for name in re.findall(r"sluicegate_\w+", rule["expr"])}
    assert used
    assert used <= set(known_series())


@needs_promtool
def test_prometheus_accepts_the_configuration():
    promtool("check", "config", PROMETHEUS / "prometheus.yml")


@needs_promtool
def test_the_exposition_passes_the_lint():
    metrics = Metrics(CollectorRegistry())
    metrics.requests_total.labels(outcome="completed").inc()
    promtool("check", "metrics", input=generate_latest(metrics.registry).decode())
