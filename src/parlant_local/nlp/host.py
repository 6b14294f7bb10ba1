"""The host's collaborators for its NLP classes, and errors in the form that it displays."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, get_type_hints

from lagom import Container
from lagom.exceptions import UnresolvableType
from parlant.core.loggers import Logger as HostLogger
from parlant.core.loggers import LogLevel
from parlant.core.meter import LocalMeter, Meter
from parlant.core.tracer import LocalTracer, Tracer

from parlant_local.errors import ParlantLocalError
from parlant_local.observability import FallbackConsole, Logger, TeeLogger, log_to_standard, redact

__all__ = ["Host", "as_host_logger", "configuration_error"]


class _AdaptedLogger(TeeLogger, HostLogger):
    """Any logger with debug/info/warning/error, with the interface that the host's classes use."""

    def set_level(self, log_level: LogLevel) -> None:
        """The wrapped logger keeps its own level."""

    def trace(self, message: str) -> None:
        """Dropped: prompts and completions contain customers' messages."""

    def debug(self, message: str) -> None:
        super().debug(redact(message))

    def info(self, message: str) -> None:
        super().info(redact(message))

    def warning(self, message: str) -> None:
        super().warning(redact(message))

    def error(self, message: str) -> None:
        super().error(redact(message))

    def critical(self, message: str) -> None:
        self.error(message)

    @contextmanager
    def scope(self, scope_id: str) -> Iterator[None]:  # noqa: ARG002  # the host passes it by name or place
        yield


class _ForwardingHostLogger(TeeLogger, HostLogger):
    """The host's own logger, also forwarded to the standard library's."""

    def __init__(self, logger: HostLogger) -> None:
        super().__init__(logger)
        self._host = logger

    def set_level(self, log_level: LogLevel) -> None:
        self._host.set_level(log_level)

    def trace(self, message: str) -> None:
        """To the host's logger only: prompts and completions contain customers' messages."""
        self._host.trace(message)

    def critical(self, message: str) -> None:
        log_to_standard("critical", message)
        self._host.critical(message)

    @contextmanager
    def scope(self, scope_id: str) -> Iterator[None]:
        with self._host.scope(scope_id):
            yield


def as_host_logger(logger: Logger | HostLogger | None) -> HostLogger:
    """``logger`` with the host's interface, also forwarded to the standard library's ``parlant_local``."""
    if isinstance(logger, HostLogger):
        return logger if isinstance(logger, TeeLogger) else _ForwardingHostLogger(logger)
    return _AdaptedLogger(logger or FallbackConsole("info"))


class _NullCollaborator:
    """A null object for a collaborator that a newer host requires and that was not given."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_arguments, **_named: None


class Host:
    """The host's collaborators, and the constructor arguments its base classes want in this release."""

    def __init__(
        self,
        *,
        logger: Logger | HostLogger | None = None,
        tracer: Tracer | None = None,
        meter: Meter | None = None,
        container: Container | None = None,
    ) -> None:
        self.container = container
        if container is not None:
            logger = logger or container[HostLogger]  # type: ignore[type-abstract]  # lagom resolves interfaces
            tracer = tracer or container[Tracer]  # type: ignore[type-abstract]  # as above
            meter = meter or container[Meter]  # type: ignore[type-abstract]  # as above
        self.logger = as_host_logger(logger)
        self.tracer = tracer or LocalTracer()
        self.meter = meter or LocalMeter(self.logger)

    def arguments_for(self, base: type, **given: object) -> dict[str, Any]:
        """Keyword arguments for ``base.__init__``, chosen by what it takes.

        Releases differ: 3.2 and 3.3 take a logger, a tracer and a meter, later ones a health reporter too. What is
        neither given nor known here is looked up in the container by its annotation.
        """
        known: dict[str, object] = {"logger": self.logger, "tracer": self.tracer, "meter": self.meter, **given}
        chosen: dict[str, Any] = {}
        hints: dict[str, Any] | None = None
        for name, parameter in inspect.signature(base.__init__).parameters.items():  # type: ignore[misc]  # of the class given, not of a subclass
            if name == "self" or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            if name in known:
                chosen[name] = known[name]
            elif parameter.default is parameter.empty:
                if hints is None:
                    hints = get_type_hints(base.__init__)  # type: ignore[misc]  # as above
                chosen[name] = self._resolve(hints.get(name))
        return chosen

    def _resolve(self, wanted: Any) -> Any:
        if self.container is not None and isinstance(wanted, type):
            with suppress(UnresolvableType):  # a container with less in it than the host's own
                return self.container[wanted]
        return _NullCollaborator()

    def session_id(self, prompt: Any) -> str | None:
        """The conversation a call belongs to: from the host's trace, else from the prompt."""
        found = self.tracer.get_attribute("session_id")
        if isinstance(found, str) and found:
            return found
        for section in getattr(prompt, "sections", {}).values():
            if isinstance(found := section.props.get("session_id"), str) and found:
                return found
        return None


def configuration_error(error: ParlantLocalError) -> Exception:
    """``error`` as the host displays it: a framed panel and exit code 1 instead of a traceback.

    The host's class lives in a module that takes two seconds to import, and whoever did not import it can't catch it.
    """
    sdk = sys.modules.get("parlant.sdk")
    if sdk is None:
        return error
    wrapped: Exception = sdk.NLPServiceConfigurationError(redact(str(error)))
    wrapped.__cause__ = error
    return wrapped
