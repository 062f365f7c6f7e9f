"""`sluicegate demo` and `up`: everything on this machine."""

import signal
import threading
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.panel import Panel
from rich.table import Table

from streams.cli import common
from streams.cli.index import progress_bars

if TYPE_CHECKING:
    from streams.demo import Demo, Story
    from streams.runtime import Runtime

BrokerChoice = Annotated[
    str, typer.Option("--broker", help="embedded, apache, or the HOST:PORT of one that runs.")
]
_STEPS = ("genai.contexts", "genai.drafts", "genai.reviews", "genai.review-decisions", "genai.responses")


def up(broker: BrokerChoice = "embedded") -> None:
    """Start broker, Redis, model, index and worker, and keep them running until Ctrl-C.

    Example: `sluicegate up --broker apache`
    """
    from streams.runtime import shell_exports

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with _started(broker) as runtime:
        common.out.print("\nReady. In another shell:\n")
        typer.echo(shell_exports(runtime.environment))
        typer.echo(
            'sluicegate ask "How do I expose metrics over HTTP with prometheus_client?" --index examples'
        )
        common.out.print("sluicegate tail responses --from beginning\n\nCtrl-C stops everything.")
        while not stop.wait(1.0):
            if runtime.worker is None or runtime.worker.pid is None:
                common.err.print("[red]the worker ended[/]")
                common.err.print(runtime.worker.tail() if runtime.worker else "", markup=False)
                raise typer.Exit(1)
    common.out.print("stopped")


def demo(broker: BrokerChoice = "embedded") -> None:
    """Run the whole flow on real input and show each request's way through it.

    Example: `sluicegate demo`
    """
    from streams.demo import Demo, first_round, quoted

    with _started(broker) as runtime:
        flow = Demo(runtime.settings)
        try:
            started = time.monotonic()
            for request, why in first_round():
                flow.publish(request, why)
            flow.publish_broken()
            first_s = _follow(flow, started)
            flow.publish(quoted("again"), "asked again: from the cache")
            _follow(flow, started)
            _show_answers(flow)
            _show_end(flow, runtime, first_s)
        finally:
            flow.close()
        if any(not story.ended for story in flow.stories.values()):
            common.err.print("[red]not every request ended in time[/]; the worker's log ends with:")
            common.err.print(runtime.worker.tail() if runtime.worker else "", markup=False)
            raise typer.Exit(1)


def _started(broker: str) -> "Runtime":
    from streams.runtime import Runtime

    common.out.print("[bold]Sluicegate[/] starts its parts on this machine:")
    bars = progress_bars()

    class Shown(Runtime):
        """The runtime, its long steps shown as bars."""

        def _start(self) -> None:
            with bars as tell:
                self._progress = tell
                super()._start()

    return Shown(broker, lambda line: common.out.print(f"  {line}"))


def _follow(flow: "Demo", started: float) -> float:
    """Show the stories live; returns the seconds from `started` to the first answer."""
    from rich.live import Live

    first_s = 0.0
    with Live(_table(flow), console=common.out, refresh_per_second=4) as live:
        for _ in flow.follow(timeout_s=180):
            live.update(_table(flow))
            if not first_s and any(s.response and s.response.choices for s in flow.stories.values()):
                first_s = time.monotonic() - started
        live.update(_table(flow))
    return first_s


def _table(flow: "Demo") -> Table:
    table = Table(title="requests on genai.requests", title_justify="left", expand=True)
    for name, ratio in (("request", 5), ("shows", 4), ("way through the topics", 6), ("outcome", 4)):
        table.add_column(name, ratio=ratio, overflow="fold")
    for story in flow.stories.values():
        way = [name.removeprefix("genai.") for name in dict.fromkeys(story.seen) if name in _STEPS]
        if story.letter:
            way = ["dead-letters"]
        table.add_row(story.asked[:60], story.why, " ▸ ".join(way), f"[{_colour(story)}]{story.outcome}[/]")
    return table


def _colour(story: "Story") -> str:
    status = story.response.status if story.response else ""
    return {"completed": "green", "pending_review": "yellow", "": "red"}.get(status, "red")


def _show_answers(flow: "Demo") -> None:
    for story in flow.stories.values():
        if story.response is not None:
            body, colour = _told(story), _colour(story)
            title = f"{story.request_id}: {story.outcome}"
            common.out.print(Panel(body, title=title, title_align="left", border_style=colour))
        elif story.letter:
            said = f"{story.letter.message}\nfield {story.letter.field}, expected {story.letter.expected}"
            common.out.print(Panel(said, title="dead letter", title_align="left", border_style="red"))


def _told(story: "Story") -> str:
    from rich.markup import escape

    response = story.response
    assert response is not None
    lines = [f"[bold]{escape(story.asked)}[/]"]
    if response.choices:
        lines.append(escape(response.text()))
    if response.error:
        where = (
            f" ({response.error.field}: expected {response.error.expected})" if response.error.field else ""
        )
        lines.append(escape(f"{response.error.code}: {response.error.reason}{where}"))
    lines += [
        escape(f"[{c.number}] {c.source}, characters {c.start}-{c.end}, {' > '.join(c.headings)}")
        for c in response.citations
    ]
    if response.scores:
        lines.append(
            "scores: " + ", ".join(f"{s.name} {_number(s.value)} ({s.status})" for s in response.scores)
        )
    if response.decision:
        rules = ", ".join(response.decision.rules) or "no rule fired"
        lines.append(f"decision: {response.decision.action} by {response.decision.policy} ({rules})")
    if story.review:
        held = story.review
        lines.append(f"held for review by {', '.join(held.decision.rules)}; the model had said:")
        lines.append(f"  {escape(held.draft.answer.strip())}")
        lines.append("the demo's reviewer corrected it, and the policy judged the new text")
    if response.cost:
        cost = response.cost
        tokens = f"{cost.usage.input_tokens} + {cost.usage.output_tokens} tokens"
        lines.append(
            f"cost: {cost.amount} {cost.currency} ({cost.status}), {tokens} on {cost.provider}/{cost.model}"
        )
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def _show_end(flow: "Demo", runtime: "Runtime", first_s: float) -> None:
    ended = sum(story.ended for story in flow.stories.values())
    paid: Any = ", ".join(f"{amount} {currency}" for currency, amount in flow.total().items()) or "nothing"
    common.out.print(
        f"\n[bold]{ended} of {len(flow.stories)} ended[/]; the first answer came after {first_s:.1f} s."
    )
    common.out.print(
        f"{len(flow.judgements)} judgements on genai.moderation, {len(flow.costs)} lines on genai.costs: {paid}."
    )
    common.out.print(
        f"Topics are on {runtime.settings.broker} (`sluicegate topics list` says what each carries)."
    )
    common.out.print(
        'Next: [bold]make up[/] keeps it running; then, in another shell, sluicegate ask "..." --index examples;'
        " change prompts/, policies/default.yaml or examples/local/routes.yaml and run it again."
    )
