"""Figures over labelled scores, by hand and by what must always hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.evaluation import (
    at_threshold,
    auroc,
    average_precision,
    best_f1,
    calibration_error,
    interval,
    reliability,
    threshold_for,
)

BAD = [True, False, True, False, False]
SCORES = [0.9, 0.8, 0.7, 0.4, 0.4]
MIXED = st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=2, max_size=60).filter(
    lambda rows: len({bad for bad, _ in rows}) == 2
)


def test_figures_of_five_rows_by_hand() -> None:
    assert auroc(BAD, SCORES) == pytest.approx(5 / 6)  # of six pairs one stands the wrong way round
    assert average_precision(BAD, SCORES) == pytest.approx((1 + 2 / 3) / 2)
    here = at_threshold(BAD, SCORES, 0.7)
    assert (here.precision, here.recall, here.f1) == pytest.approx((2 / 3, 1.0, 0.8))
    assert here.false_positive_rate == pytest.approx(1 / 3)
    assert best_f1(BAD, SCORES).threshold == 0.7


def test_ties_count_half() -> None:
    assert auroc([True, False], [0.5, 0.5]) == 0.5
    assert average_precision([True, False], [0.5, 0.5]) == 0.5


@given(MIXED)
def test_no_monotone_change_of_the_scores_changes_the_order_figures(rows) -> None:
    bad, scores = [one for one, _ in rows], np.array([value for _, value in rows]) / 20
    assert auroc(bad, scores**3) == pytest.approx(auroc(bad, scores))
    assert average_precision(bad, scores**3) == pytest.approx(average_precision(bad, scores))
    assert auroc(bad, -scores) == pytest.approx(1 - auroc(bad, scores))


@given(MIXED, st.floats(0, 1))
def test_the_threshold_for_a_rate_keeps_it_and_no_lower_one_does(rows, rate) -> None:
    bad, scores = [one for one, _ in rows], [value / 20 for _, value in rows]
    chosen = threshold_for(bad, scores, rate)
    assert chosen.false_positive_rate <= rate + 1e-9
    lower = [value for value in scores if value < chosen.threshold]
    if lower:
        looser = at_threshold(bad, scores, max(lower))
        assert looser.false_positive_rate > rate or looser.recall >= chosen.recall


@given(MIXED)
def test_no_threshold_has_a_higher_f1_than_the_best(rows) -> None:
    bad, scores = [one for one, _ in rows], [value / 20 for _, value in rows]
    assert best_f1(bad, scores).f1 == pytest.approx(max(at_threshold(bad, scores, at).f1 for at in scores))


def test_one_kind_of_rows_says_which_is_missing() -> None:
    with pytest.raises(ValueError, match="all 2 rows are labelled good"):
        auroc([False, False], [0.1, 0.2])


def test_the_interval_is_wilsons() -> None:
    assert interval(0, 50) == pytest.approx((0.0, 0.0713), abs=1e-4)
    assert interval(10, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)
    assert interval(0, 0) == (0.0, 1.0)


def test_a_calibrated_scorer_lies_on_the_diagonal() -> None:
    scores = np.repeat([0.25, 0.75], 100)
    bad = np.concatenate([np.arange(100) < 25, np.arange(100) < 75])
    bins = reliability(bad, scores)
    assert [(one.low, one.rows, one.bad) for one in bins] == [(0.2, 100, 0.25), (0.7, 100, 0.75)]
    assert calibration_error(bins) == pytest.approx(0.0)
    assert calibration_error(reliability(~bad, scores)) == pytest.approx(0.5)
    assert reliability([True], [1.0])[0].high == 1.0
