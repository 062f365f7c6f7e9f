"""What every peer does with a request, in plain Python: so that what differs between them is the framework alone.

Nothing but the standard library is imported, and nothing of Sluicegate: peers live in environments of their own. The
events are built as plain dictionaries, in the form that `schemas` reads.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

Request = dict[str, Any]

_HARSH = frozenset(
    {"stupid", "idiot", "dumb", "hate", "awful", "useless", "liar", "shut", "trash", "worthless"}
)
_PARAMETERS: tuple[str, ...] = ("temperature", "top_p", "max_tokens", "seed")
_PROVIDER = "stub"
_MODEL = "stub"
_POLICY = "bench@1"
_SCORER = "words@1"
_FLAGGED_FROM = 0.5


@dataclass(frozen=True)
class Settings:
    """What the harness says in the environment."""

    kafka: str
    redis: str
    model: str
    group: str
    requests: str
    responses: str
    moderation: str
    costs: str
    contexts: str
    drafts: str
    workload: str
    inflight: int
    fetch_wait_ms: int

    @property
    def hop(self) -> bool:
        """Whether a request is only read and written again."""
        return self.workload == "hop"


def settings() -> Settings:
    """The environment's `BENCH_*`; `BENCH_HOP1` and `BENCH_HOP2` are there for chained agents alone."""
    env = os.environ
    return Settings(
        kafka=env["BENCH_KAFKA"],
        redis=env["BENCH_REDIS"],
        model=env["BENCH_MODEL"],
        group=env["BENCH_GROUP"],
        requests=env["BENCH_IN"],
        responses=env["BENCH_OUT"],
        moderation=env["BENCH_MODERATION"],
        costs=env["BENCH_COSTS"],
        contexts=env.get("BENCH_HOP1", ""),
        drafts=env.get("BENCH_HOP2", ""),
        workload=env.get("BENCH_WORKLOAD", "full"),
        inflight=int(env.get("BENCH_INFLIGHT", "256")),
        fetch_wait_ms=int(env.get("BENCH_FETCH_WAIT_MS", "500")),
    )


class Answer(NamedTuple):
    """What a model said, and whether it said it to somebody before."""

    text: str
    input_tokens: int
    output_tokens: int
    cached: bool


class Events(NamedTuple):
    """What is published about a request."""

    key: bytes
    response: bytes
    moderation: bytes
    cost: bytes


def read(value: bytes) -> Request:
    """Decode a request."""
    request: Request = json.loads(value)
    return request


def write(event: dict[str, Any]) -> bytes:
    """Encode an event."""
    return json.dumps(event, separators=(",", ":")).encode()


def question(request: Request) -> dict[str, Any]:
    """What a model is asked: the body of a chat completion."""
    body = {name: request[name] for name in _PARAMETERS if name in request}
    return body | {"model": request.get("model", _MODEL), "messages": request["messages"]}


def cache_key(request: Request) -> str:
    """Where the answer to that prompt with these parameters is kept."""
    asked = json.dumps(question(request), sort_keys=True, separators=(",", ":"))
    return "bench:" + hashlib.sha256(asked.encode()).hexdigest()


def from_model(body: bytes) -> tuple[Answer, bytes]:
    """The answer in a chat completion, and the same as it is kept in the cache."""
    completion = json.loads(body)
    usage = completion["usage"]
    text = completion["choices"][0]["message"]["content"]
    answer = Answer(text, usage["prompt_tokens"], usage["completion_tokens"], cached=False)
    return answer, write(
        {"text": text, "input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens}
    )


def from_cache(kept: bytes | str) -> Answer:
    """The answer that was kept."""
    found = json.loads(kept)
    return Answer(found["text"], found["input_tokens"], found["output_tokens"], cached=True)


def score(text: str) -> float:
    """The trivial scorer: the share of words that stand on a short list."""
    words = text.lower().split()
    return sum(word in _HARSH for word in words) / len(words) if words else 0.0


def finished(request: Request, answer: Answer) -> Events:
    """Judge an answer and make the three events about it."""
    created = datetime.now(UTC).isoformat()
    value = score(answer.text)
    scores = [{"name": "toxicity", "version": _SCORER, "status": "ok", "value": value}]
    decision = {"action": "flag" if value >= _FLAGGED_FROM else "allow", "policy": _POLICY}
    lineage = {"policy": _POLICY, "model": _MODEL, "scorers": {"toxicity": _SCORER}}
    judged = {"scores": scores, "decision": decision, "lineage": lineage}
    cost = _about(request, "cost:chat", created) | _cost(request, answer)
    moderation = {"stage": "output", "decided_by": "policy", "risk": request.get("risk", "low"), **judged}
    response = _answered(request, answer.text, created, _usage(answer)) | judged
    response |= {"cost": cost, "cached": answer.cached}
    return Events(
        key=request["id"].encode(),
        response=write(response),
        moderation=write(_about(request, "moderation:output", created) | moderation),
        cost=write(cost),
    )


def echoed(request: Request) -> bytes:
    """The response of one hop: the request's last message, given back."""
    created = datetime.now(UTC).isoformat()
    text = request["messages"][-1]["content"]
    return write(_answered(request, text, created, {"input_tokens": 0, "output_tokens": 0}) | {"lineage": {}})


def _about(request: Request, kind: str, created: str) -> dict[str, Any]:
    tenant = request.get("tenant", "default")
    name = request["id"]
    return {"id": f"{tenant}:{name}:{kind}", "request_id": name, "tenant": tenant, "created": created}


def _answered(request: Request, text: str, created: str, usage: dict[str, int]) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        **_about(request, "response", created),
        "status": "completed",
        "choices": [{"message": message, "finish_reason": "stop"}],
        "usage": usage,
    }


def _usage(answer: Answer) -> dict[str, int]:
    return {"input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens}


def _cost(request: Request, answer: Answer) -> dict[str, Any]:
    return {
        "kind": "cache_hit" if answer.cached else "chat",
        "provider": _PROVIDER,
        "model": _MODEL,
        "requested_model": request.get("model"),
        "usage": _usage(answer),
        "status": "priced" if answer.cached else "unpriced",
        "amount": "0" if answer.cached else None,
        "currency": "USD",
        "price_version": "none",
    }
