"""The verdict on runs written by hand: each breach of the promise is seen, and nothing else is called one."""

import ast
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import records, verifier
from tests.chaos.verifier import Call, Evidence, Record, judge


def asked(name: str, offset: int = 0, *, at: float = 0.0, **fields: Any) -> Record:
    return Record(0, offset, name, {"id": name, "tenant": "acme", **fields}, at)


def answered(
    name: str,
    offset: int = 0,
    *,
    at: float = 1.0,
    status: str = "completed",
    text: str = "yes",
    event: str = "",
) -> Record:
    choices = [{"message": {"role": "assistant", "content": text}}]
    value = {"id": event or f"{name}:response", "request_id": name, "status": status, "choices": choices}
    return Record(0, offset, name, value, at)


def unreadable(key: str, offset: int = 0) -> Record:
    return Record(0, offset, key, None, 0.0)


def call(
    start: float, end: float, outcome: str = "answered", worker: str = "w1-1", key: str = "acme:a"
) -> Call:
    return Call(key, worker, start, end, outcome)


def calls(*made: Call, **known: Any) -> verifier.Verdict:
    return judge(Evidence([asked("a")], [answered("a")], [], made, **known))


# what ends, and how often


def test_a_request_with_one_response_keeps_the_promise() -> None:
    verdict = judge(Evidence([asked("a")], [answered("a")], [], confirmed={"a"}))
    assert (verdict.requests, verdict.terminal, verdict.by_status) == (1, 1, {"completed": 1})
    assert verdict.broken() == {}


@pytest.mark.parametrize("status", ["completed", "blocked", "refused", "expired", "failed"])
def test_every_terminal_status_ends_a_request(status: str) -> None:
    assert judge(Evidence([asked("a")], [answered("a", status=status)], [])).lost == []


def test_a_request_without_a_response_is_lost() -> None:
    verdict = judge(Evidence([asked("a"), asked("b", 1)], [answered("a")], []))
    assert verdict.broken() == {"lost": ["b"]}


def test_a_request_that_only_waits_for_review_is_lost() -> None:
    assert judge(Evidence([asked("a")], [answered("a", status="pending_review")], [])).lost == ["a"]


def test_a_review_before_the_end_is_no_conflict() -> None:
    responses = [answered("a", 0, status="pending_review", event="a:pending"), answered("a", 1)]
    assert judge(Evidence([asked("a")], responses, [])).broken() == {}


def test_what_was_confirmed_must_be_on_the_topic() -> None:
    verdict = judge(Evidence([asked("a")], [answered("a")], [], confirmed={"a", "b", "invalid-1"}))
    assert verdict.broken() == {"unwritten": ["b", "invalid-1"]}


def test_the_same_response_twice_is_a_repeat_and_no_breach() -> None:
    verdict = judge(Evidence([asked("a")], [answered("a", 0), answered("a", 1)], []))
    assert (verdict.repeated_responses, verdict.broken()) == (1, {})


@pytest.mark.parametrize("other", [{"status": "failed"}, {"text": "no"}, {"event": "another"}])
def test_two_responses_that_differ_are_a_conflict(other: Any) -> None:
    verdict = judge(Evidence([asked("a")], [answered("a", 0), answered("a", 1, **other)], []))
    assert (verdict.conflicting, verdict.repeated_responses) == (["a"], 0)


# what nobody can read


def test_an_unreadable_record_belongs_in_the_dead_letters() -> None:
    requests = [unreadable("invalid-1"), unreadable("invalid-2", 1)]
    verdict = judge(Evidence(requests, [], [unreadable("invalid-1")]))
    assert (verdict.invalid, verdict.requests) == (2, 0)
    assert verdict.broken() == {"invalid_lost": ["invalid-2"]}


def test_dead_letters_twice_and_those_of_failed_requests_are_counted() -> None:
    letters = [unreadable("invalid-1"), unreadable("invalid-1", 1), unreadable("a", 2)]
    verdict = judge(
        Evidence([unreadable("invalid-1"), asked("a", 1)], [answered("a", status="failed")], letters)
    )
    assert (verdict.repeated_dead_letters, verdict.failed_dead_letters) == (1, 1)
    assert verdict.broken() == {}


# order


def ordered(name: str, number: int, conversation: str = "c") -> Record:
    return asked(name, number, ordering="key", conversation_id=conversation, metadata={"sequence": number})


def test_a_conversation_in_its_order_is_fine() -> None:
    requests = [ordered("a", 1), ordered("b", 2)]
    assert judge(Evidence(requests, [answered("a", 0), answered("b", 1)], [])).broken() == {}


def test_an_answer_after_a_later_one_is_out_of_order() -> None:
    requests = [ordered("a", 1), ordered("b", 2), ordered("c", 3)]
    responses = [answered("a", 0), answered("c", 1), answered("b", 2)]
    assert judge(Evidence(requests, responses, [])).broken() == {"out_of_order": ["b"]}


def test_what_ends_without_an_answer_waits_for_none_before_it() -> None:
    requests = [ordered("a", 1), ordered("b", 2)]
    responses = [answered("b", 0, status="failed"), answered("a", 1)]
    assert judge(Evidence(requests, responses, [])).broken() == {}


def test_only_first_responses_make_the_order() -> None:
    requests = [ordered("a", 1), ordered("b", 2)]
    responses = [answered("a", 0), answered("b", 1), answered("a", 2)]
    assert judge(Evidence(requests, responses, [])).broken() == {}


def test_conversations_and_requests_that_ask_for_no_order_are_free() -> None:
    requests = [ordered("a", 1), ordered("b", 2, "another"), asked("c", 3), asked("d", 4)]
    responses = [answered(name, offset) for offset, name in enumerate("dcba")]
    assert judge(Evidence(requests, responses, [])).broken() == {}


# what was bought twice


def test_one_call_a_request_is_what_it_costs() -> None:
    verdict = calls(call(0, 1), call(0, 1, key="acme:b"))
    assert (verdict.calls, verdict.broken()) == (2, {})


def test_a_call_after_an_answer_is_a_repeat_without_an_excuse() -> None:
    assert calls(call(0, 1), call(5, 6)).broken() == {"calls_repeated_otherwise": ["acme:a"]}


def test_two_calls_at_once_are_a_repeat() -> None:
    assert calls(call(0, 3), call(1, 2, worker="w2-1")).calls_repeated_otherwise == ["acme:a"]


def test_every_further_call_counts() -> None:
    assert calls(call(0, 1), call(5, 6), call(8, 9)).calls_repeated_otherwise == ["acme:a", "acme:a"]


def test_a_call_after_a_failed_one_is_no_repeat() -> None:
    assert calls(call(0, 1, "failed"), call(2, 3)).broken() == {}


def test_a_call_after_our_own_timeout_is_no_repeat() -> None:
    verdict = calls(call(0, 5, "cut"), call(6, 7))
    assert (verdict.calls_repeated_in_flight, verdict.broken()) == (0, {})


def test_a_failed_call_in_between_does_not_hide_a_repeat() -> None:
    assert calls(call(0, 1), call(2, 3, "failed"), call(4, 5)).calls_repeated_otherwise == [
        "acme:a",
        "acme:a",
    ]


def test_a_kill_during_the_call_excuses_the_next_one() -> None:
    verdict = calls(call(0, 2, "cut"), call(5, 6, worker="w1-2"), kills={"w1-1": 1.9})
    assert (verdict.calls_repeated_in_flight, verdict.broken()) == (1, {})


def test_a_call_that_the_server_began_to_read_after_the_kill_was_sent_before_it() -> None:
    verdict = calls(call(0.05, 0.1), call(5, 6, worker="w1-2"), kills={"w1-1": 0.0})
    assert (verdict.calls_repeated_in_flight, verdict.broken()) == (1, {})


def test_a_kill_right_after_the_answer_excuses_too_and_is_measured() -> None:
    verdict = calls(call(0, 2), call(5, 6, worker="w1-2"), kills={"w1-1": 2.25})
    assert (verdict.calls_repeated_in_flight, verdict.longest_kill_after_answer_s) == (1, 0.25)


def test_a_kill_long_after_the_answer_excuses_nothing() -> None:
    verdict = calls(call(0, 2), call(5, 6, worker="w1-2"), kills={"w1-1": 3.5})
    assert verdict.calls_repeated_otherwise == ["acme:a"]


def test_a_kill_of_another_worker_excuses_nothing() -> None:
    verdict = calls(call(0, 2), call(5, 6), kills={"w2-1": 1.0})
    assert verdict.calls_repeated_otherwise == ["acme:a"]


def test_a_kill_excuses_one_repeat_only() -> None:
    verdict = calls(call(0, 2), call(5, 6, worker="w1-2"), call(8, 9, worker="w1-2"), kills={"w1-1": 1.0})
    assert (verdict.calls_repeated_in_flight, verdict.calls_repeated_otherwise) == (1, ["acme:a"])


@pytest.mark.parametrize("outage", [(2.0, 4.0), (0.5, 9.0), (-3.0, -1.0)])
def test_an_outage_of_redis_between_two_calls_is_told_apart(outage: tuple[float, float]) -> None:
    verdict = calls(call(0, 1), call(5, 6), redis_outages=[outage])
    assert (verdict.calls_repeated_without_redis, verdict.broken()) == (1, {})


def test_two_answers_bought_across_an_outage_of_redis_are_a_conflict_told_apart() -> None:
    responses = [answered("a", 0, text="one"), answered("a", 1, text="two")]
    made = [call(0, 1), call(5, 6)]
    excused = judge(Evidence([asked("a")], responses, [], made, redis_outages=[(2.0, 4.0)]))
    assert (excused.conflicting_without_redis, excused.broken()) == (1, {})
    assert judge(Evidence([asked("a")], responses, [], made)).conflicting == ["a"]


@pytest.mark.parametrize("outage", [(5.5, 7.0), (-9.0, -4.0)])
def test_an_outage_at_another_time_excuses_nothing(outage: tuple[float, float]) -> None:
    assert calls(call(0, 1), call(5, 6), redis_outages=[outage]).calls_repeated_otherwise == ["acme:a"]


# time


def test_the_longest_stall_is_the_longest_wait_for_any_end() -> None:
    requests = [asked("a", 0, at=10.0), asked("b", 1, at=10.0), asked("c", 2, at=30.0)]
    responses = [answered("a", 0, at=11.0), answered("b", 1, at=18.0), answered("c", 2, at=31.0)]
    verdict = judge(Evidence(requests, responses, [], began_s=10.0))
    assert (verdict.longest_stall_s, verdict.longest_stall_at_s) == (7.0, 1.0)


def test_throughput_is_counted_from_the_first_end_to_the_last() -> None:
    requests = [asked(name) for name in "abc"]
    responses = [answered(name, offset, at=2.0 * offset) for offset, name in enumerate("abc")]
    assert judge(Evidence(requests, responses, [])).ended_per_s == 0.8


# independence


def test_a_log_that_was_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"
    log.write_text(
        '{"key": "acme:a", "worker": "w1-1", "start": 1.0, "end": 2.0, "outcome": "answered"}\n{"key": "ac'
    )
    assert records.read_calls(log) == [call(1.0, 2.0)]


@pytest.mark.parametrize("module", [verifier, records])
def test_the_verifier_shares_no_code_with_what_it_judges(module: Any) -> None:
    allowed = {"confluent_kafka", "tests.chaos.verifier", *sys.stdlib_module_names}
    for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert {name if name in allowed else name.split(".")[0] for name in names} <= allowed
