"""From published events to metrics: one place says what each event means in numbers."""

from collections.abc import Sequence

from schemas.common import Event
from schemas.cost import CostEvent
from schemas.draft import Draft
from schemas.moderation import ModerationEvent
from schemas.response import GenerationResponse
from schemas.retry import Retry
from schemas.score import Score
from streams.metrics import Metrics

GROUNDED_FROM = 0.5
"""A judged answer below this counts into the hallucination rate; the policy has thresholds of its own."""


def observe(events: Sequence[Event], metrics: Metrics) -> None:
    """Count events that the broker has confirmed."""
    for event in events:
        match event:
            case GenerationResponse():
                _response(event, metrics)
            case Draft():
                metrics.model_calls_total.labels(provider=event.provider, outcome="ok").inc()
            case Retry():
                metrics.parked_total.labels(code=event.problem.code).inc()
            case CostEvent():
                _cost(event, metrics)
            case ModerationEvent():
                _moderation(event, metrics)


def _response(response: GenerationResponse, metrics: Metrics) -> None:
    metrics.requests_total.labels(outcome=response.status).inc()
    if response.timings.total_ms is not None:
        seconds = response.timings.total_ms / 1e3
        metrics.request_duration_seconds.labels(outcome=response.status).observe(seconds)


def _cost(cost: CostEvent, metrics: Metrics) -> None:
    who = {"provider": cost.provider, "model": cost.model}
    if cost.kind == "cache_hit":
        return  # costs nothing and used no tokens; the cache has its own counter
    metrics.tokens_total.labels(**who, direction="input").inc(cost.usage.input_tokens)
    metrics.tokens_total.labels(**who, direction="output").inc(cost.usage.output_tokens)
    if cost.amount is None:
        metrics.unpriced_calls_total.labels(**who).inc()
    else:
        metrics.cost_total.labels(**who, currency=cost.currency).inc(float(cost.amount))


def _moderation(event: ModerationEvent, metrics: Metrics) -> None:
    metrics.decisions_total.labels(stage=event.stage, action=event.decision.action).inc()
    for passage in event.passages:
        metrics.passages_total.labels(action=passage.action).inc()
    if event.stage != "output":
        return
    scores = {score.name: score for score in event.scores}
    if (toxicity := _value(scores.get("toxicity"))) is not None:
        metrics.toxicity_score.observe(toxicity)
    groundedness = _value(scores.get("groundedness"))
    if groundedness is None:
        metrics.judged_answers_total.labels(verdict="unscored").inc()
        return
    metrics.groundedness_score.observe(groundedness)
    verdict = "grounded" if groundedness >= GROUNDED_FROM else "ungrounded"
    metrics.judged_answers_total.labels(verdict=verdict).inc()


def _value(score: Score | None) -> float | None:
    return score.value if score is not None and score.status == "ok" else None
