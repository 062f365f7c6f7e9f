"""docs/contracts.md says what the types say."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from schemas import channels
from schemas.channels import CHANNELS
from schemas.codec import MAX_DEPTH, decode
from schemas.common import SCHEMA_VERSION
from schemas.cost import CostEvent, CostKind, CostStatus
from schemas.dead_letter import DeadLetterReason
from schemas.examples import DEAD_LETTER
from schemas.export import KEYS
from schemas.moderation import JudgedStage, ModerationEvent
from schemas.request import GenerationRequest
from schemas.response import TERMINAL, GenerationResponse
from schemas.review import ReviewDecision
from schemas.score import ACTIONS
from streams.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "contracts.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
IN_ORDER = [GenerationRequest, GenerationResponse, ModerationEvent, CostEvent, ReviewDecision]


def test_there_is_an_example_of_every_public_event_but_the_long_one() -> None:
    assert len(BLOCKS) == len(IN_ORDER)


@pytest.mark.parametrize(("kind", "block"), list(zip(IN_ORDER, BLOCKS, strict=False)))
def test_an_example_is_an_event_without_unknown_fields(kind, block) -> None:
    decode(kind, block.encode())
    assert set(json.loads(block)) <= set(kind.__struct_fields__)


@pytest.mark.parametrize(
    "channel", [c for c in CHANNELS if c.topic not in (channels.CONTEXTS, channels.RETRIES, channels.DRAFTS)]
)
def test_a_topic_is_listed_with_its_type_and_key(channel) -> None:
    assert f"| `{channel.topic}` | `{channel.ce_type}` | {KEYS[channel.topic]} |" in PAGE


@pytest.mark.parametrize(
    "word",
    [
        *get_args(DeadLetterReason),
        *get_args(CostKind),
        *get_args(CostStatus),
        *get_args(JudgedStage),
        *sorted(TERMINAL),
        "pending_review",
        *ACTIONS,
    ],
)
def test_every_reason_status_and_kind_is_on_the_page(word) -> None:
    assert f"`{word}`" in PAGE


def test_every_error_code_that_the_code_names_is_on_the_page() -> None:
    sources = "".join(path.read_text() for path in (Path(__file__).parents[2] / "agents").rglob("*.py"))
    codes = set(re.findall(r'Problem\(\s*code="(\w+)"', sources))
    codes |= set(re.findall(r'RequestRefused\(\s*"(\w+)"', sources))
    codes |= set(re.findall(r'^    code = "(\w+)"', sources, re.MULTILINE)) - {"model_error"}
    assert len(codes) > 8
    assert [code for code in sorted(codes) if f"`{code}`" not in PAGE] == []


def test_every_header_of_a_dead_letter_is_on_the_page() -> None:
    names = [
        name.removeprefix("__connect.errors").removeprefix("exception") for name, _ in DEAD_LETTER.headers()
    ]
    assert [name for name in names if name.removeprefix(".exception") not in PAGE] == []


def test_the_numbers_are_those_of_the_code() -> None:
    assert f"at most {MAX_DEPTH} levels" in PAGE
    assert f"`version` ({SCHEMA_VERSION})" in PAGE
    assert Settings.model_fields["max_request_bytes"].default == 1024 * 1024
    assert "1 MiB unless set" in PAGE
