"""A plain Faust app as a careful user would write it, for comparison: its own acks, the same stub, the same topics.

`python -m tests.chaos.baseline` runs it; where everything is stands in variables of its own, `BASELINE_*`.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.chaos.servers import Servers


COMMAND = ("-m", "tests.chaos.baseline")


def environment(servers: "Servers") -> Callable[[str], Mapping[str, str]]:
    """The variables of a worker of that name."""

    def of(worker: str) -> Mapping[str, str]:
        return {
            "BASELINE_BROKER": servers.bootstrap,
            "BASELINE_PREFIX": servers.prefix,
            "BASELINE_MODEL": servers.model.base_url(worker),
            "BASELINE_DATA": str(servers.folder / "faust" / worker),
        }

    return of


def new_app(env: Mapping[str, str]) -> Any:
    """The app: an agent that answers 200 requests at a time and sends each answer when it is there."""
    import faust
    import openai

    prefix = env["BASELINE_PREFIX"]
    app = faust.App(
        f"{prefix}baseline",
        broker=f"kafka://{env['BASELINE_BROKER']}",
        store="memory://",
        datadir=Path(env["BASELINE_DATA"]),
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        producer_acks=-1,
        broker_session_timeout=6,
        broker_heartbeat_interval=1.2,
    )
    requests = app.topic(f"{prefix}genai.requests", value_type=bytes, value_serializer="raw")
    responses = app.topic(f"{prefix}genai.responses", value_type=bytes, value_serializer="raw")
    dead_letters = app.topic(f"{prefix}genai.dead-letters", value_type=bytes, value_serializer="raw")
    client = openai.AsyncOpenAI(base_url=env["BASELINE_MODEL"], api_key="none")

    @app.agent(requests, concurrency=200)  # type: ignore[untyped-decorator]  # faust is untyped
    async def answer(stream: Any) -> None:
        async for event in stream.events():
            request = _readable(event.value)
            if request is None:
                await dead_letters.send(key=event.key, value=event.value)
                continue
            response = await _answered(client, request)
            await responses.send(key=event.key, value=json.dumps(response).encode())

    @app.task  # type: ignore[untyped-decorator]
    async def started() -> None:
        print("baseline.started", flush=True)

    return app


def _readable(value: bytes) -> dict[str, Any] | None:
    try:
        request = json.loads(value)
        known = isinstance(request["id"], str) and isinstance(request["messages"][0]["content"], str)
    except (ValueError, KeyError, TypeError, IndexError):
        return None
    return request if known else None


async def _answered(client: Any, request: dict[str, Any]) -> dict[str, Any]:
    """A response record in the shape that the verifier reads."""
    import openai

    tenant, name = request.get("tenant", "default"), request["id"]
    ended: dict[str, Any] = {"status": "completed", "choices": []}
    try:
        completion = await client.chat.completions.create(
            model="stub",
            messages=request["messages"],
            extra_headers={"Idempotency-Key": f"{tenant}:{name}"},
            timeout=5,
        )
        ended["choices"] = [{"message": {"content": completion.choices[0].message.content}}]
    except (openai.OpenAIError, ValueError, IndexError, AttributeError) as error:
        ended = {"status": "failed", "error": {"code": type(error).__name__}}
    created = datetime.now(UTC).isoformat()
    return {
        "id": f"{tenant}:{name}:response",
        "request_id": name,
        "tenant": tenant,
        "created": created,
        **ended,
    }


def main() -> None:
    """A worker of it, until it is stopped."""
    Path(os.environ["BASELINE_DATA"]).mkdir(parents=True, exist_ok=True)
    sys.argv = ["baseline", "worker", "-l", "warn", "--without-web"]
    new_app(os.environ).main()


if __name__ == "__main__":
    main()
