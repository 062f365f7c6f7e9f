"""Measures the shipped scorers on data they were not trained on: `make eval`.

    python -m training.evaluate --data ../shared/data [--only groundedness,toxicity,injection] [--docs]

Writes `build/eval.json`; `--docs` also puts the tables into docs/quality.md. Seeded; half an hour is not
needed, five minutes are, on two cores.
"""

import argparse
import json
import platform
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from agents.evaluation import AtThreshold, at_threshold, auroc, best_f1, threshold_for
from agents.model_files import ModelFiles
from agents.ports import ScoreInput, Scorer
from agents.scorers import WEIGHTS
from agents.scorers.groundedness import Groundedness
from agents.scorers.injection import Injection
from agents.scorers.toxicity import EncoderToxicity
from agents.scorers.toxicity_onnx import OnnxToxicity
from schemas.common import Passage
from schemas.score import Score
from training.groundedness_data import Pair, apart, begin, factscore, known_passages, made, responses
from training.identities import gap, groups
from training.injection_data import bipia_test, clean_texts
from training.obfuscate import KINDS, obfuscate
from training.toxicity_data import Row, rows

Figures = dict[str, Any]
BATCH = 16


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--models", type=Path, default=Path(".sluicegate/models"))
    parser.add_argument("--only", default="groundedness,toxicity,injection")
    parser.add_argument("--to", type=Path, default=Path("build/eval.json"))
    parser.add_argument("--docs", action="store_true", help="put the tables into docs/quality.md")
    options = parser.parse_args()
    found: Figures = {
        "machine": f"{platform.machine()}, onnxruntime {onnxruntime.__version__}, one thread a session"
    }
    for name in options.only.split(","):
        started = time.perf_counter()
        found[name] = EVALUATIONS[name](options)
        print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    options.to.parent.mkdir(parents=True, exist_ok=True)
    options.to.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    if options.docs:
        from training.quality_page import put  # noqa: PLC0415

        put(found)


# -- groundedness


def groundedness(options: argparse.Namespace) -> Figures:
    """Every set that was not learnt from, through the scorer as it runs."""
    data = options.data
    scorers = {
        "cascade": Groundedness(options.weights / "groundedness"),
        "first judge alone": Groundedness(options.weights / "groundedness", encoder=False),
    }
    unseen = made(known_passages(data, "test"), 3000, 17)
    sets = {
        "FActScore, test subjects": factscore(data, "test"),
        "BEGIN Wizard of Wikipedia, test": begin(data, "wow/begin_test_wow"),
        "of it, texts that training has not": apart(begin(data, "wow/begin_test_wow"), data),
        "BEGIN CMU DoG": begin(data, "cmudog/begin_dev_cmu"),
        "made claims, unseen passages": unseen,
        "made claims, numbers and units alone": made(
            known_passages(data, "test"), 1000, 18, only=("number", "unit", "date")
        ),
    }
    found: Figures = {}
    for title, scorer in scorers.items():
        found[title] = {name: _claims(scorer, pairs) for name, pairs in sets.items()}
        found[title]["cost"] = _cost(scorer, data)
    by_kind = {one.kind for one in unseen if not one.supported}
    scored = list(zip(unseen, _scored(scorers["cascade"], [_input(one) for one in unseen]), strict=True))
    found["recall by kind"] = {
        kind: {
            "rows": len(said := [_unsupported(score) for pair, score in scored if pair.kind == kind]),
            "recall": round(float(np.mean(said)), 3),
        }
        for kind in sorted(by_kind)
    }
    found["spans"] = _spans_found(scored)
    return found


def _input(pair: Pair) -> ScoreInput:
    passages = [
        Passage(id=str(n), text=text, source="data", start=0, end=len(text))
        for n, text in enumerate(pair.passages)
    ]
    return ScoreInput(pair.claim, passages)


def _unsupported(score: Score) -> bool:
    return score.status == "ok" and score.labels["unsupported"] > 0


def _claims(scorer: Scorer, pairs: Sequence[Pair]) -> Figures:
    scores = _scored(scorer, [_input(pair) for pair in pairs])
    kept = [(pair, score) for pair, score in zip(pairs, scores, strict=True) if score.status == "ok"]
    wrong = np.array([not pair.supported for pair, _ in kept])
    doubt = np.array([1 - score.labels["lowest"] for _, score in kept])
    said = np.array([_unsupported(score) for _, score in kept])
    return {
        "rows": len(pairs),
        "no claims": len(pairs) - len(kept),
        "auroc": round(auroc(wrong, doubt), 4),
        **_rounded(at_threshold(wrong, said.astype(float), 0.5)),
        "best f1": round(best_f1(wrong, doubt).f1, 4),
    }


def _rounded(one: AtThreshold) -> Figures:
    return {name: round(getattr(one, name), 4) for name in ("f1", "precision", "recall")}


def _cost(scorer: Groundedness, data: Path) -> Figures:
    """Milliseconds a response of five sentences with five passages, alone, on this thread.

    Passages new, then seen before.
    """
    asked = [
        _input(Pair(answer, passages, supported=True, source=""))
        for answer, passages in responses(data, 200, 5)
    ]
    for one in asked[:5]:
        scorer.score([one])
    fresh = Groundedness(WEIGHTS / "groundedness", encoder=False)
    new = [_timed(lambda one=one: scorer.score([one])) for one in asked]
    seen = [_timed(lambda one=one: scorer.score([one])) for one in asked]
    first_new = [_timed(lambda one=one: fresh.score([one])) for one in asked]
    first_seen = [_timed(lambda one=one: fresh.score([one])) for one in asked]
    named = {
        "new passages": new,
        "seen passages": seen,
        "first judge, new": first_new,
        "first judge, seen": first_seen,
    }
    return {
        name: {
            "mean_ms": round(1e3 * float(np.mean(values)), 3),
            "p99_ms": round(1e3 * float(np.quantile(values, 0.99)), 2),
        }
        for name, values in named.items()
    }


def _spans_found(scored: Sequence[tuple[Pair, Score]]) -> Figures:
    """Of spoilt claims that were found: how often the named stretch touches what was spoilt, and how long it is."""
    hits, lengths = [], []
    for pair, score in scored:
        evidence = next((one for one in score.evidence if not one.supported), None)
        if pair.supported or not pair.spans or evidence is None or evidence.unsupported_start is None:
            continue
        start, end = evidence.unsupported_start, evidence.unsupported_end or 0
        hits.append(any(start < stop and begin < end for begin, stop in pair.spans))
        lengths.append((end - start) / max(1, evidence.end - evidence.start))
    return {
        "claims": len(hits),
        "touches": round(float(np.mean(hits)), 3),
        "share of sentence": round(float(np.mean(lengths)), 3),
    }


# -- toxicity


def toxicity(options: argparse.Namespace) -> Figures:
    """Held-out rows by source, identities, hidden words, and speed beside BERT in torch."""
    scorer = EncoderToxicity(options.weights / "toxicity")
    held = [row for row in rows(options.data, "test") if row.labels[0] is not None]
    found: Figures = {"held out": _held_out(scorer, held)}
    found["held out, jigsaw-bilstm"] = _held_out(OnnxToxicity(ModelFiles(options.models).toxicity()), held)
    found["identities"] = _identities(scorer)
    found["identities, jigsaw-bilstm"] = _identities(OnnxToxicity(ModelFiles(options.models).toxicity()))
    found["hidden words"] = _hidden(scorer, held)
    found["spans"] = _span_overlap(scorer, held)
    found["speed"] = _speed(scorer, held)
    return found


def _held_out(scorer: Scorer, held: Sequence[Row]) -> Figures:
    values = np.array(_values(scorer, [row.text for row in held]))
    sets: dict[str, Callable[[Row], bool]] = {
        "all, annotators agree": lambda row: row.sure,
        "all": lambda _: True,
        "davidson": lambda row: row.source == "davidson",
        "toxic_spans, annotators agree": lambda row: row.source == "toxic_spans" and row.sure,
        "toxic_spans": lambda row: row.source == "toxic_spans",
        "toxigen": lambda row: row.source == "toxigen",
    }
    found = {}
    for name, keep in sets.items():
        chosen = np.array([keep(row) for row in held])
        known = np.array([(row.labels[0] or 0.0) >= 0.5 for row in held])[chosen]
        found[name] = {
            "rows": int(chosen.sum()),
            "toxic": int(known.sum()),
            "auroc": round(auroc(known, values[chosen]), 4),
            "f1 at 0.5": round(at_threshold(known, values[chosen], 0.5).f1, 4),
        }
    clean = np.array([row.source == "harmless" for row in held])
    found["harmless texts over 0.5"] = {
        "rows": int(clean.sum()),
        "share": round(float((values[clean] >= 0.5).mean()), 4),
    }
    return found


def _identities(scorer: Scorer) -> Figures:
    found = {}
    for name, hostile in (("harmless", False), ("hostile", True)):
        chosen = [group for group in groups("test") if group.hostile is hostile]
        scores = [_values(scorer, group.texts) for group in chosen]
        plain = [
            _values(scorer, [group.template.replace("{} ", "").replace("{}", "")])[0] for group in chosen
        ]
        found[name] = {
            "groups": len(chosen),
            "identities": len(chosen[0].texts),
            "gap": round(gap(scores), 4),
            "mean difference to none": round(
                float(
                    np.mean([abs(one - base) for row, base in zip(scores, plain, strict=True) for one in row])
                ),
                4,
            ),
            "mean": round(float(np.mean(scores)), 4),
            "over 0.5": round(float(np.mean(np.array(scores) >= 0.5)), 4),
        }
    return found


def _hidden(scorer: Scorer, held: Sequence[Row]) -> Figures:
    """Recall at 0.5 on toxic comments whose toxic words are known, as they are and hidden."""
    rng = random.Random(3)
    chosen = [
        row for row in held if row.source == "toxic_spans" and (row.labels[0] or 0) > 0.5 and row.spans
    ][:600]
    plain = float(np.mean(np.array(_values(scorer, [row.text for row in chosen])) >= 0.5))
    found: Figures = {"texts": len(chosen), "plain recall": round(plain, 4)}
    for kind in KINDS:
        texts = [obfuscate(row.text, row.spans or (), kind, rng) for row in chosen]
        found[kind] = round(float(np.mean(np.array(_values(scorer, texts)) >= 0.5)) / plain, 4)
    found["mean kept"] = round(float(np.mean([found[kind] for kind in KINDS])), 4)
    return found


def _span_overlap(scorer: Scorer, held: Sequence[Row]) -> Figures:
    """F1 of the characters named, over toxic comments with agreed spans (as SemEval-2021 task 5 counts)."""
    chosen = [row for row in held if row.source == "toxic_spans" and (row.labels[0] or 0) > 0.5 and row.spans]
    figures = []
    for row, score in zip(chosen, _scored(scorer, [ScoreInput(row.text) for row in chosen]), strict=True):
        wanted = {at for start, end in row.spans or () for at in range(start, end)}
        said = {at for span in score.spans for at in range(span.start, span.end)}
        figures.append(2 * len(wanted & said) / max(1, len(wanted) + len(said)))
    return {"texts": len(chosen), "f1 of characters": round(float(np.mean(figures)), 4)}


def _speed(scorer: Scorer, held: Sequence[Row]) -> Figures:
    """Texts a second, one thread each, in turn, beside a network of Detoxify's size in torch (BERT base, 110 M)."""
    texts = [row.text for row in held if 40 <= len(row.text) <= 200][:256]
    ours = [len(texts) / _timed(lambda: _values(scorer, texts, 32)) for _ in range(3)]
    found: Figures = {"texts": len(texts), "ours": round(float(np.median(ours)), 1)}
    try:
        theirs = _bert(texts)
    except ImportError:
        return {**found, "bert": "not measured: the torch extra is not installed"}
    return {**found, "bert in torch": round(theirs, 1), "ratio": round(float(np.median(ours)) / theirs, 1)}


def _bert(texts: Sequence[str]) -> float:
    import torch  # noqa: PLC0415
    from transformers import BertConfig, BertForSequenceClassification  # noqa: PLC0415

    from training.encoder import tokenizer  # noqa: PLC0415

    torch.set_num_threads(1)
    network = BertForSequenceClassification(BertConfig(num_labels=6)).eval()
    reader = tokenizer()
    some = texts[:64]

    def run() -> None:
        for start in range(0, len(some), 32):
            ids = [one.ids for one in reader.encode_batch(list(some[start : start + 32]))]
            longest = max(map(len, ids))
            padded = torch.tensor([[*row, *[0] * (longest - len(row))] for row in ids])
            with torch.inference_mode():
                network(padded, attention_mask=(padded != 0).long())

    run()
    return len(some) / float(np.median([_timed(run) for _ in range(3)]))


# -- injection


def injection(options: argparse.Namespace) -> Figures:
    """BIPIA's test attacks in test e-mails, at the threshold that flags 1 % of clean e-mails.

    Other clean documents beside.
    """
    found: Figures = {}
    attacked, mails = bipia_test(options.data, 11)
    others = clean_texts(options.data, Path("examples/corpus"), "test")
    for title, scorer in (
        ("with the encoder", Injection(options.weights / "injection")),
        ("patterns alone", Injection(None)),
    ):
        clean = np.array(_values(scorer, mails))
        scores = np.array(_values(scorer, [one.text for one in attacked]))
        kinds = [*[False] * len(mails), *[True] * len(attacked)]
        threshold = max(0.5, threshold_for(kinds, [*clean, *scores], 0.01).threshold)
        hits = scores >= threshold
        found[title] = {
            "attacks": len(attacked),
            "clean e-mails": len(mails),
            "threshold": round(float(threshold), 4),
            "e-mails flagged": int((clean >= threshold).sum()),
            "recall": round(float(hits.mean()), 4),
            "by place": {
                name: round(
                    float(
                        np.mean([hit for hit, one in zip(hits, attacked, strict=True) if one.source == name])
                    ),
                    3,
                )
                for name in sorted({one.source for one in attacked})
            },
            "clean documents flagged": {
                name: {
                    "rows": len(texts[:300]),
                    "share": round(float(np.mean(np.array(_values(scorer, texts[:300])) >= threshold)), 4),
                }
                for name, texts in others.items()
                if name != "e-mails"
            },
        }
    return found


EVALUATIONS: dict[str, Callable[[argparse.Namespace], Figures]] = {
    "groundedness": groundedness,
    "toxicity": toxicity,
    "injection": injection,
}


def _scored(scorer: Scorer, items: Sequence[ScoreInput], batch: int = BATCH) -> list[Score]:
    return [
        score for start in range(0, len(items), batch) for score in scorer.score(items[start : start + batch])
    ]


def _values(scorer: Scorer, texts: Sequence[str], batch: int = BATCH) -> list[float]:
    return [score.value or 0.0 for score in _scored(scorer, [ScoreInput(text) for text in texts], batch)]


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
