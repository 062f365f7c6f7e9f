"""Disguises change the words they are given and nothing else."""

import random

import pytest

from training.obfuscate import KINDS, lookalikes, obfuscate

TEXT = "You are an idiot, my friend."
SPANS = [(11, 16)]


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_marked_word_is_changed(kind):
    for seed in range(50):
        changed = obfuscate(TEXT, SPANS, kind, random.Random(seed))
        assert changed.startswith("You are an ")
        assert changed.endswith(", my friend.")
        assert changed != TEXT


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_text(kind):
    assert len({obfuscate(TEXT, SPANS, kind, random.Random(3)) for _ in range(3)}) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_no_spans_leave_the_text_as_it_is(kind):
    assert obfuscate(TEXT, [], kind, random.Random(1)) == TEXT


@pytest.mark.parametrize("kind", KINDS)
def test_empty_and_tiny_stretches_raise_nothing(kind):
    for text in ("", " ", "a", "!?", "a b"):
        obfuscate(text, [(0, len(text))], kind, random.Random(1))


def test_spacing_sets_the_letters_apart():
    assert obfuscate(TEXT, SPANS, "spacing", random.Random(1)) == "You are an i d i o t, my friend."


def test_a_mask_hides_the_inner_vowels():
    assert obfuscate(TEXT, SPANS, "masked", random.Random(1)) in {
        "You are an id**t, my friend.",
        "You are an id##t, my friend.",
    }


def test_every_letter_has_lookalikes_outside_ascii():
    table = lookalikes()
    assert all(table[letter] for letter in "abcdefghijklmnopqrstuvwxyz")
    assert not any(sign.isascii() for signs in table.values() for sign in signs)
    assert "\u0430" in table["a"]
