"""What a soak says of a series, what it draws, and what it reads of a process; no server is started."""

import math
import os
import random
import re
import threading
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest

from schemas.codec import DecodeError, decode
from schemas.request import GenerationRequest
from tests.chaos.verifier import INVALID_KEY
from tests.soak import report, sample
from tests.soak.load import request
from tests.soak.plot import Panel, plot, ticks
from tests.soak.run import Measured, Options
from tests.soak.series import SERIES, Series, judge, judge_all, warm_up_end

MINUTES_30 = [5.0 * n for n in range(1, 361)]
RSS = Series("rss", "Memory", "MiB")
LAG = Series("lag", "Lag", "records", limit=0.25, floor=20)
RATE = Series("ended_rate", "Ended", "a second", bad=-1)


def _noise(width: float) -> list[float]:
    dice = random.Random(4)
    return [dice.gauss(0, width) for _ in MINUTES_30]


def test_a_series_that_does_not_move_is_flat() -> None:
    trend = judge(RSS, MINUTES_30, [300.0] * 360)
    assert trend.flat
    assert trend.mean == 300.0
    assert trend.change == pytest.approx(0)


def test_a_leak_of_a_tenth_is_growth() -> None:
    trend = judge(
        RSS, MINUTES_30, [300 + 45 * t / 1800 + n for t, n in zip(MINUTES_30, _noise(3), strict=True)]
    )
    assert not trend.flat
    assert trend.share == pytest.approx(0.09, abs=0.02)


def test_growth_below_the_limit_is_flat_however_certain_it_is() -> None:
    trend = judge(RSS, MINUTES_30, [300 + 6 * t / 1800 for t in MINUTES_30])
    assert trend.flat
    assert trend.change > 100 * trend.uncertainty


def test_noise_without_a_trend_is_flat() -> None:
    for seed in range(200):
        dice = random.Random(seed)
        assert judge(RSS, MINUTES_30, [dice.expovariate(1 / 3) for _ in MINUTES_30]).flat


def test_a_trend_is_found_in_noise_as_wide_as_the_mean() -> None:
    lag = [100 + 100 * t / 1800 + n for t, n in zip(MINUTES_30, _noise(60), strict=True)]
    assert not judge(LAG, MINUTES_30, lag).flat


def test_what_grows_only_while_it_warms_up_is_flat() -> None:
    assert judge(RSS, MINUTES_30, [100 + min(t, 590) for t in MINUTES_30]).flat


def test_a_large_change_of_something_tiny_is_flat() -> None:
    assert judge(LAG, MINUTES_30, [t / 1800 for t in MINUTES_30]).flat


def test_shrinking_memory_is_flat_and_a_falling_rate_is_not() -> None:
    falling = [100 - 50 * t / 1800 for t in MINUTES_30]
    assert judge(RSS, MINUTES_30, falling).flat
    assert not judge(RATE, MINUTES_30, falling).flat
    assert judge(RATE, MINUTES_30, falling[::-1]).flat


def test_too_few_samples_are_no_verdict() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        judge(RSS, [5.0, 10.0, 15.0], [1.0, 2.0, 3.0])


def _samples(**changed: list[float]) -> list[dict[str, float]]:
    return [
        {"t_s": t, **{series.name: 10.0 for series in SERIES}, **{name: v[i] for name, v in changed.items()}}
        for i, t in enumerate(MINUTES_30)
    ]


def test_a_series_that_some_samples_lack_is_left_out() -> None:
    samples = _samples()
    del samples[0]["tasks"]
    assert {series.name for series in SERIES} - {trend.name for trend in judge_all(samples)} == {"tasks"}


def test_a_report_names_what_grows(tmp_path: Path) -> None:
    samples = _samples(rss=[100 + t for t in MINUTES_30])
    trends = judge_all(samples)
    options = Options(30, 20, 1, tmp_path)
    found = report.as_json(options, Measured(samples, 36_000, 36_000, []), trends)
    assert found["flat"] is False
    assert [name for name, series in found["series"].items() if not series["flat"]] == ["rss"]
    lines = report.as_table(samples, trends).splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["GROWS"] + ["flat"] * (len(SERIES) - 1)


SVG = "{http://www.w3.org/2000/svg}"


def _panel(values: list[float], **rest: object) -> Panel:
    return Panel("Title & more", "MiB <sic>", [n / 12 for n in range(len(values))], values, **rest)  # type: ignore[arg-type]


def test_a_plot_is_well_formed_with_one_line_for_each_series() -> None:
    tree = ET.fromstring(plot("A & B", [_panel([1, 2, 3]), _panel([0, 0]), _panel([5e9, 1])], 0.05))
    assert tree.tag == f"{SVG}svg"
    lines = tree.findall(f".//{SVG}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [3, 2, 2]
    words = [text.text for text in tree.findall(f".//{SVG}text")]
    assert words.count("Title & more") == words.count("MiB <sic>") == words.count("minutes") == 3


@pytest.mark.parametrize("values", [[0.0, 0.0], [0.001, 0.0009], [7.0, 7.0], [123456.0, 1.0], [99.9, 100.1]])
def test_a_line_stays_inside_its_panel(values: list[float]) -> None:
    tree = ET.fromstring(plot("one", [_panel(values)]))
    panel = tree.find(f".//{SVG}rect[@class='warm']")
    assert panel is not None
    top, height = float(panel.attrib["y"]), float(panel.attrib["height"])
    line = tree.find(f".//{SVG}polyline")
    assert line is not None
    ys = [float(point.split(",")[1]) for point in line.attrib["points"].split()]
    assert all(top <= y <= top + height for y in ys)


def test_a_plot_has_colours_for_dark_pages_and_marks_what_is_bad() -> None:
    text = plot("one", [_panel([1, 2], bad=True), _panel([1, 2])])
    assert "prefers-color-scheme: dark" in text
    assert re.findall(r'<g [^>]*class="(\w+)"', text) == ["bad", "good"]


@pytest.mark.parametrize("highest", [0, 0.03, 1, 9, 10, 117, 48_000])
def test_ticks_are_round_begin_at_zero_and_end_at_the_highest_at_most(highest: float) -> None:
    found = ticks(highest)
    assert found[0] == 0
    assert 2 <= len(found) <= 6
    assert found[-1] <= max(highest, 1)
    assert all(math.isclose(b - a, found[1]) for a, b in pairwise(found))


def test_the_warm_up_is_a_third_of_the_run() -> None:
    assert warm_up_end([0.0, 15.0, 30.0]) == 10.0


def test_a_process_tells_its_memory_threads_and_descriptors() -> None:
    before = sample.of_process(os.getpid())
    assert before["rss"] > 10
    event = threading.Event()
    thread = threading.Thread(target=event.wait)
    reading, writing = os.pipe()
    thread.start()
    try:
        after = sample.of_process(os.getpid())
    finally:
        event.set()
        thread.join()
        os.close(reading)
        os.close(writing)
    assert after["threads"] - before["threads"] == 1
    assert after["descriptors"] - before["descriptors"] == 2


def test_metrics_are_summed_over_their_labels_and_absent_ones_left_out() -> None:
    text = (
        "# TYPE sluicegate_in_flight gauge\n"
        'sluicegate_in_flight{stage="generation"} 3.0\nsluicegate_in_flight{stage="scoring"} 4.0\n'
        "# TYPE sluicegate_other gauge\nsluicegate_other 1.0\n"
        "# TYPE sluicegate_consumer_lag gauge\n"
    )
    assert sample.of_metrics(text) == {"in_flight": 7.0}


def test_requests_are_the_same_for_the_same_seed_and_walk_every_path() -> None:
    records = [request(1, number) for number in range(2_000)]
    assert records == [request(1, number) for number in range(2_000)]
    assert records != [request(2, number) for number in range(2_000)]
    unreadable = [value for key, value in records if key.startswith(INVALID_KEY)]
    assert unreadable
    for value in unreadable:
        with pytest.raises(DecodeError):
            decode(GenerationRequest, value)
    read = [decode(GenerationRequest, value) for key, value in records if not key.startswith(INVALID_KEY)]
    assert len({event.id for event in read}) == len(read)
    assert len({event.question() for event in read}) < len(read)
    assert {event.ordering for event in read} == {"none", "key"}
    assert any(event.retrieval for event in read)
    assert any(event.deadline for event in read)


def test_the_plot_of_a_run_has_a_panel_for_each_series_and_says_how_it_went(tmp_path: Path) -> None:
    samples = _samples(rss=[100 + t for t in MINUTES_30])
    tree = ET.fromstring(report.as_plot(Options(30, 20, 1, tmp_path), samples, judge_all(samples)))
    assert len(tree.findall(f".//{SVG}polyline")) == len(SERIES)
    words = [text.text or "" for text in tree.findall(f".//{SVG}text")]
    assert {series.title for series in SERIES} <= set(words)
    assert [word for word in words if word.startswith("GROWS")] == ["GROWS, +1,195.0 MiB"]
    assert sum(word.startswith("flat, ") for word in words) == len(SERIES) - 1
