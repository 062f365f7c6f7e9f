"""The spelling a reader sees: disguises undone, harmless texts left alone, places kept."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.scorers.obfuscation import plain


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("sh1t", "shit"), ("@ss", "ass"), ("f4gg0t", "faggot"), ("$hit", "shit"), ("f.u.c.k", "fuck"),
        ("f u c k", "fuck"), ("i-d-i-o-t", "idiot"), ("fuuuuck", "fuck"), ("f**k", "fuck"), ("sh*t", "shit"),
        ("b!tch", "bitch"), ("idi\u200bot", "idiot"), ("\uff49diot", "idiot"), ("idi\u043et", "idiot"),
    ],
)  # fmt: skip
def test_a_disguised_word_is_read(written, read):
    assert plain(f"you {written} there").text == f"you {read} there"


@pytest.mark.parametrize(
    "text",
    [
        "4", "b2b", "H2O is water", "play the mp3 file", "the 2nd of May", "it costs $5", "$1,299.99", "3.5 kg",
        "write to me@x.org", "https://example.com/a1b2", "the committee is good", "at 10am", "Q4", "COVID-19", "5G",
        "\u041f\u0440\u0438\u0432\u0435\u0442, \u043a\u0430\u043a \u0434\u0435\u043b\u0430?",
        "\u0393\u03b5\u03b9\u03ac \u03c3\u03bf\u03c5", "caf\u00e9", "na\u00efve", "Z\u00fcrich",
        "a 3-day trip", "100%",
        "version 2.0", "C++ and C#", "A4 paper", "R2-D2", "W3C", "I/O", "e.g. this", "a well-known man", "bookkeeper",
        "U.S.A.", "a b c", "J. R. R. Tolkien", "1977\u201378", "UTF-8", "<!DOCTYPE html>", "Notorious B.I.G",
    ],
)  # fmt: skip
def test_a_harmless_text_stays(text):
    assert plain(text) is None


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("ab1@$*. -fuck\u0430\u0301\u200b"))))
def test_any_text_is_read_and_every_place_lies_in_the_original(text):
    found = plain(text)
    if found is not None:
        assert len(found.text) == len(found.origins)
        assert all(0 <= at < len(text) for at in found.origins)
        assert list(found.origins) == sorted(found.origins)


@given(st.text(alphabet="ab1@$*. -fuck\u0430\u0301\u200b"))
def test_what_was_read_is_read_no_further(text):
    found = plain(text)
    assert found is None or plain(found.text) is None


def test_a_span_points_into_the_original():
    text = "you f.u.c.k there"
    found = plain(text)
    start = found.text.index("fuck")
    begin, end = found.span(start, start + 4)
    assert text[begin:end] == "f.u.c.k"


@pytest.mark.parametrize("piece", ["a.", "f*", "1a", "\u00e9", "a ", "@$", "aaa "])
def test_hostile_input_takes_linear_time(piece):
    started = time.perf_counter()
    plain(piece * (100_000 // len(piece)))
    assert time.perf_counter() - started < 2
