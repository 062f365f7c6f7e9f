"""Naive Faust with the hops of Sluicegate's stages: requests, contexts, drafts, responses, an agent between each two.

    python -m benchmarks.peers.faust_hops

The topics between are `BENCH_HOP1` and `BENCH_HOP2`. What travels on them is what the next agent needs: the request,
and then with it the answer. The cache is looked into by the first agent, as Sluicegate's retrieval does; a hit goes
the whole way all the same.
"""

import tempfile
from typing import Any

from benchmarks.peers import common
from benchmarks.peers.faust_agent import connected, main_of, new_app, raw_topic


def _new_app(settings: common.Settings, datadir: str) -> Any:
    app = new_app(settings, datadir)
    requests, contexts, drafts = (
        raw_topic(app, name) for name in (settings.requests, settings.contexts, settings.drafts)
    )
    responses, moderation, costs = (
        raw_topic(app, name) for name in (settings.responses, settings.moderation, settings.costs)
    )
    asking = connected(app, settings)

    @app.agent(requests)  # type: ignore[untyped-decorator]  # faust is untyped
    async def retrieve(stream: Any) -> None:
        async for value in stream:
            request = common.read(value)
            kept = await asking[0].kept(request)
            context = {"request": request, "answer": kept}
            await contexts.send(key=request["id"].encode(), value=common.write(context))

    @app.agent(contexts)  # type: ignore[untyped-decorator]
    async def generate(stream: Any) -> None:
        async for value in stream:
            draft = common.read(value)
            request = draft["request"]
            if draft["answer"] is None:
                draft["answer"] = await asking[0].asked(request)
            await drafts.send(key=request["id"].encode(), value=common.write(draft))

    @app.agent(drafts)  # type: ignore[untyped-decorator]
    async def judge(stream: Any) -> None:
        async for value in stream:
            draft = common.read(value)
            events = common.finished(draft["request"], common.Answer(*draft["answer"]))
            await responses.send(key=events.key, value=events.response)
            await moderation.send(key=events.key, value=events.moderation)
            await costs.send(key=events.key, value=events.cost)

    return app


def main() -> None:
    """The command line."""
    with tempfile.TemporaryDirectory() as datadir:
        main_of(_new_app(common.settings(), datadir))


if __name__ == "__main__":
    main()
