"""The one training loop.

AdamW, a warm-up and a linear descent, batches of equal length, bfloat16 where it is faster.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.encoder import Example, Judge

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast; `tokens_share` is what the token head's loss counts beside the text's."""

    epochs: float
    rate: float = 1e-4
    head_rate: float = 1e-3
    batch_tokens: int = 2048
    warm_up: float = 0.1
    tokens_share: float = 0.3
    seed: int = 1


def fit(judge: Judge, examples: Sequence[Example], plan: Plan, say: Callable[[str], None] = print) -> None:
    """Train in place."""
    torch.manual_seed(plan.seed)
    rng = random.Random(plan.seed)
    per_epoch = len(list(_batches(examples, plan.batch_tokens, random.Random(0))))
    steps = max(1, int(plan.epochs * per_epoch))
    optimiser = _optimiser(judge, plan)
    descent = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda at: _share(at / steps, plan.warm_up))
    judge.train()
    started, done, losses = time.monotonic(), 0, [0.0]
    while done < steps:
        for batch in _batches(examples, plan.batch_tokens, rng):
            if done == steps:
                break
            loss = _loss(judge, batch, plan.tokens_share)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(judge.parameters(), 1.0)
            optimiser.step()
            descent.step()
            done += 1
            losses.append(float(loss))
            if done % 50 == 0 or done == steps:
                recent = sum(losses[-50:]) / len(losses[-50:])
                say(f"step {done}/{steps}  loss {recent:.4f}  {time.monotonic() - started:.0f} s")
    judge.eval()


def predict(judge: Judge, examples: Sequence[Example], batch_tokens: int = 4096) -> NDArray[np.float32]:
    """Probabilities (examples, outputs), in order, of the network before it is made int8."""
    order = sorted(range(len(examples)), key=lambda at: len(examples[at].ids))
    found = np.zeros((len(examples), judge.labels.out_features), dtype=np.float32)
    with torch.inference_mode():
        for places in _groups(order, [len(one.ids) for one in examples], batch_tokens):
            ids, mask, segments = _inputs([examples[at] for at in places])
            with torch.autocast("cpu", torch.bfloat16):
                logits, _ = judge(ids, mask, segments)
            found[places] = torch.sigmoid(logits.float()).numpy()
    return found


def _optimiser(judge: Judge, plan: Plan) -> torch.optim.Optimizer:
    heads = [*judge.labels.parameters(), *judge.tokens.parameters()]
    body = [p for p in judge.bert.parameters() if p.requires_grad]
    groups = [{"params": body, "lr": plan.rate}, {"params": heads, "lr": plan.head_rate}]
    return torch.optim.AdamW(groups, weight_decay=0.01)


def _share(at: float, warm_up: float) -> float:
    return at / warm_up if at < warm_up else max(0.02, (1 - at) / (1 - warm_up))


def _batches(examples: Sequence[Example], tokens: int, rng: random.Random) -> Iterator[list[Example]]:
    """Shuffled; neighbours in length share a batch, so that little is padding."""
    order = list(range(len(examples)))
    rng.shuffle(order)
    lengths = [len(one.ids) for one in examples]
    span = 2048
    groups = []
    for start in range(0, len(order), span):
        part = sorted(order[start : start + span], key=lengths.__getitem__)
        groups += list(_groups(part, lengths, tokens))
    rng.shuffle(groups)
    for places in groups:
        yield [examples[at] for at in places]


def _groups(order: Sequence[int], lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    group: list[int] = []
    for at in order:
        if group and (len(group) + 1) * max(lengths[at], *(lengths[one] for one in group[-1:])) > tokens:
            yield group
            group = []
        group.append(at)
    if group:
        yield group


def _loss(judge: Judge, batch: Sequence[Example], tokens_share: float) -> Tensor:
    ids, mask, segments = _inputs(batch)
    labels = torch.tensor([one.labels for one in batch])
    wanted = torch.tensor(
        [[*(one.tokens or [NAN] * len(one.ids)), *[NAN] * (ids.shape[1] - len(one.ids))] for one in batch]
    )
    weight = torch.tensor([one.weight for one in batch]).unsqueeze(1)
    with torch.autocast("cpu", torch.bfloat16):
        text, tokens = judge(ids, mask, segments)
    return _masked(text.float(), labels, weight) + tokens_share * _masked(tokens.float(), wanted, weight)


def _masked(logits: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Binary cross entropy where something is wanted."""
    known = ~wanted.isnan()
    if not bool(known.any()):
        return logits.sum() * 0.0
    each = nn.functional.binary_cross_entropy_with_logits(logits, wanted.nan_to_num(0.0), reduction="none")
    counts = known * weight
    return (each * counts).sum() / counts.sum()


def _inputs(batch: Sequence[Example]) -> tuple[Tensor, Tensor, Tensor]:
    longest = max(len(one.ids) for one in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    mask, segments = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, one in enumerate(batch):
        size = len(one.ids)
        ids[row, :size] = torch.tensor(one.ids)
        mask[row, :size] = 1
        if one.segments is not None:
            segments[row, :size] = torch.tensor(one.segments)
    return ids, mask, segments
