"""What `sluicegate doctor` looks at: each check says what is wrong and what to do."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from redis.exceptions import RedisError

from agents.errors import SluicegateError
from agents.model_files import ModelFiles
from agents.policy import Policy
from agents.policy_file import Stage
from agents.prompts import PromptLibrary
from agents.routes import Routes
from streams.indexing import store_of
from streams.providers import load_providers
from streams.provision import missing_topics
from streams.redis_link import new_redis
from streams.settings import Settings

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result; `do` is what helps, empty when all is well."""

    name: str
    level: Level
    said: str
    do: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Run every check; none raises."""
    found: list[Finding] = []
    for check in CHECKS:
        try:
            found.extend(check(settings))
        except SluicegateError as error:
            found.append(Finding(_name(check), "fail", str(error), "mend what is named here"))
    return found


def _name(check: Callable[[Settings], Sequence[Finding]]) -> str:
    return check.__name__.strip("_")


def _broker(settings: Settings) -> Sequence[Finding]:
    try:
        missing = missing_topics(settings)
    except SluicegateError as error:
        return [Finding("broker", "fail", str(error), "start a broker, or set SLUICEGATE_BROKER")]
    answers = Finding("broker", "ok", f"{settings.broker} answers")
    if missing:
        return [
            answers,
            Finding("topics", "fail", f"missing: {', '.join(missing)}", "sluicegate topics create"),
        ]
    return [answers, Finding("topics", "ok", "all there")]


def _redis(settings: Settings) -> Sequence[Finding]:
    if asyncio.run(_pings(settings)):
        return [Finding("redis", "ok", "answers")]
    given_up = "no cache, no journal (a redelivery is paid for again), duplicate ids are not noticed"
    return [Finding("redis", "warn", f"away: {given_up}", "start Redis, or set SLUICEGATE_REDIS_URL")]


async def _pings(settings: Settings) -> bool:
    client = new_redis(settings)
    try:
        return bool(await client.ping())
    except (RedisError, OSError, TimeoutError):
        return False
    finally:
        await client.aclose()


def _models(settings: Settings) -> Sequence[Finding]:
    files = ModelFiles(settings.data_dir / "models")
    folders = (files.minilm(), files.toxicity())
    return [Finding("models", "ok", ", ".join(folder.name for folder in folders))]


def _prompts(settings: Settings) -> Sequence[Finding]:
    return [Finding("prompts", "ok", ", ".join(PromptLibrary.load(settings.prompts_dir).names()))]


def _policy(settings: Settings) -> Sequence[Finding]:
    policy = Policy.load(settings.policy)
    looked_at = {name for at in get_args(Stage) for name in policy.score_names(at)}
    unscored = sorted(looked_at - set(settings.scorers))
    if unscored:
        said = f"{policy.label} looks at scores that nobody gives: {', '.join(unscored)}"
        return [Finding("policy", "warn", said, "enable them in SLUICEGATE_SCORERS, or drop the rules")]
    return [Finding("policy", "ok", policy.label)]


def _routes(settings: Settings) -> Sequence[Finding]:
    routes = Routes.load(settings.routes)
    routes.check_providers(set(load_providers(settings)))
    used = {target.provider for name in routes.names() for target in routes.resolve(name)[1].targets}
    if "openai" in used and not (
        settings.openai_api_key or settings.openai_base_url or "openai" in settings.providers
    ):
        said = "a route asks the provider openai, which has neither key nor address"
        return [
            Finding(
                "routes", "warn", said, "set OPENAI_API_KEY or OPENAI_BASE_URL, or change the routes file"
            )
        ]
    return [Finding("routes", "ok", f"{', '.join(routes.names())} ({routes.version})")]


def _indexes(settings: Settings) -> Sequence[Finding]:
    catalogs = store_of(settings).list()
    if not catalogs:
        return [Finding("indexes", "warn", "none", "sluicegate index build NAME PATHS...")]
    return [Finding("indexes", "ok", ", ".join(catalog.live for catalog in catalogs))]


CHECKS: tuple[Callable[[Settings], Sequence[Finding]], ...] = (
    _broker,
    _redis,
    _models,
    _prompts,
    _policy,
    _routes,
    _indexes,
)
