"""Judges of groundedness that a user brings.

A model of the transformers library, or a chat model through a route.

They are asked about sentences that our own two judges leave open (`agents/scorers/groundedness.py`).
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from agents.errors import ConfigurationError, MissingExtra
from agents.model_files.torch_version import torch_version
from schemas.common import Message

Pair = tuple[str, str]
"""A sentence, and the evidence it should rest on."""
Ask = Callable[[str, Sequence[Message]], str]
"""Asks the first target of a route, and waits for its answer; raises a ModelError where there is none."""
_INSTRUCTION = (
    "You check one statement against a text. Say whether the text alone supports all of the statement. Numbers, "
    "names, dates, negations and who did what to whom must agree. Answer with JSON only: "
    '{"supported": true or false, "confidence": 0.5 to 1}'
)
_OBJECT = re.compile(r"\{[^{}]*\}")
MAX_TOKENS = 512


class SentenceJudge(Protocol):
    """Says how likely sentences are supported. Blocking and thread-safe."""

    @property
    def version(self) -> str:
        """`name@hash`, or what else tells one from another."""
        ...

    def supported(self, pairs: Sequence[Pair]) -> list[float | None]:
        """A probability a pair, in order; None where it has no opinion."""
        ...


class TransformersJudge:
    """A model by path or name, as transformers loads it; what it is decides how it is asked.

    Token classification (LettuceDetect): text and sentence in, a class for each token of the sentence, of
    which the second is *not supported*; the worst token counts. Sequence classification with an entailment
    label (any NLI cross-encoder): text and sentence in, that label's probability. A model with a `predict` of
    its own (HHEM-2.1): pairs in, probabilities out; its code comes with it, so it needs `trust_remote_code`.
    """

    def __init__(self, name: str, device: str = "cpu", *, trust_remote_code: bool = False) -> None:
        """Import torch and load the model; seconds, and a download where `name` is no folder.

        Raises:
            MissingExtra: transformers is not installed.
            ConfigurationError: it cannot be loaded, or is none of these kinds.
        """
        try:
            import torch
            import transformers
        except ImportError as error:
            raise MissingExtra("a judge of groundedness", "torch") from error
        self._torch: Any = torch
        try:
            config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code)
            kind = "TokenClassification" if _tokens(config) else "SequenceClassification"
            load = getattr(transformers, f"AutoModelFor{kind}").from_pretrained
            self._model: Any = load(name, trust_remote_code=trust_remote_code).to(device).eval()
            own = hasattr(self._model, "predict")
            self._tokenizer: Any = None if own else transformers.AutoTokenizer.from_pretrained(name)
        except Exception as error:  # each library below raises its own
            raise ConfigurationError(f"groundedness: the judge {name} cannot be loaded: {error}") from error
        self._device, self._by_token = device, _tokens(config)
        self._entailment = None if own or self._by_token else _entailment(name, config)
        self._version = torch_version(f"judge-{name.rstrip('/').rsplit('/', 1)[-1]}", self._model)

    @property
    def version(self) -> str:
        """`judge-NAME@hash` over the weights."""
        return self._version

    def supported(self, pairs: Sequence[Pair]) -> list[float | None]:
        """One after the other: they are few, and of all lengths."""
        with self._torch.inference_mode():
            if self._tokenizer is None:
                found = self._model.predict([(text, sentence) for sentence, text in pairs])
                return [min(1.0, max(0.0, float(one))) for one in found]
            return [self._one(sentence, text) for sentence, text in pairs]

    def _one(self, sentence: str, text: str) -> float:
        read = self._tokenizer(
            text, sentence, truncation="only_first", max_length=MAX_TOKENS, return_tensors="pt"
        )
        logits = self._model(**read.to(self._device)).logits[0]
        chances = self._torch.softmax(logits.float(), -1)
        if not self._by_token:
            return float(chances[self._entailment])
        own = [at for at, part in enumerate(read.sequence_ids(0)) if part == 1]
        return 1.0 - max((float(chances[at][1]) for at in own), default=0.0)


def _tokens(config: Any) -> bool:
    return any("TokenClassification" in one for one in config.architectures or ())


def _entailment(name: str, config: Any) -> int:
    for number, label in config.id2label.items():
        if str(label).lower() in ("entailment", "entailed", "supported", "consistent"):
            return int(number)
    raise ConfigurationError(
        f"groundedness: the judge {name} has no label for entailment but {sorted(config.id2label.values())}"
    )


class RouteJudge:
    """A chat model through a route, asked for JSON. What it costs is counted in the metrics of model calls.

    A draft that is delivered twice is judged twice.
    """

    def __init__(self, route: str, ask: Ask) -> None:
        self._route, self._ask = route, ask

    @property
    def version(self) -> str:
        """The route's name: what answers there may change."""
        return f"judge-route@{self._route}"

    def supported(self, pairs: Sequence[Pair]) -> list[float | None]:
        """One call a pair; an answer that is no such JSON is no opinion."""
        return [self._one(*pair) for pair in pairs]

    def _one(self, sentence: str, text: str) -> float | None:
        asked = f"Text:\n{text}\n\nStatement:\n{sentence}"
        messages = [Message(role="system", content=_INSTRUCTION), Message(role="user", content=asked)]
        return opinion(self._ask(self._route, messages))


def opinion(answer: str) -> float | None:
    """The probability that such an answer stands for."""
    for found in _OBJECT.findall(answer):
        try:
            said = json.loads(found)
        except json.JSONDecodeError:
            continue
        supported, sure = said.get("supported"), said.get("confidence", 1.0)
        if isinstance(supported, bool) and isinstance(sure, int | float) and 0.0 <= sure <= 1.0:
            sure = max(0.5, float(sure))
            return sure if supported else 1.0 - sure
    return None
