"""What the toxicity encoder learns from and is tested on.

Tweets, comments, hateful and harmless statements, answers.

Splits go by a hash of the text's words, so that retweets and copies fall into one split.
"""

import hashlib
import html
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from training.identities import sampled

LABELS = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
Split = Literal["train", "dev", "test"]
Labels = tuple[float | None, float | None, float | None, float | None, float | None, float | None]
CLEAN: Labels = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
_KINDS = {"Insult": 4, "Profane/Obscene": 2, "Identity based Attack": 5, "Threat": 3}
_NOISE = re.compile(r"\bRT\b|@\w+:?|https?://\S+|&#\d+;|[\u2018\u2019\u201c\u201d\ufffd]")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Row:
    """A text with 0 to 1 for each of `LABELS`, None where nobody said.

    `spans` are the characters that make it toxic.
    """

    text: str
    labels: Labels
    spans: tuple[tuple[int, int], ...] | None
    source: str
    weight: float
    sure: bool = True
    """Whether all annotators agree."""


def rows(data: Path, split: Split, seed: int = 1) -> list[Row]:
    """The rows of one split, shuffled.

    Raises:
        FileNotFoundError: a data set is missing.
    """
    found = [row for row in _everything(data) if split_of(row.text) == split]
    if split == "train":
        found += _templates(seed)
    random.Random(seed).shuffle(found)
    return found


def split_of(text: str) -> Split:
    """80 % train, 5 % dev, 15 % test, by the words alone."""
    words = " ".join(re.findall(r"[a-z]+", text.lower()))
    number = int(hashlib.sha256(words.encode()).hexdigest()[:8], 16) % 100
    return "train" if number < 80 else "dev" if number < 85 else "test"


def _everything(data: Path) -> Iterator[Row]:
    yield from _davidson(data / "davidson/labeled_data.jsonl")
    yield from _comments(data / "toxic_spans")
    yield from _toxigen(data / "toxigen_demos/demos.jsonl")
    yield from _harmless(data)


def _read(path: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line.replace("####SPECIAL####SEPARATOR####", " "))
        for line in path.read_text().splitlines()
    ]


def tidy(tweet: str) -> str:
    """A tweet without retweet marks, handles, links and HTML entities."""
    return " ".join(_NOISE.sub(" ", html.unescape(html.unescape(tweet))).strip('!": ').split())


def _davidson(path: Path) -> Iterator[Row]:
    """Hate and offence count as toxic, each as sure as its votes; there is much more offence, so it weighs less."""
    for one in _read(path):
        text = tidy(one["text"])
        clean = one["neither"] / one["count"]
        hate = one["hate_speech"] / one["count"]
        sure = (one["label"] == "neither" and clean == 1.0) or (one["label"] != "neither" and clean == 0.0)
        if len(text) < 3:
            continue
        if one["label"] == "neither":
            yield Row(text, (1 - clean, 0.0, None, 0.0, None, hate), (), "davidson", 1.0, sure)
        else:
            # There are fourteen times as many offensive tweets as hateful ones: every third is enough.
            if one["label"] == "offensive" and split_of(text) == "train" and _third(text):
                continue
            weight = 1.0 if one["label"] == "hate" else 0.7
            yield Row(text, (1 - clean, None, None, None, None, hate), None, "davidson", weight, sure)


def _third(text: str) -> bool:
    """Whether a text is of the two thirds that are left out."""
    return int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:8], 16) % 3 > 0


def _comments(folder: Path) -> Iterator[Row]:
    """Civil Comments, each marked by three to seven annotators; no mark at all is a vote for harmless."""
    for one in _read(folder / "comments_annotations.jsonl"):
        votes = [vote for vote in map(_vote, one["annotations"]) if vote is not None]
        if len(votes) < 3 or len(one["annotations"]) > 10:
            continue
        toxic = sum(votes) / len(votes)
        labels: list[float | None] = [toxic, None, None, None, None, None]
        for kind, place in _KINDS.items():
            marked = sum(any(span[0] == kind for span in a["spans"]) for a in one["annotations"])
            labels[place] = marked / len(one["annotations"])
        spans = _agreed(one["annotations"]) if toxic > 0.5 else ()
        sure = toxic in (0.0, 1.0)
        weight = 1.0 if sure else 0.3 + abs(toxic - 0.5)
        yield Row(one["text"], tuple(labels), spans, "toxic_spans", weight, sure)  # type: ignore[arg-type]


def _vote(annotation: dict[str, Any]) -> bool | None:
    if annotation["spans"]:
        return True
    return False if annotation["not_toxic"] else True if annotation["all_toxic"] else None


def _agreed(annotations: list[dict[str, Any]]) -> tuple[tuple[int, int], ...] | None:
    """Stretches that at least half of those who marked any have marked."""
    marking = [a["spans"] for a in annotations if a["spans"]]
    count = Counter(at for spans in marking for at in {i for s in spans for i in range(s[1], s[2])})
    places = sorted(at for at, votes in count.items() if 2 * votes >= len(marking))
    if not places:
        return None
    stretches, start = [], places[0]
    for before, at in zip(places, [*places[1:], places[-1] + 2], strict=True):
        if at != before + 1:
            stretches.append((start, before + 1))
            start = at
    return tuple(stretches)


def _toxigen(path: Path) -> Iterator[Row]:
    for one in _read(path):
        hate = float(one["label"] == "hate")
        labels: Labels = (hate, None, 0.0, None, None, hate) if hate else CLEAN
        yield Row(one["text"], labels, None if hate else (), "toxigen", 2.0)


def _harmless(data: Path) -> Iterator[Row]:
    """What is judged most: sentences of encyclopaedias and of assistants' answers."""
    texts = [one["knowledge"] for one in _read(data / "begin_wow/begin_dev_wow.jsonl")]
    for one in _read(data / "factscore/claims.jsonl")[::4]:
        texts += _SENTENCE.split(one["reference"])[:12]
    for one in _read(data / "halueval_general/general_data.jsonl")[::3]:
        if one.get("hallucination", "no") == "no":
            texts += _SENTENCE.split(one["chatgpt_response"])[:3]
    for text in dict.fromkeys(" ".join(text.split())[:300] for text in texts):
        if len(text) > 20:
            yield Row(text, CLEAN, (), "harmless", 1.0)


def _templates(seed: int) -> Iterator[Row]:
    for text, hostile in sampled("train", 43, seed):
        labels: Labels = (1.0, None, None, None, None, 1.0) if hostile else CLEAN
        yield Row(text, labels, None if hostile else (), "templates", 2.0)


def without_labels(row: Row) -> Row:
    """The text alone, as a user's text comes."""
    return replace(row, labels=(None,) * 6, spans=None)
