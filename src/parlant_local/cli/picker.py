"""Choosing a model where several could be meant; only in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from parlant_local.cli.chat_input import in_terminal
from parlant_local.errors import ModelNotFoundError

if TYPE_CHECKING:
    from parlant_local.catalog import LocalModel, LocalModelManager
    from parlant_local.settings import Settings

__all__ = ["picked_model"]


def picked_model(model: str | None, settings: Settings) -> str | None:
    """``model``, or the one that a person chooses instead: among those with similar names where it names none, among all
    that chat where neither it nor the settings name one. ``None``: the default, as everywhere.

    Raises :class:`ModelNotFoundError` where nobody is there to choose.
    """
    if not in_terminal() or (model is None and settings.model is not None):
        return model
    from parlant_local.catalog import LocalModelManager

    manager = LocalModelManager(settings=settings)
    return _default(manager, settings) if model is None else _meant(model, manager, settings)


def _default(manager: LocalModelManager, settings: Settings) -> str | None:
    from parlant_local.backends.choice import choose_local

    chatting = [record for record in manager.list_models() if record.chats and not record.shipped]
    if len(chatting) < 2:
        return None
    return _choose("Which model?", chatting, choose_local(settings, manager).model)


def _meant(model: str, manager: LocalModelManager, settings: Settings) -> str:
    from parlant_local.backends.referring import split_reference

    if split_reference(model, settings) is not None:
        return model
    try:
        manager.find_adapted(model)
    except ModelNotFoundError as error:
        near = [record for record in manager.list_models() if record.id in error.near]
        if not near:
            raise
        return _choose(f"There is no {model!r}. Which one do you mean?", near, near[0].id)
    return model


def _choose(question: str, records: Sequence[LocalModel], default: str) -> str:
    from prompt_toolkit.shortcuts import choice

    from parlant_local.cli.records import size_of
    from parlant_local.observability import printable

    width = max(len(record.id) for record in records)
    options = [
        (record.id, printable(f"{record.id:<{width}}  {size_of(record):>9}  {record.quantization or ''}".rstrip()))
        for record in records
    ]
    known = {record.id for record in records}
    return choice(printable(question), options=options, default=default if default in known else records[0].id)
