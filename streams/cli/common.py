"""What verbs share: options, settings, output."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from streams.settings import Settings, load_settings

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

BrokerOption = Annotated[
    str | None, typer.Option("--broker", help="Kafka bootstrap servers, over the settings.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def settings(**overrides: Any) -> Settings:
    """The settings, with the options that were given over them."""
    return load_settings(**overrides)


def complain(error: BaseException) -> None:
    """Say on standard error what is wrong."""
    err.print(f"[bold red]sluicegate:[/] {escape(str(error))}", soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document, for programs: no colours, no wrapping."""
    typer.echo(json.dumps(value, indent=2, default=str))
