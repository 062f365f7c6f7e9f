"""`sluicegate index`: build, extend, list and roll back indexes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli import common

if TYPE_CHECKING:
    from streams.indexing import Progress

app = typer.Typer(no_args_is_help=True, help="Build, extend, list and roll back indexes.")

Name = Annotated[str, typer.Argument(help="The index's name, as requests name it.")]
Paths = Annotated[
    list[Path], typer.Argument(help="Files, or folders of .txt, .md, .html and .pdf files.", exists=True)
]


@contextmanager
def progress_bars() -> "Iterator[Progress]":
    """One bar a step, on standard error, gone when done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=common.err, transient=True) as bars:
        tasks: dict[str, object] = {}

        def tell(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)  # type: ignore[arg-type]

        yield tell


@app.command()
def build(name: Name, paths: Paths) -> None:
    """Make these documents the live version; a running worker picks it up by itself.

    Example: `sluicegate index build examples examples/corpus`
    """
    _build(name, paths, add=False)


@app.command()
def add(name: Name, paths: Paths) -> None:
    """Add documents to the live version; one of the same name is replaced.

    Example: `sluicegate index add examples notes/today.md`
    """
    _build(name, paths, add=True)


def _build(name: str, paths: list[Path], *, add: bool) -> None:
    from rich.markup import escape

    from streams.indexing import build_index

    settings = common.settings()
    with progress_bars() as tell:
        result = build_index(settings, name, paths, tell, add=add)
    for problem in result.problems:
        common.err.print(f"[yellow]left out[/] {escape(str(problem))}", soft_wrap=True)
    common.out.print(
        f"{result.version.version} is live: {result.documents} documents, {result.passages} passages, "
        f"{result.seconds:.1f} s"
    )


@app.command("list")
def list_(json: common.JsonOption = False) -> None:
    """Show every index and its versions, the live one marked.

    Example: `sluicegate index list --json`
    """
    from rich.table import Table

    from streams.indexing import store_of

    catalogs = store_of(common.settings()).list()
    rows = [
        {
            "index": catalog.name,
            "version": version.version,
            "live": version.version == catalog.live,
            "built": version.built_at.isoformat(timespec="seconds"),
            "passages": version.passages,
            "embedder": version.embedder,
        }
        for catalog in catalogs
        for version in catalog.versions
    ]
    if json:
        return common.print_json(rows)
    if not rows:
        return common.out.print("no index yet; build one: sluicegate index build NAME PATHS...")
    table = Table(*rows[0])
    for row in rows:
        table.add_row(
            *(("yes" if value else "") if key == "live" else str(value) for key, value in row.items())
        )
    return common.out.print(table)


@app.command()
def rollback(
    name: Name, to: Annotated[str | None, typer.Option(help="A version or the start of its hash.")] = None
) -> None:
    """Make an older version live again: the one built before, or the one named.

    Example: `sluicegate index rollback examples --to 3f2a`
    """
    from streams.indexing import store_of

    version = store_of(common.settings()).rollback(name, to)
    common.out.print(f"{version.version} is live")
