"""What every RequestStore does: ids once, one claim at a time, one outcome, one verdict."""

import asyncio

from msgspec.structs import replace

from agents.outcomes import internal_error
from agents.ports import Claim, Held, RequestStore, Settled
from schemas.common import Event
from tests.agents.stage_fakes import NOW, draft, request

LEASE_S = 1.0


class RequestStoreContract:
    """Subclass it with a fixture `store` whose leases last `LEASE_S`; requests of each test are its own."""

    async def test_an_id_is_known_by_where_it_was_seen_first(self, store: RequestStore) -> None:
        asked = request()
        assert (await store.admit(asked, "t-0-1", None)).first_seen_at is None
        assert (await store.admit(asked, "t-0-1", None)).first_seen_at == "t-0-1"
        assert (await store.admit(asked, "t-0-2", None)).first_seen_at == "t-0-1"
        for other in (replace(asked, tenant="other"), replace(asked, id="r2"), replace(asked, replay=1)):
            assert (await store.admit(other, "t-0-3", None)).first_seen_at is None

    async def test_one_claim_at_a_time(self, store: RequestStore) -> None:
        context = draft().context
        first = await store.claim(context)
        assert isinstance(first, Claim)
        held = await store.claim(context)
        assert isinstance(held, Held)
        assert 0 < held.wait_s <= LEASE_S
        await store.release(context, first)
        second = await store.claim(context)
        assert isinstance(second, Claim)
        assert second.token > first.token

    async def test_of_many_that_claim_at_once_one_has_it(self, store: RequestStore) -> None:
        context = draft().context
        found = await asyncio.gather(*(store.claim(context) for _ in range(20)))
        assert sum(isinstance(one, Claim) for one in found) == 1

    async def test_what_was_bought_is_found_by_who_comes_later(self, store: RequestStore) -> None:
        answer = draft()
        claim = await store.claim(answer.context)
        assert isinstance(claim, Claim)
        bought: list[Event] = [answer, answer.cost]
        assert await store.settle(answer.context, bought, claim) == Settled(bought)
        assert await store.claim(answer.context) == Settled(bought)

    async def test_the_first_answer_stays(self, store: RequestStore) -> None:
        first, second = draft(), draft("Another answer.")
        await store.settle(first.context, [first], Claim(1))
        assert await store.settle(first.context, [second], Claim(2)) == Settled([first])

    async def test_an_end_without_an_answer_needs_the_latest_claim(self, store: RequestStore) -> None:
        context = draft().context
        mine = await store.claim(context)
        assert isinstance(mine, Claim)
        failed = [internal_error(context.request, "generation", NOW)]
        assert await store.settle(context, failed, Claim(mine.token + 41)) is None
        assert await store.settle(context, failed, mine) == Settled(failed)

    async def test_an_answer_counts_even_from_a_claim_that_was_overtaken(self, store: RequestStore) -> None:
        answer = draft()
        mine = await store.claim(answer.context)
        assert isinstance(mine, Claim)
        assert await store.settle(answer.context, [answer], Claim(mine.token + 41)) == Settled([answer])

    async def test_what_ended_before_a_model_was_asked_is_told_at_the_next_reading(
        self, store: RequestStore
    ) -> None:
        asked = request()
        ended = [internal_error(asked, "retrieval", NOW)]
        await store.admit(asked, "t-0-1", None)
        assert await store.end(asked, ended) == ended
        assert await store.end(asked, [internal_error(asked, "other", NOW)]) == ended
        assert (await store.admit(asked, "t-0-1", None)).outcome == ended
        assert await store.claim(replace(draft().context, request=asked)) == Settled(ended)

    async def test_nobody_ends_what_is_being_paid_for(self, store: RequestStore) -> None:
        answer = draft()
        ended = [internal_error(answer.context.request, "retrieval", NOW)]
        await store.claim(answer.context)
        assert await store.end(answer.context.request, ended) == []
        await store.settle(answer.context, [answer], Claim(1))
        assert await store.end(answer.context.request, ended) == []
        assert (await store.admit(answer.context.request, "t-0-1", None)).outcome is None

    async def test_the_first_verdict_stays_beside_the_outcome(self, store: RequestStore) -> None:
        answer = draft()
        asked = answer.context.request
        await store.settle(answer.context, [answer], Claim(1))
        first, second = internal_error(asked, "scoring", NOW), internal_error(asked, "later", NOW)
        assert await store.conclude(asked, [first]) == [first]
        assert await store.conclude(asked, [second]) == [first]
        assert await store.conclude(asked, [second], step="resolution") == [second]
        assert await store.conclude(asked, [first], step="resolution") == [second]
        assert await store.claim(answer.context) == Settled([answer])

    async def test_a_released_answer_is_found_by_its_key(self, store: RequestStore) -> None:
        asked = request()
        response = internal_error(asked, "scoring", NOW)
        await store.conclude(asked, [response], "key-of-the-question")
        assert (await store.admit(request(id="r2"), "t-0-9", "key-of-the-question")).cached == response
        assert (await store.admit(request(id="r3"), "t-0-9", "another-key")).cached is None
