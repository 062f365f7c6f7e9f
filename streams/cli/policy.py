"""`sluicegate policy`: show and check policies."""

from pathlib import Path
from typing import Annotated

import typer

from streams.cli import common

app = typer.Typer(no_args_is_help=True, help="Show and check policies.")


@app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="A policy file; that of the settings by default.")
    ] = None,
    json: common.JsonOption = False,
) -> None:
    """Check a policy and show its rules; every mistake is told at once.

    Example: `sluicegate policy check policies/default.yaml`
    """
    from rich.table import Table

    from agents.policy import Policy

    policy = Policy.load(file or common.settings().policy)
    rows = policy.rows()
    if json:
        return common.print_json({"policy": policy.label, "rules": rows})
    table = Table("stage", "tenant", "rule", "when", "action", title=f"{policy.label}: {policy.description}")
    for row in rows:
        table.add_row(*row.values())
    return common.out.print(table)
