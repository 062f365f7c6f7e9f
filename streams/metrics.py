"""Every metric, declared once, with its meaning and unit. No request id is ever a label."""

from functools import cache
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

M = TypeVar("M", Counter, Histogram)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


class Metrics:
    """The metrics of one worker, on a registry of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return _quick(Counter(f"sluicegate_{name}", meaning, labels, registry=registry))

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(f"sluicegate_{name}", meaning, labels, registry=registry)

        def histogram(name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return _quick(
                Histogram(f"sluicegate_{name}", meaning, labels, registry=registry, buckets=buckets)
            )

        self.requests_total = counter("requests_total", "Responses published, by outcome.", "outcome")
        self.request_duration_seconds = histogram(
            "request_duration_seconds", "From reading a request to its response.", _SECONDS, "outcome"
        )
        self.stage_duration_seconds = histogram(
            "stage_duration_seconds", "From reading a record to its broker-confirmed end.", _SECONDS, "stage"
        )
        self.in_flight = gauge("in_flight", "Records a stage is working on.", "stage")
        self.records_total = counter("records_total", "Records finished, by result.", "topic", "result")
        self.tokens_total = counter(
            "tokens_total", "Tokens of model calls.", "provider", "model", "direction"
        )
        self.cost_total = counter(
            "cost_total", "What calls cost, in currency units.", "provider", "model", "currency"
        )
        self.unpriced_calls_total = counter(
            "unpriced_calls_total", "Calls whose price is unknown.", "provider", "model"
        )
        self.cache_lookups_total = counter("cache_lookups_total", "Lookups of released answers.", "result")
        self.toxicity_score = histogram("toxicity_score", "Toxicity of judged answers.", _SHARES)
        self.groundedness_score = histogram("groundedness_score", "Groundedness of judged answers.", _SHARES)
        self.judged_answers_total = counter(
            "judged_answers_total",
            "Judged answers by groundedness verdict; the hallucination rate is ungrounded over both.",
            "verdict",
        )
        self.decisions_total = counter("decisions_total", "Policy decisions.", "stage", "action")
        self.passages_total = counter(
            "passages_total", "Retrieved passages that were flagged, fenced or dropped.", "action"
        )
        self.scorer_results_total = counter("scorer_results_total", "Scores, by status.", "scorer", "status")
        self.scorer_duration_seconds = histogram(
            "scorer_duration_seconds", "From asking a scorer to its score.", _SECONDS, "scorer"
        )
        self.model_calls_total = counter(
            "model_calls_total", "Attempts at model calls.", "provider", "outcome"
        )
        self.model_errors_total = counter(
            "model_errors_total", "Failed attempts, by kind.", "provider", "code"
        )
        self.claims_total = counter(
            "claims_total",
            "Claims to pay for an answer, by result; `retaken` may be a call made again, `lost` one paid twice.",
            "result",
        )
        self.parked_total = counter(
            "parked_total", "Requests put on the retries topic, by what they wait for.", "code"
        )
        self.reviews_pending = gauge(
            "reviews_pending", "Answers that wait for a person; told by the one worker that looks."
        )
        self.reviews_overdue_total = counter(
            "reviews_overdue_total", "Decisions sent for reviews that nobody decided in time.", "action"
        )
        self.stopped = gauge("stopped", "1 while a stage has stopped at too many bad records.", "stage")
        self.tasks = gauge("tasks", "Asyncio tasks of the worker.")
        self.dead_letters_total = counter("dead_letters_total", "Records set aside.", "topic", "reason")
        self.consumer_lag = gauge("consumer_lag", "Records after the committed offset.", "topic", "partition")
        self.redis_errors_total = counter("redis_errors_total", "Redis commands given up.", "operation")
        self.vault_writes_total = counter(
            "vault_writes_total",
            "Redacted answers whose values were to be kept; `lost` ones cannot be restored.",
            "result",
        )
        self.publish_errors_total = counter("publish_errors_total", "Publish attempts that failed.", "topic")
        self.build_info = gauge("build_info", "Always 1; its label is the version.", "version")


def _quick(metric: M) -> M:
    """Remember what was looked up by labels: the library's own look-up costs thrice what counting does.

    Not for gauges, whose labels are removed again.
    """
    metric.labels = cache(metric.labels)  # type: ignore[method-assign]  # on purpose: of this metric alone
    return metric
