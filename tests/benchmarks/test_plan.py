"""The plan: its arithmetic against closed forms, its simulation against queues that are known, its page."""

import json
import math
from dataclasses import asdict, replace

import pytest

from benchmarks.measure import Measured
from benchmarks.plan import page
from benchmarks.plan.__main__ import planned
from benchmarks.plan.checked import Check, checks, fit, loaded
from benchmarks.plan.costs import RATES, Assumptions, bills, by_cpu, by_window, costs, need
from benchmarks.plan.figures import Unmeasured, read_figures, read_stages
from benchmarks.plan.limits import ALL, PROCESS, Limit, broken, limits
from benchmarks.plan.simulation import Machine, Price, Simulation, at_once, poisson, steady
from benchmarks.plan.stages import Redised, Stages
from benchmarks.trial import Setup
from benchmarks.workloads import QUICK
from streams.settings import STAGES

FREE = Price((0.0, 0.0, 0.0, 0.0))
EVEN = Price((0.0002, 0.0003, 0.0003, 0.0002))
"""A millisecond a request."""
TOPIC_BYTES = {
    "genai.requests": 500.0,
    "genai.contexts": 1500.0,
    "genai.drafts": 2000.0,
    "genai.responses": 1500.0,
    "genai.moderation": 1500.0,
    "genai.costs": 1000.0,
}
APART = Stages(
    requests=100,
    whole_us=1000.0,
    stage_us={"retrieval": 200.0, "generation": 500.0, "scoring": 300.0, "retries": 5.0, "release": 5.0},
    hit_us=150.0,
    idle_cores=dict.fromkeys(STAGES, 0.01),
    topic_bytes=TOPIC_BYTES,
    hit_topic_bytes={"genai.requests": 500.0, "genai.responses": 1500.0, "genai.costs": 1000.0},
    log_bytes=8800.0,
    redis=Redised(20.0, 50.0, {"eval": 4.0}),
    hit_redis=Redised(10.0, 25.0),
    kept_bytes={"request": 3000.0, "answer": 2000.0},
    connections={name: {"open files": 24, "broker": 5, "redis": 2} for name in STAGES},
)


def ours(workload, case="", number=0, **other):
    return Measured(workload, "sluicegate", number, case, **other)


def scaled(kind, count, rate):
    return ours("scaling", f"{kind} {count}", rate_per_s=rate, figures={"count": count})


MEASURED = [
    ours("slow", cpu_us_a_request=1100.0),
    ours("instant", cpu_us_a_request=1000.0, broker_cpu_s=0.6, rate_per_s=1000.0, window_s=2.0),
    ours("instant", number=1, cpu_us_a_request=3000.0, broker_cpu_s=0.6, rate_per_s=1000.0, window_s=2.0),
    ours("instant", number=2, cpu_us_a_request=900.0, broker_cpu_s=0.6, rate_per_s=1000.0, window_s=2.0),
    ours(
        "latency",
        cpu_us_a_request=5000.0,
        broker_cpu_s=1.5,
        rate_per_s=100.0,
        window_s=5.0,
        latency_ms={"p50": 20.0, "p99": 60.0},
    ),
    ours("hop", cpu_us_a_request=80.0),
    ours("memory", "500 queued", peak_rss_mib=200.0),
    scaled("light, processes", 1, 60.0),
    scaled("light, processes", 2, 118.0),
    scaled("instant, processes", 1, 800.0),
    scaled("instant, partitions", 8, 820.0),
    ours("engine", "toxicity, batch 8", rate_per_s=200.0),
    Measured("instant", "faust (plain)", 0, cpu_us_a_request=1.0),
]


@pytest.fixture
def results(tmp_path):
    """A folder as the benchmarks and `--measure` leave it."""
    machine = {"processor": "a processor", "cores": 2}
    about = {"began": "now", "commit": "0123456789ab", "machine": machine, "pace": asdict(QUICK)}
    written = {"about": about, "measured": [asdict(one) for one in MEASURED]}
    (tmp_path / "latest.json").write_text(json.dumps(written))
    (tmp_path / "stages.json").write_text(json.dumps(asdict(APART)))
    return tmp_path


@pytest.fixture
def figures(results):
    return read_figures(results / "latest.json")


class TestFigures:
    def test_they_are_medians_of_our_own_rounds(self, figures):
        assert figures.whole_us == 1000.0
        assert figures.broker_us == pytest.approx(300.0)
        assert figures.added_ms == {"p50": 20.0, "p99": 60.0}
        assert figures.scaling["light, processes"] == {1: 60.0, 2: 118.0}
        assert figures.engine_us == {"toxicity": pytest.approx(10_000.0)}
        assert figures.hit_us is None

    def test_what_is_missing_is_named_with_what_measures_it(self, results):
        whole = json.loads((results / "latest.json").read_text())
        whole["measured"] = [one for one in whole["measured"] if one["workload"] != "slow"]
        (results / "latest.json").write_text(json.dumps(whole))
        with pytest.raises(Unmeasured, match="--workloads slow"):
            read_figures(results / "latest.json")
        with pytest.raises(Unmeasured, match="--measure"):
            read_stages(results / "nothing.json")

    def test_the_stages_are_read_as_they_were_written(self, results):
        assert read_stages(results / "stages.json") == APART

    def test_each_stage_is_started_by_itself(self):
        assert Setup(stages=("retrieval", "scoring")).runs() == {
            "retrieval": ("--stages", "retrieval"),
            "scoring": ("--stages", "scoring"),
        }
        assert Setup(processes=2).runs() == {"0": (), "1": ()}


class TestCosts:
    def test_waiting_for_the_model_is_generations(self, figures):
        one = costs(figures, APART, Assumptions())
        assert one.stage_us == {"retrieval": 200.0, "generation": 600.0, "scoring": 300.0}
        assert one.broker_us == pytest.approx(300.0)

    def test_stages_are_scaled_to_the_benchmarks_own_rounds(self, figures):
        one = costs(figures, replace(APART, whole_us=2000.0), Assumptions())
        assert one.stage_us["scoring"] == pytest.approx(150.0)

    def test_bytes_count_the_framing_and_who_reads(self, figures):
        one = costs(figures, APART, Assumptions())
        assert one.bytes_in == pytest.approx(8800.0)
        assert one.bytes_out == pytest.approx(5500.0 * 1.1)
        week, quarter = 7 * 86_400, 90 * 86_400
        assert one.disk_byte_s == pytest.approx(1.1 * (5500.0 * week + 2500.0 * quarter))

    def test_redis_holds_a_request_as_long_as_it_is_remembered(self, figures):
        one = costs(figures, APART, Assumptions(journal_ttl_s=100.0, cache_ttl_s=10.0))
        assert one.redis_byte_s == pytest.approx(3000.0 * 100 + 2000.0 * 10)

    def test_hits_cost_the_first_stage_alone(self, figures):
        one = costs(figures, APART, Assumptions(hits=1.0))
        assert one.stage_us == {"retrieval": 150.0, "generation": 0.0, "scoring": 0.0}
        assert one.redis_commands == 10.0
        assert one.bytes_in == pytest.approx(3300.0)

    def test_a_microsecond_a_request_is_a_second_a_million(self):
        (bill,) = bills({"scoring": 3600.0}, Assumptions(vcpu_hour_usd=0.06, utilisation=0.6))
        assert (bill.core_s, bill.usd) == (3600.0, pytest.approx(0.1))


class TestNeeds:
    def test_processes_are_counted_by_the_core_each_has(self):
        assert by_cpu(1000, 600.0, 0.6) == 1
        assert by_cpu(1001, 600.0, 0.6) == 2
        assert by_cpu(0, 600.0, 0.6) == 1

    def test_littles_law_says_how_many_windows(self):
        assert by_window(1024, 0.25, 256) == 1
        assert by_window(10_000, 0.25, 256) == math.ceil(2500 / 256)

    def test_generation_needs_what_its_model_or_its_core_asks_for(self, figures):
        quick, slow = Assumptions(model_s=0.01), Assumptions(model_s=5.0)
        wanted = [need(1000, costs(figures, APART, it), APART, figures, it) for it in (quick, slow)]
        assert [one.workers["generation"] for one in wanted] == [1, 20]
        assert wanted[1].partitions == 20
        assert wanted[1].at_the_model == 5000.0

    def test_needs_grow_with_the_rate(self, figures):
        assume = Assumptions()
        one = costs(figures, APART, assume)
        small, large = (need(rate, one, APART, figures, assume) for rate in (1_000, 100_000))
        assert large.redis_commands == 100 * small.redis_commands == 2_000_000
        assert large.broker_in_mb_s == pytest.approx(100_000 * 8800 * 3 / 1e6)
        assert large.processes > 50 * small.processes
        assert small.redis_gb == pytest.approx(1000 * one.redis_byte_s / 1e9)


class TestLimits:
    def test_one_is_used_up_where_its_share_is(self):
        limit = Limit(PROCESS, "a core", has=1e6, takes=500.0, then="", target=0.5)
        assert limit.runs_out == 2000.0
        assert [limit.needed(rate) for rate in (1, 1000, 1001, 10_000)] == [1, 1, 2, 10]

    def test_what_nobody_takes_never_runs_out(self):
        assert Limit(PROCESS, "a window", 256, 0.0, "").needed(1e9) == 1

    def test_what_runs_out_at_the_lowest_rate_comes_first(self, figures):
        assume = Assumptions()
        found = limits(costs(figures, APART, assume), APART, assume)
        rates = [limit.runs_out for limit in found]
        assert rates == sorted(rates)
        assert found[0].resource.startswith("Redis: 256 MB")
        window = next(limit for limit in found if "window" in limit.resource and limit.of == PROCESS)
        assert window.runs_out == 1024.0
        core = next(limit for limit in found if limit.resource.startswith("its core"))
        assert core.runs_out == pytest.approx(1e6 / 1100)
        assert len(broken(found, 1_000, ALL)) < len(broken(found, 100_000, ALL))


class TestSimulation:
    @pytest.mark.parametrize("load", [0.3, 0.7])
    def test_a_queue_of_equal_work_waits_as_the_formula_says(self, load):
        """M/D/1: the mean wait is load / (2 (1 - load)) services."""
        machine = Machine(1, partitions=1, window=10**9, chunk=1)
        price = Price((0.001, 0.0, 0.0, 0.0))
        number = 20_000
        outcome = Simulation(machine, price, poisson(number, load / 0.001), 0.0).run()
        assert outcome.queued_s / number == pytest.approx(load / (2 * (1 - load)) * 0.001, rel=0.1)

    def test_a_window_holds_back_what_littles_law_says(self):
        outcome = Simulation(Machine(2, window=16), FREE, at_once(1600), 0.25).run()
        assert outcome.answers == 1600
        assert outcome.rate == pytest.approx(16 / 0.25)

    def test_processes_add_up_while_they_wait(self):
        rates = [
            Simulation(Machine(8, count, window=16), EVEN, at_once(1600), 0.25).run().rate for count in (1, 2)
        ]
        assert rates[1] / rates[0] == pytest.approx(2.0, rel=0.1)

    @pytest.mark.parametrize(("processes", "cores"), [(1, 1), (2, 2), (4, 2), (8, 4)])
    def test_a_process_has_one_core_and_a_machine_no_more_than_it_has(self, processes, cores):
        outcome = Simulation(Machine(cores, processes), EVEN, at_once(8000), 0.0).run()
        assert outcome.rate == pytest.approx(cores * 1000, rel=0.1)
        assert outcome.workers_s == pytest.approx(8.0)

    def test_the_servers_take_their_share_of_the_cores(self):
        price = replace(EVEN, server_record_s=0.0002)
        outcome = Simulation(Machine(1), price, at_once(2000), 0.0).run()
        assert outcome.servers_s == pytest.approx(2000 * 3 * 0.0002)
        assert outcome.rate == pytest.approx(1 / 0.0016, rel=0.02)

    def test_what_comes_alone_pays_for_its_chunk(self):
        price = replace(EVEN, chunk_s=0.001)
        alone = Simulation(Machine(4), price, steady(100, 10.0), 0.25).run()
        together = Simulation(Machine(4), price, at_once(1000), 0.25).run()
        assert alone.each(alone.workers_s) == pytest.approx(0.004)
        assert together.each(together.workers_s) < 0.0015

    def test_more_processes_than_partitions_idle(self):
        rates = {
            partitions: Simulation(Machine(8, 4, partitions), EVEN, at_once(2000), 0.0).run().rate
            for partitions in (1, 4)
        }
        assert rates[1] == pytest.approx(1000, rel=0.05)
        assert rates[4] > 3000

    def test_it_is_the_same_every_time_and_ends_when_time_is_up(self):
        made = [Simulation(Machine(2, 2), EVEN, poisson(500, 900.0), 0.1).run() for _ in range(2)]
        assert made[0] == made[1]
        cut = Simulation(Machine(1), EVEN, at_once(5000), 0.0).run(limit_s=1.0)
        assert 0 < cut.answers < 1200
        assert cut.ended_s <= 1.0


class TestChecks:
    def test_prices_give_back_the_loads_they_were_made_from(self, figures):
        price = fit(figures, APART)
        found = {one.case: one for one in checks(figures, price)}
        assert found["100 requests/s"].predicted == pytest.approx(5000.0, rel=0.05)
        machine = Machine(figures.cores)
        full = Simulation(machine, price, at_once(1500), 0.0).run()
        assert full.each(full.workers_s) * 1e6 == pytest.approx(1000.0, rel=0.05)

    def test_what_was_measured_stands_beside_what_was_predicted(self, figures):
        found = {one.case: one for one in checks(figures, fit(figures, APART))}
        light = found["light, processes 1"]
        assert light.measured == 60.0
        assert 0 < light.predicted <= 64
        assert found["instant"].measured == 1000.0
        assert light.error == pytest.approx(light.predicted / 60 - 1)
        assert found["100 requests/s, added, p90"].error is None

    def test_the_more_a_process_has_to_do_the_longer_it_takes(self, figures):
        rows = list(loaded(figures, fit(figures, APART)))
        assert rows[-1].p50_ms > rows[0].p50_ms
        assert all(row.busy <= 1 for row in rows)
        assert rows[-1].cpu_us < rows[0].cpu_us


class TestPage:
    def test_it_has_every_section_and_names_what_is_assumed(self, results):
        text = page.markdown(
            planned(results / "latest.json", results / "stages.json", Assumptions()), "there/", depth=3
        )
        assert all(f"### {title}\n" in text for title in page.SECTIONS)
        assert "an assumption" in text
        assert "`--vcpu-hour-usd`" in text
        assert "](there/plan.svg)" in text
        assert all(f"{rate:,}/s" in text for rate in RATES)

    def test_the_plot_has_both_curves(self):
        varied = Check("light, processes 1", "requests/s", 62.0, 60.0)
        drawn = page.picture([varied, Check("instant", "requests/s", 900.0, 800.0)])
        assert drawn.count("<polyline") == 2
        assert page.picture([]) == ""

    def test_only_what_is_between_the_marks_is_replaced(self, tmp_path):
        there = tmp_path / "page.md"
        there.write_text(f"before\n{page.START}\nold\n{page.END}\nafter\n")
        page.put("new\n", there)
        page.put("newer\n", there)
        assert there.read_text() == f"before\n{page.START}\n\nnewer\n\n{page.END}\nafter\n"
        there.write_text("nothing")
        with pytest.raises(ValueError, match="has no <!-- planned"):
            page.put("new", there)
