"""The command line: one table of verbs, each in a file of its own, imported when it is called."""

import os
import sys

import typer

from agents.errors import SluicegateError
from streams.cli import (
    common,
    demo,
    dlq,
    doctor,
    index,
    policy,
    prompts,
    review,
    schemas,
    scorers,
    send,
    tail,
    topics,
    vault,
    worker,
)

app = typer.Typer(
    name="sluicegate",
    help="A streaming event processor for generative AI on Kafka.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("up")(demo.up)
app.command("worker")(worker.worker)
app.command("send")(send.send)
app.command("ask")(send.ask)
app.command("tail")(tail.tail)
app.add_typer(topics.app, name="topics")
app.add_typer(index.app, name="index")
app.add_typer(prompts.app, name="prompts")
app.add_typer(policy.app, name="policy")
app.add_typer(scorers.app, name="scorers")
app.add_typer(review.app, name="review")
app.add_typer(vault.app, name="vault")
app.add_typer(dlq.app, name="dlq")
app.add_typer(schemas.app, name="schemas")
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the tool; what is wrong is told in words, never as a traceback of ours."""
    # onnxruntime records what it runs and would send it to its maker; told before it is imported, it does not.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        app()
    except SluicegateError as error:
        common.complain(error)
        sys.exit(2)
