"""What the injection encoder learns from and is tested on.

Documents with and without an instruction to the assistant in them.

BIPIA's attacks of the train split alone are learnt from; its test split has other kinds of attacks. None of its
hundred e-mails is: 1 % of false positives needs a hundred clean ones to be seen at all.
"""

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from training.corruptions import sentences
from training.injection_templates import attack, harmless, notice

Split = Literal["train", "test"]


@dataclass(frozen=True, slots=True)
class Document:
    """A text; `attack` are the characters of what was put into it, None where nothing was."""

    text: str
    attack: tuple[int, int] | None
    source: str


def training_documents(data: Path, corpus: Path, count: int, seed: int) -> list[Document]:
    """About a third of them attacked; the others are whole, or hold a line that only looks like an attack."""
    rng = random.Random(seed)
    texts = clean_texts(data, corpus, "train")
    sources = [*sorted(texts), "notices"]
    attacks = _attacks(data, rng)
    found = []
    while len(found) < count:
        source = rng.choice(sources)
        text = notice(rng) if source == "notices" else rng.choice(texts[source])
        lines = _some(text, rng)
        kind = rng.random()
        if kind < 0.4:
            found.append(
                insert(lines, attacks(), rng.choice(("start", "middle", "end")), f"{source} attacked")
            )
        elif kind < 0.6:
            at = rng.randrange(len(lines) + 1)
            found.append(
                Document(" ".join([*lines[:at], harmless(rng), *lines[at:]]), None, f"{source} asking")
            )
        elif kind < 0.66:
            text = attacks()
            found.append(Document(text, (0, len(text)), "alone"))
        else:
            found.append(Document(" ".join(lines), None, source))
    return found


def insert(lines: Sequence[str], attack_text: str, place: str, source: str) -> Document:
    """Put an attack before, between or after the lines of a document."""
    at = {"start": 0, "middle": len(lines) // 2, "end": len(lines)}[place]
    before = " ".join(lines[:at])
    begin = len(before) + (1 if before else 0)
    text = " ".join([*lines[:at], attack_text, *lines[at:]])
    return Document(text, (begin, begin + len(attack_text)), source)


def bipia_test(data: Path, seed: int) -> tuple[list[Document], list[str]]:
    """Every test attack in an e-mail, at its start, in its middle and at its end; and the clean e-mails."""
    rng = random.Random(seed)
    mails = [one["context"] for one in _read(data / "bipia_attacks/email_contexts.jsonl")]
    attacks = [one for one in _read(data / "bipia_attacks/attacks.jsonl") if one["split"] == "test"]
    found = [
        insert(_lines(rng.choice(mails)), one["text"], place, f"{one['kind']} {place}")
        for one in attacks
        for place in ("start", "middle", "end")
    ]
    return found, mails


def clean_texts(data: Path, corpus: Path, split: Split) -> dict[str, list[str]]:
    """Texts without attacks by source; a text is in one split, by a hash of it. No e-mails: they are for the test."""
    answers = [one["chatgpt_response"] for one in _read(data / "halueval_general/general_data.jsonl")]
    comments = [one["text"] for one in _read(data / "toxic_spans/comments_annotations.jsonl")[:4000]]
    others = {
        "encyclopaedia": [one["reference"][:1500] for one in _read(data / "factscore/claims.jsonl")[::3]],
        "knowledge": [one["knowledge"] for one in _read(data / "halueval_qa_sample/qa_1000.jsonl")],
        "answers": [text for text in answers if len(text) > 40],
        "documentation": [
            part for path in sorted(corpus.rglob("*.*")) if path.suffix in (".md", ".rst", ".txt", ".html")
            for part in path.read_text(errors="ignore").split("\n\n") if len(part) > 80
        ],
        "comments": comments,
    }  # fmt: skip
    kept = {
        name: [text for text in dict.fromkeys(texts) if split_of(text) == split]
        for name, texts in others.items()
    }
    return {name: texts for name, texts in kept.items() if texts}


def split_of(text: str) -> Split:
    """80 % train, 20 % test."""
    return "train" if int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % 100 < 80 else "test"


def _attacks(data: Path, rng: random.Random) -> Callable[[], str]:
    """Draws an attack: of BIPIA's train split, of our templates, or a task that somebody once gave an assistant."""
    known = [one["text"] for one in _read(data / "bipia_attacks/attacks.jsonl") if one["split"] == "train"]
    tasks = [one["user_query"] for one in _read(data / "halueval_general/general_data.jsonl")]
    tasks = [task for task in tasks if 12 < len(task) < 300 and split_of(task) == "train"]

    def draw() -> str:
        kind = rng.random()
        return rng.choice(known) if kind < 0.3 else attack(rng) if kind < 0.65 else rng.choice(tasks)

    return draw


def _some(text: str, rng: random.Random) -> list[str]:
    """A few neighbouring lines."""
    lines = _lines(text)
    size = rng.randint(1, 5)
    start = rng.randrange(max(1, len(lines) - size + 1))
    return lines[start : start + size] or [text[:300]]


def _lines(text: str) -> list[str]:
    return sentences(text) or [text]


def _read(path: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line.replace("####SPECIAL####SEPARATOR####", " "))
        for line in path.read_text().splitlines()
    ]
