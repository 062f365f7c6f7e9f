"""Which fault happens when: a pure function of a seed. First each kind alone, then all of them mixed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault. Faults of one resource never overlap.

    It lasts for `lasts_s`, and what it broke needs about `settles_s` more to work again. `about` is for `--help`.
    """

    name: str
    resource: str
    lasts_s: float
    settles_s: float
    about: str


KINDS: tuple[Kind, ...] = (
    Kind("kill", "worker", 0, 10, "SIGKILL of a worker; another takes its place a second later"),
    Kind("broker", "broker", 4, 10, "SIGKILL of the broker; it starts again on its log"),
    Kind("broker-freeze", "broker", 20, 3, "the broker stands still (SIGSTOP), longer than sessions last"),
    Kind("redis", "redis", 4, 1, "SIGKILL of Redis; it starts again empty"),
    Kind("redis-freeze", "redis", 8, 1, "Redis stands still (SIGSTOP)"),
    Kind("model-errors", "model", 6, 1, "a share of the calls gets status 500"),
    Kind("model-limits", "model", 6, 1, "a share of the calls gets 429 with Retry-After: 1"),
    Kind("model-garbage", "model", 5, 1, "a share of the calls gets a body that is not JSON"),
    Kind("model-cut", "model", 5, 1, "a share of the calls gets half an answer"),
    Kind("model-hang", "model", 8, 1, "a share of the calls gets no answer before its time is up"),
    Kind("slow-model", "model", 15, 1, "every call takes 2 s"),
    Kind("rebalance", "group", 6, 20, "one more worker joins the groups and leaves them by SIGTERM"),
    Kind("slow-consumer", "worker", 10, 3, "a worker reads in fits and starts: a fifth of the time"),
    Kind("freeze", "worker", 9, 3, "a worker stands still (SIGSTOP) until others have its partitions"),
)
BY_NAME = {kind.name: kind for kind in KINDS}
ONE_AT_A_TIME = frozenset({"broker", "redis", "model"})
"""Resources whose next fault waits where the one before takes longer than planned."""
DEFAULT = tuple(kind.name for kind in KINDS if kind.name != "freeze")

_QUIET_S = 4.0
_ALONE = 0.6
"""The most of the time that faults one by one may take."""
_SETTLE_S = 3.0


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault, when it begins after the start of the load, how long it lasts, and a number that decides details."""

    at_s: float
    kind: str
    lasts_s: float
    dice: float
    alone: bool = False
    """Whether it waits until the one before is over."""


def counts_for(duration_s: float, kinds: Sequence[str]) -> dict[str, int]:
    """How often each kind happens in all, where nobody says otherwise."""
    every_s = {"kill": 20.0, "broker": 90.0, "rebalance": 60.0}
    return {kind: max(1, round(duration_s / every_s.get(kind, 120.0))) for kind in kinds}


def plan(seed: int, duration_s: float, counts: dict[str, int]) -> list[Planned]:
    """The faults of a run by their time; `counts` says how often each kind happens."""
    unknown = sorted(set(counts) - set(BY_NAME))
    if unknown:
        raise ValueError(f"no such fault: {', '.join(unknown)}; there are {', '.join(BY_NAME)}")
    dice = Random(seed)
    wanted = {kind.name: counts[kind.name] for kind in KINDS if counts.get(kind.name, 0) > 0}
    alone_s = min(duration_s * _ALONE, _SETTLE_S + _full_s(wanted)) if len(wanted) > 1 else 0.0
    alone = _one_by_one(dice, list(wanted), _SETTLE_S, alone_s) if alone_s else []
    left = {kind: count - (1 if alone else 0) for kind, count in wanted.items()}
    mixed = _mixed(dice, left, max(alone_s, _SETTLE_S), duration_s)
    return sorted([*alone, *mixed], key=lambda planned: (planned.at_s, planned.kind))


def _full_s(kinds: Iterable[str]) -> float:
    """How long each kind once takes, with quiet between."""
    return sum(BY_NAME[kind].lasts_s + BY_NAME[kind].settles_s + _QUIET_S for kind in kinds)


def _one_by_one(dice: Random, kinds: list[str], start_s: float, end_s: float) -> list[Planned]:
    """Each kind once, in a drawn order, with quiet between; squeezed where the time is short."""
    dice.shuffle(kinds)
    squeeze = min(1.0, (end_s - start_s) / _full_s(kinds))
    planned, at_s = [], start_s
    for kind in kinds:
        lasts_s = BY_NAME[kind].lasts_s * squeeze
        planned.append(Planned(round(at_s, 2), kind, round(lasts_s, 2), dice.random(), alone=True))
        at_s += _full_s([kind]) * squeeze
    return planned


def _mixed(dice: Random, counts: dict[str, int], start_s: float, end_s: float) -> list[Planned]:
    """Every resource's faults spread over the time in a drawn order, regardless of other resources."""
    planned: list[Planned] = []
    for resource in dict.fromkeys(kind.resource for kind in KINDS):
        kinds = [
            kind for kind, count in counts.items() if BY_NAME[kind].resource == resource for _ in range(count)
        ]
        dice.shuffle(kinds)
        slot_s = (end_s - start_s) / max(1, len(kinds))
        for number, kind in enumerate(kinds):
            lasts_s = min(BY_NAME[kind].lasts_s, slot_s * 0.7)
            at_s = start_s + number * slot_s + dice.random() * (slot_s * 0.95 - lasts_s)
            planned.append(Planned(round(at_s, 2), kind, round(lasts_s, 2), dice.random()))
    return planned
