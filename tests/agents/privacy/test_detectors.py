"""What the built-in detectors find, what they pass over, and that no text keeps them long."""

import re
import string
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.privacy import checksums
from agents.privacy.detectors import DETECTORS, Find, find, merge, named

KEY_BODY = ("Ab1/" * 16 + "\n") * 3
JWT = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0"
    ".dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
)

FOUND = [
    ("email", "Write to ann.lee+x@mail.example.org.", "ann.lee+x@mail.example.org"),
    ("email", "jörg@münchen.de", "jörg@münchen.de"),
    ("phone", "ring +44 (0)20 7946 0958 now", "+44 (0)20 7946 0958"),
    ("phone", "+4930123456", "+4930123456"),
    ("phone", "(415) 555-2671", "(415) 555-2671"),
    ("phone", "1-415-555-2671", "1-415-555-2671"),
    ("phone", "415.555.2671", "415.555.2671"),
    ("phone", "London: 020 7946 0958.", "020 7946 0958"),
    ("phone", "Berlin 030/1234567", "030/1234567"),
    ("phone", "01 23 45 67 89", "01 23 45 67 89"),
    ("phone", "07700900123", "07700900123"),
    ("card", "4111 1111 1111 1111", "4111 1111 1111 1111"),
    ("card", "paid with 3782-822463-10005", "3782-822463-10005"),
    ("card", "5555555555554444", "5555555555554444"),
    ("card", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
    ("card", "item 12 4111 1111 1111 1111 34", "4111 1111 1111 1111"),
    ("iban", "to DE89 3704 0044 0532 0130 00 BIC COBADEFF", "DE89 3704 0044 0532 0130 00"),
    ("iban", "gb82west12345698765432", "gb82west12345698765432"),
    ("iban", "NO9386011117947", "NO9386011117947"),
    ("iban", "FR14 2004 1010 0505 0001 3M02 606", "FR14 2004 1010 0505 0001 3M02 606"),
    ("us-ssn", "536-90-4399", "536-90-4399"),
    ("uk-nhs", "943 476 5919", "943 476 5919"),
    ("uk-nhs", "NHS number: 9434765919", "9434765919"),
    ("uk-nino", "AB 12 34 56 C", "AB 12 34 56 C"),
    ("german-tax-id", "Steuer-ID 86 095 742 719", "86 095 742 719"),
    ("german-tax-id", "65929970489", "65929970489"),
    ("ipv4", "from 192.168.10.7.", "192.168.10.7"),
    ("ipv6", "2001:db8::8a2e:370:7334", "2001:db8::8a2e:370:7334"),
    ("ipv6", "[fe80::1]", "fe80::1"),
    ("mac", "00:1A:2B:3C:4D:5E", "00:1A:2B:3C:4D:5E"),
    ("mac", "1a2b.3c4d.5e6f", "1a2b.3c4d.5e6f"),
    ("crypto-address", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
    ("crypto-address", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"),
    (
        "crypto-address",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    ),
    (
        "crypto-address",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
    ),
    ("aws-access-key", "id AKIAIOSFODNN7EXAMPLE,", "AKIAIOSFODNN7EXAMPLE"),
    ("github-token", f"ghp_{'a1B2' * 9}", f"ghp_{'a1B2' * 9}"),
    ("slack-token", "xoxb-123456789012-abcdefABCDEF", "xoxb-123456789012-abcdefABCDEF"),
    ("google-api-key", f"AIza{'Sy0_-' * 7}", f"AIza{'Sy0_-' * 7}"),
    ("stripe-key", "sk_live_abcdefghijklmnop1234", "sk_live_abcdefghijklmnop1234"),
    ("openai-key", "sk-proj-aB3dE5gH7jK9mN1pQ3sT5vW7", "sk-proj-aB3dE5gH7jK9mN1pQ3sT5vW7"),
    ("jwt", f"Bearer {JWT}", JWT),
    (
        "private-key",
        f"x -----BEGIN RSA PRIVATE KEY-----\n{KEY_BODY}abc=\n-----END RSA PRIVATE KEY----- y",
        f"-----BEGIN RSA PRIVATE KEY-----\n{KEY_BODY}abc=\n-----END RSA PRIVATE KEY-----",
    ),
    (
        "private-key",
        f"-----BEGIN PRIVATE KEY-----\n{KEY_BODY}The rest.",
        f"-----BEGIN PRIVATE KEY-----\n{KEY_BODY.rstrip()}",
    ),
    (
        "url-password",
        "at postgres://app:s3cr3t@db.example.com:5432/x",
        "postgres://app:s3cr3t@db.example.com",
    ),
    ("password", 'password = "hunter2Hunter"', "hunter2Hunter"),
    ("password", "dbPassword: 'Tr0ub4dor&3'", "Tr0ub4dor&3"),
    (
        "password",
        "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    ),
]


@pytest.mark.parametrize(("kind", "text", "expected"), FOUND)
def test_it_finds(kind: str, text: str, expected: str) -> None:
    finds = find(text, DETECTORS.values())
    assert [(f.kind, text[f.start : f.end]) for f in finds] == [(kind, expected)]


def test_every_kind_has_an_example() -> None:
    assert {kind for kind, _, _ in FOUND} == set(DETECTORS)


@pytest.mark.parametrize(
    "text",
    [
        "It costs 1,200.50 euros for 3 weeks, 10 % less than in 1999.",
        "On 2026-11-23 at 12:30:45, build 1.2.3, see section 4.5.6.",
        "01/02/2023 and 01-02-2023 and 01.02.2023",
        "a = +3.14159265 and -2.718281828",
        "4111 1111 1111 1112",
        "DE89 3704 0044 0532 0130 01",
        "666-90-4399 and 000-12-3456 and 123-00-4567",
        "NHS number: 9434765918",
        "BG 12 34 56 C",
        "86 095 742 718 and 12345678901",
        "999.1.1.1 and 127.0.0.1",
        "std::vector a::b 12:30:45",
        "00:00:00:00:00:00",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5 Bc1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
        "sk-some-long-name-of-a-style-sheet-class",
        "eyJub3QganNvbg.eyJhIjoxfQ.c2ln",
        "password: required, token: string, api_key=your_api_key_here, secret = <your-secret>",
        "https://example.com/a:b@c and http://localhost:8080/",
        "postgres://app:${PASSWORD}@db",
        "@decorator and a@b and git@host:repo",
        "commit 3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
    ],
)
def test_it_passes_over(text: str) -> None:
    assert find(text, DETECTORS.values()) == []


HOSTILE = (
    *(
        "a",
        "1",
        "1 ",
        "0 1",
        "1-",
        "0-",
        "+1",
        "(0",
        "1a",
        "é",
        "\n",
        "-",
        "_",
        "=",
        "/",
        ":",
        "a:",
        "1:",
        "1.",
    ),
    *(
        "a@",
        "a.",
        "A1",
        "::1",
        "00:",
        "00-",
        "a-",
        "x_",
        "pwd_",
        "password=",
        "password ",
        "password=a1B2c3d4 ",
    ),
    *(
        "a://",
        "a://b:",
        "a://b:c@",
        "a://b:c@d ",
        "eyJ",
        "eyJa.",
        "eyJhbGciOiJIUzI1NiJ9.",
        "AKIA",
        "xoxb-1",
        "sk-a1",
    ),
    *(
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\n" + "A" * 30,
        "-----BEGIN A A A PRIVATE KEY-----\nA: ",
    ),
    *(
        "DE12",
        "DE12 ",
        "DE12 3704 0044 ",
        "bc1",
        "bc1q",
        "AB 12 ",
        "12 345 678 901 ",
        "NHS ",
        "4111 1111 1111 1112 ",
    ),
)


@pytest.mark.parametrize("name", DETECTORS)
def test_hostile_texts_take_time_in_proportion_to_their_length(name: str) -> None:
    """20 µs a character is ten times what the slowest takes; a pattern that backtracks would take hours."""
    length = 40_000
    for seed in HOSTILE:
        text = (seed * (length // len(seed) + 1))[:length]
        started = time.process_time()
        list(DETECTORS[name].spans(text))
        assert time.process_time() - started < 20e-6 * length, seed


@given(st.text(alphabet=st.sampled_from("0123456789 -+./:()aAbBcDeEfFxX@=_\n"), max_size=200))
def test_finds_are_apart_and_in_order_and_pass_their_check(text: str) -> None:
    finds = find(text, DETECTORS.values())
    assert all(0 <= f.start < f.end <= len(text) for f in finds)
    assert all(a.end <= b.start for a, b in pairwise(finds))


_CHECKED = [d for d in DETECTORS.values() if d.check]


@given(
    st.lists(
        st.sampled_from([expected for _, _, expected in FOUND])
        | st.text(string.digits + string.ascii_letters + " -:.", max_size=30),
        max_size=6,
    ).map(" ".join)
)
def test_nothing_that_fails_its_checksum_is_found(text: str) -> None:
    for detector in _CHECKED:
        assert all(detector.check(text[a:b]) for a, b in detector.spans(text))


@given(st.sampled_from(["card", "iban", "uk-nhs", "german-tax-id"]), st.data())
def test_a_wrong_digit_makes_a_number_unknown(kind: str, data: st.DataObject) -> None:
    number = data.draw(st.sampled_from([e for k, t, e in FOUND if k == kind and t == e]), "number")
    places = [i for i, c in enumerate(number) if c.isdigit()]
    at = data.draw(st.sampled_from(places), "place")
    digit = data.draw(st.sampled_from(string.digits.replace(number[at], "")), "digit")
    wrong = number[:at] + digit + number[at + 1 :]
    assert all(f.kind != kind or (f.start, f.end) != (0, len(wrong)) for f in find(wrong, DETECTORS.values()))


def test_of_overlapping_finds_the_longest_names_both() -> None:
    assert merge([Find(0, 5, "a"), Find(3, 9, "b"), Find(9, 10, "c")]) == [Find(0, 9, "b"), Find(9, 10, "c")]
    assert merge([Find(0, 5, "a"), Find(0, 5, "b")]) == [Find(0, 5, "a")]
    assert merge([]) == []


def test_a_group_names_its_detectors_in_the_order_of_the_table() -> None:
    assert [d.name for d in named(["national-ids", "email"])] == [
        "us-ssn",
        "uk-nhs",
        "uk-nino",
        "german-tax-id",
        "email",
    ]
    with pytest.raises(KeyError, match="passport"):
        named(["email", "passport"])


def test_the_checks_take_any_text() -> None:
    """Their patterns hold most of it back; what is left must not stop a scorer."""
    for text in ("", "0", "٣" * 16, "１２３４５６７８９０１"):
        for check in (checksums.luhn, checksums.nhs, checksums.german_tax_id, checksums.phone, checksums.jwt):
            assert check(text) in (True, False)


def test_no_pattern_is_open_to_unbounded_repetition() -> None:
    """Every `*` and `+` in the table is possessive: it gives nothing back."""
    for detector in DETECTORS.values():
        bare = re.sub(r"\\.|\[(?:\\.|[^\]\\])*\]|\(\?", "", detector.pattern.pattern)
        assert not re.search(r"[*+](?!\+)(?<![*+}]\+)", bare), detector.name
