"""`sluicegate dlq`: look at dead letters."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agents.errors import SluicegateError
from streams.cli import common

if TYPE_CHECKING:
    from schemas.dead_letter import DeadLetter

app = typer.Typer(no_args_is_help=True, help="Look at records that could not be processed.")

_IDLE_S = 1.5
_KNOWN = ("reason", "field", "expected", "tenant", "request_id")


@app.command("list")
def list_(
    reason: Annotated[
        str | None, typer.Option(help="Only this reason: not_json, invalid, too_large, ...")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant, where it is known.")] = None,
    limit: Annotated[int, typer.Option(help="The last so many.")] = 50,
    json: common.JsonOption = False,
    broker: common.BrokerOption = None,
) -> None:
    """Show dead letters: why each was set aside, in which field, and where it came from.

    Example: `sluicegate dlq list --reason invalid --limit 20`
    """
    from rich.markup import escape
    from rich.table import Table

    rows = [_row(record, letter) for record, letter in _letters(broker)]
    rows = [row for row in rows if reason in (None, row["reason"]) and tenant in (None, row["tenant"])][
        -limit:
    ]
    if json:
        return common.print_json(rows)
    if not rows:
        return common.out.print("no dead letters")
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(escape(str(value or "")) for value in row.values()))
    return common.out.print(table)


@app.command()
def show(
    place: Annotated[str, typer.Argument(help="PARTITION:OFFSET, as `dlq list` shows it.")],
    broker: common.BrokerOption = None,
) -> None:
    """Show one dead letter: its headers and its bytes, safely printed.

    Example: `sluicegate dlq show 3:17`
    """
    for record, _ in _letters(broker):
        if f"{record.partition}:{record.offset}" == place:
            for name, value in record.headers:
                typer.echo(f"{name}: {value.decode('utf-8', 'backslashreplace')}")
            typer.echo(f"key: {record.key!r}")
            value = record.value or b""
            typer.echo(f"value, {len(value)} bytes: {value[:4000]!r}{' ...' if len(value) > 4000 else ''}")
            return
    raise SluicegateError(f"there is no dead letter at {place}; see: sluicegate dlq list")


def _letters(broker: str | None) -> "list[tuple[Any, DeadLetter | None]]":
    from schemas import channels
    from streams.client import Client

    with Client(common.settings(broker=broker)) as client:
        return [(record, _letter(record)) for record in client.records(channels.DEAD_LETTERS, idle_s=_IDLE_S)]


def _letter(record: Any) -> "DeadLetter | None":
    from schemas.dead_letter import DeadLetter

    try:
        return DeadLetter.from_headers(list(record.headers))
    except (KeyError, ValueError):
        return None  # somebody else's: shown without a reason


def _row(record: Any, letter: "DeadLetter | None") -> dict[str, str | None]:
    place = {"at": f"{record.partition}:{record.offset}"}
    begins = {"begins": repr((record.value or b"")[:40])}
    if letter is None:
        return {**place, **dict.fromkeys(_KNOWN), "from": None, **begins}
    known: dict[str, str | None] = {name: getattr(letter, name) for name in _KNOWN}
    return {**place, **known, "from": f"{letter.topic}-{letter.partition}-{letter.offset}", **begins}
