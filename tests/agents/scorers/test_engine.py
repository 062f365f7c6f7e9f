"""The scoring engine: scorers side by side, in micro-batches, every failure a score."""

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from agents.errors import ConfigurationError, UnknownPart
from agents.ports import ScoreInput
from agents.scorers.engine import ScoringEngine
from agents.scorers.lane import Limits
from schemas.score import Score


class FakeScorer:
    """Scores a text by its length, after `seconds`; remembers its batches."""

    def __init__(self, name: str = "length", seconds: float = 0.0) -> None:
        self.name, self.version = name, f"{name}@0123abcd"
        self.seconds = seconds
        self.batches: list[list[str]] = []

    def score(self, batch: Sequence[ScoreInput]) -> list[Score]:
        self.batches.append([item.text for item in batch])
        time.sleep(self.seconds)
        return [self.one(item.text) for item in batch]

    def one(self, text: str) -> Score:
        return Score(name=self.name, version=self.version, status="ok", value=len(text) / 100)


class PoisonedScorer(FakeScorer):
    def one(self, text: str) -> Score:
        if "poison" in text:
            raise ValueError(f"cannot read {text}")
        return super().one(text)


class HangingScorer(FakeScorer):
    """Never comes back until it is let go."""

    def __init__(self, name: str = "hanging") -> None:
        super().__init__(name)
        self.released = threading.Event()

    def one(self, text: str) -> Score:
        if text != "quick":
            self.released.wait(20)
        return super().one(text)


class AnsweringScorer(FakeScorer):
    """Answers whatever it was told to."""

    def __init__(self, answer) -> None:
        super().__init__("odd")
        self.answer = answer

    def score(self, batch):
        return self.answer(batch)


@pytest.fixture
async def running():
    """Starts engines and closes them afterwards."""
    engines = []

    async def run(*scorers, timeout_s=5.0, observer=None, detect=None, clock=time.monotonic, **limits):
        given = {"observer": observer, "detect": detect or (lambda text: None), "clock": clock}
        engine = ScoringEngine(scorers, timeout_s=timeout_s, limits=Limits(**limits), **given)
        engines.append((engine, scorers))
        await engine.start()
        return engine

    yield run
    for engine, scorers in engines:
        for scorer in scorers:
            if isinstance(scorer, HangingScorer):
                scorer.released.set()
        await engine.aclose()


async def test_every_scorer_gives_a_score_in_their_order(running):
    engine = await running(FakeScorer("b"), FakeScorer("a"))
    scores = await engine.judge(ScoreInput("x" * 40))
    assert [(score.name, score.status, score.value) for score in scores] == [
        ("b", "ok", 0.4),
        ("a", "ok", 0.4),
    ]


async def test_only_the_named_scorers_run_in_the_order_asked_for(running):
    scorers = [FakeScorer(name) for name in "abc"]
    engine = await running(*scorers)
    assert [score.name for score in await engine.judge(ScoreInput("x"), ["c", "a"])] == ["c", "a"]
    assert scorers[1].batches == []
    assert await engine.judge(ScoreInput("x"), []) == ()


async def test_an_unknown_name_is_told_with_the_known_ones(running):
    engine = await running(FakeScorer("length"))
    with pytest.raises(UnknownPart, match="unknown scorer 'lenght'; known: length"):
        await engine.judge(ScoreInput("x"), ["lenght"])


def test_two_scorers_of_one_name_are_refused():
    with pytest.raises(ConfigurationError, match="two scorers are named 'length'"):
        ScoringEngine([FakeScorer(), FakeScorer()], timeout_s=1)


@pytest.mark.parametrize("limits", [{"threads": 0}, {"max_queue": 0}, {"batch_chars": 0}, {"linger_s": -1}])
def test_limits_that_let_nothing_through_are_refused(limits):
    with pytest.raises(ConfigurationError, match="must be positive"):
        Limits(**limits)


def test_a_timeout_that_lets_nothing_through_is_refused():
    with pytest.raises(ConfigurationError, match="must be positive"):
        ScoringEngine([], timeout_s=0)


def test_versions_name_every_scorer():
    assert ScoringEngine([FakeScorer("a"), FakeScorer("b")], timeout_s=1).versions == {
        "a": "a@0123abcd",
        "b": "b@0123abcd",
    }


async def test_calls_at_the_same_time_share_batches_of_at_most_max_batch(running):
    scorer = FakeScorer(seconds=0.01)
    engine = await running(scorer, max_batch=8, threads=1)
    results = await asyncio.gather(*(engine.judge(ScoreInput("x" * n)) for n in range(40)))
    assert [scores[0].value for scores in results] == [n / 100 for n in range(40)]
    assert max(len(batch) for batch in scorer.batches) == 8
    assert len(scorer.batches) <= 10


async def test_only_a_call_right_after_another_waits_for_more(running):
    scorer = FakeScorer()
    engine = await running(scorer, linger_s=0.3, threads=1)
    await asyncio.sleep(0)  # its threads wait
    (alone,) = await engine.judge(ScoreInput("alone"))
    (after, _), (last,) = await asyncio.gather(
        asyncio.gather(*(engine.judge(ScoreInput(text)) for text in ("one", "two"))),
        _later(0.1, engine.judge(ScoreInput("three"))),
    )
    assert scorer.batches == [["alone"], ["one", "two", "three"]]
    assert alone.latency_ms < 150 < after[0].latency_ms
    assert last.latency_ms < after[0].latency_ms


async def _later(seconds, step):
    await asyncio.sleep(seconds)
    return await step


async def test_scorers_run_side_by_side_off_the_event_loop(running):
    engine = await running(*(FakeScorer(name, seconds=0.3) for name in "abc"))
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticker = asyncio.create_task(tick())
    started = time.monotonic()
    await engine.judge(ScoreInput("x"))
    ticker.cancel()
    assert time.monotonic() - started < 0.7
    assert ticks > 10


async def test_a_scorer_that_raises_fails_alone_without_quoting_the_text(running):
    engine = await running(PoisonedScorer("bad"), FakeScorer("good"))
    bad, good = await engine.judge(ScoreInput("poison"))
    assert (bad.name, bad.version, bad.status, bad.value) == ("bad", "bad@0123abcd", "failed", None)
    assert bad.reason == "error: ValueError"
    assert good.status == "ok"


async def test_a_poisoned_input_does_not_fail_its_neighbours(running):
    scorer = PoisonedScorer("bad")
    engine = await running(scorer, threads=1)
    texts = ["one", "poison", "three"]
    results = await asyncio.gather(*(engine.judge(ScoreInput(text)) for text in texts))
    assert len(scorer.batches[0]) == 3
    assert [scores[0].status for scores in results] == ["ok", "failed", "ok"]


async def test_even_an_exit_inside_a_scorer_is_a_failed_score(running):
    def leave(batch):
        raise SystemExit(1)

    engine = await running(AnsweringScorer(leave), threads=1)
    for _ in range(2):
        (score,) = await engine.judge(ScoreInput("x"))
        assert (score.status, score.reason) == ("failed", "error: SystemExit")


def odd(**fields):
    """A scorer's answer to one input, with these fields."""
    return lambda batch: [Score(name="odd", version="odd@1", **fields)]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda batch: [], "error: 0 scores for 1 inputs"),
        (lambda batch: [FakeScorer().one("x")] * 2, "error: 2 scores for 1 inputs"),
        (lambda batch: None, "error: TypeError"),
        (lambda batch: [0.5], "error: no valid score but float"),
        (odd(status="ok"), "error: no valid score: a value"),
        (odd(status="failed", value=1.0), "error: no valid score: a value"),
        (odd(status="ok", value=1.5), "error: no valid score: Expected"),
        (odd(status="ok", value=float("nan")), "error: no valid score: a value"),
        (odd(status="ok", value=1.0, labels={"x": float("inf")}), "error: no valid score: Expected"),
    ],
)
async def test_an_answer_that_is_no_score_for_each_input_is_a_failure(running, answer, reason):
    engine = await running(AnsweringScorer(answer))
    (score,) = await engine.judge(ScoreInput("x"))
    assert score.status == "failed"
    assert score.reason.startswith(reason)


async def test_a_score_under_a_wrong_name_gets_the_right_one(running):
    engine = await running(AnsweringScorer(lambda batch: [FakeScorer("other").one("x")]))
    (score,) = await engine.judge(ScoreInput("x"))
    assert (score.name, score.version) == ("odd", "odd@0123abcd")


async def test_a_slow_scorer_times_out_and_the_others_do_not_wait_longer(running):
    engine = await running(HangingScorer(), FakeScorer(), timeout_s=0.6)
    started = time.monotonic()
    slow, quick = await engine.judge(ScoreInput("x"))
    assert 0.5 < time.monotonic() - started < 3
    assert (slow.status, slow.reason) == ("failed", "timeout")
    assert slow.latency_ms >= 580
    assert quick.status == "ok"
    assert quick.latency_ms < slow.latency_ms


async def test_a_scorer_whose_threads_all_hang_does_not_starve_the_others(running):
    engine = await running(HangingScorer(), FakeScorer(), timeout_s=1.0, threads=2, max_batch=1)
    results = await asyncio.gather(*(engine.judge(ScoreInput("x")) for _ in range(20)))
    assert {scores[0].reason for scores in results} == {"timeout"}
    assert {scores[1].status for scores in results} == {"ok"}


async def test_a_scorer_that_comes_back_is_used_again(running):
    hanging = HangingScorer()
    engine = await running(hanging, timeout_s=0.8, threads=1)
    (first,) = await engine.judge(ScoreInput("x"))
    hanging.released.set()
    await asyncio.sleep(0.1)
    (second,) = await engine.judge(ScoreInput("x"))
    assert (first.reason, second.status) == ("timeout", "ok")


async def test_waiting_in_the_queue_counts_and_late_calls_are_never_scored(running):
    hanging = HangingScorer()
    engine = await running(hanging, timeout_s=0.2, threads=1)
    await engine.judge(ScoreInput("stuck"))
    (late,) = await engine.judge(ScoreInput("quick"))
    hanging.released.set()
    await asyncio.sleep(0.1)
    assert late.reason == "timeout"
    assert hanging.batches == [["stuck"]]


async def test_a_full_queue_fails_at_once_and_empties_when_callers_give_up(running):
    hanging = HangingScorer()
    engine = await running(hanging, timeout_s=0.3, threads=1, max_queue=2)
    stuck = asyncio.create_task(engine.judge(ScoreInput("x")))
    await asyncio.sleep(0.05)
    started = time.monotonic()
    results = await asyncio.gather(*(engine.judge(ScoreInput("x")) for _ in range(5)))
    assert sorted(scores[0].reason for scores in results) == ["overloaded"] * 3 + ["timeout"] * 2
    assert min(scores[0].latency_ms for scores in results) < 100
    assert time.monotonic() - started < 2
    await stuck
    (after,) = await engine.judge(ScoreInput("x"))
    assert after.reason == "timeout"


async def test_a_cancelled_call_leaves_the_queue_and_the_rest_goes_on(running):
    hanging = HangingScorer()
    engine = await running(hanging, timeout_s=5, threads=1)
    first = asyncio.create_task(engine.judge(ScoreInput("stuck")))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(engine.judge(ScoreInput("unwanted")))
    await asyncio.sleep(0.01)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    hanging.released.set()
    assert (await first)[0].status == "ok"
    assert (await engine.judge(ScoreInput("quick")))[0].status == "ok"
    assert hanging.batches == [["stuck"], ["quick"]]


async def test_an_observer_hears_of_every_score_and_may_fail(running):
    class FakeObserver:
        def __init__(self):
            self.heard = []

        def on_score(self, name, status, seconds):
            self.heard.append((name, status, seconds >= 0))
            raise RuntimeError("the metrics are broken")

    observer = FakeObserver()
    engine = await running(FakeScorer("good"), PoisonedScorer("bad"), observer=observer)
    scores = await engine.judge(ScoreInput("poison"))
    assert [score.status for score in scores] == ["ok", "failed"]
    assert observer.heard == [("good", "ok", True), ("bad", "failed", True)]


async def test_latency_is_read_from_the_given_clock(running):
    now = 100.0

    class Later(FakeScorer):
        def one(self, text):
            nonlocal now
            now = 100.25
            return super().one(text)

    engine = await running(Later(), clock=lambda: now)
    (score,) = await engine.judge(ScoreInput("x"))
    assert score.latency_ms == 250


async def test_before_start_and_after_closing_calls_fail_as_stopped(running):
    engine = ScoringEngine([FakeScorer()], timeout_s=1)
    assert (await engine.judge(ScoreInput("x")))[0].reason == "stopped"
    await engine.start()
    await engine.start()
    assert (await engine.judge(ScoreInput("x")))[0].status == "ok"
    await engine.aclose()
    await engine.aclose()
    assert (await engine.judge(ScoreInput("x")))[0].reason == "stopped"


async def test_closing_answers_those_who_wait_and_leaves_a_hanging_thread_behind():
    hanging = HangingScorer()
    engine = ScoringEngine([hanging], timeout_s=30, limits=Limits(threads=1))
    await engine.start()
    running = asyncio.create_task(engine.judge(ScoreInput("stuck")))
    await asyncio.sleep(0.05)
    waiting = asyncio.create_task(engine.judge(ScoreInput("queued")))
    await asyncio.sleep(0.01)
    started = time.monotonic()
    await engine.aclose()
    assert time.monotonic() - started < 4
    assert [(await task)[0].reason for task in (running, waiting)] == ["stopped", "stopped"]
    hanging.released.set()


async def test_threads_end_when_the_engine_is_closed():
    engine = ScoringEngine([FakeScorer("ending")], timeout_s=1)
    await engine.start()
    await engine.judge(ScoreInput("x"))
    await engine.aclose()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("scorer-ending")]


async def test_a_thousand_calls_all_get_their_own_score(running):
    engine = await running(FakeScorer("a"), FakeScorer("b"), timeout_s=20)
    results = await asyncio.gather(*(engine.judge(ScoreInput("x" * (n % 90))) for n in range(1000)))
    assert [[score.value for score in scores] for scores in results] == [
        [n % 90 / 100] * 2 for n in range(1000)
    ]


class ForScorer(FakeScorer):
    """Knows these languages only."""

    def __init__(self, name: str, *languages: str) -> None:
        super().__init__(name)
        self.languages = frozenset(languages)


async def test_a_scorer_is_not_asked_about_a_language_that_it_does_not_know(running):
    english, any_language = ForScorer("english", "en"), FakeScorer("any")
    engine = await running(english, any_language, detect=lambda text: "de")
    first, second = await engine.judge(ScoreInput("Guten Tag"))
    assert (first.status, first.value, first.reason) == ("unsupported", None, "language: de")
    assert (first.name, first.version) == ("english", "english@0123abcd")
    assert (second.status, english.batches) == ("ok", [])


async def test_a_language_that_it_knows_or_that_nobody_can_tell_is_judged(running):
    scorer = ForScorer("both", "en", "fr")
    engine = await running(scorer, detect={"Bonjour": "fr", "?": None}.get)
    assert [(await engine.judge(ScoreInput(text)))[0].status for text in ("Bonjour", "?")] == ["ok", "ok"]


async def test_the_language_is_detected_once_a_text_off_the_event_loop_and_only_where_it_matters(running):
    detected = []

    def detect(text):
        detected.append((text, threading.current_thread().name))
        return "en"

    engine = await running(ForScorer("a", "en"), ForScorer("b", "en"), FakeScorer("c"), detect=detect)
    await engine.judge(ScoreInput("x"))
    await engine.judge(ScoreInput("y"), ["c"])
    assert detected == [("x", "scorer-language-0")]


async def test_a_text_is_judged_when_its_language_cannot_be_detected(running):
    def detect(text):
        raise RuntimeError(f"broken by {text}")

    engine = await running(ForScorer("english", "en"), detect=detect)
    assert (await engine.judge(ScoreInput("x")))[0].status == "ok"


async def test_a_detection_that_hangs_ends_with_the_calls_time(running):
    released = threading.Event()
    engine = await running(ForScorer("english", "en"), detect=lambda text: released.wait(20) and None)
    started = time.monotonic()
    (score,) = await engine.judge(ScoreInput("x"), timeout_s=0.2)
    released.set()
    assert (score.status, score.reason) == ("failed", "timeout")
    assert time.monotonic() - started < 2


async def test_a_call_may_have_less_time_than_the_engine_gives(running):
    engine = await running(HangingScorer(), timeout_s=20)
    started = time.monotonic()
    (score,) = await engine.judge(ScoreInput("x"), timeout_s=0.2)
    assert score.reason == "timeout"
    assert time.monotonic() - started < 5


async def test_a_call_never_has_more_time_than_the_engine_gives(running):
    engine = await running(HangingScorer(), timeout_s=0.2)
    started = time.monotonic()
    (score,) = await engine.judge(ScoreInput("x"), timeout_s=20)
    assert score.reason == "timeout"
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("timeout_s", [0.0, -3.0])
async def test_a_call_whose_time_is_over_fails_at_once_and_is_not_scored(running, timeout_s):
    scorer = FakeScorer()
    engine = await running(scorer)
    (score,) = await engine.judge(ScoreInput("x"), timeout_s=timeout_s)
    assert (score.status, score.reason, scorer.batches) == ("failed", "timeout", [])


async def test_who_is_due_first_is_scored_first(running):
    hanging = HangingScorer()
    engine = await running(hanging, timeout_s=30, threads=1, max_batch=1)
    stuck = asyncio.create_task(engine.judge(ScoreInput("stuck")))
    await asyncio.sleep(0.05)
    waiting = [
        asyncio.create_task(engine.judge(ScoreInput(f"due in {due_s}"), timeout_s=due_s))
        for due_s in (28, 8, 18)
    ]
    await asyncio.sleep(0.05)
    hanging.released.set()
    await asyncio.gather(stuck, *waiting)
    assert [batch[0] for batch in hanging.batches] == ["stuck", "due in 8", "due in 18", "due in 28"]


async def test_short_texts_do_not_wait_behind_long_ones(running):
    hanging = HangingScorer()
    engine = await running(hanging, timeout_s=30, threads=1)
    stuck = asyncio.create_task(engine.judge(ScoreInput("stuck")))
    await asyncio.sleep(0.05)
    texts = ["x" * 90 * 100] * 3 + ["short"] * 2
    waiting = [asyncio.create_task(engine.judge(ScoreInput(text))) for text in texts]
    await asyncio.sleep(0.05)
    hanging.released.set()
    await asyncio.gather(stuck, *waiting)
    assert hanging.batches[1] == ["short", "short"]
