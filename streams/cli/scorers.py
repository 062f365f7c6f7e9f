"""`sluicegate scorers`: what scorers there are, and how well they do on your own labelled texts."""

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli import common

if TYPE_CHECKING:
    from agents.evaluation import Bin
    from agents.labelled import Labelled
    from agents.ports import Scorer
    from schemas.score import Score

app = typer.Typer(
    no_args_is_help=True, help="List scorers; measure and calibrate them on your own labelled texts."
)

_BATCH = 32
_TIMED = 200
"""Rows whose latency is measured one by one."""

Name = Annotated[str, typer.Argument(help="A scorer: `sluicegate scorers list` names them.")]
File = Annotated[
    Path,
    typer.Argument(
        help="JSON lines: `answer`, `passages`, `label` for groundedness; `text`, `label` for the others."
    ),
]
Label = Annotated[
    str | None,
    typer.Option(help="Judge by this label of the score instead of its value: threat, override, ..."),
]


@app.command("list")
def list_(json: common.JsonOption = False) -> None:
    """Show every scorer: whether it is enabled here, what languages it knows, its version, and what it lacks.

    Example: `sluicegate scorers list --json`
    """
    from agents.scorers import EXTRAS, known_scorers, missing_extra

    settings = common.settings()
    rows = []
    for name in known_scorers():
        row: dict[str, Any] = {"name": name, "enabled": name in settings.scorers}
        row |= {"languages": None, "version": None, "lacks": missing_extra(name)}
        # One with an extra may download its weights when it is loaded: only where somebody asked for it.
        if row["lacks"] is None and (row["enabled"] or name not in EXTRAS):
            row |= _known(name)
        rows.append(row)
    if json:
        common.print_json(rows)
        return
    _table(
        ["scorer", "enabled", "languages", "version or what it lacks"],
        [
            [
                row["name"],
                "yes" if row["enabled"] else "",
                ", ".join(row["languages"]) if isinstance(row["languages"], list) else row["languages"] or "",
                row["version"] or row["lacks"] or "not loaded",
            ]
            for row in rows
        ],
    )


@app.command("eval")
def eval_(
    name: Name,
    file: File,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Flag from here on; for groundedness, below here.")
    ] = None,
    label: Label = None,
    plot: Annotated[Path | None, typer.Option(help="Write the reliability plot there, as SVG.")] = None,
    json: common.JsonOption = False,
) -> None:
    """Measure a scorer on labelled texts: AUROC, AUPRC, F1, calibration, latency.

    Example: `sluicegate scorers eval groundedness answers.jsonl --threshold 0.5 --plot reliability.svg`
    """
    from agents import evaluation

    run = _Run(name, file, label)
    bad, scores = run.figures()
    chosen = 0.5 if threshold is None else threshold
    bins = evaluation.reliability(bad, scores)
    found = {
        "scorer": run.scorer.name,
        "version": run.scorer.version,
        **run.counts(),
        "auroc": evaluation.auroc(bad, scores),
        "auprc": evaluation.average_precision(bad, scores),
        "at_threshold": run.shown(evaluation.at_threshold(bad, scores, run.turned(chosen))),
        "best_f1": run.shown(evaluation.best_f1(bad, scores)),
        "calibration_error": evaluation.calibration_error(bins),
        "reliability": [asdict(one) for one in bins],
        **run.latency(),
    }
    if plot is not None:
        from streams.cli.reliability import svg

        plot.write_text(svg(f"{run.scorer.name} on {file.name}", bins), encoding="utf-8")
    if json:
        common.print_json(found)
        return
    _report(found, bins)


@app.command("calibrate")
def calibrate(
    name: Name,
    file: File,
    max_fpr: Annotated[
        float, typer.Option("--max-fpr", min=0, max=1, help="Share of good texts that may be flagged.")
    ],
    label: Label = None,
    json: common.JsonOption = False,
) -> None:
    """Choose the threshold that flags at most that share of the good texts, and print the rule for the policy.

    Example: `sluicegate scorers calibrate toxicity comments.jsonl --max-fpr 0.01`
    """
    from agents import evaluation

    run = _Run(name, file, label)
    bad, scores = run.figures()
    chosen = evaluation.threshold_for(bad, scores, max_fpr)
    good = len(bad) - sum(bad)
    low, high = evaluation.interval(round(chosen.false_positive_rate * good), good)
    found = {
        "scorer": run.scorer.name,
        "version": run.scorer.version,
        **run.counts(),
        **run.shown(chosen),
        "false_positive_rate_95": [low, high],
        "rule": run.rule(chosen.threshold),
    }
    if json:
        common.print_json(found)
        return
    common.out.print(
        f"{run.scorer.name}: {chosen.recall:.1%} of the bad and {chosen.false_positive_rate:.1%} of the {good} "
        f"good rows flagged (with 95 % confidence {low:.1%} to {high:.1%} of such texts)"
    )
    if high > 2 * max_fpr:
        need = math.ceil(3 / max_fpr) if max_fpr else 0
        more = f": {need} would be a start" if need else ""
        common.out.print(f"[yellow]{good} good rows are too few to promise {max_fpr:.1%}{more}[/]")
    common.out.print(f"the rule for your policy:\n  when: {{{run.rule(chosen.threshold)}}}")


class _Run:
    """One scorer over one file."""

    def __init__(self, name: str, file: Path, label: str | None) -> None:
        from agents.labelled import read_labelled

        self.scorer = _load(name)
        self.label = label
        self.rows = read_labelled(file, self.scorer.name)
        self.low_is_bad = self.scorer.name == "groundedness" and label is None
        self.scores = self._scored()

    def _scored(self) -> "list[Score]":
        from rich.progress import track

        parts = range(0, len(self.rows), _BATCH)
        found: list[Score] = []
        for start in track(parts, "judging", console=common.err, transient=True):
            found += self.scorer.score([row.item for row in self.rows[start : start + _BATCH]])
        return found

    def figures(self) -> tuple[list[bool], list[float]]:
        """Labels and badness of the rows that were judged.

        Raises:
            ConfigurationError: none was, or all are of one kind.
        """
        from agents.errors import ConfigurationError

        kept = [
            (row.bad, value)
            for row, score in zip(self.rows, self.scores, strict=True)
            if (value := self._value(score)) is not None
        ]
        bad, scores = [one for one, _ in kept], [1 - value if self.low_is_bad else value for _, value in kept]
        if len(set(bad)) < 2:
            kinds = (
                f"all {len(bad)} judged rows are labelled {'bad' if any(bad) else 'good'}"
                if bad
                else "no row was judged"
            )
            raise ConfigurationError(f"{kinds}: bad and good ones are needed")
        return bad, scores

    def _value(self, score: "Score") -> float | None:
        if score.status != "ok" or score.value is None:
            return None
        return score.value if self.label is None else score.labels.get(self.label)

    def counts(self) -> dict[str, Any]:
        statuses = Counter(score.status for score in self.scores)
        bad = sum(row.bad for row in self.rows)
        return {"rows": len(self.rows), "bad": bad, "statuses": dict(statuses)}

    def turned(self, threshold: float) -> float:
        """As badness; a groundedness is bad below its threshold."""
        return math.nextafter(1 - threshold, 1) if self.low_is_bad else threshold

    def shown(self, one: Any) -> dict[str, float]:
        """The figures, with the threshold as the policy reads it."""
        return {**asdict(one), "threshold": 1 - one.threshold if self.low_is_bad else one.threshold}

    def rule(self, threshold: float) -> str:
        score = f"score: {self.scorer.name}" + (f", label: {self.label}" if self.label else "")
        if self.low_is_bad:
            return f"{score}, below: {math.ceil((1 - threshold) * 1e4) / 1e4:g}"
        return f"{score}, at_least: {min(1.0, math.ceil(threshold * 1e4) / 1e4):g}"

    def latency(self) -> dict[str, Any]:
        """Milliseconds of single texts, and texts a second in batches, on one thread."""
        import numpy as np

        some = self.rows[:_TIMED]
        alone = [_seconds(self.scorer, [row]) * 1e3 for row in some]
        together = sum(_seconds(self.scorer, some[at : at + _BATCH]) for at in range(0, len(some), _BATCH))
        return {
            "latency_ms": {"p50": float(np.quantile(alone, 0.5)), "p99": float(np.quantile(alone, 0.99))},
            "texts_per_s": len(some) / together if together else 0.0,
        }


def _seconds(scorer: "Scorer", rows: "Sequence[Labelled]") -> float:
    started = time.perf_counter()
    scorer.score([row.item for row in rows])
    return time.perf_counter() - started


def _load(name: str) -> "Scorer":
    from agents.model_files import ModelFiles
    from agents.scorers import ScorerResources, load_scorer

    settings = common.settings()
    options = settings.scorer_options.get(name, {})
    files = ModelFiles(settings.data_dir / "models")
    return load_scorer(name, ScorerResources(files, None, options, settings.scoring_device))


def _known(name: str) -> dict[str, Any]:
    from agents.errors import SluicegateError

    try:
        scorer = _load(name)
    except SluicegateError as error:
        return {"lacks": str(error)}
    languages = getattr(scorer, "languages", None)
    return {"languages": sorted(languages) if languages else "any", "version": scorer.version}


def _report(found: dict[str, Any], bins: "Sequence[Bin]") -> None:
    statuses = ", ".join(f"{count} {status}" for status, count in found["statuses"].items())
    common.out.print(f"{found['version']}: {found['rows']} rows, {found['bad']} of them bad; {statuses}")
    best, here = found["best_f1"], found["at_threshold"]
    columns = ["", "threshold", "precision", "recall", "F1", "false positives"]
    _table(
        columns,
        [
            [
                title,
                *(
                    f"{one[key]:.3f}"
                    for key in ("threshold", "precision", "recall", "f1", "false_positive_rate")
                ),
            ]
            for title, one in (("at the threshold", here), ("best F1", best))
        ],
    )
    common.out.print(
        f"AUROC {found['auroc']:.3f}  AUPRC {found['auprc']:.3f}  "
        f"calibration error {found['calibration_error']:.3f}  "
        f"p50 {found['latency_ms']['p50']:.2f} ms  p99 {found['latency_ms']['p99']:.2f} ms  "
        f"{found['texts_per_s']:.0f} texts/s"
    )
    from streams.cli.reliability import text

    common.out.print(text(bins))


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    common.out.print(table)
