"""`sluicegate dlq`: look at dead letters, put them back, remove them."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agents.errors import SluicegateError
from streams.cli import common

if TYPE_CHECKING:
    from schemas.dead_letter import DeadLetter
    from streams.dead_letters import Stored, Wanted
    from streams.settings import Settings

app = typer.Typer(
    no_args_is_help=True, help="Look at records that could not be processed, replay or purge them."
)

_KNOWN = ("reason", "field", "expected", "tenant", "request_id", "attempts")
_WHOLE = ("at", "time", "reason")

Places = Annotated[
    list[str] | None, typer.Argument(help="PARTITION:OFFSET of exactly those, as `dlq list` shows them.")
]
Reason = Annotated[
    list[str] | None,
    typer.Option(help="Only this reason: not_json, invalid, too_large, ...; may be repeated."),
]
Tenant = Annotated[str | None, typer.Option(help="Only this tenant, where it is known.")]
Since = Annotated[
    str | None, typer.Option(help="Set aside since then: 2026-01-02T03:04:05Z, or 30m, 2h, 3d ago.")
]
Until = Annotated[str | None, typer.Option(help="Set aside before then; as --since.")]
Topic = Annotated[str | None, typer.Option(help="Only what came from this topic: requests, contexts, ...")]
All = Annotated[bool, typer.Option("--all", help="Every dead letter; needed where nothing else says which.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]


@app.command("list")
def list_(
    places: Places = None,
    reason: Reason = None,
    tenant: Tenant = None,
    since: Since = None,
    until: Until = None,
    topic: Topic = None,
    limit: Annotated[int, typer.Option(min=1, help="The last so many.")] = 50,
    json: common.JsonOption = False,
    broker: common.BrokerOption = None,
) -> None:
    """Show dead letters, oldest first: why each was set aside, in which field, and where it came from.

    Example: `sluicegate dlq list --reason invalid --since 2h --limit 20`
    """
    from streams.dead_letters import head, read

    settings = common.settings(broker=broker)
    wanted = _wanted(settings, places, reason, tenant, since, until, topic)
    found = [head(letter) for letter in read(settings) if letter in wanted]
    wanted.check_found({letter.place for letter in found})
    found.sort(key=lambda letter: (letter.timestamp_ms, letter.place))
    shown = found[-limit:]
    if json:
        return common.print_json([_row(letter) for letter in shown])
    if not found:
        return common.out.print("no dead letters")
    _table([_row(letter) for letter in shown])
    last = f", the last {len(shown)} shown" if len(shown) < len(found) else ""
    return common.out.print(f"{_by_reason(found)}{last}", soft_wrap=True)


@app.command()
def show(
    place: Annotated[str, typer.Argument(help="PARTITION:OFFSET, as `dlq list` shows it.")],
    broker: common.BrokerOption = None,
) -> None:
    """Show one dead letter: when it was set aside, its headers and its bytes, safely printed.

    Example: `sluicegate dlq show 3:17`
    """
    from streams.dead_letters import Place, read

    wanted = Place.of(place)
    for letter in read(common.settings(broker=broker)):
        if letter.place == wanted:
            return _show(letter)
    raise SluicegateError(f"there is no dead letter at {place}; see: sluicegate dlq list")


def _show(letter: "Stored") -> None:
    typer.echo(f"time: {_time(letter)}")
    for name, held in letter.headers:
        typer.echo(f"{name}: {'(none)' if held is None else held.decode('utf-8', 'backslashreplace')}")
    typer.echo(f"key: {letter.key!r}")
    value = letter.value or b""
    typer.echo(f"value, {len(value)} bytes: {value[:4000]!r}{' ...' if len(value) > 4000 else ''}")


@app.command()
def replay(
    places: Places = None,
    reason: Reason = None,
    tenant: Tenant = None,
    since: Since = None,
    until: Until = None,
    topic: Topic = None,
    all_: All = False,
    prompt: Annotated[
        str | None, typer.Option(help="NAME or NAME@VERSION: ask with this prompt instead.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Ask this model instead.")] = None,
    dry_run: DryRun = False,
    broker: common.BrokerOption = None,
) -> None:
    """Put dead letters back on the topics they came from, so that a worker handles them again.

    Key, own headers, request id, tenant and conversation stay. A request that can be read gets the next `replay`: it
    is answered though its id was used, under ids of events of its own; sent twice, the second is set aside as
    `duplicate_id`. What cannot be read goes back byte for byte. A deadline that has passed stays passed.

    With --prompt or --model the answer is generated again, from the passages that were found where there are some.
    Passages are kept, and so are the prompt's variables.

    The letters themselves stay, until `dlq purge` or their retention removes them.

    Example: `sluicegate dlq replay --reason model_unavailable --since 2h --model small-chat --dry-run`
    """
    from streams.dead_letters import Change, plan, read, send

    settings = common.settings(broker=broker)
    wanted = _wanted(settings, places, reason, tenant, since, until, topic)
    _need(wanted, all_)
    sent, left = plan(read(settings), wanted, Change.of(prompt, model), settings.topic_prefix)
    if dry_run:
        for one in sent:
            typer.echo(f"{one.place} -> {one.topic}: {one.said}, {len(one.value or b'')} bytes")
    elif sent:
        send(settings, sent)
    for error in left:
        typer.echo(f"left: {error}")
    topics = Counter(one.topic for one in sent)
    went = ", ".join(f"{name} {count}" for name, count in sorted(topics.items()))
    typer.echo(f"{'would replay' if dry_run else 'replayed'}: {went or 'none'}; left: {len(left)}")


@app.command()
def purge(
    places: Places = None,
    reason: Reason = None,
    tenant: Tenant = None,
    since: Since = None,
    until: Until = None,
    topic: Topic = None,
    all_: All = False,
    dry_run: DryRun = False,
    broker: common.BrokerOption = None,
) -> None:
    """Remove dead letters for good.

    Kafka deletes only from the beginning of a partition. Letters that stay but stand before one that goes are
    first written again to the end, unchanged, with their time, and get another place; then the beginning is
    deleted. A crash between the two leaves letters twice and loses none. Run one purge at a time: another could
    keep what this one removes.

    The broker must know DeleteRecords: Apache Kafka does, the embedded broker does not.

    Example: `sluicegate dlq purge --reason not_json --until 7d --dry-run`
    """
    from streams.dead_letters import purge, purge_of, read

    settings = common.settings(broker=broker)
    wanted = _wanted(settings, places, reason, tenant, since, until, topic)
    _need(wanted, all_)
    planned = purge_of(read(settings), wanted)
    if not planned.removed:
        return typer.echo("no dead letters to purge")
    if dry_run:
        _table([_row(letter) for letter in planned.removed])
        return typer.echo(f"would purge {_by_reason(planned.removed)}")
    moved = purge(settings, planned)
    kept = f"; {moved} that stay have another place now" if moved else ""
    return typer.echo(f"purged {_by_reason(planned.removed)}{kept}")


def _wanted(
    settings: "Settings",
    places: list[str] | None,
    reason: list[str] | None,
    tenant: str | None,
    since: str | None,
    until: str | None,
    topic: str | None,
) -> "Wanted":
    from streams.dead_letters import wanted

    return wanted(
        settings.topic_prefix,
        datetime.now(UTC),
        reasons=reason or (),
        tenant=tenant,
        since=since,
        until=until,
        topic=topic,
        places=places or (),
    )


def _need(wanted: "Wanted", all_: bool) -> None:
    if not wanted and not all_:
        raise SluicegateError(
            "say which: PARTITION:OFFSET, --reason, --tenant, --since, --until, --topic; or --all"
        )


def _by_reason(letters: Iterable["Stored"]) -> str:
    counts = Counter(found.letter.reason if found.letter else "unknown" for found in letters)
    each = ", ".join(f"{reason} {count}" for reason, count in counts.most_common())
    total = counts.total()
    return f"{total} dead letter{'' if total == 1 else 's'}: {each}"


def _table(rows: list[dict[str, Any]]) -> None:
    """A table without the columns that nobody fills: there are more than a narrow terminal shows."""
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    filled = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    for name in filled:
        table.add_column(name, overflow="fold", no_wrap=name in _WHOLE)
    for row in rows:
        table.add_row(*("" if row[name] is None else escape(str(row[name])) for name in filled))
    common.out.print(table)


def _time(letter: "Stored") -> str:
    return letter.time.isoformat(timespec="seconds").replace("+00:00", "Z")


def _row(found: "Stored") -> dict[str, Any]:
    letter: DeadLetter | None = found.letter
    known = {name: getattr(letter, name, None) for name in _KNOWN}
    origin = f"{letter.topic}-{letter.partition}-{letter.offset}" if letter else None
    return {
        "at": str(found.place),
        "time": _time(found),
        **known,
        "from": origin,
        "begins": repr(found.value or b""),
    }
