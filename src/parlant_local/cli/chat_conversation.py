"""A conversation: its messages, and the file that it is saved in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parlant_local.errors import BadRequestError, StateFileError
from parlant_local.messages import MediaPart, Message, as_messages
from parlant_local.storage import read_json, write_whole

__all__ = ["Conversation"]

_MAX_BYTES = 64 << 20


class Conversation:
    """Turns after a system message. A question without an answer is never kept."""

    def __init__(self, system: str | None = None) -> None:
        self.system = system
        self.attached: list[MediaPart] = []
        """Pictures and sounds that go with the next question."""
        self._turns: list[Message] = []

    def __len__(self) -> int:
        return len(self._turns)

    @property
    def messages(self) -> list[Message]:
        return [Message.system(self.system), *self._turns] if self.system else list(self._turns)

    def clear(self) -> None:
        self._turns.clear()
        self.attached.clear()

    def last_question(self) -> str:
        """Raises :class:`BadRequestError` where nothing was asked."""
        return self._turns[self._last_asked()].content or ""

    @contextmanager
    def asking(self, question: str, *, instead: bool = False) -> Iterator[list[Message]]:
        """Adds ``question``, and the answer that the block appends to what it gets; without one, everything is as before.
        ``instead``: of the last question and what followed it."""
        asked = self._last_asked() if instead else len(self._turns)
        media = self._turns[asked].media if instead else tuple(self.attached)
        before, answers = self._turns, list[Message]()
        self._turns = [*self._turns[:asked], Message.user(question, *media)]
        try:
            yield answers
        finally:
            self._turns = [*self._turns, *answers] if answers else before
            if answers and not instead:
                self.attached = []

    def _last_asked(self) -> int:
        for index in range(len(self._turns) - 1, -1, -1):
            if self._turns[index].role == "user":
                return index
        raise BadRequestError("Nothing has been asked yet.")

    def save(self, path: Path) -> None:
        data = json.dumps([message.to_openai() for message in self.messages], ensure_ascii=False, indent=2)
        try:
            write_whole(path, data + "\n")
        except StateFileError as error:
            raise BadRequestError(str(error)) from None

    def load(self, path: Path) -> None:
        try:
            turns = list(as_messages(read_json(path, _MAX_BYTES)))
        except FileNotFoundError:
            raise BadRequestError(f"{path} does not exist.") from None
        except StateFileError as error:
            raise BadRequestError(f"{path} is not a saved conversation: {error.reason}.") from None
        except BadRequestError as error:
            raise BadRequestError(f"{path} is not a saved conversation: {error}") from None
        except (ValueError, TypeError) as error:
            raise BadRequestError(f"{path} is not a saved conversation: {error}.") from None
        if turns and turns[0].role == "system":
            self.system = turns.pop(0).content
        self._turns = turns
