"""`sluicegate send` and `ask`: publish requests, and wait for an answer."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agents.errors import SluicegateError
from streams.cli import common

if TYPE_CHECKING:
    from schemas.request import GenerationRequest
    from schemas.response import GenerationResponse

Question = Annotated[str | None, typer.Argument(help="What to ask, as the user's message.")]
Index = Annotated[str | None, typer.Option(help="Retrieve passages from this index.")]
TopK = Annotated[int, typer.Option(help="How many passages.")]
Tenant = Annotated[str, typer.Option(help="Whose request it is.")]
Prompt = Annotated[str | None, typer.Option(help="NAME, or NAME:VERSION, of a prompt.")]
Var = Annotated[list[str] | None, typer.Option(help="A prompt variable, KEY=VALUE; may be repeated.")]
Route = Annotated[str | None, typer.Option(help="A route of the routes file.")]
Model = Annotated[str | None, typer.Option(help="A model, over the route's.")]
RiskOption = Annotated[str, typer.Option(help="low, medium or high; the policy treats them differently.")]
IdOption = Annotated[str | None, typer.Option("--id", help="The request's id; a new one by default.")]

ENDED_OTHERWISE, TOO_LATE = 3, 4
"""Exit codes of `ask`."""


def send(
    question: Question = None,
    file: Annotated[
        Path | None, typer.Option(help="JSON lines, a request each; - for standard input.")
    ] = None,
    index: Index = None,
    top_k: TopK = 5,
    tenant: Tenant = "default",
    prompt: Prompt = None,
    var: Var = None,
    route: Route = None,
    model: Model = None,
    risk: RiskOption = "low",
    request_id: IdOption = None,
    broker: common.BrokerOption = None,
) -> None:
    """Publish a request, or a file of them, and print their ids. Nothing is sent when one is wrong.

    Example: `sluicegate send "What is a histogram?" --index examples --tenant acme`
    """
    from streams.client import Client

    if (question is None) == (file is None):
        raise SluicegateError("give a question, or --file with requests")
    if file is not None:
        requests = read_requests(sys.stdin.buffer if str(file) == "-" else file.read_bytes().splitlines())
    else:
        requests = [make(question or "", index, top_k, tenant, prompt, var, route, model, risk, request_id)]
    with Client(common.settings(broker=broker)) as client:
        for request in requests:
            typer.echo(client.send(request))


def ask(
    question: Annotated[str, typer.Argument(help="What to ask, as the user's message.")],
    index: Index = None,
    top_k: TopK = 5,
    tenant: Tenant = "default",
    prompt: Prompt = None,
    var: Var = None,
    route: Route = None,
    model: Model = None,
    risk: RiskOption = "low",
    request_id: IdOption = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait.")] = 120.0,
    json: common.JsonOption = False,
    broker: common.BrokerOption = None,
) -> None:
    """Publish a request and wait for its answer. Exit code 0: completed; 3: ended otherwise; 4: no answer in time.

    Example: `sluicegate ask "How do I expose metrics over HTTP?" --index examples --route quotes`
    """
    import msgspec

    from streams.client import Client, NoAnswer

    request = make(question, index, top_k, tenant, prompt, var, route, model, risk, request_id)
    with Client(common.settings(broker=broker)) as client:
        try:
            response = client.ask(request, timeout, lambda _: common.err.print("[yellow]held for review[/]"))
        except NoAnswer as error:
            common.complain(error)
            raise typer.Exit(TOO_LATE) from None
    if json:
        common.print_json(msgspec.to_builtins(response))
    else:
        show(response)
    if response.status != "completed":
        raise typer.Exit(ENDED_OTHERWISE)


def make(
    question: str,
    index: str | None,
    top_k: int,
    tenant: str,
    prompt: str | None,
    variables: list[str] | None,
    route: str | None,
    model: str | None,
    risk: str,
    request_id: str | None,
) -> "GenerationRequest":
    """A request of these options, checked as a worker would check it.

    Raises:
        SluicegateError: an option is not what the contract allows.
    """
    import msgspec

    body: dict[str, object] = {
        "messages": [{"role": "user", "content": question}],
        "tenant": tenant,
        "risk": risk,
    }
    if index:
        body["retrieval"] = {"index": index, "top_k": top_k}
    if prompt:
        name, _, version = prompt.partition(":")
        pairs = dict(_pair(text) for text in variables or ())
        body["prompt"] = {"name": name, "version": version or "latest", "variables": pairs}
    body |= {k: v for k, v in {"route": route, "model": model, "id": request_id}.items() if v is not None}
    return _checked(msgspec.json.encode(body), "the request")


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator:
        raise SluicegateError(f"--var {text!r} is not KEY=VALUE")
    return key, value


def read_requests(lines: Iterable[bytes]) -> "list[GenerationRequest]":
    """Requests of JSON lines; blank lines are skipped.

    Raises:
        SluicegateError: every line that is no request, with its field and what was expected.
    """
    requests, wrong = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            requests.append(_checked(line, f"line {number}"))
        except SluicegateError as error:
            wrong.append(str(error))
    if wrong:
        raise SluicegateError("\n".join(["nothing was sent:", *wrong]))
    return requests


def _checked(value: bytes, what: str) -> "GenerationRequest":
    from schemas.codec import DecodeError, decode
    from schemas.request import GenerationRequest

    try:
        return decode(GenerationRequest, value)
    except DecodeError as error:
        raise SluicegateError(f"{what}: {error.field}: {error} (expected {error.expected})") from None


def show(response: "GenerationResponse") -> None:
    """An answer for people."""
    from rich.markup import escape

    say = common.out.print
    if response.choices:
        say(escape(response.text()))
    if response.error:
        say(f"[red]{response.status}[/]: {escape(response.error.reason)}")
        if response.error.field:
            say(escape(f"  field {response.error.field}, expected {response.error.expected}"))
    for c in response.citations:
        say(
            escape(f"[{c.number}] {c.source}, characters {c.start}-{c.end} {' > '.join(c.headings)}"),
            style="cyan",
        )
    scores = ", ".join(
        f"{s.name} {s.status if s.value is None else f'{s.value:.2f}'}" for s in response.scores
    )
    decision = response.decision.action if response.decision else "none"
    cost = "none" if response.cost is None else f"{response.cost.amount} {response.cost.currency}"
    took = response.timings.total_ms
    say(
        f"scores: {scores or 'none'}; decision: {decision}; cost: {cost}; cached: {response.cached}",
        style="dim",
    )
    say(f"took: {'unknown' if took is None else f'{took:.0f} ms'}; id: {response.request_id}", style="dim")
