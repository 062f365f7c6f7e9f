"""The ledger under every order of events, with rebalances and kills; and when a stage stops."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streams.ledger import LAST, Entry, Ledger, StopLimit


@given(st.permutations(range(8)))
def test_acks_name_the_end_of_the_finished_prefix(order: list[int]) -> None:
    acked: list[int] = []
    ledger = Ledger(acked.append)
    entries = [ledger.open(offset) for offset in range(8)]
    finished: set[int] = set()
    for number in order:
        ledger.finish(entries[number])
        finished.add(number)
        prefix = next((i for i in range(8) if i not in finished), 8)
        assert (acked[-1] if acked else -1) == prefix - 1
    assert acked == sorted(set(acked))
    assert len(ledger) == 0


class Group(RuleBasedStateMachine):
    """One partition, read by one worker after another: the broker's side is modelled, the ledger is ours.

    A worker reads from the committed offset on, finishes records in any order, and commits at any time what its
    ledger acked. A rebalance starts a new assignment (with or without a last commit), a kill takes a worker away.
    """

    @initialize(size=st.integers(1, 30))
    def start(self, size: int) -> None:
        self.size, self.committed, self.generation = size, 0, 0
        self.processed: set[int] = set()
        self.late: list[tuple[Ledger, Entry]] = []
        self.assign()

    def assign(self) -> None:
        self.generation += 1
        generation = self.generation
        self.acked: int | None = None

        def ack(offset: int) -> None:
            if generation == self.generation:  # as streams/wiring.py does
                self.acked = offset

        self.ledger = Ledger(ack)
        self.next = self.committed
        self.open: list[Entry] = []

    @precondition(lambda self: self.next < self.size)
    @rule(count=st.integers(1, 5))
    def read(self, count: int) -> None:
        for _ in range(min(count, self.size - self.next)):
            self.open.append(self.ledger.open(self.next))
            self.next += 1

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        entry = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        self.processed.add(entry.offset)
        self.ledger.finish(entry)

    @rule()
    def commit(self) -> None:
        if self.acked is not None:
            self.committed = max(self.committed, self.acked + 1)

    @rule(commits=st.booleans())
    def rebalance(self, commits: bool) -> None:
        if commits:
            self.commit()
        self.late = [(self.ledger, entry) for entry in self.open]
        self.assign()

    @rule()
    def kill(self) -> None:
        self.late = []
        self.assign()

    @precondition(lambda self: self.late)
    @rule()
    def work_of_an_old_assignment_ends(self) -> None:
        ledger, entry = self.late.pop()
        self.processed.add(entry.offset)
        ledger.finish(entry)

    @invariant()
    def nothing_is_committed_that_was_not_processed(self) -> None:
        assert set(range(self.committed)) <= self.processed

    def teardown(self) -> None:
        """Left alone, a worker ends the partition."""
        if not hasattr(self, "ledger"):
            return
        self.read(self.size)
        for entry in self.open:
            self.processed.add(entry.offset)
            self.ledger.finish(entry)
        self.commit()
        assert self.committed == self.size


TestGroup = Group.TestCase
TestGroup.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


def test_a_run_of_bad_records_is_a_reason_to_stop() -> None:
    limit = StopLimit(run=3, share=0.0)
    assert [bool(limit.note(bad=bad)) for bad in (True, True, False, True, True, True)] == [False] * 5 + [
        True
    ]


@pytest.mark.parametrize(("every", "stops"), [(2, False), (1, True), (3, False)])
def test_a_share_of_bad_records_is_judged_over_the_last_two_hundred(every: int, stops: bool) -> None:
    limit = StopLimit(run=0, share=0.5)
    told = [limit.note(bad=number % every == 0) for number in range(2 * LAST)]
    assert bool(told[-1]) is stops
    assert not any(told[: LAST - 1])


@given(st.lists(st.booleans(), max_size=600))
def test_with_both_limits_off_nothing_stops(bad: list[bool]) -> None:
    limit = StopLimit(run=0, share=0.0)
    assert not any(limit.note(bad=one) for one in bad)
