"""Up to where a purge deletes."""

from streams.dead_letters import (
    Place,
    Wanted,
    purge_of,
)
from tests.streams.dead_letters.letters import letter


def test_a_purge_deletes_up_to_the_last_letter_that_goes() -> None:
    letters = [
        letter(b"", at=Place(p, o), tenant=t)
        for p, o, t in [(0, 3, "a"), (0, 4, "b"), (0, 6, "a"), (0, 7, "b"), (1, 0, "b"), (2, 9, "a")]
    ]
    planned = purge_of(letters, Wanted(tenant="a"))
    assert [str(one.place) for one in planned.removed] == ["0:3", "0:6", "2:9"]
    assert (planned.begins, planned.ends) == ({0: 3, 2: 9}, {0: 7, 2: 10})
