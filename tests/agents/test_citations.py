"""Which marks in an answer are citations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.citations import cited_numbers, find_citations
from schemas.common import Passage

PASSAGES = [
    Passage(id=f"p{n}", text=f"text {n}", source=f"{n}.md", start=n, end=n + 6, headings=("H",))
    for n in (1, 2)
]


@pytest.mark.parametrize(
    ("answer", "numbers"),
    [
        ("Yes [1].", [1]),
        ("Yes [2][1] and again [2].", [2, 1]),
        ("Yes [1, 2] or [3; 4].", [1, 2, 3, 4]),
        ("Yes [1-3] and [5–6].", [1, 2, 3, 5, 6]),
        ("Use `list[0]` and `a[1]` and [0].", []),
        ("```python\na[1]\n```\nso [2]", [2]),
        ("``x `[1]` y`` [2]", [2]),
        ("An open fence ```\na[1]", []),
        ("In [2024] and [a] and [] and [-1] and 1].", []),
        ("No marks at all", []),
        ("[3-1] is no range", []),
    ],
)
def test_marks_are_found(answer: str, numbers: list[int]) -> None:
    assert cited_numbers(answer) == numbers


def test_a_number_without_a_passage_is_unknown() -> None:
    known, unknown = find_citations("A [1], B [7], C [2].", PASSAGES)
    assert [(c.number, c.passage_id, c.source, c.start) for c in known] == [
        (1, "p1", "1.md", 1),
        (2, "p2", "2.md", 2),
    ]
    assert unknown == (7,)


@given(st.text(alphabet=st.sampled_from(list("[]`0123456789,;-– a\n")), max_size=200))
def test_any_text_is_read_and_every_known_number_has_its_passage(answer: str) -> None:
    known, unknown = find_citations(answer, PASSAGES)
    assert all(PASSAGES[c.number - 1].id == c.passage_id for c in known)
    assert all(n > len(PASSAGES) for n in unknown)
