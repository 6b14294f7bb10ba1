"""The verbs ps and stop: running servers, and the models they have loaded."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import click

from parlant_local.cli.printing import counted, emit_json, say
from parlant_local.cli.records import duration_of
from parlant_local.cli.servers import ServerClient, clients_of
from parlant_local.errors import (
    BackendError,
    BadRequestError,
    DeadlineExceededError,
    ModelNotFoundError,
    ParlantLocalError,
)
from parlant_local.observability import ConsoleLogger
from parlant_local.settings import Settings

__all__ = ["ps", "stop"]

_LOGGER = ConsoleLogger("warning")
_GRACE_SECONDS = 10.0

_ADDRESS = click.option(
    "--address", metavar="HOST:PORT", help="Only this server, on loopback; it may be another home's."
)
_CONFIG = click.option("--config", metavar="FILE", help="Settings file (YAML or TOML).")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print data as JSON.")


@click.command()
@_ADDRESS
@_CONFIG
@_JSON
def ps(address: str | None, config: str | None, as_json: bool) -> None:
    """Show the servers that run on this machine and the models they have loaded: memory, requests, since when.

    Servers that `parlant-local serve` started with this home (PARLANT_LOCAL_HOME) are known; --address asks another one.
    """
    settings = Settings.load(config)
    found = [_told(client) for client in clients_of(settings, _LOGGER, address)]
    if as_json:
        emit_json({"servers": found})
    elif not found:
        say("No server is running. `parlant-local serve` starts one.")
    else:
        for server in found:
            _print(server)
    if address is not None and "problem" in found[0]:
        raise click.exceptions.Exit(1)


def _told(client: ServerClient) -> dict[str, Any]:
    """What a server says of itself; ``problem`` where it says nothing."""
    told: dict[str, Any] = {"address": client.address}
    if client.record is not None:
        told |= {key: value for key, value in asdict(client.record).items() if key != "process_started"}
        if not client.record.local:
            return told | {"problem": "it listens on an address of the network only, and is asked on loopback only"}
    try:
        status = client.status()
    except BackendError as error:
        return told | {"problem": str(error)}
    models = status.get("models")
    return told | {
        "status": status.get("status"),
        "version": status.get("version"),
        "uptime_seconds": status.get("uptime_seconds"),
        "requests_running": status.get("requests_running"),
        "models": models if isinstance(models, dict) else {},
    }


def _print(server: dict[str, Any]) -> None:
    from parlant_local.catalog.disk import human_bytes

    pid = f" (process {server['pid']})" if "pid" in server else ""
    if "problem" in server:
        say(f"{server['address']}{pid}: {server['problem']}")
        return
    since = duration_of(server["uptime_seconds"] or 0)
    busy = counted(server["requests_running"] or 0, "request")
    say(f"{server['address']}{pid}: {server['status']}, up {since}, {busy} now")
    models: dict[str, Any] = server["models"]
    if not models:
        say("  No model is loaded; the next request loads one.")
        return
    width = max(map(len, models))
    say(f"  {'MODEL':<{width}}  {'STATE':<9} {'MEMORY':>9} {'LOADED':>9} {'IDLE':>9} {'NOW':>5} {'DONE':>6}")
    for name, model in models.items():
        engine = model.get("engine") or {}
        say(
            f"  {name:<{width}}  {model['state']:<9} {human_bytes(model['size']):>9} "
            f"{duration_of(model.get('loaded_seconds')):>9} {duration_of(model['idle_seconds']):>9} "
            f"{engine.get('running', 0) + engine.get('waiting', 0):>5} {engine.get('finished', 0):>6}"
        )


@click.command()
@click.argument("model", required=False)
@click.option("--server", "end_server", is_flag=True, help="End the server itself; requests in progress may finish.")
@_ADDRESS
@_CONFIG
def stop(model: str | None, end_server: bool, address: str | None, config: str | None) -> None:
    """Unload MODEL from the running servers, which frees its memory, or end a server with --server.

    A model that is answering is not unloaded. The next request for it loads it again.
    """
    if (model is None) != end_server:
        raise click.UsageError("Give a MODEL, or --server to end the server itself.")
    settings = Settings.load(config)
    clients = clients_of(settings, _LOGGER, address)
    if not clients:
        raise BadRequestError("No server is running.", hint="`parlant-local ps` shows the servers of this home.")
    if model is None:
        _end(clients, settings.server.shutdown_seconds + _GRACE_SECONDS)
    else:
        _unload(clients, model)


def _unload(clients: list[ServerClient], model: str) -> None:
    unloaded = False
    problems: list[ParlantLocalError] = []
    for client in clients:
        try:
            if client.unload(model):
                unloaded = True
                say(f"{model} is unloaded from {client.address}.")
        except ParlantLocalError as error:
            problems.append(error)
    if problems and not unloaded:
        raise problems[0]
    if not unloaded:
        raise ModelNotFoundError(f"{model} is not loaded.", hint="`parlant-local ps` shows what is.")


def _end(clients: list[ServerClient], seconds: float) -> None:
    import psutil

    if len(clients) > 1:
        listed = ", ".join(client.address for client in clients)
        raise BadRequestError(f"Several servers are running: {listed}.", hint="Name one with --address.")
    [client] = clients
    process = client.record.process() if client.record is not None else None
    if process is None:
        raise BadRequestError(
            f"The process of the server at {client.address} is not known.",
            hint="Only servers that `parlant-local serve` started with this home can be ended.",
        )
    began = time.monotonic()
    try:
        process.terminate()
        process.wait(seconds)
    except psutil.NoSuchProcess:
        pass
    except psutil.AccessDenied:
        raise BadRequestError(f"Process {process.pid} belongs to another user.", hint="End it as that user.") from None
    except psutil.TimeoutExpired:
        raise DeadlineExceededError(
            f"The server at {client.address} (process {process.pid}) has not ended within {seconds:g} s.",
            hint="server.shutdown_seconds says how long its requests may take.",
        ) from None
    say(f"The server at {client.address} has ended after {time.monotonic() - began:.1f} s.")
