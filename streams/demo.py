"""The main job on real input, followed live: what `sluicegate demo` publishes, watches and tells."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer

from schemas import channels
from schemas.channels import BY_TOPIC
from schemas.codec import decode, encode
from schemas.common import Message
from schemas.cost import CostEvent
from schemas.dead_letter import DeadLetter
from schemas.identity import about, key_of
from schemas.moderation import ModerationEvent
from schemas.request import GenerationRequest, PromptRef, RetrievalSpec
from schemas.response import GenerationResponse
from schemas.review import Review, ReviewDecision
from streams.settings import Settings
from streams.topics import MAX_RECORD_BYTES, logical, physical

QUESTIONS = Path("examples/questions.jsonl")
TENANT = "demo"


@dataclass(slots=True)
class Story:
    """One request's way: which topics it was seen on, and what came of it."""

    request_id: str
    asked: str
    why: str
    seen: list[str] = field(default_factory=list)
    response: GenerationResponse | None = None
    review: Review | None = None
    letter: DeadLetter | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.letter is not None or (self.response is not None and self.response.terminal)

    @property
    def outcome(self) -> str:
        """In a word or two."""
        if self.letter:
            return f"dead letter ({self.letter.reason})"
        if self.response is None:
            return ""
        return f"{self.response.status}{', cached' if self.response.cached else ''}"


EDITED = "Yes: the Jinja sandbox can be used to render untrusted templates [1]."
"""What the demo's reviewer makes of the model's answer to the high-risk question."""


def ask(name: str, text: str, **fields: Any) -> GenerationRequest:
    """A request of the demo; ids carry the time, so that the demo can run twice on one broker."""
    spec = {
        "retrieval": RetrievalSpec(index="examples", top_k=1),
        "prompt": PromptRef(name="small-model"),
        # The embedded model goes on talking after its answer: one line is enough.
        "stop": ["\n"],
        "max_tokens": 60,
        **fields,
    }
    message = Message(role="user", content=text)
    return GenerationRequest(id=f"{name}-{int(time.time())}", tenant=TENANT, messages=[message], **spec)


def quoted(name: str) -> GenerationRequest:
    """A request whose answer quotes the passages."""
    spec = RetrievalSpec(index="examples", top_k=3)
    return ask(name, _questions()[0], route="quotes", prompt=None, retrieval=spec)


def first_round() -> list[tuple[GenerationRequest, str]]:
    """Requests and what each is to show."""
    questions = _questions()
    past = datetime(2020, 1, 1, tzinfo=UTC)
    return [
        (ask("histogram", questions[1]), "answered by the model"),
        (ask("testing", questions[8]), "answered by the model"),
        (quoted("quoted"), "answered by quoting"),
        (ask("sandbox", questions[9], risk="high"), "high risk: a person decides"),
        (ask("rude", "You stupid worthless idiot, shut up and answer me!"), "toxic input"),
        (ask("late", questions[0], deadline=past), "deadline in the past"),
        (ask("typo", questions[0], prompt=PromptRef(name="no-such-prompt")), "unknown prompt"),
    ]


def _questions() -> list[str]:
    return [json.loads(line)["question"] for line in QUESTIONS.read_text().splitlines()]


class Demo:
    """Publishes, follows every topic, and keeps each request's story."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        hosts = settings.broker.split(",")
        self._producer = KafkaProducer(bootstrap_servers=hosts)
        topics = [physical(name, settings.topic_prefix) for name in (*BY_TOPIC, channels.DEAD_LETTERS)]
        self._consumer = KafkaConsumer(
            *topics,
            bootstrap_servers=hosts,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_bytes=MAX_RECORD_BYTES,
        )
        self.stories: dict[str, Story] = {}
        self.costs: list[CostEvent] = []
        self.judgements: list[ModerationEvent] = []

    def close(self) -> None:
        """Disconnect."""
        self._producer.close()
        self._consumer.close()

    def publish(self, request: GenerationRequest, why: str) -> None:
        """Send a request and begin its story."""
        assert request.id
        self.stories[request.id] = Story(request.id, request.question(), why)
        self._send(channels.REQUESTS, request)

    def publish_broken(self) -> None:
        """Send bytes that are no request."""
        self.stories["broken"] = Story("broken", '{"messages": "not a list"}', "a record nobody can read")
        topic = physical(channels.REQUESTS, self._settings.topic_prefix)
        self._producer.send(topic, value=b'{"messages": "not a list"}').get(timeout=10)

    def decide(self, story: Story) -> None:
        """Correct a held answer, as a reviewer would."""
        word = ReviewDecision(
            request_id=story.request_id,
            tenant=TENANT,
            action="edit",
            reviewer="demo",
            text=EDITED,
            comment="the passage says the opposite",
        )
        self._send(channels.REVIEW_DECISIONS, word)

    def _send(self, topic: str, event: GenerationRequest | ReviewDecision) -> None:
        name = physical(topic, self._settings.topic_prefix)
        self._producer.send(name, key=key_of(event).encode(), value=encode(event)).get(timeout=10)

    def follow(self, timeout_s: float) -> Iterator[None]:
        """Yield after every look at the topics, until each story has ended; ends at the time limit too."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end and not all(story.ended for story in self.stories.values()):
            for records in self._consumer.poll(timeout_ms=200).values():
                for record in records:
                    self._note(record)
            yield

    def _note(self, record: Any) -> None:
        topic = logical(record.topic, self._settings.topic_prefix)
        if topic == channels.DEAD_LETTERS:
            if (story := self.stories.get("broken")) is not None:
                story.letter = DeadLetter.from_headers(list(record.headers))
                story.seen.append(topic)
            return
        if topic == channels.REQUESTS:
            return
        event = decode(BY_TOPIC[topic].event, record.value)
        self._tell(topic, event)

    def _tell(self, topic: str, event: Any) -> None:
        story = self.stories.get(about(event)[1] or "")
        if story is None:
            return
        story.seen.append(topic)
        match event:
            case GenerationResponse():
                if story.response is None or not story.response.terminal:
                    story.response = event
            case Review():
                if story.review is None:
                    story.review = event
                    self.decide(story)
            case CostEvent():
                self.costs.append(event)
            case ModerationEvent():
                self.judgements.append(event)

    def total(self) -> dict[str, Decimal]:
        """What was paid, by currency; unknown prices are not in it."""
        totals: dict[str, Decimal] = {}
        for cost in self.costs:
            if cost.amount is not None:
                totals[cost.currency] = totals.get(cost.currency, Decimal(0)) + cost.amount
        return totals
