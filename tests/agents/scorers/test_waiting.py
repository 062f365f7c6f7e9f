"""Who is scored next: short before long, urgent before all, and nobody too late."""

import pytest

from agents.ports import ScoreInput
from agents.scorers.waiting import Call, Waiting

SHORT, LONG = 10, 5000


@pytest.fixture
def add():
    """Queues a call of some length; returns it."""

    def add(waiting: Waiting, size: int = SHORT, arrived: float = 0.0, due: float = 100.0) -> Call:
        call = Call(ScoreInput("x" * size), arrived, due)
        assert waiting.add(call)
        return call

    return add


async def test_of_texts_of_one_length_the_one_that_is_due_first_goes_first(add):
    waiting = Waiting(room=10, max_batch=1)
    late, early, middle = (add(waiting, due=due) for due in (30.0, 10.0, 20.0))
    assert [waiting.take(1.0) for _ in range(3)] == [[early], [middle], [late]]


async def test_of_calls_due_at_once_the_first_to_come_goes_first(add):
    waiting = Waiting(room=10, max_batch=2)
    calls = [add(waiting) for _ in range(4)]
    assert [waiting.take(1.0), waiting.take(1.0)] == [calls[:2], calls[2:]]


async def test_a_batch_holds_texts_of_similar_length(add):
    waiting = Waiting(room=100, max_batch=32)
    mixed = [add(waiting, size) for size in (10, 100_000, 400, 3000, 20, 5000)]
    batches = [[call.size for call in waiting.take(1.0)] for _ in range(3)]
    assert batches == [[10, 400, 20], [3000, 5000], [100_000]]
    assert len(mixed) == sum(map(len, batches))


async def test_a_short_text_passes_long_ones_that_came_before(add):
    waiting = Waiting(room=100, max_batch=32)
    for _ in range(50):
        add(waiting, LONG)
    short = add(waiting, SHORT, arrived=1.0, due=101.0)
    assert waiting.take(1.0) == [short]


async def test_a_long_text_that_waited_for_half_of_its_time_is_passed_no_more(add):
    waiting = Waiting(room=100, max_batch=1)
    long = add(waiting, LONG, arrived=0.0, due=10.0)
    shorts = [add(waiting, SHORT, arrived=4.0, due=14.0) for _ in range(3)]
    assert waiting.take(4.9) == [shorts[0]]
    assert waiting.take(5.0) == [long]
    assert waiting.take(5.0) == [shorts[1]]


async def test_of_all_that_are_urgent_the_one_that_is_due_first_goes_first(add):
    waiting = Waiting(room=100, max_batch=1)
    short = add(waiting, SHORT, due=9.0)
    long = add(waiting, LONG, due=8.0)
    assert [waiting.take(6.0), waiting.take(6.0)] == [[long], [short]]


async def test_a_batch_stops_at_its_characters_but_takes_one_text_of_any_length(add):
    waiting = Waiting(room=100, max_batch=32, batch_chars=12_000)
    for size in (5000, 5000, 5000, 1_000_000):
        add(waiting, size)
    assert [[call.size for call in waiting.take(1.0)] for _ in range(3)] == [[5000] * 2, [5000], [1_000_000]]


async def test_a_call_whose_time_is_over_is_a_timeout_and_not_scored(add):
    waiting = Waiting(room=10, max_batch=32)
    late, well = add(waiting, due=5.0), add(waiting, due=50.0)
    assert waiting.take(5.0) == [well]
    assert late.outcome.result() == "timeout"
    assert len(waiting) == 0


async def test_a_call_that_not_even_the_fastest_batch_would_serve_in_time_is_a_timeout(add):
    waiting = Waiting(room=10, max_batch=1)
    first = add(waiting)
    assert waiting.take(0.0) == [first]
    waiting.took([first], 2.0)
    waiting.took([first], 3.0)
    hopeless, hopeful = add(waiting, due=10.0), add(waiting, due=10.2)
    assert waiting.take(8.1) == [hopeful]
    assert hopeless.outcome.result() == "timeout"


async def test_a_wrong_measure_does_not_lock_a_scorer_out(add):
    """After one batch that took longer than any call may, calls that come straight to their turn are tried."""
    waiting = Waiting(room=10, max_batch=1)
    waiting.took([add(waiting)], 60.0)
    waiting.clear()
    fresh = add(waiting, arrived=100.0, due=110.0)
    assert waiting.take(100.1) == [fresh]


async def test_a_full_queue_takes_nobody_until_somebody_leaves(add):
    waiting = Waiting(room=2, max_batch=32)
    first, second = add(waiting), add(waiting, LONG)
    third = Call(ScoreInput("x"), 0.0, 100.0)
    assert not waiting.add(third)
    waiting.leave(second)
    waiting.leave(second)
    assert waiting.add(third)
    assert [*waiting.take(1.0), *waiting.take(1.0)] == [first, third]


async def test_calls_that_left_do_not_pile_up(add):
    waiting = Waiting(room=2, max_batch=32)
    stays = add(waiting, due=50.0)
    for number in range(1000):
        waiting.leave(add(waiting, due=51.0 + number))
    assert sum(len(kind._heap) for kind in waiting._kinds) < 100
    assert waiting.take(1.0) == [stays]
    assert (len(waiting), waiting.take(1.0)) == (0, [])


async def test_clearing_gives_back_all_that_wait(add):
    waiting = Waiting(room=10, max_batch=2)
    calls = {add(waiting, size) for size in (1, 600, 5000, 3, 9000)}
    gone = calls.pop()
    waiting.leave(gone)
    assert set(waiting.clear()) == calls
    assert (len(waiting), waiting.clear()) == (0, [])
