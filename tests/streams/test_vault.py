"""A policy that asks for a vault, or for hashed placeholders, starts only with what these need."""

import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from agents.errors import ConfigurationError, MissingExtra
from agents.policy import Policy
from streams.metrics import Metrics
from streams.redis_link import RedisLink, new_redis
from streams.services import load_policy
from streams.settings import Settings
from streams.vault import RedisVault, new_key

pytest.importorskip("cryptography", reason="not installed: the extra vault")

KEEPING = "name: p\nplaceholders: numbered\nvault: {keep_for_s: 3600}\n"


def policy(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(text)
    return path


def vault(path: Path, **fields: str) -> RedisVault | None:
    at, metrics = Settings(**fields), Metrics(CollectorRegistry())
    return RedisVault.of_policy(Policy.load(path), RedisLink(new_redis(at), at, metrics), at, metrics)


async def test_a_policy_that_asks_for_none_has_none(tmp_path) -> None:
    assert vault(policy(tmp_path, "name: p\n")) is None


async def test_without_a_key_it_does_not_start(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="needs SLUICEGATE_VAULT_KEY"):
        vault(policy(tmp_path, KEEPING))


async def test_a_key_that_is_none_is_told_and_not_shown(tmp_path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        vault(policy(tmp_path, KEEPING), vault_key="hunter2")
    assert "is no Fernet key" in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_with_a_key_it_starts(tmp_path) -> None:
    assert vault(policy(tmp_path, KEEPING), vault_key=new_key()) is not None


async def test_without_its_library_the_extra_is_named(tmp_path, monkeypatch) -> None:
    key = new_key()
    monkeypatch.setitem(sys.modules, "cryptography.fernet", None)
    with pytest.raises(MissingExtra, match=r"sluicegate\[vault\]"):
        vault(policy(tmp_path, KEEPING), vault_key=key)
    with pytest.raises(MissingExtra, match=r"sluicegate\[vault\]"):
        new_key()


def test_hashed_placeholders_need_their_key(tmp_path) -> None:
    path = policy(tmp_path, "name: p\nplaceholders: hashed\n")
    with pytest.raises(ConfigurationError, match="set SLUICEGATE_REDACTION_KEY"):
        load_policy(Settings(policy=path))
    assert load_policy(Settings(policy=path, redaction_key="k")).placeholders == "hashed"


def test_keys_are_hidden_in_what_is_shown_of_the_settings() -> None:
    shown = repr(Settings(vault_key="hunter2", redaction_key="swordfish"))
    assert "hunter2" not in shown
    assert "swordfish" not in shown
