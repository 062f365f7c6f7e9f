"""The book of reviews where its broker is away."""

import gc
import warnings

import pytest
from aiokafka.errors import KafkaConnectionError

from streams.reviews import KafkaReviewBook


async def test_a_book_that_cannot_start_leaves_nothing_open() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        book = KafkaReviewBook("127.0.0.1:1", "")
        with pytest.raises(KafkaConnectionError):
            await book.start()
        del book
        gc.collect()
    assert not [one for one in said if issubclass(one.category, ResourceWarning)]
