"""What the libraries below us say is let through, once in a while."""

import logging

from streams.logs import OnceInAWhile


def record(text: str, *values: object, name: str = "aiokafka") -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "x.py", 1, text, values, None)


def test_a_library_says_the_same_thing_once_in_a_while_and_how_often_it_said_it() -> None:
    now = 0.0
    sieve = OnceInAWhile(5.0, lambda: now)
    assert sieve.filter(record("no connection to %s", 1))
    for number in range(40):
        assert not sieve.filter(record("no connection to %s", number))
    now = 6.0
    again = record("no connection to %s", 2)
    assert sieve.filter(again)
    assert again.getMessage() == "no connection to 2 (and 40 times more)"


def test_other_words_and_other_libraries_pass() -> None:
    sieve = OnceInAWhile(5.0, lambda: 0.0)
    said = [record("one"), record("two"), record("one", name="faust"), record("one")]
    assert [sieve.filter(one) for one in said] == [True, True, True, False]
