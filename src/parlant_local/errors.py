"""Every failure parlant-local raises on purpose.

The tree (catch at the level you can act on)::

    ParlantLocalError
    ├── ConfigurationError              a setting, argument or installation is wrong
    │   ├── SettingsError               a value in a file, the environment or an argument
    │   ├── PluginError                 an installed package adds something that can't be used
    │   ├── CloudNotAllowedError        a remote target was asked for, but nobody allowed it
    │   ├── CaseFileError               cases for the examination that can't be used, by file and line
    │   └── EmbeddingIdentityError      another embedding model than the one an index was built with
    ├── RequestError                    the call itself has to change, wherever it is sent
    │   ├── BadRequestError             an option, a message or a tool of it is wrong
    │   │   └── UnsupportedCallError    a call that this backend has no way to make
    │   ├── SchemaError                 a schema that can't be compiled, naming the keyword
    │   ├── ContextOverflowError        the prompt can never fit, with figures
    │   └── TextTooLongError            an input text exceeds what the embedding model takes
    ├── RequestRefusedError             this server's own rules turned an HTTP request down
    ├── DeadlineExceededError           the caller's own deadline passed
    ├── CatalogError                    model files: finding, downloading, verifying, keeping them
    │   ├── BadReferenceError           a model reference that can't be read, or means several things
    │   ├── ModelNotFoundError          no such model; names near misses
    │   │   └── NoGGUFError             a repository with its weights in another format only
    │   ├── InvalidModelError           not a GGUF, truncated, corrupt, hostile
    │   ├── ModelInUseError             deleting what is loaded here or in another process
    │   ├── OfflineError                the network would be needed
    │   └── DownloadError
    │       ├── TransferError           connection, stall, wrong size; can be resumed
    │       ├── VerificationError       the bytes are not the ones that were published
    │       ├── DiskSpaceError          not enough room, with figures
    │       ├── AccessError             gated, no token, or no permission
    │       └── HubError                what the hub, registry or daemon answered
    │           └── HubBusyError        it asks to come back later
    ├── EngineError                     running a model in this process
    │   ├── ModelLoadError              llama.cpp could not load the file
    │   │   ├── UnsupportedModelError   an architecture this build does not know
    │   │   └── InsufficientMemoryError the estimate does not fit, with figures
    │   ├── TemplateError               a chat template that fails
    │   │   └── TemplateLimitError      one that was stopped: too long, too large, or without end
    │   ├── QueueFullError              too many requests are waiting
    │   ├── StallError                  no progress for too long
    │   └── EngineClosedError           used after close, or its loading was given up
    │       └── EngineFailedError       a native failure ended it; the next request loads it anew
    ├── StateFileError                  a file of ours that can't be read, written or locked
    ├── OutputError                     a model answered, but not usably
    │   ├── TruncatedOutputError        cut by the token limit before it was whole
    │   └── InvalidOutputError          does not validate against its schema
    ├── BackendError                    a daemon or endpoint that was asked
    │   ├── TransientError              worth another try at the same place
    │   │   └── RateLimitedError        429, with Retry-After where given
    │   ├── TargetDownError             refused, timed out, cut off, loading or out of memory
    │   ├── StreamInterruptedError      cut after the first chunk was delivered
    │   └── AuthenticationError         the key is missing or refused
    ├── SwitchingError                  choosing between targets
    │   ├── NoTargetError               nothing configured can serve the call
    │   ├── BudgetExceededError         the token budget for remote calls is spent
    │   └── AllTargetsFailedError       every target was tried; ``causes`` has each reason
    ├── JobCancelledError               a job of the workshop was ended by who started it
    └── AgentError                      the agent's Parlant server did not start, answer or reply

Messages say what happened and to what; ``hint`` says what to do next. A figure that nobody told is ``None``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

__all__ = [
    "AccessError",
    "AgentError",
    "AllTargetsFailedError",
    "AuthenticationError",
    "BackendError",
    "BadReferenceError",
    "BadRequestError",
    "BudgetExceededError",
    "CaseFileError",
    "CatalogError",
    "CloudNotAllowedError",
    "ConfigurationError",
    "ContextOverflowError",
    "DeadlineExceededError",
    "DiskSpaceError",
    "DownloadError",
    "EmbeddingIdentityError",
    "EngineClosedError",
    "EngineError",
    "EngineFailedError",
    "HubBusyError",
    "HubError",
    "InsufficientMemoryError",
    "InvalidModelError",
    "InvalidOutputError",
    "JobCancelledError",
    "ModelInUseError",
    "ModelLoadError",
    "ModelNotFoundError",
    "NoGGUFError",
    "NoTargetError",
    "OfflineError",
    "OutputError",
    "ParlantLocalError",
    "PluginError",
    "QueueFullError",
    "RateLimitedError",
    "RequestError",
    "RequestRefusedError",
    "SchemaError",
    "SettingsError",
    "StallError",
    "StateFileError",
    "StreamInterruptedError",
    "SwitchingError",
    "TargetDownError",
    "TemplateError",
    "TemplateLimitError",
    "TextTooLongError",
    "TransferError",
    "TransientError",
    "TruncatedOutputError",
    "UnsupportedCallError",
    "UnsupportedModelError",
    "VerificationError",
]


class ParlantLocalError(Exception):
    """Root of the tree.

    ``message`` says what happened and to what; ``hint`` names the next step. ``str()`` gives both on one line.
    """

    retry_after: float | None = None
    """Seconds after which another try makes sense, where somebody said so."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        if message.endswith("..") and not message.endswith("..."):  # it ends with another sentence
            message = message[:-1]
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled with what it carries: errors travel between processes, and most have arguments beside their message."""
        return _unpickled, (type(self), self.args, self.__dict__)


def _unpickled(kind: type[ParlantLocalError], args: tuple[Any, ...], carried: dict[str, Any]) -> ParlantLocalError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(carried)
    return error


class ConfigurationError(ParlantLocalError):
    """A setting, an argument or the installation is wrong; no retry will help."""


class SettingsError(ConfigurationError):
    """A bad value in a settings file, the environment or an argument."""


class PluginError(ConfigurationError):
    """What an installed package adds to parlant-local can't be used."""

    def __init__(self, message: str, *, plugin: str, package: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.plugin = plugin
        """Its name among those of its kind."""
        self.package = package
        """The distribution that brings it, with its version."""


class CloudNotAllowedError(ConfigurationError):
    """A remote target would have been used, but ``allow_cloud`` forbids it."""


class CaseFileError(ConfigurationError):
    """Cases for the examination can't be used; names file, case and line."""


class EmbeddingIdentityError(ConfigurationError):
    """Another embedding model than the pinned one: vectors of two models don't mix."""


class RequestError(ParlantLocalError):
    """The call itself can't be served, wherever it is sent: it has to change."""


class BadRequestError(RequestError):
    """An option, a message or a tool of the call is wrong. ``status`` is the HTTP status of an endpoint that said so."""

    def __init__(self, message: str, *, status: int | None = None, field: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.field = field
        """What is wrong in it, where an endpoint said so."""


class UnsupportedCallError(BadRequestError):
    """A call that this backend has no way to make; another one may."""


class SchemaError(RequestError):
    """A schema or grammar that can't be compiled. ``keyword`` is the part at fault where known."""

    def __init__(self, message: str, *, keyword: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.keyword = keyword


class ContextOverflowError(RequestError):
    """The prompt with its answer can never fit in the context."""

    def __init__(
        self, message: str, *, needed: int | None, available: int | None, prompt: int | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.needed = needed
        """Tokens of the prompt and the answer's allowance."""
        self.available = available
        """Tokens."""
        self.prompt = prompt
        """Tokens of the prompt alone."""


class TextTooLongError(RequestError):
    """An input text is longer than the embedding model takes."""

    def __init__(self, message: str, *, needed: int | None, available: int | None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.needed = needed
        """Tokens; characters where the message counts those."""
        self.available = available
        """Tokens."""


class RequestRefusedError(ParlantLocalError):
    """The server's own rules or limits turned a request down: ``status``, ``code`` and ``param`` as its answer has them."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after = retry_after


class DeadlineExceededError(ParlantLocalError):
    """The deadline that the caller set has passed."""


class StateFileError(ParlantLocalError):
    """A file that holds state can't be read, written or locked. ``reason`` is what is wrong with it."""

    def __init__(self, path: os.PathLike[str] | str, reason: str, *, doing: str = "read", hint: str = "") -> None:
        self.path = os.fspath(path)
        shown = self.path if self.path.isprintable() else self.path.encode("unicode_escape").decode()
        super().__init__(f"{shown} can't be {doing}: {reason}.", hint=hint)
        self.reason = reason


class CatalogError(ParlantLocalError):
    """Finding, downloading, verifying or keeping a model's file failed."""


class BadReferenceError(CatalogError):
    """A model reference that can't be read, or that means several things."""


class ModelNotFoundError(CatalogError):
    """No such model. ``near`` holds ids that look similar."""

    def __init__(self, message: str, *, near: Sequence[str] = (), hint: str = "") -> None:
        if near and not hint:
            hint = "Did you mean " + " or ".join(near) + "?"
        super().__init__(message, hint=hint)
        self.near = tuple(near)


class NoGGUFError(ModelNotFoundError):
    """A repository of weights in another format; ``near`` has GGUF conversions that the hub knows."""

    def __init__(self, message: str, *, repo: str, revision: str | None, near: Sequence[str], hint: str) -> None:
        super().__init__(message, near=near, hint=hint)
        self.repo = repo
        self.revision = revision


class InvalidModelError(CatalogError):
    """Not a GGUF, truncated, corrupt, or hostile."""


class ModelInUseError(CatalogError):
    """The file is loaded here or in another process."""


class OfflineError(CatalogError):
    """Offline mode is on and the network would be needed."""


class DownloadError(CatalogError):
    """A download did not finish; what was fetched is kept unless it was wrong."""


class TransferError(DownloadError):
    """The connection failed, stalled, or sent the wrong number of bytes. Can be resumed."""


class VerificationError(DownloadError):
    """The bytes are not the ones that were published."""


class DiskSpaceError(DownloadError):
    """Not enough room on the disk."""

    def __init__(self, message: str, *, needed: int | None, available: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.needed = needed
        """Bytes."""
        self.available = available
        """Bytes."""


class AccessError(DownloadError):
    """Gated, no token, or a token without permission."""


class HubError(DownloadError):
    """A hub, registry or daemon answered with an error. ``status`` is its HTTP status where there was one."""

    def __init__(self, message: str, *, status: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class HubBusyError(HubError):
    """An answer that is worth waiting for."""

    def __init__(self, message: str, *, status: int, retry_after: float | None, hint: str = "") -> None:
        super().__init__(message, status=status, hint=hint)
        self.retry_after = retry_after


class EngineError(ParlantLocalError):
    """Running a model in this process failed."""


class ModelLoadError(EngineError):
    """llama.cpp could not load the file."""


class UnsupportedModelError(ModelLoadError):
    """An architecture or a format that this llama.cpp build does not know."""


class InsufficientMemoryError(ModelLoadError):
    """The model with its context does not fit in memory."""

    def __init__(self, message: str, *, needed: int | None, available: int | None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.needed = needed
        """Bytes: weights + KV cache + compute buffers."""
        self.available = available
        """Bytes."""


class TemplateError(EngineError):
    """A chat template is missing or fails."""


class TemplateLimitError(TemplateError):
    """A chat template was stopped: its text, its running time, its memory or its output exceeds a limit."""


class QueueFullError(EngineError):
    """Too many requests are waiting. ``limit`` is the queue's bound."""

    def __init__(self, message: str, *, limit: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.limit = limit


class StallError(EngineError):
    """A running request made no progress for the stall limit."""


class EngineClosedError(EngineError):
    """The engine was closed, or loading it was given up."""


class EngineFailedError(EngineClosedError):
    """A failure inside the engine ended it with all its requests; the next one loads it anew, within limits."""


class OutputError(ParlantLocalError):
    """A model answered, but not usably."""

    usage: Any = None
    """:class:`Usage` of the unusable answer, where it was told."""


class TruncatedOutputError(OutputError):
    """The answer was cut by the token limit before it was whole."""

    answer: Any = None
    """What there is of it, as a :class:`ChatReply`, where it is known."""

    def __init__(self, message: str, *, used: int, limit: int | None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.used = used
        """Tokens."""
        self.limit = limit
        """Tokens; ``None`` where nobody set one."""


class InvalidOutputError(OutputError):
    """The answer does not validate against its schema."""


class BackendError(ParlantLocalError):
    """A daemon or an endpoint failed. ``status`` is its HTTP status where there was one."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        sent: bool = True,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.retry_after = retry_after
        self.sent = sent
        """Whether the request may have reached the other side."""


class TransientError(BackendError):
    """Worth another try at the same place."""


class RateLimitedError(TransientError):
    """The other side asks us to slow down."""


class TargetDownError(BackendError):
    """Refused, timed out, cut off, still loading, or out of memory."""


class StreamInterruptedError(BackendError):
    """The stream broke after its first chunk was delivered; nothing else may take it over."""


class AuthenticationError(BackendError):
    """The key is missing, wrong, or has no permission."""


class SwitchingError(ParlantLocalError):
    """Choosing between targets failed."""


class NoTargetError(SwitchingError):
    """Nothing that is configured can serve the call."""


class BudgetExceededError(SwitchingError):
    """The token budget for remote calls is spent."""


class AllTargetsFailedError(SwitchingError):
    """Every target was tried. ``causes`` is an exception group with each one's reason."""

    def __init__(self, message: str, *, causes: ExceptionGroup[Exception], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.causes = causes


class JobCancelledError(ParlantLocalError):
    """A long job was ended by who started it; it left nothing behind."""


class AgentError(ParlantLocalError):
    """The agent's Parlant server did not start, answer or reply."""
