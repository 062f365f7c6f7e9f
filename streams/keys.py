"""How things are named in Redis."""

from dataclasses import dataclass

from schemas.request import GenerationRequest


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one installation: `prefix` is its topics', `epoch` the cache's."""

    prefix: str
    epoch: int

    @property
    def memory(self) -> str:
        """There as long as Redis was not emptied."""
        return f"sluicegate:{self.prefix}:memory"

    def of(self, request: GenerationRequest) -> str:
        """A request's hash."""
        return self.request(request.tenant, request.id or "", request.replay)

    def request(self, tenant: str, request_id: str, replay: int) -> str:
        """The hash of a request that is only named."""
        replayed = f"~{replay}:" if replay else ""  # no tenant's name begins so
        return f"sluicegate:{self.prefix}:request:{replayed}{tenant}:{request_id}"

    def vault(self, tenant: str, request_id: str, replay: int) -> str:
        """What was redacted from a request's answers."""
        replayed = f"~{replay}:" if replay else ""
        return f"sluicegate:{self.prefix}:vault:{replayed}{tenant}:{request_id}"

    def answer(self, cache_key: str) -> str:
        """A released answer."""
        return f"sluicegate:{self.prefix}:answer:{self.epoch}:{cache_key}"
