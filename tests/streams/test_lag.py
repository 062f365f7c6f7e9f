"""The watchdog: offsets that stand still under lag make a worker unhealthy, and nothing else does."""

from streams.lag import Watchdog


def test_a_partition_that_moves_is_healthy_however_far_behind() -> None:
    dog = Watchdog(stall_after_s=10)
    for second in range(60):
        dog.observe("p0", committed=second, lag=1_000_000, now_s=second)
    assert dog.healthy(60)


def test_a_partition_without_lag_may_stand_still() -> None:
    dog = Watchdog(stall_after_s=10)
    for second in range(60):
        dog.observe("p0", committed=5, lag=0, now_s=second)
    assert dog.healthy(60)


def test_one_partition_that_stands_still_under_lag_is_enough() -> None:
    dog = Watchdog(stall_after_s=10)
    for second in range(20):
        dog.observe("p0", committed=second, lag=5, now_s=second)
        dog.observe("p1", committed=7, lag=1, now_s=second)
        assert dog.healthy(second) is (second <= 10)
    assert dog.stalled_s(19) == 19


def test_it_recovers_as_soon_as_offsets_move() -> None:
    dog = Watchdog(stall_after_s=10)
    dog.observe("p0", committed=7, lag=1, now_s=0)
    assert not dog.healthy(11)
    dog.observe("p0", committed=8, lag=1, now_s=12)
    assert dog.healthy(13)


def test_a_partition_that_went_elsewhere_is_forgotten() -> None:
    dog = Watchdog(stall_after_s=10)
    dog.observe("p0", committed=7, lag=1, now_s=0)
    dog.keep({"p1"})
    assert dog.healthy(100)


def test_what_comes_after_an_idle_time_has_not_waited_since_its_beginning() -> None:
    dog = Watchdog(stall_after_s=10)
    dog.observe("p0", committed=7, lag=0, now_s=0)
    dog.observe("p0", committed=7, lag=1, now_s=20)
    assert dog.healthy(29)
    assert not dog.healthy(31)
