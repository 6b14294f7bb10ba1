"""The demonstration agent as a server that runs until it is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from parlant_local.agent.expectations import SHIPPED_NOTICE, expectations, said_before
from parlant_local.agent.home import use_home
from parlant_local.agent.host_output import HostOutput
from parlant_local.settings import Settings
from parlant_local.shipped import is_shipped

__all__ = ["keep_agent"]

Say = Callable[[str], None]


async def keep_agent(settings: Settings, *, host: str, port: int, say: Say, note: Say, verbose: bool = False) -> None:
    """Runs the shop's agent with Parlant's chat page until interrupted. ``verbose``: with Parlant's log."""
    from parlant_local.factory import model_backend

    # Parlant reads its home when it is imported, so the model must be known before.
    model_id, _ = model_backend(settings)
    home = use_home(settings, model_id)
    warned = list(expectations(settings, model_id))
    from parlant_local.agent.serving import require_free, running_server
    from parlant_local.agent.shop import create_shop_agent
    from parlant_local.factory import nlp_service

    require_free(host, port)
    for line in warned:
        note(line)
    if is_shipped(model_id):
        note(f"warning: {SHIPPED_NOTICE}")
    say(f"Starting a Parlant server on {model_id} (home: {home}) …")
    factory = partial(nlp_service, settings=settings)
    output = HostOutput(note, verbose=verbose, skip=said_before(model_id, warned))
    async with running_server(factory, create_shop_agent, host=host, port=port, output=output) as server:
        say(f"The agent is at {server.address} (Parlant's own chat page). Press Ctrl-C to stop.")
        await server.serving
