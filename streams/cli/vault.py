"""`sluicegate vault`: put back what was redacted, for who holds the key."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from agents.errors import SluicegateError
from streams.cli import common

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.response import GenerationResponse

app = typer.Typer(no_args_is_help=True, help="Restore redacted answers, forget what was kept, make a key.")

Tenant = Annotated[str, typer.Option(help="Whose request it is.")]
Replay = Annotated[int, typer.Option(help="Which replay of it; 0 for the request itself.")]


@app.command()
def restore(
    request: Annotated[
        str | None, typer.Option(help="The request's id; without it a response is read from standard input.")
    ] = None,
    tenant: Tenant = "default",
    replay: Replay = 0,
) -> None:
    """Write an answer as it was before its redaction; or a response, read as JSON from standard input.

    Example: `sluicegate vault restore --tenant acme --request 4711`
    """
    if request is not None:
        return typer.echo(asyncio.run(_restored_text(tenant, request, replay)))
    return typer.echo(asyncio.run(_restored_response(sys.stdin.buffer.read())))


@app.command()
def forget(
    request: Annotated[str, typer.Option(help="The request's id.")],
    tenant: Tenant = "default",
    replay: Replay = 0,
) -> None:
    """Drop what is kept for a request now, before its time.

    Example: `sluicegate vault forget --tenant acme --request 4711`
    """
    typer.echo("forgotten" if asyncio.run(_forget(tenant, request, replay)) else "nothing was kept")


@app.command()
def key() -> None:
    """Print a fresh key for SLUICEGATE_VAULT_KEY.

    Example: `sluicegate vault key`
    """
    from streams.vault import new_key

    typer.echo(new_key())


async def _forget(tenant: str, request_id: str, replay: int) -> bool:
    from streams.vault import reading_vault

    async with reading_vault(common.settings()) as vault:
        return await vault.forget(tenant, request_id, replay)


async def _restored_text(tenant: str, request_id: str, replay: int) -> str:
    from agents.redaction import restore
    from streams.vault import reading_vault

    async with reading_vault(common.settings()) as vault:
        kept = await vault.recall(tenant, request_id, replay)
    if not kept:
        raise SluicegateError(f"nothing is kept for {request_id!r} of tenant {tenant}, or no longer")
    if len(kept) > 1:
        raise SluicegateError(
            f"several answers to {request_id!r} were redacted: give the one on standard input"
        )
    return restore(kept[0].text, kept[0].values)


async def _restored_response(document: bytes) -> str:
    from schemas.codec import DecodeError, decode, encode
    from schemas.response import GenerationResponse
    from streams.vault import reading_vault

    try:
        response = decode(GenerationResponse, document)
    except DecodeError as error:
        raise SluicegateError(f"no response on standard input: {error}") from None
    async with reading_vault(common.settings()) as vault:
        kept = await vault.recall(response.tenant, response.request_id, response.replay)
    values = next((one.values for one in kept if one.text == response.text()), None)
    if values is None:
        raise SluicegateError(f"nothing is kept for this answer to {response.request_id!r}, or no longer")
    return encode(_restored(response, values)).decode()


def _restored(response: "GenerationResponse", values: "Mapping[str, str]") -> "GenerationResponse":
    from msgspec.structs import replace

    from agents.redaction import restore

    choices = tuple(
        replace(one, message=replace(one.message, content=restore(one.message.text(), values)))
        for one in response.choices
    )
    citations = tuple(replace(one, text=restore(one.text, values)) for one in response.citations)
    return replace(response, choices=choices, citations=citations)
