"""`parlant-local agent` and `parlant-local demo`: a real Parlant server on a local model."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from importlib.util import find_spec

import click

from parlant_local.cli.printing import show_text
from parlant_local.errors import ConfigurationError

__all__ = ["agent", "demo"]

_MODEL = click.option(
    "--model",
    "-m",
    metavar="MODEL",
    help="A GGUF path, a catalogue id or a reference (default: the best available model, else the bundled tiny one).",
)
_CONFIG = click.option("--config", metavar="FILE", help="Settings file (YAML or TOML).")


@click.command()
@_MODEL
@_CONFIG
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", "-p", default=8800, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
def agent(model: str | None, config: str | None, host: str, port: int) -> None:
    """Run a Parlant server with a demonstration agent and Parlant's chat page; Ctrl-C stops it."""
    _require_parlant()
    from parlant_local.agent.interruption import until_interrupted
    from parlant_local.agent.keep import keep_agent
    from parlant_local.settings import Settings

    settings = Settings.load(config, model=model)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(until_interrupted(keep_agent(settings, host=host, port=port, say=show_text)))
    click.echo("Stopped.")


@click.command()
@_MODEL
@_CONFIG
def demo(model: str | None, config: str | None) -> None:
    """Ask the model three questions, run a short conversation with a Parlant agent on it, print both and exit."""
    _require_parlant()
    from parlant_local.agent.demo import run_demo
    from parlant_local.agent.interruption import until_interrupted
    from parlant_local.settings import Settings

    settings = Settings.load(config, model=model)
    demonstration = run_demo(settings, say=show_text, note=partial(show_text, err=True))
    if asyncio.run(until_interrupted(demonstration)):
        raise click.exceptions.Abort


def _require_parlant() -> None:
    if find_spec("parlant") is None or find_spec("parlant.core") is None:
        raise ConfigurationError("This command needs Parlant.", hint="Install it: pip install 'parlant-local[parlant]'")
