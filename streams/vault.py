"""What redaction took out, encrypted, in Redis; forgotten when the policy's time is over.

While Redis is away an answer leaves redacted and its values are lost: that is counted and logged.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import msgspec
import structlog
from prometheus_client import CollectorRegistry
from redis.exceptions import RedisError

from agents.errors import ConfigurationError, MissingExtra, VaultUnavailable
from agents.policy import Policy
from agents.ports import Kept
from agents.redaction import Redacted
from schemas.request import GenerationRequest
from streams import scripts
from streams.keys import Keys
from streams.metrics import Metrics
from streams.redis_link import RedisLink, new_redis
from streams.settings import Settings

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

log = structlog.get_logger(__name__)


class _Sealed(msgspec.Struct, frozen=True):
    """What is encrypted; it says whose it is, so that nobody moves it to another tenant's name."""

    name: str
    text: str
    values: dict[str, str]


class RedisVault:
    """Implements `agents.ports.Vault`: a hash a request, with a field for each text that was redacted.

    With a life of 0 s it is for reading: what is kept is forgotten at once.
    """

    def __init__(self, link: RedisLink, settings: Settings, metrics: Metrics, life_s: int = 0) -> None:
        """Read the keys.

        Raises:
            ConfigurationError: there is no key, or it is none of Fernet's.
            MissingExtra: `cryptography` is not installed.
        """
        self._link, self._metrics, self._life_s = link, metrics, life_s
        self._keys = Keys(settings.topic_prefix, settings.cache_epoch)
        self._cipher = _cipher(settings)

    @classmethod
    def of_policy(
        cls, policy: Policy, link: RedisLink, settings: Settings, metrics: Metrics
    ) -> "RedisVault | None":
        """The vault that a policy asks for, if it asks for one; raises as the constructor."""
        life_s = policy.vault_life_s
        return None if life_s is None else cls(link, settings, metrics, life_s)

    async def keep(self, request: GenerationRequest, redacted: Redacted) -> bool:
        """Keep the values of a redacted answer before it is published; False where Redis is away."""
        name = self._keys.vault(request.tenant, request.id or "", request.replay)
        sealed = self._cipher.encrypt(msgspec.json.encode(_Sealed(name, redacted.text, redacted.values)))
        digest = hashlib.sha256(redacted.text.encode("utf-8", "surrogatepass")).hexdigest()

        # In one step, so that nothing stays without an end.
        arguments = (1, name, digest, sealed, self._life_s)
        kept = bool(await self._link.once("vault", lambda: self._link.run(scripts.KEEP, *arguments)))
        self._metrics.vault_writes_total.labels(result="kept" if kept else "lost").inc()
        if not kept:
            log.warning("vault.lost", tenant=request.tenant, request=request.id)
        return kept

    async def recall(self, tenant: str, request_id: str, replay: int = 0) -> list[Kept]:
        """What is kept for a request.

        Raises:
            VaultUnavailable: Redis does not answer.
            ConfigurationError: none of the keys opens what it holds.
        """
        name = self._keys.vault(tenant, request_id, replay)
        try:
            found = await cast("Awaitable[list[bytes]]", self._link.client.hvals(name))
        except (RedisError, OSError, TimeoutError) as error:
            raise VaultUnavailable(f"Redis does not answer: {error}") from error
        return [self._opened(name, sealed) for sealed in found]

    async def forget(self, tenant: str, request_id: str, replay: int = 0) -> bool:
        """Drop what is kept for a request, now; whether there was anything.

        Raises:
            VaultUnavailable: Redis does not answer.
        """
        try:
            return bool(await self._link.client.delete(self._keys.vault(tenant, request_id, replay)))
        except (RedisError, OSError, TimeoutError) as error:
            raise VaultUnavailable(f"Redis does not answer: {error}") from error

    def _opened(self, name: str, sealed: bytes) -> Kept:
        from cryptography.fernet import InvalidToken

        try:
            opened = msgspec.json.decode(self._cipher.decrypt(sealed), type=_Sealed)
        except InvalidToken:
            raise ConfigurationError("no key of SLUICEGATE_VAULT_KEY opens what the vault holds") from None
        if opened.name != name:
            raise ConfigurationError("the vault holds another request's values under this name")
        return Kept(opened.text, opened.values)


@asynccontextmanager
async def reading_vault(settings: Settings) -> AsyncIterator[RedisVault]:
    """The vault of these settings, for a tool that restores; raises as the constructor."""
    metrics = Metrics(CollectorRegistry())
    link = RedisLink(new_redis(settings), settings, metrics)
    try:
        yield RedisVault(link, settings, metrics)
    finally:
        await link.aclose()


def new_key() -> str:
    """A fresh key for `SLUICEGATE_VAULT_KEY`.

    Raises:
        MissingExtra: `cryptography` is not installed.
    """
    try:
        from cryptography.fernet import Fernet
    except ImportError as error:
        raise MissingExtra("the vault", "vault") from error
    made: bytes = Fernet.generate_key()
    return made.decode()


def _cipher(settings: Settings) -> "MultiFernet":
    """Encrypts with the first key, decrypts with any: a key is changed by putting the new one first."""
    if settings.vault_key is None:
        raise ConfigurationError("the vault needs SLUICEGATE_VAULT_KEY; make one with: sluicegate vault key")
    try:
        from cryptography.fernet import Fernet, MultiFernet
    except ImportError as error:
        raise MissingExtra("the vault", "vault") from error
    try:
        return MultiFernet([Fernet(key.strip()) for key in settings.vault_key.get_secret_value().split(",")])
    except ValueError:
        raise ConfigurationError(
            "SLUICEGATE_VAULT_KEY is no Fernet key; make one with: sluicegate vault key"
        ) from None
