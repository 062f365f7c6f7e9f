"""The plan of faults: the same for the same seed, one by one first, never two on one resource."""

from itertools import pairwise

import pytest

from tests.chaos.schedule import BY_NAME, DEFAULT, Planned, counts_for, plan


def default_plan(seed: int = 7, duration_s: float = 600.0) -> list[Planned]:
    return plan(seed, duration_s, counts_for(duration_s, DEFAULT))


def test_a_seed_gives_the_same_plan_again() -> None:
    assert default_plan(3) == default_plan(3)


def test_another_seed_gives_another_plan() -> None:
    assert default_plan(3) != default_plan(4)


@pytest.mark.parametrize("seed", range(20))
def test_faults_of_one_resource_never_overlap(seed: int) -> None:
    planned = default_plan(seed, 180.0 + 60 * seed)
    for resource in {kind.resource for kind in BY_NAME.values()}:
        of_it = [fault for fault in planned if BY_NAME[fault.kind].resource == resource]
        for earlier, later in pairwise(of_it):
            assert earlier.at_s + earlier.lasts_s <= later.at_s + 0.02


@pytest.mark.parametrize("seed", range(20))
def test_everything_happens_within_the_duration(seed: int) -> None:
    assert all(fault.at_s > 0 and fault.at_s + fault.lasts_s <= 180.0 for fault in default_plan(seed, 180.0))


def test_each_kind_comes_alone_before_any_two_overlap() -> None:
    planned = default_plan(7, 600.0)
    first = planned[: len(DEFAULT)]
    assert all(fault.alone for fault in first)
    assert {fault.kind for fault in first} == set(DEFAULT)
    assert all(a.at_s + a.lasts_s < b.at_s for a, b in pairwise(first))


def test_a_longer_run_mixes_for_longer() -> None:
    alone = [fault for fault in default_plan(7, 3600.0) if fault.alone]
    assert alone[-1].at_s < 300.0


def test_faults_of_different_resources_overlap_later() -> None:
    mixed = default_plan(7, 600.0)[len(DEFAULT) :]
    assert any(a.at_s + a.lasts_s > b.at_s for a, b in pairwise(mixed))


def test_there_are_as_many_as_asked_for() -> None:
    planned = plan(7, 400.0, {"kill": 30, "broker": 5, "rebalance": 0})
    kinds = [fault.kind for fault in planned]
    assert (kinds.count("kill"), kinds.count("broker"), kinds.count("rebalance")) == (30, 5, 0)


def test_a_single_kind_is_spread_over_all_of_the_time() -> None:
    planned = plan(7, 100.0, {"kill": 4})
    assert planned[-1].at_s > 60.0


def test_an_unknown_fault_is_named() -> None:
    with pytest.raises(ValueError, match=r"no such fault: flood; there are kill, broker"):
        plan(7, 100.0, {"flood": 1})
