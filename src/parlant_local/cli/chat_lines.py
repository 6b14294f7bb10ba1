"""Messages put together from typed lines, and those of earlier sessions."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from prompt_toolkit.history import History

from parlant_local.cli.printing import say
from parlant_local.errors import StateFileError
from parlant_local.paths import exists
from parlant_local.storage import read_text, write_whole

__all__ = ["ChatHistory", "MessageLines", "typed_message"]

_QUOTE = '"""'
_MAX_HISTORY = 16 << 20


class MessageLines:
    """Takes lines until a message is whole. A line that ends with a backslash continues; so does everything between two
    lines of three quotation marks. With ``multiline``, an empty line ends a message."""

    def __init__(self, *, multiline: bool = False) -> None:
        self._multiline = multiline
        self._lines: list[str] = []
        self._quoted = False

    def add(self, line: str) -> str | None:
        """The message, if ``line`` ends it."""
        if self._quoted:
            return self._add_quoted(line)
        if not self._lines and (line.strip() == _QUOTE or (line.startswith(_QUOTE) and line.count(_QUOTE) == 1)):
            self._quoted = True
            first = line.partition(_QUOTE)[2]
            self._lines = [first] if first else []
            return None
        if line.endswith("\\"):
            self._lines.append(line[:-1])
            return None
        if self._multiline and line and not (not self._lines and line.startswith("/")):
            self._lines.append(line)
            return None
        if line or not self._multiline:
            self._lines.append(line)
        return self._taken()

    def _add_quoted(self, line: str) -> str | None:
        if not line.rstrip().endswith(_QUOTE):
            self._lines.append(line)
            return None
        if last := line.rstrip().removesuffix(_QUOTE):
            self._lines.append(last)
        return self._taken()

    def rest(self) -> str | None:
        """What was collected where no line follows."""
        return self._taken() if self._lines else None

    def _taken(self) -> str:
        lines, self._lines, self._quoted = self._lines, [], False
        return "\n".join(lines)


def typed_message(text: str, *, multiline: bool = False) -> str | None:
    """The message that ``text`` is when Enter is pressed at its end, None where more is to come. Lines that are there already
    belong to it: they were pasted, or begun on purpose."""
    first, _, _ = text.partition("\n")
    if first.startswith(_QUOTE) and (first.strip() == _QUOTE or first.count(_QUOTE) == 1):
        rest = text.removeprefix(_QUOTE).rstrip()
        return rest.removesuffix(_QUOTE).strip("\n") if rest.endswith(_QUOTE) else None
    last = text.rpartition("\n")[2]
    if last.endswith("\\") or (multiline and last and not first.startswith("/")):
        return None
    return text.removesuffix("\n") if multiline else text


class ChatHistory(History):
    """Typed messages, whole ones: a JSON string per line, in a file that only its owner can read."""

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__()
        self._path = path
        self._saved = self._read(limit)

    def _read(self, limit: int) -> list[str]:
        if not exists(self._path):
            return []
        try:
            lines = read_text(self._path, _MAX_HISTORY).splitlines()
            kept = lines[-limit:]
            if len(lines) > 2 * limit:  # not at every start
                write_whole(self._path, "".join(f"{line}\n" for line in kept), private=True)
        except StateFileError as error:
            say(f"warning: earlier messages can't be recalled: {error}", err=True)
            return []
        return [_message_in(line) for line in kept if line]

    def load_history_strings(self) -> Iterator[str]:
        yield from reversed(self._saved)

    def store_string(self, string: str) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with open(descriptor, "w", encoding="utf-8", errors="replace", newline="\n") as file:  # noqa: PTH123  # it has been opened
                file.write(json.dumps(string, ensure_ascii=False) + "\n")
        except OSError as error:
            say(f"warning: {self._path} can't be written: {error.strerror}", err=True)


def _message_in(line: str) -> str:
    try:
        value = json.loads(line)
    except ValueError:
        return line  # of an earlier version, which kept lines as they were typed
    return value if isinstance(value, str) else line
