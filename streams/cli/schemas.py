"""`sluicegate schemas`: the contracts, for other teams."""

from pathlib import Path
from typing import Annotated

import typer

from streams.cli import common

app = typer.Typer(no_args_is_help=True, help="Export the contracts.")


@app.command()
def export(
    directory: Annotated[Path, typer.Argument(help="Where to write; made where it is missing.")],
) -> None:
    """Write a JSON Schema of each event, and an AsyncAPI 3 document of all topics.

    Example: `sluicegate schemas export build/schemas`
    """
    from schemas.export import write

    for path in write(directory):
        typer.echo(path)


@app.command("list")
def list_() -> None:
    """Show which event each topic carries.

    Example: `sluicegate schemas list`
    """
    from schemas.channels import CHANNELS

    for channel in CHANNELS:
        common.out.print(f"{channel.topic:<24} {channel.ce_type:<32} {channel.description}", soft_wrap=True)
