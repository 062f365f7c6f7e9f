"""Dead letters for those who tend them: choose some, put them back where they came from, remove them."""

from streams.dead_letters.broker import read, send
from streams.dead_letters.choose import Wanted, instant, wanted
from streams.dead_letters.letters import Headers, Place, Stored, head, stored
from streams.dead_letters.purge import Purge, purge, purge_of
from streams.dead_letters.replay import CannotReplay, Change, Outgoing, own_headers, plan, replayed

__all__ = [
    "CannotReplay",
    "Change",
    "Headers",
    "Outgoing",
    "Place",
    "Purge",
    "Stored",
    "Wanted",
    "head",
    "instant",
    "own_headers",
    "plan",
    "purge",
    "purge_of",
    "read",
    "replayed",
    "send",
    "stored",
    "wanted",
]
