"""Sluicegate as the harness starts it: the worker of `sluicegate worker`, its settings made from `BENCH_*`.

    python -m benchmarks.sluicegate_program [--stages retrieval,generation]

The scorer is the same trivial one that the peers have; the policy looks at it and at nothing else. Variables that
begin with `SLUICEGATE_` and are set already win over what is made here, so that a setting can be tried:
`SLUICEGATE_CHUNK_SIZE=64 python -m benchmarks --workloads slow --peers none`.

With `BENCH_WORKLOAD=hop` it is one stage that gives each request back, under our delivery rule and in a Faust app.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry

from agents.ports import ScoreInput
from agents.scorers import SCORERS
from benchmarks.peers import common
from schemas.common import Event, Message, Usage
from schemas.request import GenerationRequest
from schemas.response import Choice, GenerationResponse
from schemas.score import Score
from streams import loop
from streams.app import new_app
from streams.cli import main as sluicegate
from streams.delivery import Delivery, Stage
from streams.logs import configure_logs
from streams.metrics import Metrics
from streams.offsets import GroupOffsets
from streams.publisher import KafkaPublisher, new_producer
from streams.records import Origin
from streams.settings import Settings, load_settings
from streams.wiring import bind
from streams.worker import spare_the_collector

REQUESTS_TOPIC = "genai.requests"
DATA = Path(__file__).parents[1] / "build" / "bench" / "data"
_OURS = "SLUICEGATE_"
_ROUTES = "default:\n  targets: [{provider: stub}]\n  attempt_timeout_s: 30\n"
_PRICES = "prices:\n  - {provider: stub, input_per_mtok: 1, output_per_mtok: 2}\n"
_POLICY = """\
name: bench
description: Flags what the one trivial scorer finds; redacts nothing.
output:
  rules:
    - id: harsh
      when: {score: toxicity, at_least: 0.5}
      action: flag
"""


class Words:
    """The peers' scorer, as one of ours."""

    name, version = "toxicity", "words@1"

    def score(self, batch: Sequence[ScoreInput]) -> list[Score]:
        """The share of harsh words in each text."""
        return [
            Score(name=self.name, version=self.version, status="ok", value=common.score(item.text))
            for item in batch
        ]


def environment(bench: common.Settings, folder: Path, *, idempotence: bool) -> dict[str, str]:
    """Our settings, as variables; writes the routes, prices and policy that they name."""
    for name, text in (("routes", _ROUTES), ("prices", _PRICES), ("policy", _POLICY)):
        (folder / f"{name}.yaml").write_text(text)
    provider = {"kind": "openai", "base_url": bench.model, "api_key": "none", "model": "stub"}
    return {
        "SLUICEGATE_BROKER": bench.kafka,
        "SLUICEGATE_REDIS_URL": bench.redis,
        "SLUICEGATE_IDEMPOTENCE": str(idempotence).lower(),
        "SLUICEGATE_FETCH_WAIT_MS": str(bench.fetch_wait_ms),
        "SLUICEGATE_TOPIC_PREFIX": bench.requests.removesuffix(REQUESTS_TOPIC),
        "SLUICEGATE_GROUP_PREFIX": bench.group,
        "SLUICEGATE_SESSION_TIMEOUT_S": "6",
        "SLUICEGATE_DATA_DIR": str(DATA),
        "SLUICEGATE_IN_FLIGHT": str(bench.inflight),
        "SLUICEGATE_SCORERS": '["toxicity"]',
        "SLUICEGATE_ROUTES": str(folder / "routes.yaml"),
        "SLUICEGATE_PRICES": str(folder / "prices.yaml"),
        "SLUICEGATE_POLICY": str(folder / "policy.yaml"),
        "SLUICEGATE_PROVIDERS": json.dumps({"stub": provider}),
        "SLUICEGATE_WEB_PORT": "0",
        "SLUICEGATE_LOG_FORMAT": "json",
        "SLUICEGATE_LOG_LEVEL": "warning",
    }


def echoed(request: GenerationRequest) -> GenerationResponse:
    """The response of one hop: the request's last message, given back."""
    message = Message(role="assistant", content=request.messages[-1].content)
    return GenerationResponse(
        id=f"{request.tenant}:{request.id}:response",
        request_id=request.id or "",
        tenant=request.tenant,
        status="completed",
        created=datetime.now(UTC),
        choices=(Choice(message=message, finish_reason="stop"),),
        usage=Usage(input_tokens=0, output_tokens=0),
    )


def _echo_stage() -> Stage[GenerationRequest]:
    async def handle(request: GenerationRequest, _: Origin) -> Sequence[Event]:
        return [echoed(request)]

    async def on_error(_: GenerationRequest, __: Origin) -> Sequence[Event]:
        return []

    # Named as the stage that reads requests, whose wire it is.
    return Stage("retrieval", GenerationRequest, handle, on_error)


async def hop(settings: Settings) -> None:
    """One stage as `streams/worker.py` runs it, until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    metrics, producer = Metrics(CollectorRegistry()), new_producer(settings)
    await producer.start()
    app = new_app("retrieval", settings)
    offsets = GroupOffsets(settings.broker, f"{settings.group_prefix}.retrieval")
    await offsets.start()
    publisher = KafkaPublisher(producer, settings.topic_prefix, metrics, lambda: datetime.now(UTC))
    delivery = Delivery(_echo_stage(), publisher, metrics, settings.in_flight, finished=offsets.finished)
    bind(app, delivery, settings)
    app.finalize()
    await app.start()
    spare_the_collector()
    await stopping.wait()
    app.consumer.pause_partitions(app.consumer.assignment())
    await delivery.drain(5.0)
    await app.stop()
    await offsets.aclose()
    await producer.stop()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Sluicegate under the benchmarks' harness")
    parser.add_argument("--stages", default="all", help="as `sluicegate worker` has it")
    options = parser.parse_args()
    bench = common.settings()
    SCORERS["toxicity"] = lambda _: Words()
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        idempotence = os.environ.get("BENCH_BROKER", "apache") == "apache"
        made = environment(bench, Path(folder), idempotence=idempotence)
        given = {name: value for name, value in os.environ.items() if name.startswith(_OURS)}
        os.environ.update({**made, **given})
        if bench.hop:
            settings = load_settings()
            configure_logs(settings)
            loop.run(hop(settings))
            return
        sys.argv = ["sluicegate", "worker", "--stages", options.stages]
        sluicegate()


if __name__ == "__main__":
    main()
