"""`parlant-local agent` and `parlant-local demo`: a real Parlant server on a local model."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import TextIO

import click

from parlant_local.cli.printing import without_codes
from parlant_local.errors import ConfigurationError

__all__ = ["agent", "demo"]

_MODEL = click.option(
    "--model",
    "-m",
    metavar="MODEL",
    help="A GGUF path, a catalogue id or a reference (default: the best available model, else the bundled tiny one).",
)
_CONFIG = click.option("--config", metavar="FILE", help="Settings file (YAML or TOML).")
_STOPPING = "Stopping … Ctrl-C again ends it at once."
_VERBOSE = click.option("--verbose", "-v", is_flag=True, help="Show all that Parlant prints and logs.")


@click.command()
@_MODEL
@_CONFIG
@_VERBOSE
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", "-p", default=8800, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
def agent(model: str | None, config: str | None, verbose: bool, host: str, port: int) -> None:
    """Run a Parlant server with a demonstration agent and Parlant's chat page; Ctrl-C stops it."""
    _require_parlant()
    from parlant_local.agent.interruption import until_interrupted
    from parlant_local.agent.keep import keep_agent
    from parlant_local.settings import Settings

    settings = Settings.load(config, model=model)
    with contextlib.suppress(KeyboardInterrupt):
        say, note = _printer(sys.stdout), _printer(sys.stderr)
        kept = keep_agent(settings, host=host, port=port, say=say, note=note, verbose=verbose)
        asyncio.run(until_interrupted(kept, stopping=lambda: note(_STOPPING)))
    click.echo("Stopped.")


@click.command()
@_MODEL
@_CONFIG
@_VERBOSE
def demo(model: str | None, config: str | None, verbose: bool) -> None:
    """Ask the model three questions, run a short conversation with a Parlant agent on it, print both and exit."""
    _require_parlant()
    from parlant_local.agent.demo import run_demo
    from parlant_local.agent.interruption import until_interrupted
    from parlant_local.settings import Settings

    settings = Settings.load(config, model=model)
    note = _printer(sys.stderr)
    demonstration = run_demo(settings, say=_printer(sys.stdout), note=note, verbose=verbose)
    if asyncio.run(until_interrupted(demonstration, stopping=lambda: note(_STOPPING))):
        raise click.exceptions.Abort


def _printer(stream: TextIO) -> Callable[[str], None]:
    """Prints to ``stream`` even while Parlant's output takes its place."""
    tty = stream.isatty()
    return lambda text: click.echo(without_codes(text) if tty else text, file=stream)


def _require_parlant() -> None:
    if find_spec("parlant") is None or find_spec("parlant.core") is None:
        raise ConfigurationError("This command needs Parlant.", hint="Install it: pip install 'parlant-local[parlant]'")
