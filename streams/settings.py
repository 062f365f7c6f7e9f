"""Settings: one frozen object, from environment variables over a TOML file; every error is told at once."""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from agents.errors import ConfigurationError

STAGES = ("retrieval", "generation", "retries", "scoring", "release")
DEFAULT_FILE = "sluicegate.toml"


class ProviderSettings(BaseModel):
    """One model behind an API: `[providers.NAME]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = "openai"
    base_url: str | None = None
    api_key: SecretStr | None = None
    model: str = "gpt-4o-mini"
    media_types: tuple[str, ...] = ()
    options: dict[str, str] = Field(default_factory=dict)


class Settings(BaseSettings):
    """Every setting is also a variable: `SLUICEGATE_` and its name in capitals; `__` enters a table."""

    model_config = SettingsConfigDict(
        env_prefix="SLUICEGATE_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    broker: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers, host:port, comma separated")
    redis_url: str = Field("redis://127.0.0.1:6379/0", description="Redis for cache, journal, duplicate ids")
    idempotence: bool = Field(
        default=True, description="Idempotent producer; the embedded broker has none, so `up` unsets it"
    )
    topic_prefix: str = Field(
        "", description="Put before every topic name; lets installations share a broker"
    )
    group_prefix: str = Field("sluicegate", description="Consumer groups are PREFIX.STAGE")
    partitions: int = Field(8, ge=1, description="Partitions of each topic that `topics create` makes")
    replication: int = Field(1, ge=1, description="Copies of each partition")

    data_dir: Path = Field(
        Path(".sluicegate"), description="Indexes, converted models, logs of embedded servers"
    )
    prompts_dir: Path = Field(Path("prompts"), description="Versioned prompt files")
    policy: Path = Field(Path("policies/default.yaml"), description="The policy that decides what may leave")
    routes: Path = Field(Path("routes.yaml"), description="Which providers and models serve a route")
    prices: Path | None = Field(None, description="Own prices, over those of genai-prices")
    providers: dict[str, ProviderSettings] = Field(
        default_factory=dict, description="Models; `openai` (from OPENAI_*) and `extractive` are always there"
    )
    scorers: tuple[str, ...] = Field(
        ("toxicity", "groundedness", "injection"),
        description="Scorers; the policy says which judge requests and passages, the others judge answers",
    )
    scorer_options: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="Options of each scorer"
    )
    embedder: str = Field("minilm", description="minilm (ONNX) or sentence-transformers (torch extra)")
    embedder_options: dict[str, str] = Field(default_factory=dict, description="Options of the embedder")

    in_flight: int = Field(256, ge=1, le=10_000, description="Records a stage works on at once")
    chunk_size: int = Field(256, ge=1, le=1_000, description="Records Faust hands over at once")
    fetch_wait_ms: int = Field(
        500,
        ge=1,
        le=5_000,
        description="How long a broker without news may hold a fetch back; retries and release: at least 500",
    )
    max_request_bytes: int = Field(1024 * 1024, ge=1024, description="A larger request is a dead letter")
    session_timeout_s: float = Field(
        10.0, ge=6.0, description="A worker silent for so long loses its partitions"
    )
    drain_timeout_s: float = Field(
        25.0, ge=0.0, description="What a stopping worker gives its work in flight"
    )
    invalid_run: int = Field(100, ge=0, description="A stage stops at so many bad records in a row; 0: never")
    invalid_share: float = Field(
        0.5, ge=0.0, le=1.0, description="A stage stops when more of its last 200 records are bad; 0: never"
    )
    stall_after_s: float = Field(60.0, gt=0.0, description="Health fails when lag does not move for so long")
    score_timeout_s: float = Field(10.0, gt=0.0, description="A scorer slower than this gives a failed score")
    scoring_threads: int = Field(2, ge=1, description="Threads of each scorer")
    scoring_device: Literal["cpu", "cuda"] = Field(
        "cpu", description="Where scorers' models run; cuda needs onnxruntime-gpu"
    )
    retrieval_threads: int = Field(2, ge=1, description="Threads for embedding and search")

    cache_ttl_s: int = Field(
        3600, ge=0, description="How long a released answer is reused; 0 turns the cache off"
    )
    cache_epoch: int = Field(1, ge=0, description="Raise it to drop every cached answer")
    journal_ttl_s: int = Field(
        86_400, ge=60, description="How long a request's id, claim, answer and verdict are remembered"
    )
    claim_lease_s: float = Field(
        10.0, ge=1.0, description="A claim to pay for an answer ends so long after its worker"
    )
    redaction_key: SecretStr | None = Field(
        None, description="Secret of hashed placeholders; needed where the policy asks for them"
    )
    vault_key: SecretStr | None = Field(
        None,
        description="Fernet key of the vault (`sluicegate vault key`); after commas, older keys that still open it",
    )
    redis_timeout_s: float = Field(0.5, gt=0.0, description="No Redis command takes longer")
    redis_patience_s: float = Field(
        10.0, ge=0.0, description="Into an outage, paid calls wait so long for Redis before they do without"
    )

    web_host: str = Field("127.0.0.1", description="Where /metrics, /healthz and /readyz listen")
    web_port: int = Field(8080, ge=0, le=65_535, description="Their port; 0 picks a free one")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged")
    log_format: Literal["console", "json"] = Field("console", description="For people or for machines")

    openai_api_key: SecretStr | None = Field(
        None, validation_alias="OPENAI_API_KEY", description="As users expect"
    )
    openai_base_url: str | None = Field(
        None, validation_alias="OPENAI_BASE_URL", description="As users expect"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # Docker and shells read .env files
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, which wins over the TOML file."""
        path = Path(os.environ.get("SLUICEGATE_CONFIG", DEFAULT_FILE))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=path)


def load_settings(**overrides: object) -> Settings:
    """Read them once.

    Raises:
        ConfigurationError: naming every variable that is wrong, what it held and what was expected.
    """
    unknown = _unknown_variables()
    try:
        settings = Settings(**{k: v for k, v in overrides.items() if v is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigurationError(_told(error, unknown)) from None
    except ValueError as error:  # a TOML file that cannot be parsed
        raise ConfigurationError(f"settings file: {error}") from None
    if unknown:
        raise ConfigurationError("\n".join(unknown))
    return settings


def _unknown_variables() -> list[str]:
    known = {f"SLUICEGATE_{name}".upper() for name in Settings.model_fields} | {"SLUICEGATE_CONFIG"}
    names = (name for name in os.environ if name.upper().startswith("SLUICEGATE_"))
    return [f"{n}: not a setting" for n in sorted(names) if n.upper().split("__")[0] not in known]


def _told(error: ValidationError, unknown: list[str]) -> str:
    lines = []
    for item in error.errors(include_url=False):
        path = "__".join(str(part) for part in item["loc"])
        given = item.get("input")
        shown = f" (got {given!r})" if isinstance(given, str | int | float) and "key" not in path else ""
        lines.append(f"SLUICEGATE_{path.upper()}: {item['msg']}{shown}")
    return "\n".join(["these settings are wrong:", *lines, *unknown])
