"""Judges a run from what is on the topics and what the model server was asked. Shares no code with Sluicegate.

Pure functions over plain records. The promise: every readable request ends in exactly one outcome, every unreadable
record in the dead letters, nothing is bought twice unless a kill or an outage of Redis made it unavoidable, and
requests that ask for their order keep it.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

TERMINAL = frozenset({"completed", "blocked", "refused", "expired", "failed"})
ANSWERED = frozenset({"completed", "blocked"})
INVALID_KEY = "invalid-"
"""How the harness names the records that nobody can read: their key begins so."""
ON_ITS_WAY_S = 1.0
"""How soon after an answer a kill still catches it before it is journalled."""
REDIS_SETTLES_S = 3.0


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a topic; `value` is its JSON where it has any. `timestamp_s` is the record's own."""

    partition: int
    offset: int
    key: str
    value: Any
    timestamp_s: float


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the model, as the model server logged it; see `tests/model_server.py` for the outcomes."""

    key: str
    worker: str
    start: float
    end: float
    outcome: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a verdict rests on."""

    requests: Sequence[Record]
    responses: Sequence[Record]
    dead_letters: Sequence[Record]
    calls: Sequence[Call] = ()
    confirmed: Collection[str] = ()
    """Keys of the records whose producer heard that they are stored: ids, and keys of unreadable ones."""
    kills: Mapping[str, float] = field(default_factory=dict)
    """When each killed worker was killed, by its name."""
    redis_outages: Sequence[tuple[float, float]] = ()
    began_s: float = 0.0
    """When the load began; times in the verdict count from there."""


@dataclass
class Verdict:
    """Counts, and behind them the ids that offend."""

    requests: int = 0
    terminal: int = 0
    by_status: dict[str, int] = field(default_factory=dict)
    invalid: int = 0
    repeated_responses: int = 0
    repeated_dead_letters: int = 0
    failed_dead_letters: int = 0
    calls: int = 0
    calls_by_outcome: dict[str, int] = field(default_factory=dict)
    calls_repeated_in_flight: int = 0
    calls_repeated_without_redis: int = 0
    conflicting_without_redis: int = 0
    longest_kill_after_answer_s: float = 0.0
    longest_stall_s: float = 0.0
    longest_stall_at_s: float = 0.0
    ended_per_s: float = 0.0
    unwritten: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    conflicting: list[str] = field(default_factory=list)
    invalid_lost: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    calls_repeated_otherwise: list[str] = field(default_factory=list)

    BROKEN = ("unwritten", "lost", "conflicting", "invalid_lost", "out_of_order", "calls_repeated_otherwise")

    def broken(self) -> dict[str, list[str]]:
        """What breaks the promise, with the ids; empty when it was kept."""
        return {name: ids for name in self.BROKEN if (ids := getattr(self, name))}

    def as_dict(self) -> dict[str, Any]:
        """Counts first; the ids of what is broken under `offending`."""
        told = {k: len(v) if k in self.BROKEN else v for k, v in asdict(self).items()}
        return {**told, "offending": self.broken()}


def judge(evidence: Evidence) -> Verdict:
    """The verdict on a run that has ended."""
    readable = {r.value["id"]: r for r in evidence.requests if not r.key.startswith(INVALID_KEY)}
    invalid = {r.key for r in evidence.requests if r.key.startswith(INVALID_KEY)}
    terminal = _terminal(evidence.responses)
    first = {name: copies[0] for name, copies in terminal.items()}
    letters = Counter(r.key for r in evidence.dead_letters if r.key.startswith(INVALID_KEY))
    verdict = Verdict(
        requests=len(readable),
        terminal=len(first.keys() & readable.keys()),
        by_status=dict(sorted(Counter(r.value["status"] for r in first.values()).items())),
        invalid=len(invalid),
        repeated_responses=sum(_repeats(copies) for copies in terminal.values()),
        repeated_dead_letters=letters.total() - len(letters),
        failed_dead_letters=len(evidence.dead_letters) - letters.total(),
        unwritten=sorted(set(evidence.confirmed) - readable.keys() - invalid),
        lost=sorted(readable.keys() - first.keys()),
        conflicting=sorted(name for name, copies in terminal.items() if len({_said(r) for r in copies}) > 1),
        invalid_lost=sorted(invalid - letters.keys()),
        out_of_order=_out_of_order(readable, first.values()),
    )
    verdict.longest_stall_s, at = _longest_stall(readable.values(), first)
    verdict.longest_stall_at_s = round(at - evidence.began_s, 2)
    verdict.ended_per_s = _ended_per_s(first.values())
    _judge_calls(evidence, verdict)
    return verdict


def _terminal(responses: Iterable[Record]) -> dict[str, list[Record]]:
    """Terminal responses by request, in the order of their partition."""
    found: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(responses, key=lambda r: (r.partition, r.offset)):
        if record.value["status"] in TERMINAL:
            found[record.value["request_id"]].append(record)
    return found


def _said(response: Record) -> tuple[str, str, str]:
    """What two copies of one outcome share: the event's id, its status, its text."""
    value = response.value
    choices = value.get("choices") or [{}]
    return value["id"], value["status"], str(choices[0].get("message", {}).get("content"))


def _repeats(copies: Sequence[Record]) -> int:
    return sum(_said(copy) == _said(copies[0]) for copy in copies[1:])


def _out_of_order(readable: Mapping[str, Record], first: Iterable[Record]) -> list[str]:
    """Requests with `ordering: key` that were answered after a later one of their conversation.

    What ends without an answer ends where it is noticed, and waits for no answer before it.
    """
    latest: dict[str, int] = {}
    found = []
    for record in sorted(first, key=lambda r: (r.partition, r.offset)):
        request = readable.get(record.value["request_id"])
        if request is None or request.value.get("ordering") != "key":
            continue
        if record.value["status"] not in ANSWERED:
            continue
        conversation, number = request.value["conversation_id"], request.value["metadata"]["sequence"]
        if number < latest.get(conversation, -1):
            found.append(request.value["id"])
        latest[conversation] = max(number, latest.get(conversation, -1))
    return sorted(found)


def _longest_stall(requests: Iterable[Record], first: Mapping[str, Record]) -> tuple[float, float]:
    """The longest time in which nothing ended though something waited, and when it began."""
    came = [(r.timestamp_s, 1) for r in requests if r.value["id"] in first]
    ended = [(r.timestamp_s, -1) for r in first.values()]
    waiting, since, worst = 0, None, (0.0, 0.0)
    for at, step in sorted([*came, *ended], key=lambda event: (event[0], -event[1])):
        waiting += step
        if step < 0:
            worst = max(worst, (at - since, since)) if since is not None else worst
            since = at if waiting > 0 else None
        elif since is None:
            since = at
    return round(worst[0], 2), worst[1]


def _ended_per_s(first: Iterable[Record]) -> float:
    ends = sorted(record.timestamp_s for record in first)
    return round(len(ends) / (ends[-1] - ends[0]), 1) if len(ends) > 1 and ends[-1] > ends[0] else 0.0


def _judge_calls(evidence: Evidence, verdict: Verdict) -> None:
    """Sort every call that bought what had been bought, or was being bought, by what excuses it."""
    by_key: dict[str, list[Call]] = defaultdict(list)
    for call in sorted(evidence.calls, key=lambda c: c.start):
        by_key[call.key].append(call)
    verdict.calls = len(evidence.calls)
    verdict.calls_by_outcome = dict(sorted(Counter(call.outcome for call in evidence.calls).items()))
    excused = set()
    for key, calls in by_key.items():
        bought: Call | None = None
        for call in calls:
            if bought is not None and _judge_repeat(evidence, verdict, bought, call) == "without_redis":
                excused.add(key.partition(":")[2])  # keys are TENANT:REQUEST
            if call.outcome == "answered" or (call.outcome == "cut" and _killed_during(evidence, call)):
                bought = call
    # Without Redis nobody knew of the first answer: two of them were bought, and both may be told.
    verdict.conflicting_without_redis = len(excused.intersection(verdict.conflicting))
    verdict.conflicting = [name for name in verdict.conflicting if name not in excused]


def _judge_repeat(evidence: Evidence, verdict: Verdict, bought: Call, again: Call) -> str:
    """Count a repeat; what excuses it."""
    if _killed_during(evidence, bought):
        verdict.calls_repeated_in_flight += 1
        late_s = evidence.kills[bought.worker] - bought.end
        verdict.longest_kill_after_answer_s = round(max(verdict.longest_kill_after_answer_s, late_s), 3)
        return "in_flight"
    if any(
        down <= again.start and bought.start <= up + REDIS_SETTLES_S for down, up in evidence.redis_outages
    ):
        verdict.calls_repeated_without_redis += 1
        return "without_redis"
    verdict.calls_repeated_otherwise.append(again.key)
    return "nothing"


def _killed_during(evidence: Evidence, call: Call) -> bool:
    """Whether its worker was killed while the call ran, or before its answer can have been journalled.

    Also where the kill came first: what had been sent by then, a busy server begins to read a moment later.
    """
    killed_at = evidence.kills.get(call.worker)
    return killed_at is not None and killed_at <= call.end + ON_ITS_WAY_S
