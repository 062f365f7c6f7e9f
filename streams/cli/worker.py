"""`sluicegate worker`: run stages."""

from typing import Annotated

import typer

from agents.errors import ConfigurationError, UnknownPart
from streams.cli import common
from streams.settings import STAGES, Settings


def worker(
    stages: Annotated[
        str, typer.Option(help=f"Which stages to run, comma separated: {', '.join(STAGES)}.")
    ] = "all",
    broker: common.BrokerOption = None,
    web_port: Annotated[
        int | None, typer.Option(help="Port of /metrics, /healthz, /readyz; 0 picks one.")
    ] = None,
) -> None:
    """Run stages until SIGTERM; a clean stop finishes what is in flight.

    Example: `sluicegate worker --stages retrieval,generation --web-port 9101`
    """
    from streams import loop
    from streams.logs import configure_logs

    settings = common.settings(broker=broker, web_port=web_port)
    configure_logs(settings)
    chosen = chosen_stages(stages)
    check_topics(settings)
    if loop.run(_run(settings, chosen)):
        raise typer.Exit(1)


async def _run(settings: Settings, stages: list[str]) -> list[str]:
    from streams.services import Services
    from streams.worker import Worker

    return await Worker(settings, stages, Services.create(settings)).run()


def chosen_stages(text: str) -> list[str]:
    """Stage names of a comma-separated list, in the order of the flow.

    Raises:
        UnknownPart: one is none of ours.
    """
    wanted = STAGES if text == "all" else [name.strip() for name in text.split(",") if name.strip()]
    for name in wanted:
        if name not in STAGES:
            raise UnknownPart("stage", name, list(STAGES))
    return [name for name in STAGES if name in wanted]


def check_topics(settings: Settings) -> None:
    """Raise ConfigurationError when topics are missing: the worker never creates one by accident."""
    from streams.provision import missing_topics

    if missing := missing_topics(settings):
        raise ConfigurationError(
            f"{settings.broker} lacks the topics {', '.join(missing)}; run: sluicegate topics create"
        )
