"""Finds the `[number]` marks in an answer and resolves them to passages."""

import re
from collections.abc import Sequence

from schemas.common import Citation, Passage

_CODE = re.compile(r"```.*?(?:```|\Z)|(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_MARK = re.compile(r"\[\s*([0-9]{1,3}(?:\s*[,;–-]\s*[0-9]{1,3})*)\s*\]")
_PIECE = re.compile(r"([0-9]+)(?:\s*[–-]\s*([0-9]+))?")


def cited_numbers(answer: str) -> list[int]:
    """The numbers cited, each once, in order of appearance. `[1]`, `[1][2]`, `[1, 2]` and `[1-3]` are read.

    Marks inside code are not citations, nor is `[0]`, nor what has four digits or more (`[2024]` is a year).
    """
    if "[" not in answer:
        return []
    found: dict[int, None] = {}
    for mark in _MARK.finditer(_CODE.sub(lambda code: " " * len(code[0]), answer)):
        for first, last in _PIECE.findall(mark[1]):
            found.update(dict.fromkeys(range(int(first), int(last or first) + 1)))
    found.pop(0, None)
    return list(found)


def find_citations(answer: str, passages: Sequence[Passage]) -> tuple[tuple[Citation, ...], tuple[int, ...]]:
    """The citations of `passages` (number 1 is the first), and the numbers that name no passage."""
    numbers = cited_numbers(answer)
    known = tuple(_citation(n, passages[n - 1]) for n in numbers if n <= len(passages))
    return known, tuple(n for n in numbers if n > len(passages))


def _citation(number: int, passage: Passage) -> Citation:
    return Citation(
        number=number,
        passage_id=passage.id,
        source=passage.source,
        text=passage.text,
        start=passage.start,
        end=passage.end,
        headings=passage.headings,
    )
