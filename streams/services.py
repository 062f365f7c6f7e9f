"""Builds what the stages need, once a worker, from the settings; the only place that knows every part."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from random import Random
from typing import get_args

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry

from agents.costing import Prices
from agents.embedders import load_embedder
from agents.errors import ConfigurationError, ModelError
from agents.generation import GenerationStage
from agents.model_files import ModelFiles
from agents.policy import Policy
from agents.policy_file import Stage
from agents.ports import Clock, Embedder, Provider
from agents.prompts import PromptLibrary
from agents.retrievers.embedded import EmbeddedRetriever
from agents.retrievers.lance import IndexStore
from agents.routes import Routes
from agents.scorers import ScorerResources, language, load_scorer
from agents.scorers.engine import ScoringEngine
from agents.scorers.lane import Limits
from schemas.score import ScoreStatus
from streams.asking import RouteAsker
from streams.memory import TopicMemory
from streams.metrics import Metrics
from streams.providers import load_providers
from streams.publisher import KafkaPublisher, new_producer
from streams.redis_link import RedisLink, new_redis
from streams.reviews import KafkaReviewBook
from streams.settings import Settings
from streams.store import RedisStore
from streams.vault import RedisVault

log = structlog.get_logger(__name__)

_LOOK_BACK = 4
"""How many windows of each partition are read back for a Redis that was emptied."""


def utc_now() -> datetime:
    """The clock of a running worker."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _ScoreMetrics:
    """Hears of every score."""

    metrics: Metrics

    def on_score(self, name: str, status: ScoreStatus, seconds: float) -> None:
        """Count it."""
        self.metrics.scorer_results_total.labels(scorer=name, status=status).inc()
        self.metrics.scorer_duration_seconds.labels(scorer=name).observe(seconds)


@dataclass(slots=True)
class Services:
    """The parts of one worker. Made by `create`; `start` connects, `aclose` disconnects."""

    settings: Settings
    metrics: Metrics
    clock: Clock
    policy: Policy
    generation: GenerationStage
    judge: ScoringEngine
    asker: RouteAsker
    retriever: EmbeddedRetriever
    store: RedisStore
    vault: RedisVault | None
    producer: AIOKafkaProducer
    publisher: KafkaPublisher
    review_book: KafkaReviewBook
    _providers: Sequence[Provider] = ()
    _pools: Sequence[ThreadPoolExecutor] = ()
    _reading_reviews: bool = field(default=False, init=False)

    @classmethod
    def create(cls, settings: Settings) -> "Services":
        """Load models, prompts, policy and routes; needs a running event loop, connects to nothing.

        Raises:
            ConfigurationError: something the settings name is missing or wrong.
        """
        metrics = Metrics(CollectorRegistry())
        metrics.build_info.labels(version=version("sluicegate")).set(1)
        files = ModelFiles(settings.data_dir / "models")
        embedder = load_embedder(settings.embedder, files, settings.embedder_options)
        policy = load_policy(settings)
        link = RedisLink(new_redis(settings), settings, metrics)
        providers = load_providers(settings)
        asker = RouteAsker(Routes.load(settings.routes), providers, settings.score_timeout_s, metrics)
        judge = _judge(settings, files, embedder, metrics, asker)
        pool = ThreadPoolExecutor(settings.retrieval_threads, "retrieval")
        producer = new_producer(settings)
        memory = TopicMemory(settings.broker, settings.topic_prefix, _LOOK_BACK * settings.in_flight)
        return cls(
            settings=settings,
            metrics=metrics,
            clock=utc_now,
            policy=policy,
            generation=_generation(settings, providers, metrics),
            judge=judge,
            asker=asker,
            retriever=EmbeddedRetriever(IndexStore(settings.data_dir / "indexes"), embedder, pool),
            store=RedisStore(link, settings, metrics, memory.recall),
            vault=RedisVault.of_policy(policy, link, settings, metrics),
            producer=producer,
            publisher=KafkaPublisher(producer, settings.topic_prefix, metrics, utc_now),
            review_book=KafkaReviewBook(settings.broker, settings.topic_prefix),
            _providers=tuple(providers.values()),
            _pools=(pool,),
        )

    def scorers_of(self, stage: Stage) -> list[str]:
        """The enabled scorers of a stage.

        What the policy looks at there; answers are also judged by what it never names.
        """
        named = {at: self.policy.score_names(at) for at in get_args(Stage)}
        wanted = named[stage]
        if stage == "output":
            wanted = wanted | (self.judge.versions.keys() - named["input"] - named["passages"])
        return sorted(wanted & self.judge.versions.keys())

    async def start(self, stages: Sequence[str]) -> None:
        """Connect what these stages need.

        Raises:
            ConfigurationError: the broker is away, or refuses an idempotent producer.
        """
        try:
            await self.producer.start()
            if "release" in stages:
                await self.review_book.start()
                self._reading_reviews = True
        except KafkaError as error:
            raise ConfigurationError(_broker_problem(self.settings, error)) from None
        if "retrieval" in stages:
            self.retriever.load_all()
        self.asker.start()
        await self.judge.start()
        await self.store.start()
        if not await self.store.ping():
            log.warning("redis.away", consequence="no cache, no journal, duplicate ids are not noticed")

    async def aclose(self) -> None:
        """Disconnect; what was published is confirmed already."""
        await self.judge.aclose()
        await self.producer.stop()
        if self._reading_reviews:
            await self.review_book.aclose()
        await self.store.aclose()
        await asyncio.gather(*(provider.aclose() for provider in self._providers))
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)


def _broker_problem(settings: Settings, error: KafkaError) -> str:
    if settings.idempotence and "UnknownError" in type(error).__name__:
        return (
            f"the broker at {settings.broker} refuses idempotent producers (the embedded one does): "
            "set SLUICEGATE_IDEMPOTENCE=false"
        )
    who = f"{settings.broker} ({type(error).__name__})"
    return f"no Kafka broker answers at {who}; start one, or set SLUICEGATE_BROKER"


def load_policy(settings: Settings) -> Policy:
    """The policy in force, with the key of its placeholders.

    Raises:
        ConfigurationError: it cannot be read, or hashes placeholders without a key.
    """
    key = settings.redaction_key.get_secret_value() if settings.redaction_key else ""
    policy = Policy.load(settings.policy, key)
    if policy.placeholders == "hashed" and not key:
        raise ConfigurationError(f"{policy.label} hashes placeholders: set SLUICEGATE_REDACTION_KEY")
    return policy


def _judge(
    settings: Settings, files: ModelFiles, embedder: Embedder, metrics: Metrics, asker: RouteAsker
) -> ScoringEngine:
    options = settings.scorer_options
    scorers = [
        load_scorer(
            name, ScorerResources(files, embedder, options.get(name, {}), settings.scoring_device, asker)
        )
        for name in settings.scorers
    ]
    if any(getattr(scorer, "languages", None) is not None for scorer in scorers):
        language.load()
    return ScoringEngine(
        scorers,
        timeout_s=settings.score_timeout_s,
        limits=Limits(threads=settings.scoring_threads),
        observer=_ScoreMetrics(metrics),
    )


def _generation(settings: Settings, providers: dict[str, Provider], metrics: Metrics) -> GenerationStage:
    def on_error(provider: str, error: ModelError) -> None:
        metrics.model_calls_total.labels(provider=provider, outcome="error").inc()
        metrics.model_errors_total.labels(provider=provider, code=error.code).inc()

    return GenerationStage(
        prompts=PromptLibrary.load(settings.prompts_dir),
        providers=providers,
        routes=Routes.load(settings.routes),
        prices=Prices.load(settings.prices),
        clock=utc_now,
        sleep=asyncio.sleep,
        random=Random(),  # noqa: S311  # spreads retries, no secret
        on_error=on_error,
    )
