"""The command line: one table of verbs, each in a file of its own, imported when it is called."""

import sys

import typer

from agents.errors import SluicegateError
from streams.cli import common, demo, index, topics, worker

app = typer.Typer(
    name="sluicegate",
    help="A streaming event processor for generative AI on Kafka.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(topics.app, name="topics")
app.add_typer(index.app, name="index")
app.command("worker")(worker.worker)
app.command("demo")(demo.demo)
app.command("up")(demo.up)


def main() -> None:
    """Run the tool; what is wrong is told in words, never as a traceback of ours."""
    try:
        app()
    except SluicegateError as error:
        common.complain(error)
        sys.exit(2)
