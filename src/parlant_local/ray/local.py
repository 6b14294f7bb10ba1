"""A cluster on this machine alone, for as long as this process lives: to try an application as a larger one would run it."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Literal

from parlant_local.catalog import LocalModelManager
from parlant_local.cores import usable_cores
from parlant_local.errors import ParlantLocalError, SettingsError
from parlant_local.ports import own_address
from parlant_local.ray.plans import ModelPlan, plan_models
from parlant_local.server.announcing import announced
from parlant_local.server.auth import Keyring, check_binding, check_key_origin
from parlant_local.server.logs import ServerLogger
from parlant_local.settings import Settings
from parlant_local.stop_signals import STOP_SIGNALS

__all__ = ["serve"]

_OBJECT_STORE = 256 << 20  # calls and answers pass through it: kilobytes each
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on any system: addresses are loopback, as no other machine takes part
    "RAY_AUTH_MODE": "token",  # a cluster runs whatever code it is sent
    "RAY_SERVE_LOG_TO_STDERR": "0",  # its files have it; what our own processes say is shown
    "RAY_DEDUP_LOGS": "0",  # each request's line is as good as the others
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what it will do anyway, and warns of until then
}


def serve(load: Callable[[], Settings]) -> None:
    """Serves what ``load`` says until a signal to stop, and ends every process that it has started. At SIGHUP it asks again, and has
    the replicas replaced whose model or settings are others now.

    Raises what is wrong with the settings or a model before Ray is started, and :class:`SettingsError` where the application does not
    come up.
    """
    settings = load()
    logger = ServerLogger(settings.logging, settings.log_level)
    models = _planned(settings)
    host = settings.server.host.strip("[]")
    port = _free(host, settings.server.port)
    signals = _Signals()
    signals.listen()
    logger.info("Starting Ray on this machine.")
    with _cluster(models):
        signals.listen()  # Ray has taken some of them
        _start(host, port)
        _deploy(settings, models)
        shown = f"[{host}]" if ":" in host else host
        logger.event("info", f"Serving at http://{shown}:{port}", host=host, port=port)
        with announced(settings.home, host, port, logger):
            while signals.wait() == "again":
                _redeploy(load, logger)
        logger.info("Shutting down.")
    logger.info("The server has stopped.")
    logger.close()


def _planned(settings: Settings) -> list[ModelPlan]:
    check_key_origin(settings)
    check_binding(settings.server, Keyring.load(settings.auth))
    manager = LocalModelManager(settings=settings)
    asyncio.run(manager.initialize())
    return plan_models(settings, manager)


def _redeploy(load: Callable[[], Settings], logger: ServerLogger) -> None:
    """A failure leaves what runs as it is."""
    try:
        settings = load()
        models = _planned(settings)
        _deploy(settings, models)
    except ParlantLocalError as error:
        logger.error(f"Nothing was deployed: {error}")
    else:
        logger.event("info", "Deployed again.", models={plan.model: plan.digest[:12] for plan in models})


def _start(host: str, port: int) -> None:
    from ray import serve as ray_serve
    from ray.serve.config import HTTPOptions

    ray_serve.start(http_options=HTTPOptions(host=host, port=port))


def _deploy(settings: Settings, models: list[ModelPlan]) -> None:
    from ray import serve as ray_serve

    from parlant_local.ray.composing import bound

    try:
        ray_serve.run(bound(settings, models))
    except RuntimeError as error:  # which has the traceback of the replica that failed
        reason = str(error).strip().splitlines()[-1]
        raise SettingsError(f"The application did not start: {reason}", hint="The log above says more.") from None


@contextmanager
def _cluster(models: list[ModelPlan]) -> Iterator[None]:
    wanted = sum((plan.replicas.max_replicas or plan.replicas.replicas) * _cores(plan) for plan in models)
    folder = tempfile.mkdtemp(
        prefix="parlant-ray-", dir=None if os.name == "nt" else "/tmp"
    )  # sockets need short paths
    os.environ.update(_ENVIRONMENT, RAY_AUTH_TOKEN=secrets.token_hex(32))
    import ray
    from ray import serve as ray_serve

    try:
        ray.init(
            address="local",
            num_cpus=max(usable_cores(), round(wanted + 0.5)),
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE,
            logging_level=logging.WARNING,
            _temp_dir=folder,
        )
        yield
    finally:
        try:
            if ray.is_initialized():
                ray_serve.shutdown()  # type: ignore[no-untyped-call]  # Ray's
        finally:
            ray.shutdown()
            shutil.rmtree(folder, ignore_errors=True)


def _cores(plan: ModelPlan) -> float:
    return plan.replicas.num_cpus or 0.0


class _Signals:
    """What this process is asked to do. While it starts, and again while it ends, a signal to stop interrupts whatever is being done."""

    def __init__(self) -> None:
        self._heard: queue.SimpleQueue[Literal["stop", "again"]] = queue.SimpleQueue()
        self._patient = False

    def listen(self) -> None:
        for each in STOP_SIGNALS:
            signal.signal(each, self._stop)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, lambda *_: self._heard.put("again"))

    def wait(self) -> Literal["stop", "again"]:
        self._patient = True
        while True:
            with suppress(queue.Empty):
                return self._heard.get(timeout=1.0)  # bounded: on Windows a wait without end hears no signal

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        if not self._patient:
            raise KeyboardInterrupt
        self._patient = False
        self._heard.put("stop")


def _free(host: str, port: int) -> int:
    """``port``, or a free one for 0: Ray's proxy would take 0 for a number. Raises :class:`SettingsError` where it is taken."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            own_address(probe)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except OSError as error:
        raise SettingsError(
            f"The server can't listen on {host}:{port}: {error.strerror or error}.", hint="Choose another --port."
        ) from None
