"""The store that other tests use behaves like the real one."""

import pytest

from tests.agents.stage_fakes import FakeStore
from tests.conformance.store import LEASE_S, RequestStoreContract


class TestFakeStore(RequestStoreContract):
    @pytest.fixture
    def store(self) -> FakeStore:
        return FakeStore(lease_s=LEASE_S)
