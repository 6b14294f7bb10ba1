"""What can be typed in a chat besides messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import click

from parlant_local.cli.chat_session import ChatSession
from parlant_local.cli.chat_values import KNOWN, described, option_named, option_value, possible_values
from parlant_local.cli.echo import echoing
from parlant_local.cli.options import read_media
from parlant_local.cli.printing import counted, echo_dim, say, show_text
from parlant_local.errors import BadRequestError
from parlant_local.paths import exists, user_path

__all__ = ["ChatCommands", "Quit"]

_FORCE = "--force"
_ALIASES = {"/exit": "/bye", "/quit": "/bye", "/retry": "/regenerate", "/?": "/help"}


class Quit(Exception):
    """Ends the session."""


@dataclass(frozen=True, slots=True)
class _Command:
    run: Callable[[str], None]
    usage: str
    help: str
    values: Callable[[str], Iterable[str]] | None = None
    """What may stand behind it, given the words before."""
    takes_file: bool = False


class ChatCommands:
    """The commands of a session."""

    def __init__(self, session: ChatSession) -> None:
        self._session = session
        self._known: dict[str, _Command] = {
            "/help": _Command(self._help, "", "list the commands"),
            "/regenerate": _Command(self._regenerate, "", "have the last question answered again"),
            "/edit": _Command(self._edit, "", "edit the last question in $EDITOR, and have it answered instead"),
            "/system": _Command(self._system, "[TEXT]", "set the system message, or show it"),
            "/set": _Command(self._set, "[OPTION [VALUE]]", "set a sampling option, or show them", _options),
            "/unset": _Command(self._unset, "OPTION", "return an option to its default", lambda _: KNOWN),
            "/model": _Command(
                self._model, "[MODEL]", "switch to another model, or show this one", lambda _: session.models()
            ),
            "/image": _Command(
                self._image, "[FILE]", "send a picture or sound with the next message, or list them", takes_file=True
            ),
            "/clear": _Command(self._clear, "", "clear the conversation, keep the system message"),
            "/save": _Command(self._save, f"FILE [{_FORCE}]", "save the conversation as JSON", takes_file=True),
            "/load": _Command(self._load, "FILE", "continue a saved conversation", takes_file=True),
            "/stats": _Command(self._stats, "", "tokens and speed"),
            "/bye": _Command(self._bye, "", "end the session (so do /exit, /quit and Ctrl-D)"),
        }

    @property
    def values(self) -> dict[str, Callable[[str], Iterable[str]] | None]:
        """Of each command, for completion."""
        return {name: command.values for name, command in self._known.items()} | dict.fromkeys(_ALIASES)

    @property
    def files(self) -> list[str]:
        """Those that take a file."""
        return [name for name, command in self._known.items() if command.takes_file]

    def run(self, text: str) -> None:
        """Raises :class:`BadRequestError` for what is no command, :class:`Quit` for the one that ends the session."""
        name, _, rest = text.strip().partition(" ")
        command = self._known.get(_ALIASES.get(name, name))
        if command is None:
            near = get_close_matches(name, [*self._known, *_ALIASES], 1, 0.6)
            meant = f"Did you mean {near[0]}? " if near else ""
            raise BadRequestError(f"Unknown command {name}.", hint=f"{meant}/help lists the commands.")
        command.run(rest.strip())

    def _help(self, _rest: str) -> None:
        width = max(len(f"{name} {command.usage}") for name, command in self._known.items())
        for name, command in self._known.items():
            say(f"{f'{name} {command.usage}':<{width}}  {command.help}")
        click.echo('A line that ends with \\ continues on the next one; so does everything between two lines of """.')
        click.echo("In a terminal Alt-Enter starts a new line, Up recalls messages, Tab completes.")
        click.echo("Ctrl-C stops an answer; a second one ends the session.")

    def _regenerate(self, _rest: str) -> None:
        self._session.ask(self._session.conversation.last_question(), instead=True)

    def _edit(self, _rest: str) -> None:
        question = self._session.conversation.last_question()
        try:
            with echoing(True):
                edited = click.edit(question, extension=".md")
        except click.ClickException as error:
            raise BadRequestError(error.message, hint="EDITOR names the program, such as nano.") from None
        text = (edited or "").rstrip("\n")
        if not text.strip() or text == question:
            echo_dim("The question is unchanged.")
            return
        show_text(text)
        self._session.ask(text, instead=True)

    def _system(self, rest: str) -> None:
        conversation = self._session.conversation
        if rest:
            conversation.system = rest
            echo_dim("System message set.")
        else:
            show_text(conversation.system or "(none)")

    def _set(self, rest: str) -> None:
        name, _, value = rest.partition(" ")
        if not name:
            for option in KNOWN.values():
                say(described(option, self._session.options.get(option.name)))
            return
        option = option_named(name)
        if value.strip():
            self._session.options[option.name] = option_value(option, value.strip())
        say(described(option, self._session.options.get(option.name)))

    def _unset(self, rest: str) -> None:
        if not rest:
            raise BadRequestError("/unset needs an option.", hint="/set lists them.")
        option = option_named(rest)
        self._session.options.pop(option.name, None)
        say(described(option, None))

    def _model(self, rest: str) -> None:
        if rest:
            self._session.switch(rest)
        else:
            say(self._session.model_line())

    def _image(self, rest: str) -> None:
        attached = self._session.conversation.attached
        if rest:
            attached.append(read_media(rest.strip("'\"")))
        kinds = {kind: sum(part.kind == kind for part in attached) for kind in ("image", "audio")}
        told = [counted(kinds[kind], word) for kind, word in (("image", "picture"), ("audio", "sound")) if kinds[kind]]
        echo_dim(f"With your next message: {' and '.join(told) or 'nothing'}.")

    def _clear(self, _rest: str) -> None:
        self._session.conversation.clear()
        echo_dim("Conversation cleared.")

    def _save(self, rest: str) -> None:
        force = rest.split()[-1:] == [_FORCE]
        path = _file(rest.removesuffix(_FORCE).strip() if force else rest, "/save")
        if exists(path) and not force and not self._session.confirmed(f"{path} exists. Overwrite it?"):
            raise BadRequestError(
                f"{path} exists and was not overwritten.", hint=f"/save {path} {_FORCE} overwrites it."
            )
        self._session.conversation.save(path)
        say(f"{counted(len(self._session.conversation), 'message')} saved to {path}.")

    def _load(self, rest: str) -> None:
        self._session.load(_file(rest, "/load"))

    def _stats(self, _rest: str) -> None:
        for line in self._session.stats():
            click.echo(line)

    def _bye(self, _rest: str) -> None:
        raise Quit


def _options(before: str) -> Iterable[str]:
    return KNOWN if not before else possible_values(KNOWN[before]) if before in KNOWN else ()


def _file(text: str, command: str) -> Path:
    if not text:
        raise BadRequestError(f"{command} needs a file name.")
    return user_path(text)
