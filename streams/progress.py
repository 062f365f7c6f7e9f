"""What is committed beside an offset: which records beyond it are finished already, so that they are not read twice.

A partition's offset stands still at its slowest record. Kafka keeps a text beside each committed offset; it holds the
finished records after it as a bitmap, as Confluent's Parallel Consumer does it.
"""

import base64
import binascii
import zlib
from collections.abc import Collection
from dataclasses import dataclass

_LONGEST = 4000
"""Characters; a broker takes 4,096 unless told otherwise (`offset.metadata.max.bytes`)."""
_VERSION = "1:"


@dataclass(frozen=True, slots=True)
class Progress:
    """The next offset to read, and the offsets after it that need no reading."""

    next: int
    beyond: Collection[int] = ()

    def text(self) -> str:
        """What is committed beside `next`. What does not fit is left out: it is read twice."""
        if not self.beyond:
            return ""
        bits = 0
        for offset in self.beyond:
            bits |= 1 << (offset - self.next)
        raw = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
        while True:
            text = _VERSION + base64.b64encode(zlib.compress(raw, 9)).decode()
            if len(text) <= _LONGEST:
                return text
            raw = raw[: len(raw) * 3 // 4]

    @classmethod
    def read(cls, offset: int, text: str) -> "Progress":
        """As `text` wrote it; a text that another release or tool wrote says nothing."""
        if not text.startswith(_VERSION):
            return cls(offset)
        try:
            raw = zlib.decompress(base64.b64decode(text.removeprefix(_VERSION), validate=True))
        except (binascii.Error, zlib.error):
            return cls(offset)
        bits = int.from_bytes(raw, "little")
        return cls(offset, frozenset(offset + n for n in range(bits.bit_length()) if bits >> n & 1))
