"""Redaction: the same value has the same placeholder, nothing is left, and what is kept puts it all back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.privacy.detectors import DETECTORS, named
from agents.redaction import Redaction, Redactor, Style, restore

ALL = {name: Redaction(name, (detector,)) for name, detector in DETECTORS.items()}
KINDS = {
    "email": Redaction("email", tuple(named(["email"]))),
    "secret": Redaction("secret", tuple(named(["secrets"])), keep=False),
    "digits": Redaction.of_pattern("digits", r"\d{4,}"),
}
PIECES = st.sampled_from(
    [
        *("ann@example.org", "bob@example.org", "+44 20 7946 0958", "4111 1111 1111 1111", "536-90-4399"),
        *("password=a1B2c3d4", "postgres://a:b@c.example.org/d", "DE89 3704 0044 0532 0130 00", "1.2.3.4"),
        *(
            "[REDACTED:email]",
            "[REDACTED:email:1]",
            "[REDACTED:password:abcdefghijkl]",
            "[REDACTED:",
            ":1]",
            " ",
            "",
        ),
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=8), max_size=8).map("".join)


def redactor(style: Style = "numbered", kinds: dict[str, Redaction] = KINDS) -> Redactor:
    return Redactor(kinds, style, b"a key")


def test_the_same_value_has_the_same_number_in_all_texts() -> None:
    made = redactor().redact(["a@b.org, c@d.org, a@b.org", "c@d.org 12345"])
    assert made.texts == (
        "[REDACTED:email:1], [REDACTED:email:2], [REDACTED:email:1]",
        "[REDACTED:email:2] [REDACTED:digits:1]",
    )
    assert made.counts == {"email": 4, "digits": 1}
    assert made.values == {
        "[REDACTED:email:1]": "a@b.org",
        "[REDACTED:email:2]": "c@d.org",
        "[REDACTED:digits:1]": "12345",
    }


def test_numbers_go_on_where_the_conversation_left_them() -> None:
    """Else a placeholder that the model repeats would mean two values."""
    made = redactor().redact(["As [REDACTED:email:1] said: a@b.org"], before=["[REDACTED:email:4]"])
    assert made.text == "As [REDACTED:email:1] said: [REDACTED:email:5]"


def test_hashed_placeholders_are_the_same_in_a_conversation_and_differ_between_conversations() -> None:
    first, again, other = (redactor("hashed").redact(["a@b.org"], scope).text for scope in ("x", "x", "y"))
    assert first == again != other
    assert first.startswith("[REDACTED:email:")
    assert not any(c.isdigit() for c in first)
    assert Redactor(KINDS, "hashed", b"another key").redact(["a@b.org"], "x").text != first


def test_plain_placeholders_tell_nothing_apart_and_keep_nothing() -> None:
    made = redactor("plain").redact(["a@b.org c@d.org"])
    assert (made.text, made.values) == ("[REDACTED:email] [REDACTED:email]", {})


def test_what_must_not_be_kept_is_not_among_the_values() -> None:
    made = redactor().redact(["password=a1B2c3d4 a@b.org"])
    assert made.text == "password=[REDACTED:secret:1] [REDACTED:email:1]"
    assert made.values == {"[REDACTED:email:1]": "a@b.org"}


def test_values_are_hidden_in_what_logs_show() -> None:
    assert "a@b.org" not in repr(redactor().redact(["a@b.org"]))
    assert "a key" not in repr(redactor())


def test_what_a_find_hid_is_found_after_it() -> None:
    """The number is no card while letters stand against it."""
    text = "4111 1111 1111 1111https://hooks.slack.com/services/T000/B000/abcdefghijklmnop"
    made = redactor(kinds=ALL).redact([text])
    assert made.text == "[REDACTED:card:1][REDACTED:slack-token:1]"
    assert restore(made.text, made.values) == text


def test_an_unknown_placeholder_hides_nothing() -> None:
    """Only what we write ourselves is left alone: a name that is not declared, or a long number, is text."""
    for text in ("[REDACTED:other:4111111111111111]", "[REDACTED:card:4111111111111111]"):
        assert "4111111111111111" not in redactor(kinds=ALL).redact([text]).text


@pytest.mark.parametrize("style", ["plain", "numbered", "hashed"])
@given(TEXTS)
def test_redacting_twice_changes_nothing_more(style: Style, text: str) -> None:
    once = redactor(style, ALL).redact([text]).text
    twice = redactor(style, ALL).redact([once])
    assert (twice.text, twice.counts) == (once, {})


@pytest.mark.parametrize("style", ["numbered", "hashed"])
@given(st.lists(TEXTS, min_size=1, max_size=3))
def test_restoring_gives_the_text_as_it_was(style: Style, texts: list[str]) -> None:
    made = redactor(style, ALL).redact(texts)
    assert [restore(text, made.values) for text in made.texts] == texts


@given(TEXTS)
def test_the_same_text_gives_the_same_bytes(text: str) -> None:
    assert redactor().redact([text]) == redactor().redact([text])
