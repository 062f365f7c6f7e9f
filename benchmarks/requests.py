"""The requests that all measured programs are given: the same for the same seed, about 400 bytes each."""

import json
import random

_SYSTEM = "You answer questions of a shop's customers, briefly and politely, from what the handbook says."
_OPENINGS = ("Hello,", "Good morning,", "Hi there,", "Dear team,")
_THINGS = ("a kettle", "two lamps", "a blue coat", "the garden chair", "a phone case", "some batteries")
_TROUBLES = (
    "and it came with a scratch on one side",
    "but the parcel was opened when it arrived",
    "and I have lost the bill since then",
    "but it does not fit as the page said it would",
    "and a part of it is missing from the box",
)
_QUESTIONS = (
    "How long may I return it, and who pays for the way back?",
    "Can I have another one sent, or is there money back only?",
    "What do I have to put into the parcel so that you take it back?",
    "Is there anything I must do before I bring it to a shop?",
)
REPEATED = 16
"""How many prompts there are where requests share them."""


def make(number: int, *, distinct: bool = True, seed: int = 1, first: int = 0) -> list[bytes]:
    """That many requests with the ids `r{first}`, `r{first + 1}`, ...

    With `distinct` no two have the same prompt, nor do those of other seeds: none can be answered from a cache.
    Without it they share 16 prompts.
    """
    return [_request(f"r{n}", seed, n if distinct else n % REPEATED) for n in range(first, first + number)]


def key_of(request: bytes) -> bytes:
    """The Kafka key of a request: its id."""
    name: str = json.loads(request)["id"]
    return name.encode()


def _request(name: str, seed: int, prompt: int) -> bytes:
    dice = random.Random(seed * 1_000_003 + prompt)  # noqa: S311  # no secret
    question = (
        f"{dice.choice(_OPENINGS)} in order {seed}-{prompt} I bought {dice.choice(_THINGS)} for "
        f"{dice.randrange(5, 400)} euros, {dice.choice(_TROUBLES)}. {dice.choice(_QUESTIONS)}"
    )
    messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": question}]
    return json.dumps(
        {"id": name, "tenant": "bench", "model": "stub", "max_tokens": 64, "messages": messages}
    ).encode()
