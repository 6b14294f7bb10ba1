"""What a chat model answers when it is asked for seven booleans."""

from __future__ import annotations

import json
import math

from parlant_local.messages import ChatReply, TokenLogprob
from parlant_local.moderation import MODERATION_TAGS


def verdict(**true: float) -> ChatReply:
    """An answer with the probability of ``true`` given per tag (underscores for dashes), 0.01 for the rest."""
    chances = {tag: true.get(tag.replace("-", "_"), 0.01) for tag in MODERATION_TAGS}
    tokens: list[TokenLogprob] = []

    def forced(text: str) -> None:
        tokens.append(TokenLogprob(text, 0.0))

    values = {}
    for index, (tag, chance) in enumerate(chances.items()):
        forced(("{" if index == 0 else ",") + json.dumps(tag) + ":")
        word, other = ("true", "false") if chance >= 0.5 else ("false", "true")
        likely = max(chance, 1 - chance)
        top = ((word, math.log(likely)), (other, math.log(1 - likely)))
        tokens.append(TokenLogprob(word, math.log(likely), top=top))
        values[tag] = chance >= 0.5
    forced("}")
    return ChatReply(json.dumps(values, separators=(",", ":")), logprobs=tuple(tokens), model="m")
