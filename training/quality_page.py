"""Turns `build/eval.json` into the tables of docs/quality.md.

python -m training.quality_page
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path("docs/quality.md")
START, END = "<!-- measured: make eval -->", "<!-- /measured -->"
Figures = dict[str, Any]


def put(found: Figures) -> None:
    """Replace what stands between the marks; sections that were not measured this time are left out."""
    text = PAGE.read_text()
    before, rest = text.split(START, 1)
    after = rest.split(END, 1)[1]
    made = [SECTIONS[name](found[name]) for name in SECTIONS if name in found]
    tables = "\n\n".join("\n".join(lines) for lines in made)
    PAGE.write_text(f"{before}{START}\n\n{found['machine']}\n\n{tables}\n\n{END}{after}")


def _groundedness(found: Figures) -> Iterator[str]:
    yield "### Groundedness"
    yield ""
    yield "| | rows | AUROC | F1 unsupported | precision | recall | first judge alone: AUROC, F1 |"
    yield "|---|---|---|---|---|---|---|"
    for name, one in found["cascade"].items():
        if name != "cost":
            alone = found["first judge alone"][name]
            yield (
                f"| {name} | {one['rows']} | {one['auroc']:.3f} | {one['f1']:.3f} | {one['precision']:.3f} | "
                f"{one['recall']:.3f} | {alone['auroc']:.3f}, {alone['f1']:.3f} |"
            )
    yield ""
    yield "| milliseconds a response of five sentences with five passages | mean | p99 |"
    yield "|---|---|---|"
    for name, one in found["cascade"]["cost"].items():
        yield f"| {name} | {one['mean_ms']:.2f} | {one['p99_ms']:.1f} |"
    yield ""
    yield "| what was made wrong | rows | found |"
    yield "|---|---|---|"
    for name, one in found["recall by kind"].items():
        yield f"| {name} | {one['rows']} | {one['recall']:.0%} |"
    spans = found["spans"]
    yield ""
    yield (
        f"Of {spans['claims']} made claims that were found wrong, the stretch that is named touches what was made "
        f"wrong in {spans['touches']:.0%}; it is {spans['share of sentence']:.0%} of the sentence on average."
    )


def _toxicity(found: Figures) -> Iterator[str]:
    yield "### Toxicity"
    yield ""
    yield "| held out | rows | toxic | AUROC | F1 at 0.5 | jigsaw-bilstm: AUROC |"
    yield "|---|---|---|---|---|---|"
    for name, one in found["held out"].items():
        if "auroc" in one:
            other = found["held out, jigsaw-bilstm"][name]["auroc"]
            yield (
                f"| {name} | {one['rows']} | {one['toxic']} | {one['auroc']:.3f} | {one['f1 at 0.5']:.3f} | "
                f"{other:.3f} |"
            )
    yield ""
    yield "| texts that differ in the identity alone | gap | mean | over 0.5 | jigsaw-bilstm: gap |"
    yield "|---|---|---|---|---|"
    for name, one in found["identities"].items():
        yield (
            f"| {name}: {one['groups']} groups of {one['identities']} | {one['gap']:.3f} | {one['mean']:.3f} | "
            f"{one['over 0.5']:.1%} | {found['identities, jigsaw-bilstm'][name]['gap']:.3f} |"
        )
    yield ""
    hidden = dict(found["hidden words"])
    texts, plain = hidden.pop("texts"), hidden.pop("plain recall")
    yield f"Recall on {texts} toxic comments is {plain:.1%}; of it stays when the toxic words are hidden by"
    yield ", ".join(f"{name} {share:.0%}" for name, share in hidden.items()) + "."
    yield ""
    spans, speed = found["spans"], found["speed"]
    yield f"Characters named as toxic: F1 {spans['f1 of characters']:.2f} over {spans['texts']} comments."
    yield ""
    if "ratio" in speed:
        yield (
            f"{speed['ours']:.0f} texts a second on one thread; a network of Detoxify's size (BERT base) in torch, "
            f"in the same run: {speed['bert in torch']:.1f}. **{speed['ratio']:.0f} times.**"
        )


def _injection(found: Figures) -> Iterator[str]:
    yield "### Prompt injection"
    yield ""
    yield "| | attacks | recall | threshold | clean e-mails flagged | other clean documents flagged |"
    yield "|---|---|---|---|---|---|"
    for name, one in found.items():
        others = ", ".join(
            f"{kind} {share['share']:.1%}" for kind, share in one["clean documents flagged"].items()
        )
        yield (
            f"| {name} | {one['attacks']} | {one['recall']:.3f} | {one['threshold']:.3f} | "
            f"{one['e-mails flagged']} of {one['clean e-mails']} | {others} |"
        )
    yield ""
    places = found["with the encoder"]["by place"]
    yield "By kind and place: " + ", ".join(f"{name} {share:.0%}" for name, share in places.items()) + "."


SECTIONS = {
    "groundedness": lambda found: list(_groundedness(found)),
    "toxicity": lambda found: list(_toxicity(found)),
    "injection": lambda found: list(_injection(found)),
}


if __name__ == "__main__":
    put(json.loads(Path("build/eval.json").read_text()))
