"""How often English texts are called foreign, and foreign ones noticed.

    python benchmarks/language.py --data ../shared/data [--catalogues FOLDER]

`--catalogues` names a folder with gettext catalogues (`LANGUAGE/LC_MESSAGES/*.mo`, as in an installed Django), whose
messages are texts in known languages.
"""

import argparse
import gettext
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random

from agents.scorers.language import LANGUAGES, detect, load

MOST = 4000
"""Texts of a set; a larger one is sampled."""
LENGTHS = ((15, 30), (30, 60), (60, 120), (120, 1000))
"""Characters of a message, from and below."""
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}|<[^>]+>")


def english(data: Path) -> Iterator[tuple[str, list[str]]]:
    """Each English set by name."""
    begin = _rows(data / "begin_wow/begin_test_wow.jsonl")
    factscore = _rows(data / "factscore/claims.jsonl")
    yield "Davidson, tweets", [row["text"] for row in _rows(data / "davidson/labeled_data.jsonl")]
    yield (
        "ToxicSpans, comments",
        [row["text"] for row in _rows(data / "toxic_spans/comments_annotations.jsonl")],
    )
    yield "BEGIN WoW, dialogue", [row[side] for row in begin for side in ("message", "response")]
    yield "FActScore, answers", [row["response"] for row in factscore]
    claims = (claim for row in factscore for claim in row["claims"])
    yield (
        "FActScore, statements",
        [statement["text"] for claim in claims for statement in claim["statements"]],
    )


def _rows(path: Path) -> list[dict]:  # type: ignore[type-arg]
    return [json.loads(line) for line in path.read_text().splitlines()]


def messages(folder: Path) -> Iterator[tuple[str, str]]:
    """Each translated message with its language."""
    for path in sorted(folder.glob("**/LC_MESSAGES/*.mo")):
        language = path.parts[-3].partition("_")[0].replace("nb", "no")
        if language != "en" and language in LANGUAGES.split():
            with path.open("rb") as file:
                catalogue = gettext.GNUTranslations(file)
            texts = catalogue._catalog.items()  # type: ignore[attr-defined]  # there is no other way to list them
            yield from ((language, PLACEHOLDER.sub("", text)) for key, text in texts if key and text != key)


def of_english(name: str, texts: Sequence[str]) -> str:
    """A row: texts, called foreign, called nothing, time."""
    chosen = Random(0).sample(texts, min(MOST, len(texts)))  # noqa: S311  # a fixed choice
    started = time.perf_counter()
    told = Counter(map(detect, chosen))
    ms = (time.perf_counter() - started) / len(chosen) * 1e3
    foreign = 1 - (told["en"] + told[None]) / len(chosen)
    return f"| {name} | {len(chosen):,} | {foreign:.2%} | {told[None] / len(chosen):.1%} | {ms:.2f} |"


def of_others(label: str, texts: Iterable[tuple[str, str]]) -> str:
    """A row: messages, noticed as foreign, in the right language, taken for English."""
    told = [(language, detect(text)) for language, text in texts]
    foreign = sum(found not in ("en", None) for _, found in told) / len(told)
    right = sum(found == language for language, found in told) / len(told)
    wrong = sum(found == "en" for _, found in told) / len(told)
    return f"| {label} | {len(told):,} | {foreign:.1%} | {right:.1%} | {wrong:.2%} |"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--catalogues", type=Path)
    given = parser.parse_args()
    load()
    _say("| English texts | texts | called foreign | not told | ms |\n|---|--:|--:|--:|--:|")
    for name, texts in english(given.data):
        _say(of_english(name, texts))
    if given.catalogues:
        found = list(messages(given.catalogues))
        Random(0).shuffle(found)  # noqa: S311  # a fixed order
        _say(
            "\n| messages | messages | noticed | right language | taken for English |\n|---|--:|--:|--:|--:|"
        )
        for least, most in LENGTHS:
            fitting = [(language, text) for language, text in found if least <= len(text) < most]
            _say(of_others(f"{least} to {most} characters", fitting[:MOST]))


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # a report


if __name__ == "__main__":
    main()
