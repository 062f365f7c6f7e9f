"""The ledger under every order of events, with rebalances and kills; and when a stage stops."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streams.ledger import LAST, Entry, Ledger, StopLimit
from streams.progress import Progress


@given(st.permutations(range(8)))
def test_progress_is_the_finished_prefix_and_what_is_done_beyond_it(order: list[int]) -> None:
    ledger = Ledger(first=0)
    entries = [ledger.open(offset) for offset in range(8)]
    finished: set[int] = set()
    for number in order:
        entry = entries[number]
        assert entry
        ledger.finish(entry)
        finished.add(number)
        prefix = next((i for i in range(8) if i not in finished), 8)
        assert ledger.progress().next == prefix
        assert set(ledger.progress().beyond) == {n for n in finished if n > prefix}
    assert len(ledger) == 0


@given(st.integers(0, 10_000), st.sets(st.integers(1, 3_000), max_size=300))
def test_progress_reads_back_as_it_was_written(first: int, ahead: set[int]) -> None:
    wrote = Progress(first, [first + n for n in ahead])
    assert Progress.read(first, wrote.text()) == Progress(first, frozenset(first + n for n in ahead) or ())


def test_what_lies_before_all_that_was_entered_is_not_read_again_by_that_ledger() -> None:
    """The broker lost records and gave their offsets to others."""
    assert not Ledger(first=5).read_again(4)


@pytest.mark.parametrize("seed", range(3))
def test_progress_that_does_not_fit_is_cut_at_its_end(seed: int) -> None:
    ahead = Random(seed).sample(range(1, 200_000), 20_000)
    wrote = Progress(5, [5 + n for n in ahead])
    assert len(wrote.text()) < 4096
    read = Progress.read(5, wrote.text())
    assert read.beyond
    assert set(read.beyond) == {offset for offset in wrote.beyond if offset <= max(read.beyond)}


@pytest.mark.parametrize(
    "text", ["", "x", "1:", "1:???", "1:AAAA", "2:eJwDAAAAAAE=", "written by another tool"]
)
def test_a_text_that_says_nothing_to_us_is_no_progress(text: str) -> None:
    assert Progress.read(7, text) == Progress(7)


class Group(RuleBasedStateMachine):
    """One partition, read by one worker after another: the broker's side is modelled, the ledger is ours.

    A worker reads from the committed offset on, skips what was committed as done beyond it, finishes records in any
    order, and commits at any time what its ledger says. A rebalance starts a new assignment (with or without a last
    commit), a kill takes a worker away.
    """

    @initialize(size=st.integers(1, 30))
    def start(self, size: int) -> None:
        self.size, self.committed, self.beside = size, 0, ""
        self.processed: set[int] = set()
        self.late: list[tuple[Ledger, Entry]] = []
        self.assign()

    def assign(self) -> None:
        self.skipped = Progress.read(self.committed, self.beside).beyond
        self.ledger = Ledger(self.committed, self.skipped)
        self.next = self.entered = self.committed
        self.open: list[Entry] = []

    @precondition(lambda self: self.next < self.size)
    @rule(count=st.integers(1, 5))
    def read(self, count: int) -> None:
        for _ in range(min(count, self.size - self.next)):
            entry = self.ledger.open(self.next)
            assert (entry is None) == (self.next in self.skipped or self.next < self.entered)
            if entry is not None:
                self.open.append(entry)
            self.next += 1

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        entry = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        self.processed.add(entry.offset)
        self.ledger.finish(entry)

    @rule()
    def commit(self) -> None:
        progress = self.ledger.progress()
        assert progress.next >= self.committed
        self.committed, self.beside = progress.next, progress.text()

    @rule()
    def read_again(self) -> None:
        """From the committed offset, since some were dropped on their way: what is at work or done stays so."""
        assert self.ledger.read_again(self.committed)
        self.entered, self.next = max(self.entered, self.next), self.committed

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
        assert set(Progress.read(self.committed, self.beside).beyond) <= self.processed

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
