"""Shared by the verbs that run a model: options, settings, backend."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from parlant_local.call_options import OPTIONS, Option
from parlant_local.errors import BadRequestError
from parlant_local.messages import whole_value
from parlant_local.messages.media import MediaPart
from parlant_local.paths import is_file, user_path
from parlant_local.storage import parse_json

if TYPE_CHECKING:
    from parlant_local.backends import Backend
    from parlant_local.settings import Settings

__all__ = [
    "make_backend",
    "make_settings",
    "model_argument",
    "model_options",
    "open_backend",
    "read_json",
    "read_media",
    "read_text",
    "run",
    "sampling_options",
    "sampling_values",
]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


_MAX_BYTES = 64 * 1024 * 1024


def complete_model(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ids in the catalogue, behind a colon their adapters, and files."""
    from parlant_local.catalog import LocalModelManager
    from parlant_local.catalog.adapters import Adapters
    from parlant_local.errors import ParlantLocalError

    try:
        manager = LocalModelManager()
        models = manager.list_models()
        ids = [model.id for model in models]
        if named := next((model for model in models if incomplete.startswith(f"{model.id}:")), None):
            ids += [f"{named.id}:{each.name}" for each in Adapters(manager.settings).fitting(named)]
    except ParlantLocalError:  # completion has no way to report errors
        ids = []
    known = [CompletionItem(name) for name in ids if name.startswith(incomplete)]
    return known or [CompletionItem(incomplete, type="file")]


model_argument = click.argument("model", metavar="MODEL", shell_complete=complete_model)

_MODEL_OPTIONS = (
    click.option(
        "--n-ctx", type=click.IntRange(16), metavar="TOKENS", help="Context length: prompt and answer together."
    ),
    click.option("--n-gpu-layers", type=int, metavar="N", help="Layers to offload to the GPU; -1: all."),
    click.option("--threads", "n_threads", type=click.IntRange(1), metavar="N", help="Threads for decoding."),
    click.option("--chat-format", metavar="NAME", help="Chat template to use: a name, or a file with Jinja text."),
    click.option("--config", metavar="FILE", help="Settings file (YAML or TOML)."),
    click.option("--verbose", "-v", is_flag=True, help="Show llama.cpp's own log."),
)

_SAMPLING = {name: option for name, option in OPTIONS.items() if option.cli == "derived"}


def _click_option(option: Option) -> Callable[[F], F]:
    kind = click.Choice(option.choices) if option.choices else option.kind
    names = (*option.flags, f"--{option.name.replace('_', '-')}")
    help_text = f"{option.help} May be repeated." if option.several else option.help
    return click.option(*names, type=kind, multiple=option.several, metavar=option.metavar, help=help_text)


def model_options(command: F) -> F:
    """Adds the options of a loaded model."""
    for option in reversed(_MODEL_OPTIONS):
        command = option(command)
    return command


def sampling_options(command: F) -> F:
    """Adds the sampling options; :func:`sampling_values` pops them from a verb's arguments."""
    for option in reversed(_SAMPLING.values()):
        command = _click_option(option)(command)
    return command


def sampling_values(arguments: dict[str, Any]) -> dict[str, Any]:
    """The sampling options that were given, popped from ``arguments``."""
    values = {name: arguments.pop(name) for name in _SAMPLING}
    return {
        name: list(value) if _SAMPLING[name].several else value
        for name, value in values.items()
        if value not in (None, ())
    }


def make_settings(arguments: dict[str, Any], more: Mapping[str, Any] | None = None) -> Settings:
    """Settings with the model options in ``arguments`` (popped from it), and ``more`` by dotted keys, on top."""
    from parlant_local.settings import Settings

    given = {name: arguments.pop(name) for name in ("n_ctx", "n_gpu_layers", "n_threads")}
    verbose = arguments.pop("verbose")
    engine = {f"engine.{name}": value for name, value in given.items() if value is not None}
    if verbose:
        engine["engine.verbose"] = True
    return Settings.load(arguments.pop("config"), **{**engine, **(more or {})})


def chat_format(arguments: dict[str, Any]) -> str | None:
    """The requested template; a file name is replaced by its text."""
    value: str | None = arguments.pop("chat_format")
    return read_text(value) if value is not None and "{" not in value and is_file(value) else value


def make_backend(model: str, arguments: dict[str, Any]) -> Backend:
    """A backend of ``model``, not loaded yet, with the model options in ``arguments`` (popped from it)."""
    template = chat_format(arguments)
    return open_backend(model, make_settings(arguments), template)


def open_backend(model: str | None, settings: Settings, chat_format: str | None = None) -> Backend:
    """A backend of ``model``, or of the default one, not loaded yet; remote ones follow the switcher's rules."""
    from parlant_local.catalog import LocalModelManager
    from parlant_local.observability import ConsoleLogger
    from parlant_local.switching import choose_model
    from parlant_local.switching.opening import open_model

    logger = ConsoleLogger("warning")
    chosen = model or choose_model(settings, LocalModelManager(settings=settings, logger=logger)).model
    return open_model(chosen, settings, chat_format=chat_format, logger=logger)[1]


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def read_media(file: str) -> MediaPart:
    """A picture or a sound."""
    return MediaPart.of_file(_read_bytes(file, "Send a smaller one."), file)


def _read_bytes(file: str, hint: str) -> bytes:
    """``-`` is standard input. Pipes and devices count as files, and may be endless."""
    try:
        if file == "-":
            data = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with user_path(file).open("rb") as stream:
                data = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise BadRequestError(f"{file} can't be read: {error.strerror}.") from None
    except ValueError as error:  # a NUL character in the name
        raise BadRequestError(f"{file!a} can't be read: {error}.") from None
    if len(data) > _MAX_BYTES:
        raise BadRequestError(f"{file} is larger than the limit of {_MAX_BYTES >> 20} MiB.", hint=hint)
    return data


def read_text(file: str) -> str:
    """A file's text; ``-`` is standard input."""
    data = _read_bytes(file, "Split it.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequestError(f"{file} is not UTF-8 text (byte {error.start}).") from None


def read_json(file: str) -> Any:
    """A file's JSON; ``-`` is standard input. Unpaired surrogates are replaced, as in requests over HTTP."""
    try:
        return parse_json(read_text(file), mend=whole_value)
    except ValueError as error:
        raise BadRequestError(f"{file} can't be used: {error}.") from None
