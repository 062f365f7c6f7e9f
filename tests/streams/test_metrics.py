"""The documentation's table says what the registry declares."""

from pathlib import Path

from prometheus_client import CollectorRegistry

from streams.metrics import Metrics

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def _declared():
    metrics = Metrics(CollectorRegistry())
    for collector in vars(metrics).values():
        if isinstance(collector, CollectorRegistry):
            continue
        family = collector.describe()[0]
        name = family.name + ("_total" if family.type == "counter" else "")
        yield name, family.type, ", ".join(collector._labelnames), family.documentation


def _documented():
    for line in PAGE.read_text().splitlines():
        if line.startswith("| `"):
            name, kind, labels, unit, meaning = (cell.strip() for cell in line.strip("|").split("|"))
            assert unit, name
            yield name.strip("`"), kind, labels, meaning


def test_the_page_lists_every_metric_as_declared():
    assert list(_documented()) == list(_declared())


def test_no_metric_carries_a_request_id():
    assert not [
        name for name, _, labels, _ in _declared() if "id" in labels.split(", ") or "request" in labels
    ]


def test_two_registries_do_not_share_metrics():
    one, other = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())
    one.requests_total.labels(outcome="completed").inc()
    assert other.registry.get_sample_value("sluicegate_requests_total", {"outcome": "completed"}) is None
