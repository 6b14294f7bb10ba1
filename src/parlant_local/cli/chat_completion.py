"""What Tab completes in a chat: commands, their values, names of models and files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

__all__ = ["CommandCompleter", "Values"]

Values = Callable[[str], Iterable[str]]
"""What may stand behind a command, given the words before the last one."""


class CommandCompleter(Completer):
    """``values``: of each command; None for a file, and for what can't be known. ``files``: commands that take a file."""

    def __init__(self, values: Mapping[str, Values | None], files: Iterable[str]) -> None:
        self._values, self._files = values, frozenset(files)
        self._path = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        text = document.text_before_cursor
        if not text.startswith("/") or "\n" in text:
            return
        name, space, rest = text.partition(" ")
        if not space:
            yield from _starting(self._values, name)
        elif name in self._files:
            yield from self._path.get_completions(Document(rest), complete_event)
        elif (values := self._values.get(name)) is not None:
            before, _, last = rest.rpartition(" ")
            yield from _starting(values(before.strip()), last)


def _starting(known: Iterable[str], typed: str) -> Iterator[Completion]:
    return (Completion(each, start_position=-len(typed)) for each in known if each.startswith(typed))
