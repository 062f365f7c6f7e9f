"""The fuzzer finds nothing wrong in a short run, and finds what is wrong where something is."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.codec import DecodeError, decode
from schemas.cost import CostEvent
from tests.fuzz import generate, judge
from tests.fuzz.judge import TARGETS, Broken, judge_dead_letter, judge_headers, judge_record
from tests.fuzz.run import examine, made, parts, table

SHORT = 20_000


def test_twenty_thousand_hostile_inputs_break_nothing() -> None:
    found = list(parts(list(TARGETS), seed=7, inputs=SHORT))
    assert [part.failure for part in found if part.failure] == []
    assert sum(part.inputs for part in found) == SHORT
    outcomes = sum((part.outcomes for part in found), Counter())
    reasons = {reason for _, reason in outcomes}
    assert reasons >= {"value", "invalid", "not_json", "not_utf8", "too_large", "null_value", "KeyError"}
    assert all(outcomes[name, "value"] > 100 for name in TARGETS)


def test_the_same_seed_and_number_give_the_same_input() -> None:
    names = list(TARGETS)
    first, again, other = ([made(names, seed, n)[1] for n in range(200)] for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("processes", [1, 2])
def test_processes_share_the_work_and_count_the_same(processes: int) -> None:
    found = list(parts(["cost"], seed=3, inputs=6_000, processes=processes))
    assert [part.inputs for part in found] == [5_000, 1_000]
    assert sum((part.outcomes for part in found), Counter()) == examine(["cost"], 3, range(6_000)).outcomes


def test_an_exception_that_is_not_documented_is_a_failure_that_can_be_made_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fragile(given: object) -> str:
        if given == made(["cost"], 5, 11)[1]:
            raise ZeroDivisionError("oh")
        return "value"

    monkeypatch.setitem(judge.TARGETS, "cost", replace(TARGETS["cost"], judge=fragile))
    (part,) = parts(["cost"], seed=5, inputs=100)
    assert part.inputs == 11
    failure = part.failure
    assert failure is not None
    assert (failure.seed, failure.number, failure.error) == (5, 11, "ZeroDivisionError: oh")
    kept = failure.write(tmp_path / "fuzz").read_text(encoding="utf-8")
    assert failure.given == repr(made(["cost"], 5, 11)[1])
    assert failure.given in kept


def test_a_value_that_reads_back_as_another_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    (minimal,) = [value for value in generate.golden("cost") if b"unpriced" in value]
    other = minimal.replace(b"USD", b"EUR")
    monkeypatch.setattr(judge, "encode", lambda _: other)
    with pytest.raises(Broken, match="another"):
        judge_record(CostEvent, minimal)


def test_an_error_without_a_path_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def vague(*_: object) -> None:
        raise DecodeError("invalid", "somewhere")

    monkeypatch.setattr(judge, "decode", vague)
    with pytest.raises(Broken, match="no path"):
        judge_record(CostEvent, b"{}")


def test_an_error_has_its_reason_and_golden_bytes_are_values() -> None:
    assert judge_record(CostEvent, None) == "null_value"
    assert judge_record(CostEvent, b"\xff") == "not_utf8"
    assert judge_record(CostEvent, b"{}" * 9, 10) == "too_large"
    for value in generate.golden("cost"):
        assert decode(CostEvent, value)
        assert judge_record(CostEvent, value) == "value"


def test_headers_without_values_or_with_bytes_that_are_no_text_are_judged() -> None:
    assert judge_headers([("ce_id", None), ("traceparent", b"\xff")]) == "value"
    assert judge_dead_letter([]) == "KeyError"


def test_a_table_has_a_line_for_each_event_that_was_tried() -> None:
    text = table(Counter({("cost", "value"): 2, ("cost", "invalid"): 3, ("headers", "value"): 1}))
    assert [line.split() for line in text.splitlines()[1:]] == [
        ["cost", "5", "2", "invalid", "3"],
        ["headers", "1", "1", "-"],
    ]
