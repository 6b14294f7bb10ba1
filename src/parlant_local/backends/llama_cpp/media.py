"""Pictures and sounds of a conversation: decoded, and read by the engine."""

from __future__ import annotations

from collections.abc import Sequence

from parlant_local.engine import LlamaEngine
from parlant_local.engine.media import ReadPrompt
from parlant_local.engine.media.decoding import decoded
from parlant_local.engine.media.inputs import Media
from parlant_local.errors import BadRequestError, UnsupportedCallError
from parlant_local.messages import MediaPart, Message
from parlant_local.settings import MediaSettings

__all__ = ["check_shown", "read_media"]


async def read_media(
    engine: LlamaEngine, pieces: Sequence[tuple[int, ...] | int], media: Sequence[MediaPart], settings: MediaSettings
) -> ReadPrompt:
    """The prompt of ``pieces``, in which a number stands for one of ``media``.

    Raises :class:`UnsupportedCallError` where the model reads text only, :class:`BadRequestError` for what can't be read or exceeds a
    limit.
    """
    if len(media) > settings.max_count:
        raise BadRequestError(
            f"The conversation has {len(media)} pictures and sounds; the limit is {settings.max_count} (media.max_count).",
            hint="Leave out earlier ones.",
        )
    senses = await engine.senses()
    for part in media:
        if not (senses.sees if part.kind == "image" else senses.hears):
            raise UnsupportedCallError(
                f"{engine.path.name} reads no {'pictures' if part.kind == 'image' else 'sounds'}.",
                hint="Use a model that does: `parlant-local show MODEL` says what each one reads.",
            )
    rate = senses.sample_rate
    found = {
        number: await decoded(media[number].data, media[number].kind, settings, rate=rate)
        for number in sorted({piece for piece in pieces if isinstance(piece, int)})
    }
    read = [found[piece] if isinstance(piece, int) else piece for piece in pieces]
    return await engine.read([part for part in read if isinstance(part, Media) or len(part)])


def check_shown(pieces: Sequence[tuple[int, ...] | int], messages: Sequence[Message]) -> None:
    """Raises :class:`UnsupportedCallError` where the chat template left out one of the messages' pictures and sounds."""
    roles = [message.role for message in messages for _ in message.media]
    missing = next((number for number in range(len(roles)) if number not in pieces), None)
    if missing is None:
        return
    role = roles[missing]
    of_tool = role in ("tool", "function")
    raise UnsupportedCallError(
        f"The model's chat template writes no pictures or sounds into {'results of tools' if of_tool else f'messages of role {role}'}.",
        hint="Put it into a user's message, or set another template with chat_format.",
    )
