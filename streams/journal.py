"""How events are kept in Redis: their types beside them, compressed, a draft without the context it is read with."""

from collections.abc import Sequence

import msgspec
import zstandard
from msgspec import Raw

from schemas.channels import BY_EVENT, CHANNELS
from schemas.codec import DecodeError, decode, encode
from schemas.common import Event
from schemas.context import RetrievedContext
from schemas.draft import Draft

_BY_TYPE = {channel.ce_type: channel.event for channel in CHANNELS}
_Packed = list[tuple[str, Raw]]
_DRAFT = BY_EVENT[Draft].ce_type
_SMALL = 2048
"""Bytes that are kept as they are: compressing them costs more time than it saves room."""
_LARGEST = 64 * 1024 * 1024
# A third of zlib's time: its tables are kept from one entry to the next. The event loop's thread alone uses them.
_compressor = zstandard.ZstdCompressor(level=1)
_decompressor = zstandard.ZstdDecompressor()


def pack(events: Sequence[Event]) -> bytes:
    """Events to bytes.

    Raises:
        ValueError: an event is not what its type allows.
    """
    named = [(BY_EVENT[type(event)].ce_type, _body(event)) for event in events]
    packed = msgspec.json.encode(named)
    return packed if len(packed) < _SMALL else _compressor.compress(packed)


def unpack(value: bytes, context: RetrievedContext | None = None) -> list[Event] | None:
    """Bytes to events; None when another release wrote them, or a draft lacks its context."""
    try:
        plain = value if value.startswith(b"[") else _decompressor.decompress(value, max_output_size=_LARGEST)
        named = msgspec.json.decode(plain, type=_Packed)
        return [_event(kind, bytes(body), context) for kind, body in named]
    except (zstandard.ZstdError, msgspec.MsgspecError, DecodeError, KeyError):
        return None


def _body(event: Event) -> Raw:
    written = encode(event, again=True)
    if not isinstance(event, Draft):
        return Raw(written)
    # The context is in the record that asks for the draft, and larger than the rest of it.
    fields = msgspec.json.decode(written, type=dict[str, Raw])
    del fields["context"]
    return Raw(msgspec.json.encode(fields))


def _event(kind: str, body: bytes, context: RetrievedContext | None) -> Event:
    if kind == _DRAFT:
        fields = msgspec.json.decode(body, type=dict[str, Raw])
        if context is None:
            raise KeyError("context")
        body = msgspec.json.encode({**fields, "context": context})
    return decode(_BY_TYPE[kind], body)
