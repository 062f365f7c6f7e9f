"""Trains the injection encoder.

Whether a stretch of a document tells an assistant what to do, and which words do.

    python -m training.injection --data ../shared/data

Two labels. `embedded`: an instruction that does not belong into the document, which is what counts in a
passage. `override`: an attempt to turn the assistant against its instructions, which counts in a request as
well, where every sentence is an instruction.
"""

import argparse
import random
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agents.evaluation import auroc
from agents.scorers.encoder import Settings
from training import package
from training.encoder import Example, Judge, tokenizer
from training.fit import NAN, Plan, fit, predict
from training.injection_data import Document, training_documents

LABELS = ("embedded", "override")
WINDOW = 64
STRIDE = 32
SETS = (
    "bipia_attacks/attacks.jsonl", "halueval_general/general_data.jsonl",
    "halueval_qa_sample/qa_1000.jsonl", "factscore/claims.jsonl", "toxic_spans/comments_annotations.jsonl",
)  # fmt: skip
_OVERRIDE = re.compile(
    r"\b(?:ignore|disregard|forget|override|instructions|anweisungen|instrucciones|system|developer|hidden|reveal|rules"
    r"|guidelines|api key|do not tell|unrestricted|without checks|collect\?|curl|passwd|forward all|send_email)\b"
    r"|<\|im_start|\[INST\]",
    re.IGNORECASE,
)


def main() -> None:
    """Train, print figures over documents that were held back, write the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--corpus", type=Path, default=Path("examples/corpus"))
    parser.add_argument("--to", type=Path, default=package.SHIPPED / "injection")
    parser.add_argument("--documents", type=int, default=14_000)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--epochs", type=float, default=1.5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    documents = training_documents(options.data, options.corpus, options.documents, options.seed)
    held = len(documents) // 20
    judge = Judge(len(LABELS), options.layers)
    fit(
        judge,
        examples(documents[held:], options.seed),
        Plan(epochs=options.epochs, seed=options.seed, tokens_share=1.0),
    )
    dev = [one for one in examples(documents[:held], 0) if one.labels[0] == one.labels[0]]  # NaN
    chances, known = predict(judge, dev)[:, 0], np.array([one.labels[0] for one in dev]) >= 0.5
    print("held back AUROC", round(auroc(known, chances), 4), "over", len(dev))
    settings = Settings(list(LABELS), WINDOW, STRIDE, [1.0, 1.0], [0.0, 0.0])
    data = [options.data / name for name in SETS]
    print(package.write(options.to, "injection", judge, settings, data, pairs=False))


def examples(documents: Sequence[Document], seed: int) -> list[Example]:
    """A window of each document, at random, but with the attack in it where there is one."""
    rng = random.Random(seed)
    encodings = tokenizer().encode_batch([document.text for document in documents])
    return [_window(one, seen.ids, seen.offsets, rng) for one, seen in zip(documents, encodings, strict=True)]


def _window(
    document: Document, ids: Sequence[int], offsets: Sequence[tuple[int, int]], rng: random.Random
) -> Example:
    first, last = document.attack or (0, 0)
    inside = [end > start and start < last and first < end for start, end in offsets]
    room, size = WINDOW - 2, len(ids) - 2
    start = rng.randrange(max(1, size - room + 1))
    if any(inside):
        middle = rng.choice([at for at, one in enumerate(inside) if one]) - 1
        start = max(0, min(size - room, middle - rng.randrange(room)))
    chosen = [0, *range(1 + start, 1 + min(size, start + room)), len(ids) - 1]
    hit = sum(inside[at] for at in chosen)
    enough = hit >= 6 or hit >= 0.6 * sum(inside)
    attacked = 0.0 if not hit else 1.0 if enough else NAN
    attack = document.text[first:last]
    override = 1.0 if attacked and _OVERRIDE.search(attack) else NAN if attacked else 0.0
    if document.source == "alone" and not _OVERRIDE.search(attack):
        override = 0.0  # a plain task is what requests are made of
    tokens = [NAN if offsets[at][1] <= offsets[at][0] else float(inside[at]) for at in chosen]
    return Example([ids[at] for at in chosen], [attacked, override], None, tokens, 1.0, document.source)


if __name__ == "__main__":
    main()
