"""`sluicegate doctor`: is everything there, and what to do where it is not."""

from dataclasses import asdict

import typer

from streams.cli import common

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(json: common.JsonOption = False, broker: common.BrokerOption = None) -> None:
    """Check broker, topics, Redis, models, prompts, policy, routes and indexes. Exit code 1 when something fails.

    Example: `sluicegate doctor --json`
    """
    from rich.markup import escape

    from streams.doctor import examine

    findings = examine(common.settings(broker=broker))
    if json:
        common.print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            colour = _COLOURS[finding.level]
            common.out.print(
                f"[{colour}]{finding.level:<5}[/] {finding.name:<8} {escape(finding.said)}", soft_wrap=True
            )
            if finding.do:
                common.out.print(f"               to do: {escape(finding.do)}", soft_wrap=True)
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(1)
