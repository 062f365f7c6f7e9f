"""Check digits."""

from agents.privacy.checksums import luhn


def test_luhn_on_published_test_numbers() -> None:
    assert luhn("4111 1111 1111 1111")
    assert luhn("378282246310005")
    assert not luhn("4111 1111 1111 1112")
