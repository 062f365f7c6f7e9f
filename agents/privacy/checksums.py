"""Checks that tell a real number from digits that only look like one. All take the text as it was found."""

import base64
import binascii
import hashlib
import ipaddress
import json
import math
import re
from collections import Counter

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_ENDS = (1, 0x2BC830A3)
"""What the polynomial leaves for bech32 (BIP 173) and bech32m (BIP 350)."""
_BITCOIN_VERSIONS = (0, 5)
"""Addresses of public keys and of scripts, on the main network."""


def digits_of(text: str) -> list[int]:
    """Its digits, without what separates them."""
    return [int(c) for c in text if c.isdecimal()]


def luhn(text: str) -> bool:
    """Whether the digits pass the check that payment card numbers carry (ISO/IEC 7812-1, annex B)."""
    digits = digits_of(text)
    doubled = [d * 2 - 9 if d > 4 else d * 2 for d in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def card(text: str) -> bool:
    """A number that some issuer of payment cards could have given, with its check digit."""
    digits = digits_of(text)
    return 13 <= len(digits) <= 19 and digits[0] in (2, 3, 4, 5, 6) and luhn(text)


def iban(text: str) -> bool:
    """The remainder by 97 is 1 (ISO 13616, ISO 7064 MOD 97-10)."""
    plain = "".join(text.split()).upper()
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def nhs(text: str) -> bool:
    """A number of the National Health Service: weights 10 to 2, modulo 11."""
    digits = digits_of(text)
    check = -sum(d * weight for d, weight in zip(digits, range(10, 1, -1), strict=False)) % 11
    return len(digits) == 10 and check == digits[9]


def german_tax_id(text: str) -> bool:
    """Eleven digits of which one stands two or three times in the first ten, and ISO 7064 MOD 11,10."""
    digits = digits_of(text)
    repeated = sorted(n for n in Counter(digits[:10]).values() if n > 1)
    product = 10
    for digit in digits[:10]:
        product = ((digit + product) % 10 or 10) * 2 % 11
    return len(digits) == 11 and repeated in ([2], [3]) and (11 - product) % 10 == digits[10]


def base58check(text: str) -> bool:
    """A Bitcoin address in base 58: version, hash, and four bytes of its double SHA-256."""
    number = 0
    for character in text:
        number = number * 58 + _BASE58.index(character)
    if number >= 1 << 200:
        return False
    raw = number.to_bytes(25, "big")
    zeros = len(raw) - len(raw.lstrip(b"\0"))
    if raw[0] not in _BITCOIN_VERSIONS or zeros != len(text) - len(text.lstrip("1")):
        return False
    return hashlib.sha256(hashlib.sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]


def bech32(text: str) -> bool:
    """A Bitcoin address in base 32, by either version of its checksum."""
    if text not in (text.lower(), text.upper()):
        return False
    prefix, _, data = text.lower().rpartition("1")
    values = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    left = 1
    for value in [*values, *(_BECH32.index(c) for c in data)]:
        top = left >> 25
        left = (left & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_BECH32_GENERATORS):
            left ^= generator if top >> bit & 1 else 0
    return left in _BECH32_ENDS


def bitcoin(text: str) -> bool:
    """An address of either form."""
    return bech32(text) if text[:3].lower() == "bc1" else base58check(text)


def ip_address(text: str) -> bool:
    """An address that can be somebody's: not the loopback, not the unspecified one.

    An IPv6 address must begin with three hexadecimal digits, or `a::b` in a program would be one.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    begins = address.version == 4 or len(text.partition(":")[0]) >= 3
    return begins and not (address.is_loopback or address.is_unspecified)


def hardware_address(text: str) -> bool:
    """Not all zeros and not the address of everybody."""
    return len(set(re.sub(r"[:.-]", "", text.lower()))) > 1


def phone(text: str) -> bool:
    """As many digits as numbers have; a signed decimal number is none, and eight digits after a 0 are a date."""
    count = len(digits_of(text))
    if text.startswith("+"):
        return 8 <= count <= 15 and not re.fullmatch(r"\+\d+\.\d+", text)
    return 9 <= count <= 12


def jwt(text: str) -> bool:
    """Its header decodes to a JSON object that names an algorithm."""
    header = text.partition(".")[0]
    try:
        decoded = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return False
    return isinstance(decoded, dict) and "alg" in decoded


def entropy(text: str) -> float:
    """Bits a character, from how often each stands in the text."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def random_looking(text: str) -> bool:
    """A key rather than words joined by hyphens: 3.5 bits a character, digits among letters."""
    return entropy(text) >= 3.5 and any(c.isdigit() for c in text) and any(c.isalpha() for c in text)


def guarded_value(text: str) -> bool:
    """A value that somebody would keep secret, not the name of a type or a place to fill in.

    2.5 bits a character, and a digit or a capital letter inside: `required` and `your_api_key` are neither.
    """
    mixed = any(c.islower() for c in text) and any(c.isupper() for c in text[1:])
    return entropy(text) >= 2.5 and (mixed or any(c.isdigit() for c in text))
