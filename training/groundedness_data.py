"""What the groundedness judge learns from and is tested on.

Claims with their passages, labelled by people or made wrong.

FActScore's statements are split by subject: a subject's reference text is in one split alone. BEGIN's test
part, all of CMU DoG and the passages of FActScore's test subjects are never learnt from, nor is anything
chosen by them. BEGIN's dev and test parts were cut by reply, not by text: much of the test part's knowledge
stands in the dev part too. `apart` leaves the rows whose text was never learnt from.
"""

import hashlib
import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from training.corruptions import Context, corrupt, paraphrase, sentences

Split = Literal["train", "dev", "test"]
PASSAGE_SENTENCES = 5


@dataclass(frozen=True, slots=True)
class Pair:
    """A claim and the passages it should rest on; `spans` are its characters that are known to be wrong."""

    claim: str
    passages: tuple[str, ...]
    supported: bool
    source: str
    kind: str = ""
    spans: tuple[tuple[int, int], ...] | None = None


def factscore(data: Path, split: Split) -> list[Pair]:
    """Statements of three models about persons, with the encyclopaedia's text about each."""
    found = []
    for one in _read(data / "factscore/claims.jsonl"):
        if split_of(one["reference"]) == split:
            passages = tuple(cut(one["reference"]))
            for claim in one["claims"]:
                found += [
                    Pair(said["text"], passages, said["label"] == "entailment", "factscore")
                    for said in claim["statements"]
                ]
    return found


def begin(data: Path, name: str) -> list[Pair]:
    """Replies of chat models with the text they were given; generic replies, which say nothing, are left out.

    `name`: `wow/begin_dev_wow`, `wow/begin_test_wow` or `cmudog/begin_dev_cmu`.
    """
    rows = _read(data / f"begin_{name}.jsonl")
    return [
        Pair(
            one["response"],
            tuple(cut(one["knowledge"])),
            one["begin_label"].startswith("Fully"),
            f"begin {name}",
        )
        for one in rows
        if one["begin_label"] != "Generic"
    ]


def made(
    passages: Sequence[str], count: int, seed: int, source: str = "made", only: Sequence[str] = ()
) -> list[Pair]:
    """Half supported and half spoilt sentences of these passages; a third stand among passages of other subjects.

    Both halves are reworded alike, so that wording does not give away which is which. `only` names the kinds of
    spoiling that are wanted.
    """
    rng = random.Random(seed)
    found: list[Pair] = []
    kept = [passage for passage in passages if sentences(passage)]
    while len(found) < count:
        passage = rng.choice(kept)
        text = rng.choice(sentences(passage))
        # What is put in comes from texts that are not among the passages: there it would be right.
        *foreign, one, two, three = rng.sample(
            [other for other in rng.sample(kept, 8) if other != passage], 7
        )
        own = cut(passage)
        around = [*own, one, two, three] if rng.random() < 0.34 else own
        rng.shuffle(around)
        if len(found) % 2 == 0:
            found.append(Pair(paraphrase(text, rng), tuple(around), True, source, "supported", ()))
            continue
        spoilt = corrupt(text, Context(" ".join(around), foreign), rng)
        if spoilt is not None and (not only or spoilt.kind in only):
            found.append(Pair(spoilt.text, tuple(around), False, source, spoilt.kind, spoilt.spans))
    return found


def known_passages(data: Path, split: Split) -> list[str]:
    """Texts to make claims of: those of `test` are of subjects and topics that `train` has not."""
    references = dict.fromkeys(one["reference"] for one in _read(data / "factscore/claims.jsonl"))
    texts = [passage for text in references if split_of(text) == split for passage in cut(text)]
    if split == "test":
        texts += _knowledge(data / "begin_wow/begin_test_wow.jsonl", 600)
        texts += _knowledge(data / "begin_cmudog/begin_dev_cmu.jsonl", 60)
        learnt = _told(known_passages(data, "train"))
        return [text for text in texts if learnt.isdisjoint(_told([text]))]
    if split == "train":
        texts += _knowledge(data / "begin_wow/begin_dev_wow.jsonl", 10_000)
        texts += dict.fromkeys(one["knowledge"] for one in _read(data / "halueval_qa_sample/qa_1000.jsonl"))
    return texts


def apart(pairs: Iterable[Pair], data: Path) -> list[Pair]:
    """The pairs whose passages share no sentence with a text that is learnt from."""
    learnt = _told(known_passages(data, "train"))
    return [pair for pair in pairs if learnt.isdisjoint(_told(pair.passages))]


def responses(data: Path, count: int, seed: int) -> list[tuple[str, tuple[str, ...]]]:
    """Answers of exactly five sentences with five passages, of test subjects.

    What an answer costs is measured on them.
    """
    rng = random.Random(seed)
    passages = [passage for passage in known_passages(data, "test") if len(sentences(passage)) >= 2]
    found = []
    while len(found) < count:
        around = tuple(rng.sample(passages, 5))
        context = Context(" ".join(around), rng.sample(passages, 4))
        texts = [rng.choice(sentences(rng.choice(around))) for _ in range(5)]
        said = [
            (spoilt := corrupt(t, context, rng)) and spoilt.text if rng.random() < 0.3 else t for t in texts
        ]
        answer = " ".join((one or "").rstrip(".!? ") + "." for one in said)
        if len(sentences(answer)) == 5:
            found.append((answer, around))
    return found


def cut(text: str) -> list[str]:
    """A text in passages of a few sentences."""
    from agents.scorers.sentences import split  # noqa: PLC0415

    spans = split(text)
    return [
        text[spans[at].start : spans[min(at + PASSAGE_SENTENCES, len(spans)) - 1].end]
        for at in range(0, len(spans), PASSAGE_SENTENCES)
    ] or [text]


def split_of(reference: str) -> Split:
    """60 % of the subjects to train, 15 % to dev, 25 % to test, by their reference text."""
    number = int(hashlib.sha256(reference.encode()).hexdigest()[:8], 16) % 100
    return "train" if number < 60 else "dev" if number < 75 else "test"


def _told(texts: Iterable[str]) -> set[str]:
    """The texts and their sentences, without case and punctuation; headings among them are left out."""
    found: set[str] = set()
    for text in texts:
        found.add(_bare(text))
        found.update(bare for one in sentences(text) if (bare := _bare(one)).count(" ") >= 5)
    return found


def _bare(text: str) -> str:
    return re.sub(r"\W+", " ", text.lower()).strip()


def _knowledge(path: Path, limit: int) -> list[str]:
    return list(dict.fromkeys(one["knowledge"] for one in _read(path)))[:limit]


def _read(path: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line.replace("####SPECIAL####SEPARATOR####", " "))
        for line in path.read_text().splitlines()
    ]


def counted(pairs: Iterable[Pair]) -> Iterator[tuple[str, int, int]]:
    """Rows and supported rows of each source and kind."""
    table: dict[str, list[int]] = {}
    for pair in pairs:
        row = table.setdefault(f"{pair.source} {pair.kind}".strip(), [0, 0])
        row[0] += 1
        row[1] += pair.supported
    for name, (rows, supported) in sorted(table.items()):
        yield name, rows, supported
