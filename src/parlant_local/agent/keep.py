"""The demonstration agent as a server that runs until it is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from parlant_local.agent.home import use_home
from parlant_local.settings import Settings

__all__ = ["keep_agent"]


async def keep_agent(settings: Settings, *, host: str, port: int, say: Callable[[str], None]) -> None:
    """Runs the shop's agent with Parlant's chat page until interrupted."""
    from parlant_local.factory import model_backend

    # Parlant reads its home when it is imported, so the model must be known before.
    model_id, _ = model_backend(settings)
    home = use_home(settings, model_id)
    from parlant_local.agent.serving import require_free, running_server
    from parlant_local.agent.shop import create_shop_agent
    from parlant_local.factory import nlp_service

    require_free(host, port)
    say(f"Starting a Parlant server on {model_id} (home: {home}) …")
    factory = partial(nlp_service, settings=settings)
    async with running_server(factory, create_shop_agent, host=host, port=port) as server:
        say(f"The agent is at {server.address} (Parlant's own chat page). Press Ctrl-C to stop.")
        await server.serving
