"""The codec: any bytes become an event or a typed error."""

import pytest

from schemas.codec import DecodeError, decode
from schemas.request import GenerationRequest


@pytest.mark.parametrize(
    ("value", "reason", "field"),
    [
        (None, "null_value", "$"),
        (b"\xff", "not_utf8", "$"),
        (b"nope", "not_json", "$"),
        (b'{"messages":[]}', "invalid", "$.messages"),
        (b"{}", "invalid", "$.messages"),
        (b"[]", "invalid", "$"),
        (b'{"metadata":{"a":' + b"[" * 100_000, "not_json", "$"),
        (b'{"messages":[{"role":"user","content":"h\xffi"}]}', "not_utf8", "$"),
        (
            b'{"messages":[{"role":"user","content":[{"type":"smell"}]}]}',
            "invalid",
            "$.messages[0].content[0].type",
        ),
        (b'{"messages":[{"role":"user","content":"hi"}],"version":2}', "unsupported_version", "$.version"),
        (b'{"messages":[{"role":"user","content":"hi"}],"max_tokens":"a"}', "invalid", "$.max_tokens"),
    ],
)
def test_broken_bytes_give_a_reason_and_a_field(value: bytes | None, reason: str, field: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(GenerationRequest, value)
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_an_unknown_field_is_ignored() -> None:
    request = decode(GenerationRequest, b'{"messages":[{"role":"user","content":"hi"}],"later":1}')
    assert request.question() == "hi"
