"""`sluicegate review`: what waits for a person, and the person's word on it."""

import asyncio
import getpass
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agents.errors import SluicegateError
from streams.cli import common

if TYPE_CHECKING:
    from agents.policy_file import ReviewTerms
    from schemas.common import Risk
    from schemas.review import Review, ReviewAction
    from streams.settings import Settings

    TermsOf = Callable[[Risk], ReviewTerms]

app = typer.Typer(no_args_is_help=True, help="List held answers, and approve, edit or reject them.")

RequestId = Annotated[str, typer.Argument(help="The request's id, as `review list` shows it.")]
Tenant = Annotated[str, typer.Option(help="Whose request it is.")]
Reviewer = Annotated[str | None, typer.Option(help="Who decides; your user name by default.")]
Comment = Annotated[str | None, typer.Option(help="Why; kept with the review.")]


@app.command("list")
def list_(json: common.JsonOption = False, broker: common.BrokerOption = None) -> None:
    """Show the answers that wait for a person: escalated ones first, then the oldest.

    Example: `sluicegate review list --json`
    """
    from rich.markup import escape
    from rich.table import Table

    settings = common.settings(broker=broker)
    terms_of = _terms(settings)
    now = datetime.now(UTC)
    rows = waiting_rows(asyncio.run(_pending(settings)), terms_of, now)
    if json:
        return common.print_json(rows)
    if not rows:
        return common.out.print("nothing waits for review")
    table = Table(*shown(rows[0], now))
    for row in rows:
        table.add_row(*(escape(text) for text in shown(row, now).values()))
    return common.out.print(table)


def waiting_rows(waiting: "list[Review]", terms_of: "TermsOf | None", now: datetime) -> list[dict[str, Any]]:
    """What waits, as the list shows it and in its order."""
    ordered = sorted(waiting, key=lambda review: (review.escalated is None, review.created))
    return [_row(review, terms_of, now) for review in ordered]


def _row(review: "Review", terms_of: "TermsOf | None", now: datetime) -> dict[str, Any]:
    from agents.review import expires

    request = review.draft.context.request
    return {
        "request_id": request.id or "",
        "tenant": request.tenant,
        "risk": request.risk,
        "rules": ", ".join(review.decision.rules),
        "since": review.created.isoformat(timespec="seconds"),
        "waited_s": int((now - review.created).total_seconds()),
        "escalated": _instant(review.escalated),
        "expires": _instant(expires(review, terms_of(request.risk)) if terms_of else None),
        "answer": review.draft.answer.strip()[:80],
    }


def shown(row: dict[str, Any], now: datetime) -> dict[str, str]:
    """A row for people: durations instead of times, all of it text."""
    expires = row["expires"]
    left_s = (datetime.fromisoformat(expires) - now).total_seconds() if expires else None
    return {
        **{name: row[name] for name in ("request_id", "tenant", "risk", "rules")},
        "waited": _duration(row["waited_s"]),
        "escalated": "yes" if row["escalated"] else "",
        "expires in": "" if left_s is None else _duration(left_s),
        "answer": row["answer"],
    }


def _instant(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None


def _duration(seconds: float) -> str:
    """`3 h 12 min`; what is over is `now`."""
    if seconds <= 0:
        return "now"
    minutes, rest_s = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{rest_s} s"


def _terms(settings: "Settings") -> "TermsOf | None":
    """The terms of the policy in force; None where there is no policy to read, which a reviewer need not have."""
    from agents.errors import ConfigurationError
    from agents.policy import Policy

    try:
        return Policy.load(settings.policy).review_terms
    except ConfigurationError as error:
        common.complain(error)
        common.err.print("when an answer expires is not shown")
        return None


@app.command()
def show(request_id: RequestId, tenant: Tenant = "default", broker: common.BrokerOption = None) -> None:
    """Show one review: question, answer, scores, the rules that held it, and the passages.

    Example: `sluicegate review show 4711 --tenant acme`
    """
    from rich.markup import escape

    review = _found(common.settings(broker=broker), tenant, request_id)
    request, say = review.draft.context.request, common.out.print
    say(f"[bold]{escape(request.question())}[/]\n\n{escape(review.draft.answer)}\n")
    scores = ", ".join(
        f"{s.name} {s.status if s.value is None else round(s.value, 2)}" for s in review.scores
    )
    say(
        f"state: {review.state}; risk: {request.risk}; rules: {', '.join(review.decision.rules)}; scores: {scores}"
    )
    for score in review.scores:
        for piece in score.evidence:
            mark = "[green]supported[/]" if piece.supported else f"[red]{piece.reason or 'not supported'}[/]"
            say(f"  {mark} {escape(piece.text.strip())}")
    for number, passage in enumerate(review.draft.context.passages, start=1):
        say(escape(f"\n[{number}] {passage.source}: {passage.text}"), style="dim")


@app.command()
def approve(
    request_id: RequestId,
    tenant: Tenant = "default",
    reviewer: Reviewer = None,
    comment: Comment = None,
    broker: common.BrokerOption = None,
) -> None:
    """Release the answer as it is.

    Example: `sluicegate review approve 4711 --comment "checked with legal"`
    """
    _decide(broker, "approve", request_id, tenant, reviewer, comment)


@app.command()
def edit(
    request_id: RequestId,
    text: Annotated[str | None, typer.Option(help="The new answer.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file that holds it.", exists=True)] = None,
    tenant: Tenant = "default",
    reviewer: Reviewer = None,
    comment: Comment = None,
    broker: common.BrokerOption = None,
) -> None:
    """Release another text instead; the policy judges it first.

    Example: `sluicegate review edit 4711 --text "Yes, within 30 days [1]."`
    """
    if (text is None) == (file is None):
        raise SluicegateError("give --text or --file")
    new = text if text is not None else file.read_text() if file else ""
    _decide(broker, "edit", request_id, tenant, reviewer, comment, new)


@app.command()
def reject(
    request_id: RequestId,
    tenant: Tenant = "default",
    reviewer: Reviewer = None,
    comment: Comment = None,
    broker: common.BrokerOption = None,
) -> None:
    """Let nothing out: the request ends as blocked.

    Example: `sluicegate review reject 4711 --comment "made up"`
    """
    _decide(broker, "reject", request_id, tenant, reviewer, comment)


def _decide(
    broker: str | None,
    action: "ReviewAction",
    request_id: str,
    tenant: str,
    reviewer: str | None,
    comment: str | None,
    text: str | None = None,
) -> None:
    from schemas import channels
    from schemas.review import ReviewDecision
    from streams.client import Client

    settings = common.settings(broker=broker)
    review = _found(settings, tenant, request_id)
    if review.state != "pending":
        who = review.resolution.reviewer if review.resolution else "somebody"
        raise SluicegateError(f"{request_id} was {review.state} by {who} already")
    word = ReviewDecision(
        request_id=request_id,
        tenant=tenant,
        action=action,
        reviewer=reviewer or getpass.getuser(),
        text=text,
        comment=comment,
    )
    with Client(settings) as client:
        client.publish(channels.REVIEW_DECISIONS, word)
    common.out.print(f"{request_id}: {action} sent; the release stage answers on genai.responses")


def _found(settings: "Settings", tenant: str, request_id: str) -> "Review":
    review = asyncio.run(_find(settings, tenant, request_id))
    if review is None:
        raise SluicegateError(
            f"tenant {tenant} has no review for {request_id!r}; see: sluicegate review list"
        )
    return review


async def _pending(settings: "Settings") -> "list[Review]":
    from streams.reviews import KafkaReviewBook

    async with KafkaReviewBook(settings.broker, settings.topic_prefix) as book:
        return await book.pending()


async def _find(settings: "Settings", tenant: str, request_id: str) -> "Review | None":
    from streams.reviews import KafkaReviewBook

    async with KafkaReviewBook(settings.broker, settings.topic_prefix) as book:
        return await book.find(tenant, request_id)
