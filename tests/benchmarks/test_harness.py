"""The harness of the benchmarks: its arithmetic, its tables, and one whole run with a tiny load."""

import json
import os

import pytest

from benchmarks import machine, plots, report
from benchmarks.measure import Measured, describe_latency, percentile, proxy_rate, ratios, spread, window_of
from benchmarks.peers import PEERS
from benchmarks.processes import Series, cpu_s, rss_mib, tree
from benchmarks.requests import make
from benchmarks.run import Options, Results, execute, turns
from benchmarks.targets import TARGETS, Target, lowest_ratio
from benchmarks.traffic import Answers
from benchmarks.trial import renamed
from benchmarks.workloads import SLUICEGATE, TINY, WORKLOADS, chosen_peers, label


def rate(workload, program, number, per_s, **other):
    return Measured(workload, program, number, rate_per_s=per_s, **other)


class TestWindow:
    def test_it_lasts_from_the_first_request_to_the_last_answer(self):
        window = window_of(100.0, [101.0, 102.0, 103.0, 104.0, 105.0])
        assert window is not None
        assert (window.began, window.ended, window.answers) == (100.0, 105.0, 5)
        assert window.rate == pytest.approx(1.0)

    def test_answers_of_before_do_not_count(self):
        window = window_of(100.0, [99.0, *(100.5 + n for n in range(6))])
        assert window is not None
        assert window.answers == 6

    def test_too_few_answers_make_no_rate(self):
        assert window_of(100.0, [101.0, 102.0]) is None
        assert window_of(100.0, [100.0] * 50) is None


class TestArithmetic:
    def test_percentiles_are_values_that_were_measured(self):
        values = list(range(1, 101))
        assert percentile(values, 0.5) == 51
        assert percentile(values, 0.99) == 100
        assert percentile([], 0.5) is None

    def test_a_spread_leaves_out_what_is_unknown(self):
        told = spread([5.0, None, 1.0, 3.0])
        assert told is not None
        assert (told.least, told.median, told.most, told.rounds) == (1.0, 3.0, 5.0, 3)
        assert (told.quarter, told.three_quarters) == (2.0, 4.0)
        assert spread([None]) is None

    def test_one_round_has_a_median_and_no_spread(self):
        told = spread([7.0])
        assert told is not None
        assert told.least == told.quarter == told.median == told.most == 7.0

    def test_ratios_are_of_the_same_round_alone(self):
        assert ratios({0: 10.0, 1: 20.0, 2: None}, {0: 5.0, 1: None, 2: 1.0, 3: 1.0}) == {0: 2.0}
        assert ratios({0: 10.0}, {0: 0.0}) == {}

    def test_latencies_are_told_by_percentile_and_kept_thinned_out(self):
        told, kept = describe_latency([float(n) for n in range(1000)])
        assert told["p50"] == 500.0
        assert told["p99"] == 990.0
        assert len(kept) == 200
        assert describe_latency([]) == ({}, [])

    def test_a_proxy_is_measured_between_its_first_line_and_its_last(self):
        lines = [{"done": 100 * n, "seconds": 1.0 * n, "failed": 0} for n in (1, 2, 5)]
        log = "starting\n" + "\n".join(json.dumps(line) for line in lines) + '\n{"done": 7'
        assert proxy_rate(log) == (pytest.approx(100.0), 500, 0)
        assert proxy_rate("nothing") is None


class TestProcesses:
    def test_cpu_time_is_taken_between_samples(self):
        series = Series(at=[0.0, 1.0, 2.0], cpu_s=[0.0, 0.5, 1.5])
        assert series.used(0.5, 1.5) == pytest.approx(0.75)
        assert series.used(0.0, 2.0) == pytest.approx(1.5)
        assert series.used(1.0, 1.0) is None
        assert Series().used(0.0, 1.0) is None

    def test_our_own_process_is_in_its_tree_and_uses_something(self):
        assert tree(os.getpid())[0] == os.getpid()
        assert cpu_s([os.getpid()]) > 0
        now, peak = rss_mib([os.getpid()])
        assert peak >= now > 1

    def test_a_process_that_is_gone_counts_nothing(self, tmp_path):
        assert cpu_s([1], tmp_path) == 0
        assert rss_mib([1], tmp_path) == (0, 0)

    def test_descendants_are_found_over_generations(self, tmp_path):
        for pid, parent in ((1, 0), (2, 1), (3, 2), (4, 9)):
            (tmp_path / str(pid)).mkdir()
            (tmp_path / str(pid) / "stat").write_text(f"{pid} (a ) b) S {parent} " + "1 " * 20)
        assert tree(1, tmp_path) == [1, 2, 3]


class TestAnswers:
    def test_distinct_requests_count_once_and_repeats_are_told(self):
        answers = Answers()
        for name, at in (("r1", 1.0), ("r2", 2.0), ("r1", 3.0)):
            answers.take(json.dumps({"request_id": name}).encode(), at)
        assert answers.at == {"r1": 1.0, "r2": 2.0}
        assert answers.repeats == 1

    def test_what_is_not_a_response_is_noticed(self):
        answers = Answers()
        answers.take(b'{"request_id": "r1"}', 1.0)
        assert answers.decoded == 1
        assert answers.statuses == {"unreadable": 1}

    def test_the_same_prompts_under_other_ids(self):
        (one,) = renamed(make(1), "h")
        assert json.loads(one)["id"] == "h0"
        assert json.loads(one)["messages"] == json.loads(make(1)[0])["messages"]


class TestTargets:
    MEASURED = (
        rate("slow", "sluicegate", 0, 400.0),
        rate("slow", "sluicegate", 1, 500.0),
        rate("slow", "a (plain)", 0, 4.0),
        rate("slow", "a (plain)", 1, 4.0),
        rate("slow", "b (plain)", 0, 8.0),
        rate("slow", "b (plain)", 1, 10.0),
    )

    def test_the_peer_that_is_hardest_to_beat_decides(self):
        found = lowest_ratio("slow", lambda name: name.endswith("(plain)"))(self.MEASURED)
        assert found == (50.0, "b (plain)")

    @pytest.mark.parametrize(("least", "told"), [(50.0, "holds"), (51.0, "short")])
    def test_a_target_holds_or_falls_short(self, least, told):
        target = Target("slow", "x", lowest_ratio("slow", lambda _: True), least=least)
        assert target.judge(self.MEASURED).told == told

    def test_what_was_not_measured_is_not_met(self):
        assert {target.judge([]).told for target in TARGETS} == {"not measured"}

    def test_growth_and_peak_are_read_from_the_cases(self):
        measured = [
            Measured("memory", "sluicegate", 0, f"{n} queued", peak_rss_mib=mib, figures={"count": n})
            for n, mib in ((1000, 300.0), (10_000, 330.0))
        ]
        told = {t.figure: t.judge(measured) for t in TARGETS if t.workload == "memory"}
        assert told["growth with the queue"].found.startswith("10 %")
        assert told["growth with the queue"].told == "short"
        assert told["peak of the worker, with its embedder"].told == "holds"

    def test_scaling_is_the_share_of_linear(self):
        measured = [
            rate("scaling", "sluicegate", 0, per_s, case=f"light, processes {n}", figures={"count": n})
            for n, per_s in ((1, 60.0), (4, 228.0))
        ]
        (verdict,) = [t.judge(measured) for t in TARGETS if t.workload == "scaling"]
        assert verdict.told == "holds"
        assert verdict.found.startswith("0.95")


class TestTurns:
    def test_each_round_another_program_begins(self):
        peers = chosen_peers(["faust", "aiokafka"])
        rounds = [turns(WORKLOADS["hop"], peers, number) for number in range(5)]
        assert len({label(order[0]) for order in rounds}) == 5
        assert all(set(order) == set(rounds[0]) for order in rounds)

    def test_only_those_take_part_that_can(self):
        taking = {label(peer) for peer in turns(WORKLOADS["hop"], PEERS, 0)}
        assert "litellm (proxy)" not in taking
        assert "faust-hops (plain)" not in taking
        assert turns(WORKLOADS["memory"], PEERS, 0) == [SLUICEGATE]

    def test_a_peer_is_chosen_by_name_or_by_form(self):
        assert len(chosen_peers(["aiokafka"])) == 2
        assert [label(peer) for peer in chosen_peers(["aiokafka (plain)"])] == ["aiokafka (plain)"]
        assert chosen_peers(["none"]) == []
        with pytest.raises(ValueError, match="no peer 'flink'"):
            chosen_peers(["flink"])


class TestReport:
    def test_numbers_have_three_digits_that_mean_something(self):
        assert [report.number(value) for value in (1234.5, 12.345, 0.01234)] == ["1,234", "12.3", "0.0123"]

    def test_a_bar_in_a_cell_does_not_end_it(self):
        assert report.table(("a", "b"), [("x|y", "z")]) == "| a | b |\n| --- | --- |\n| x/y | z |"

    def test_ratios_are_told_by_round_and_case(self):
        measured = [rate("hop", "sluicegate", 0, 30.0), rate("hop", "faust (plain)", 0, 10.0)]
        (told,) = report.all_ratios(measured)
        assert told["rounds"] == {0: 3.0}
        assert told["spread"]["median"] == 3.0

    def test_spreads_are_told_of_every_program(self):
        measured = [rate("hop", "sluicegate", number, per_s) for number, per_s in enumerate((1.0, 2.0, 4.0))]
        (told,) = report.all_spreads(measured)
        assert (told["rate_per_s"]["median"], told["rate_per_s"]["quarter"]) == (2.0, 1.5)
        assert "peak_rss_mib" not in told

    def test_pictures_are_drawn_of_what_is_known(self):
        measured = [
            rate("hop", "sluicegate", 0, 30.0),
            rate("hop", "faust <plain>", 0, 10.0),
            rate("scaling", "sluicegate", 0, 10.0, case="light, processes 1", figures={"count": 1}),
            rate("scaling", "sluicegate", 0, 19.0, case="light, processes 2", figures={"count": 2}),
            Measured("latency", "sluicegate", 0, latencies_ms=[1.0, 2.0, 3.0]),
            Measured("slow", "sluicegate", 0, problem="it ended"),
        ]
        drawn = plots.all_of(measured)
        assert set(drawn) == {"hop.svg", "scaling.svg", "latency.svg"}
        assert "faust &lt;plain&gt;" in drawn["hop.svg"]


def test_a_workload_measured_anew_replaces_its_own_figures_and_keeps_the_others(tmp_path):
    about = machine.about()

    def run(names: list[str], rates: float) -> None:
        options = Options([WORKLOADS[name] for name in names], [], 1, TINY)
        results = Results(0.0, about, [rate(name, "sluicegate", 0, rates) for name in names])
        report.keep(results, options, tmp_path, report.earlier(tmp_path, options))

    run(["hop", "slow"], 1.0)
    run(["hop"], 2.0)
    run(["cache"], 3.0)
    whole = json.loads((tmp_path / "latest.json").read_text())
    assert {one["workload"]: one["rate_per_s"] for one in whole["measured"]} == {
        "cache": 3,
        "hop": 2,
        "slow": 1,
    }
    assert [sorted(one["workloads"]) for one in whole["about"]["earlier"]] == [["slow"], ["hop"]]
    assert "slow" in (tmp_path / "latest.md").read_text().split("From a run before")[1]


@pytest.mark.integration
def test_a_tiny_run_of_ours_is_measured_and_written_down(tmp_path):
    """On the embedded broker: the whole way from the command's options to its files."""
    options = Options([WORKLOADS[name] for name in ("hop", "cache")], [], 1, TINY, "embedded")
    told: list[str] = []
    results = execute(options, told.append, lambda so_far: report.keep(so_far, options, tmp_path))
    hop, cache = results.measured
    assert (hop.problem, hop.answered, hop.repeats) == ("", TINY.hop_requests, 0)
    assert hop.rate_per_s > 10
    assert hop.cpu_s > 0
    assert hop.peak_rss_mib > 20
    assert set(hop.statuses) == {"completed"}
    assert cache.problem == ""
    assert cache.figures["hits_per_s"] > 0
    # The misses alone: what was asked again was answered from the cache.
    assert cache.figures["calls"] == TINY.cache_requests
    assert cache.latency_ms["p50"] > 0
    written = json.loads((tmp_path / "latest.json").read_text())
    assert [one["workload"] for one in written["measured"]] == ["hop", "cache"]
    assert written["about"]["versions"]["python"]
    assert "## Targets" in (tmp_path / "latest.md").read_text()
    assert (tmp_path / "hop.svg").read_text().startswith("<svg")
