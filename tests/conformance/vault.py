"""What every Vault does: keep under tenant and request, give back to who asks by both, forget when told."""

from agents.ports import Kept, Vault
from agents.redaction import Redacted
from tests.agents.stage_fakes import request

ONE = Redacted(("Ask [REDACTED:email:1].",), {"email": 1}, {"[REDACTED:email:1]": "ann@example.org"})
OTHER = Redacted(("Write [REDACTED:email:1].",), {"email": 1}, {"[REDACTED:email:1]": "bob@example.org"})


class VaultContract:
    """Subclass it with a fixture `vault`; requests of each test are its own."""

    async def test_what_is_kept_comes_back(self, vault: Vault) -> None:
        assert await vault.keep(request(), ONE)
        assert await vault.recall("default", "r1") == [Kept(ONE.text, ONE.values)]

    async def test_the_same_text_again_is_kept_once(self, vault: Vault) -> None:
        await vault.keep(request(), ONE)
        await vault.keep(request(), ONE)
        assert await vault.recall("default", "r1") == [Kept(ONE.text, ONE.values)]

    async def test_two_texts_of_a_request_are_told_apart(self, vault: Vault) -> None:
        """Two people may edit a held answer at once: the values must be those of the text that left."""
        await vault.keep(request(), ONE)
        await vault.keep(request(), OTHER)
        kept = {one.text: one.values for one in await vault.recall("default", "r1")}
        assert kept == {ONE.text: ONE.values, OTHER.text: OTHER.values}

    async def test_tenants_requests_and_replays_are_apart(self, vault: Vault) -> None:
        await vault.keep(request(tenant="acme", replay=1), ONE)
        assert await vault.recall("acme", "r1", 1) == [Kept(ONE.text, ONE.values)]
        for tenant, name, replay in (("acme", "r1", 0), ("other", "r1", 1), ("acme", "r2", 1)):
            assert await vault.recall(tenant, name, replay) == []

    async def test_what_is_forgotten_is_gone(self, vault: Vault) -> None:
        await vault.keep(request(), ONE)
        assert await vault.forget("default", "r1")
        assert await vault.recall("default", "r1") == []
        assert not await vault.forget("default", "r1")
